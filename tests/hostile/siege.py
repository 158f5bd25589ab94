"""certd's engine on the real world, with a proxy between it and Pebble that the test scripts; by a clock it turns.

Records, HTTP, files and signatures are real; only time is not, so no back-off is waited for.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import yaml
from parts import FaultProxy, Pebble

from certd.challenges import OPTIONS
from certd.clock import Clock
from certd.config import load
from certd.effects.real import RealWorld
from certd.engine import Engine
from certd.model.records import AccountRecord, CertificateRecord, Failure, Idle
from certd.model.view import Subject
from certd.status import health, snapshot
from certd.status.shape import CertificateState, Problem
from certd.store import Store

CA = "hostile"
KID, MAC_KEY = "kid-1", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
MOST_TICKS = 3000
"""More than any test of a few names needs; a loop that never waits ends here."""
MOST_TICKS_OF_EACH = 60
"""The same for each of many names."""


class Siege:
    """One certd, one proxy, one CA. `restart` is what a crash and a start are: all but the disk is made anew."""

    def __init__(
        self,
        root: Path,
        pebble: Pebble,
        proxy: FaultProxy,
        names: Sequence[str],
        *,
        defaults: Mapping[str, Any] | None = None,
        new_orders: int = 300,
        http_timeout: timedelta = timedelta(seconds=20),
    ) -> None:
        self.names = list(names)
        self.root = root
        self.pebble = pebble
        self.proxy = proxy
        self.now = datetime.now(UTC).replace(microsecond=0)
        self.monotonic = 1000.0
        self.deepest = root / "a" / "b" / "c" / "d"
        """The web root lies as deep as a path that climbs would have to."""
        self.webroot = self.deepest / "webroot"
        self.webroot.mkdir(parents=True)
        self._http_timeout = http_timeout
        self._most_ticks = max(MOST_TICKS, MOST_TICKS_OF_EACH * len(names))
        self._mark = pebble.mark()
        self._due: dict[Subject, datetime] = {}
        self._woken: dict[Subject, datetime] = {}
        self._write_config(dict(defaults or {}), new_orders)
        proxy.now = lambda: self.now
        proxy.forget()
        self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.proxy.forget()
        self._crash()

    # --- its life

    def restart(self) -> None:
        self._crash()
        self._start()

    def _crash(self) -> None:
        self.world.close()
        self.store.close()

    def _start(self) -> None:
        config = load(self.root / "config.yaml", solvers=OPTIONS)
        config = msgspec.structs.replace(config, http_timeout=self._http_timeout)
        self.clock = Clock(lambda: self.now, lambda: self.monotonic)
        self.store = Store.open(config.state_dir, purpose="test", now=self.now)
        self.world = RealWorld(
            config,
            self.store,
            now=self.clock.now,
            on_date=self.clock.heard,
            on_account=lambda ca, event: self.engine.hear_account(ca, event),
            on_warning=lambda name, warning: self.engine.hear_warning(name, warning),
        )
        self.engine = Engine(config, self.store, self.world, clock=self.clock, rng=random.Random(7), wake=self._wake)
        self.engine.prepare()
        self._due = dict.fromkeys(self.engine.subjects(), self.now)

    def _write_config(self, defaults: dict[str, Any], new_orders: int) -> None:
        key_file = self.root / "eab.key"
        key_file.touch(0o600)
        key_file.write_text(MAC_KEY)
        path = self.pebble.directory_url.rpartition("/")[2]
        ca = {
            "directory": f"{self.proxy.url}/{path}",
            "contact": ["ops@example.test"],
            "terms_of_service_agreed": True,
            "eab": {"kid": KID, "hmac_key_file": str(key_file)},
            "trust": str(self.proxy.trust_path),
            "limits": {"new_orders": f"{new_orders}/3h"},
        }
        challenge = {"type": "http-01", "webroot": str(self.webroot), "self_check": False}
        whole = {
            "state_dir": str(self.root / "state"),
            "runtime_dir": str(self.root / "run"),
            "cas": {CA: ca},
            "defaults": {"ca": CA, "key": "p256", "challenge": challenge} | defaults,
            "limits": {"orders_per_day": 50},
            "certificates": [{"domains": [name]} for name in self.names],
        }
        (self.root / "config.yaml").write_text(yaml.safe_dump(whole, sort_keys=False))

    # --- time

    def work(self) -> None:
        """All that is due now, until nothing is; no time passes."""
        for _ in range(self._most_ticks):
            subject = min(self._due, key=lambda one: self._due[one])
            if self._due[subject] > self.now:
                return
            self._woken.pop(subject, None)
            due = self.engine.tick(subject)
            self._due[subject] = min(due, self._woken.pop(subject, due))
        raise AssertionError("there is always something due: certd spins")

    def until(self, reached: Callable[[], object], what: str, within: timedelta = timedelta(days=2)) -> None:
        """Let time pass, from one due time to the next, until `reached`."""
        limit = self.now + within
        for _ in range(self._most_ticks):
            self.work()
            if reached():
                return
            following = min(self._due.values())
            assert following <= limit, f"not within {within}: {what}"
            self._pass_by(following - self.now)
        raise AssertionError(f"not within {self._most_ticks} rounds: {what}")

    def sleep(self, length: timedelta) -> None:
        """Let so much time pass, doing what comes due in it."""
        end = self.now + length
        for _ in range(self._most_ticks):
            self.work()
            following = min(min(self._due.values()), end)
            self._pass_by(following - self.now)
            if following == end:
                self.work()
                return
        raise AssertionError(f"more than {self._most_ticks} rounds in {length}")

    def later_certificates(self) -> None:
        """What Pebble issues from now on ends later than all before: its certificates count whole seconds, really."""
        begun = time.time()
        while int(time.time()) == int(begun):
            time.sleep(0.02)

    def again(self) -> None:
        """The operator asks for it again, so that no back-off stands in the way of the next try."""
        self._pass_by(timedelta(seconds=1))
        for name in self.names:
            self.engine.renew(name)

    def settle(self, *names: str, within: timedelta = timedelta(days=2)) -> None:
        """Until these certificates (all of them) are live and idle."""
        self.until(lambda: self.are_settled(names or self.names), "live and idle", within)

    def _pass_by(self, length: timedelta) -> None:
        self.now += length
        self.monotonic += length.total_seconds()

    def _wake(self, subject: Subject, at: datetime | None) -> None:
        at = self.now if at is None else at
        self._woken[subject] = min(at, self._woken.get(subject, at))
        if subject in self._due:
            self._due[subject] = min(at, self._due[subject])

    # --- what is seen

    def are_settled(self, names: Sequence[str]) -> bool:
        """Whether these are live and idle."""
        view = {one.name: one for one in self.engine.view().certificates}
        return all(isinstance(view[name].record, Idle) and view[name].facts.live is not None for name in names)

    def state(self, name: str | None = None) -> CertificateState:
        """As the status shows it."""
        wanted = name or self.names[0]
        return next(one for one in snapshot(self.engine.view(), self.now).certificates if one.name == wanted)

    @property
    def held_until(self) -> datetime | None:
        """Until when the CA is left alone as a whole."""
        return snapshot(self.engine.view(), self.now).cas[0].held_until

    def problems(self) -> dict[str, Problem]:
        """What health names, by code."""
        return {problem.code: problem for problem in health(self.engine.view(), self.now).problems}

    def record(self, name: str | None = None) -> CertificateRecord | None:
        """As it lies on the disk."""
        return self.store.load_certificate(name or self.names[0])

    def account(self) -> AccountRecord | None:
        """As it lies on the disk."""
        return self.store.load_account(CA)

    def failure(self) -> Failure | None:
        """What went wrong last: for the first certificate, else for the account. As it lies on the disk."""
        record, account = self.record(), self.account()
        its_own = record.ledger.failure if record is not None else None
        return its_own or (account.ledger.failure if account is not None else None)

    def issued(self) -> list[str]:
        """The serials of all that Pebble issued since this siege began."""
        return self.pebble.issued(self._mark)

    def orders(self) -> int:
        """How many orders Pebble made."""
        return len(self.pebble.orders(self._mark))

    def files_outside(self) -> list[str]:
        """Whatever lies where nothing of certd's may: not below the state directory nor /.well-known/acme-challenge."""
        allowed = (self.root / "state", self.webroot / ".well-known" / "acme-challenge")
        own = {self.root / "config.yaml", self.root / "eab.key"}
        return [
            str(path.relative_to(self.root))
            for path in self.root.rglob("*")
            if not path.is_dir() and path not in own and not any(path.is_relative_to(place) for place in allowed)
        ]

    def challenge_files(self) -> list[Path]:
        return [path for path in (self.webroot / ".well-known").rglob("*") if not path.is_dir()]
