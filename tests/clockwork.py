"""certd's engine on the real world, the lab CA and a real web root, by a clock that the test turns.

Records, HTTP, files and signatures are real; only time is not. What the scheduler does with threads is done here in
one: the subject that is due first is ticked, and the clock is put forward to it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml
from parts import Webroot, eventually

from certd.caa import Ask, Property
from certd.challenges import OPTIONS
from certd.clock import Clock
from certd.config import load
from certd.effects.real import RealWorld
from certd.engine import Engine
from certd.lab import LabCa, LabOptions
from certd.model.records import AccountRecord, CertificateRecord
from certd.model.view import Subject
from certd.scheduler import CLOCK_JUMP
from certd.status import health, snapshot
from certd.status.shape import CaState, CertificateState, Problem
from certd.store import Store

BEGIN = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
MOST_TICKS = 3000
"""More than any test needs; a loop that never waits ends here."""


class Time:
    """Three clocks: the wall clock that certd sees, the monotonic one, and the true time, which the CA has."""

    def __init__(self, begin: datetime = BEGIN) -> None:
        self.true = begin
        self.wrong_by = timedelta(0)
        self.monotonic = 1000.0

    def wall(self) -> datetime:
        return self.true + self.wrong_by

    def pass_by(self, length: timedelta) -> None:
        self.true += length
        self.monotonic += length.total_seconds()


def _no_name_servers(name: str, seconds: float) -> tuple[Property, ...]:
    raise OSError("this test has no name servers")


class Turned:
    """One certd by a clock that is turned: started, crashed and started again on one configuration.

    `restart` is what a crash and a start are: all but the disk is made anew.
    """

    def __init__(self, config_path: Path, time: Time) -> None:
        self.config_path = config_path
        self.time = time
        self.ask_caa: Ask = _no_name_servers
        self._due: dict[Subject, datetime] = {}
        self._woken: dict[Subject, datetime] = {}

    # --- its life

    def reload(self) -> None:
        config = load(self.config_path, solvers=OPTIONS)
        self.engine.replace_config(config)
        self.engine.prepare()
        subjects = set(self.engine.subjects())
        self._due = dict.fromkeys(subjects, self.now)

    def crash(self) -> None:
        """End, wherever it is; nothing is written any more."""
        self.world.close()
        self.store.close()

    def restart(self) -> None:
        self.crash()
        self.start()

    def start(self) -> None:
        """As at a boot: records are read anew."""
        config = load(self.config_path, solvers=OPTIONS)
        self._anchor = (self.now, self.time.monotonic)
        self.clock = Clock(self.time.wall, lambda: self.time.monotonic)
        self.store = Store.open(config.state_dir, purpose="test", now=self.now)
        self.world = self._make_world(
            config,
            self.store,
            now=self.clock.now,
            on_date=self.clock.heard,
            on_account=lambda ca, event: self.engine.hear_account(ca, event),
            on_warning=lambda name, warning: self.engine.hear_warning(name, warning),
        )
        rng = random.Random(7)
        self.engine = Engine(config, self.store, self.world, clock=self.clock, rng=rng, wake=self._wake)
        self.engine.prepare()
        self._due = dict.fromkeys(self.engine.subjects(), self.now)

    def _make_world(self, *arguments: Any, **options: Any) -> RealWorld:
        """What the engine acts on; a test may bring servers of its own."""
        return RealWorld(*arguments, ask_caa=self.ask_caa, **options)

    # --- time

    @property
    def now(self) -> datetime:
        """By certd's own clock."""
        return self.time.wall()

    def work(self) -> None:
        """All that is due now, until nothing is; no time passes."""
        self._turn()
        for _ in range(MOST_TICKS):
            subject = min(self._due, key=lambda one: self._due[one])
            if self._due[subject] > self.now:
                return
            self._tick(subject)
        raise AssertionError("there is always something due: certd spins")

    def until(self, reached: Callable[[], object], what: str, within: timedelta = timedelta(days=2)) -> None:
        """Let time pass, from one due time to the next, until `reached`."""
        limit = self.now + within
        for _ in range(MOST_TICKS):
            self.work()
            if reached():
                return
            following = min(self._due.values())
            assert following <= limit, f"not within {within}: {what}"
            self.time.pass_by(following - self.now)
        raise AssertionError(f"not within {MOST_TICKS} rounds: {what}")

    def sleep(self, length: timedelta) -> None:
        """Let so much time pass, doing what comes due in it."""
        end = self.now + length
        while True:
            self.work()
            following = min(min(self._due.values()), end)
            self.time.pass_by(following - self.now)
            if following == end:
                self.work()
                return

    def settle(self) -> None:
        """Until every certificate is live and idle."""
        self.until(
            lambda: all(self.state(name).phase == "idle" and self.state(name).live for name in self.names()),
            "every certificate is live and idle",
        )

    def _turn(self) -> None:
        """What scheduler and daemon do besides: they notice a clock that was set, and remember the time."""
        wall, monotonic = self._anchor
        self._anchor = (self.now, self.time.monotonic)
        if abs((self.now - wall).total_seconds() - (self.time.monotonic - monotonic)) > CLOCK_JUMP.total_seconds():
            self._due = dict.fromkeys(self._due, self.now)
        self.engine.note_time()

    def _tick(self, subject: Subject) -> None:
        self._woken.pop(subject, None)
        due = self.engine.tick(subject)
        self._due[subject] = min(due, self._woken.pop(subject, due))
        self._ticked()

    def _ticked(self) -> None:
        """A subject was ticked, and no time has passed yet."""

    def _wake(self, subject: Subject, at: datetime | None) -> None:
        at = self.now if at is None else at
        self._woken[subject] = min(at, self._woken.get(subject, at))
        if subject in self._due:
            self._due[subject] = min(at, self._due[subject])

    # --- what is seen

    def names(self) -> list[str]:
        return list(self.engine.config.certificates)

    def state(self, name: str) -> CertificateState:
        """As the status shows it."""
        states = snapshot(self.engine.view(), self.now).certificates
        return next(state for state in states if state.name == name)

    def ca_state(self) -> CaState:
        return snapshot(self.engine.view(), self.now).cas[0]

    def problems(self) -> dict[str, Problem]:
        """What health names, by code."""
        return {problem.code: problem for problem in health(self.engine.view(), self.now).problems}

    def record(self, name: str) -> CertificateRecord:
        """As it lies on the disk."""
        record = self.store.load_certificate(name)
        assert record is not None
        return record

    def account(self) -> AccountRecord:
        """As it lies on the disk."""
        record = self.store.load_account("lab")
        assert record is not None
        return record

    def serial(self, name: str) -> str | None:
        """What is live."""
        live = self.state(name).live
        return live.serial if live else None


