"""What servers serve, looked at for a batch: what has been proven of a load is not looked at again."""

from __future__ import annotations

from certd.effects.served import Target, sni
from certd.engine.gather import Look
from certd.engine.shared import Shared
from certd.model.records import BatchSet, Deploying, Seen, ServerRecord, Sight, Timer
from certd.model.specs import Deployment, ServerSpec
from certd.plan.server import SETTLE


class Looks:
    """Looks at servers, and remembers for each which sets its present load has been seen to serve.

    With many virtual hosts there is always one whose handshake meets a worker that is just leaving, if somebody reloads
    the server all the time. So a set has to be seen once in a load, not all of them in the same moment. The memory may
    be lost: then it is looked again.
    """

    def __init__(self, shared: Shared) -> None:
        self._of = shared
        self._proven: dict[str, tuple[Timer, dict[str, Seen]]] = {}

    def look(self, spec: ServerSpec, record: ServerRecord, batch: tuple[BatchSet, ...]) -> Look:
        """What is served for the sets that can be verified."""
        began = self._of.clock.now()
        proven = self._proven_by(spec, record)
        found = {seen.name: seen for seen in self._of.world.look(self._targets(spec, batch, proven))}
        if isinstance(record, Deploying) and record.wait is not None and began >= record.wait.set_at + SETTLE:
            # Not earlier: what is seen before may come from the load before.
            hoped = {part.name: part.fingerprint for part in batch}
            proven |= {name: seen for name, seen in found.items() if _shows(seen, hoped[name])}
            self._proven[spec.id] = (record.wait, proven)
        found = proven | found
        return Look(tuple(found[part.name] for part in batch if part.name in found), began)

    def _proven_by(self, spec: ServerSpec, record: ServerRecord) -> dict[str, Seen]:
        load = record.wait if isinstance(record, Deploying) else None
        known, proven = self._proven.get(spec.id, (None, {}))
        return dict(proven) if load is not None and known == load else {}

    def _targets(self, spec: ServerSpec, batch: tuple[BatchSet, ...], proven: dict[str, Seen]) -> list[Target]:
        targets: list[Target] = []
        for part in batch:
            deployment = self.deployment(spec, part.name)
            certificate = self._of.config.certificates.get(part.name)
            if part.name in proven or certificate is None or deployment is None or deployment.verify is None:
                continue
            targets.append((part, deployment.verify, sni(certificate)))
        return targets

    def deployment(self, spec: ServerSpec, name: str) -> Deployment | None:
        """How this certificate is deployed to this server; None where it is not, or no longer."""
        certificate = self._of.config.certificates.get(name)
        found = (d for d in certificate.deploy if d.server == spec.id) if certificate else iter(())
        return next(found, None)


def _shows(seen: Seen, fingerprint: str) -> bool:
    return seen.sight is Sight.LEAF and seen.fingerprint == fingerprint
