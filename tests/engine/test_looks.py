"""Looking at servers: what a load has been seen to serve is not looked at again in that load."""

from __future__ import annotations

from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

from authority import NOW
from views import spec

from certd.engine.looks import Looks
from certd.model.records import BatchSet, Deploying, DeployStage, Seen, Settled, Sight, Timer
from certd.model.specs import Deployment, ServerSpec, ServiceReload, VerifySpec

SECOND = timedelta(seconds=1)
SERVER = ServerSpec("web", ServiceReload("httpd"))
BATCH = tuple(BatchSet(name, 2, 1, f"new-{name}", f"old-{name}") for name in ("a", "b"))
DOWN = {"a": Seen("a", Sight.BROKEN), "b": Seen("b", Sight.BROKEN)}
NEW = {part.name: Seen(part.name, Sight.LEAF, part.fingerprint) for part in BATCH}


class Served:
    """What a server shows, at what time, and which names were looked at."""

    def __init__(self) -> None:
        self.now: datetime = NOW
        self.shown: dict[str, Seen] = {}
        self.asked: list[str] = []
        verified = (Deployment("web", VerifySpec()),)
        certificates = {name: spec(name=name, deploy=verified) for name in ("a", "b")}
        config, clock = SimpleNamespace(certificates=certificates), SimpleNamespace(now=lambda: self.now)
        shared: Any = SimpleNamespace(config=config, clock=clock, world=self)
        self.looks = Looks(shared)

    def look(self, targets: Any) -> tuple[Seen, ...]:
        names = [part.name for part, _, _ in targets]
        self.asked += names
        return tuple(self.shown[name] for name in names)

    def at(self, after: timedelta, shown: dict[str, Seen], load: Timer | None) -> tuple[list[str], tuple[Seen, ...]]:
        """Look `after` the start of the load: the names that were asked for, and what is known then."""
        self.now, self.shown, self.asked = NOW + after, shown, []
        seen = self.looks.look(SERVER, loading(load), BATCH).seen
        return self.asked, seen


def loading(wait: Timer | None) -> Deploying:
    return Deploying(Settled(1, 0), 1, BATCH, (), True, ("a", "b"), DeployStage.LOADING, NOW, wait)


LOAD = Timer(NOW, NOW + 30 * SECOND)


def test_what_is_proven_is_not_looked_at_again():
    """With many hosts and somebody who reloads all the time, never all of them answer in the same moment."""
    served = Served()
    assert served.at(3 * SECOND, {"a": NEW["a"], "b": DOWN["b"]}, LOAD) == (["a", "b"], (NEW["a"], DOWN["b"]))
    assert served.at(4 * SECOND, DOWN | {"b": NEW["b"]}, LOAD) == (["b"], (NEW["a"], NEW["b"]))
    assert served.at(5 * SECOND, DOWN, LOAD) == ([], (NEW["a"], NEW["b"]))


def test_another_load_is_looked_at_anew():
    """Whatever the load before has shown."""
    served = Served()
    served.at(3 * SECOND, NEW, LOAD)
    assert served.at(9 * SECOND, DOWN, Timer(NOW + 5 * SECOND, NOW + 35 * SECOND))[1] == tuple(DOWN.values())


def test_what_is_seen_at_once_proves_nothing_for_later():
    """It may come from the load before, and this one may still bring the server down."""
    served = Served()
    served.at(1 * SECOND, NEW, LOAD)
    assert served.at(3 * SECOND, DOWN, LOAD)[1] == tuple(DOWN.values())