class Clockwork(Turned):
    """One certd on one lab CA."""

    def __init__(
        self,
        root: Path,
        webroot: Webroot,
        certificates: Sequence[Mapping[str, Any]],
        *,
        lab: Mapping[str, Any] | None = None,
        defaults: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(root / "config.yaml", Time())
        self.root = root
        self.options = LabOptions(http_port=webroot.port, **({"ocsp_lag": timedelta(0)} | dict(lab or {})))
        self.ca = LabCa(self.options, clock=lambda: self.time.true, directory=root / "ca")
        self.ca.start()
        self._webroot = webroot
        self._key_file = root / "eab.key"
        self._key_file.touch(0o600)
        self._defaults = dict(defaults or {})
        self._certificates = certificates
        self.new_credentials()
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.crash()
        self.ca.stop()

    def new_credentials(self) -> None:
        """The reseller hands out new ones; they are configured."""
        self._kid, mac = self.ca.new_eab()
        self._key_file.write_text(mac)
        self.configure(self._certificates)

    def configure(self, certificates: Sequence[Mapping[str, Any]], **top: Any) -> None:
        """Write the configuration; `reload` makes a running engine take it."""
        self._certificates = certificates
        lab = {
            "directory": self.ca.directory_url,
            "contact": ["ops@example.jp"],
            "terms_of_service_agreed": True,
            "eab": {"kid": self._kid, "hmac_key_file": str(self._key_file)},
            "trust": str(self.ca.trust_path),
        }
        challenge = {"type": "http-01", "webroot": str(self._webroot.path), "self_check": False}
        whole = {
            "state_dir": str(self.root / "state"),
            "runtime_dir": str(self.root / "run"),
            "cas": {"lab": lab},
            "defaults": {"ca": "lab", "challenge": challenge} | self._defaults,
            "certificates": [dict(certificate) for certificate in certificates],
        }
        self.config_path.write_text(yaml.safe_dump(whole | top, sort_keys=False))

    def _ticked(self) -> None:
        # The CA validates in threads of its own, in real time: it is waited for, so that no time passes meanwhile.
        eventually(self._validated, "the lab CA has validated")

    def _validated(self) -> bool:
        with self.ca.records.lock:
            return all(one.status != "processing" for one in self.ca.records.challenges.values())

    def asked(self, endpoint: str = "", since: int = 0) -> int:
        """How many requests went to the CA (to one endpoint of it) after the first `since`."""
        return sum(1 for entry in list(self.ca.log)[since:] if endpoint in ("", entry.endpoint))
