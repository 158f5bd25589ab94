"""How long local work may take by the configuration before it counts as hanging."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import timedelta

from certd.effects import served
from certd.model.specs import Config


def longest_after(config: Config) -> timedelta:
    """What the `after` commands of one server may take, one after the other: nobody hangs who waits for these."""
    times: defaultdict[str, timedelta] = defaultdict(timedelta)
    for spec in config.certificates.values():
        for deployment in spec.deploy:
            times[deployment.server] += sum((command.timeout for command in deployment.after), timedelta())
    return max(times.values(), default=timedelta())


def longest_look(config: Config) -> timedelta:
    """What one look at all that one server serves may take, where every handshake uses its time up."""
    handshakes: Counter[str] = Counter()
    for spec in config.certificates.values():
        for deployment in spec.deploy:
            if (verify := deployment.verify) is not None:
                handshakes[deployment.server] += len(verify.connect) * max(1, len(verify.names)) * served.IN_A_ROW
    return timedelta(seconds=served.HANDSHAKE) * (max(handshakes.values(), default=0) / served.AT_ONCE)
