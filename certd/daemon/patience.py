"""How long local work may take by the configuration before it counts as hanging."""

from __future__ import annotations

from collections import defaultdict
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
    """What one look at all that one server serves may take, where every handshake uses its time up.

    The handshakes of one set follow each other, and the sets are shared out among `AT_ONCE` threads as these come free:
    at worst the longest one begins when all the others are done.
    """
    handshakes: defaultdict[str, list[int]] = defaultdict(list)
    for spec in config.certificates.values():
        for deployment in spec.deploy:
            if (verify := deployment.verify) is not None:
                sights = len(verify.connect) * max(1, len(verify.names))
                handshakes[deployment.server].append(sights * served.IN_A_ROW)
    longest = (max(sets) + (sum(sets) - max(sets)) / served.AT_ONCE for sets in handshakes.values())
    return timedelta(seconds=served.HANDSHAKE) * max(longest, default=0)
