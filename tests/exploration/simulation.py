"""One run: the real engine in a modelled world, interrupted as planned, driven until all is done."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import cast

from exploration.interruptions import Crash, Interruption, Steps
from exploration.memory_store import IssuedSet, MemoryStore
from exploration.model_apache import ModelApache
from exploration.model_ca import ModelCa
from exploration.model_world import ModelWorld
from exploration.scenario import Scenario, configuration, loads
from exploration.timeline import START, Timeline
from exploration.watch import Violation, Watch
from msgspec.structs import replace

from certd.clock import Clock
from certd.engine import Engine
from certd.errors import CommandFailed, Refused, StateError
from certd.model.records import Activity, Idle, Request, Settled
from certd.model.view import Subject, SubjectKind
from certd.store import Store

TICKS_MOST = 20_000
TICKS_AT_ONCE = 400
"""Ticks without time moving: more of them is a loop."""
RESTARTS_AFTER = timedelta(seconds=1)
STOPPED_FOR = timedelta(hours=2)

_DOWN = {
    Interruption.DOWN_HOUR: timedelta(hours=1),
    Interruption.DOWN_DAY: timedelta(days=1),
    Interruption.DOWN_MONTH: timedelta(days=30),
}


class Simulation:
    """A scenario with a plan of interruptions."""

    def __init__(self, scenario: Scenario, plan: Mapping[int, Interruption] | None = None) -> None:
        self.scenario = scenario
        self.timeline = Timeline()
        self.store = MemoryStore(self.timeline)
        self.ca = ModelCa(self.timeline)
        self.apaches = {
            unit: ModelApache(unit, loads(scenario, unit), self.store, self.timeline, include=scenario.include)
            for unit in scenario.servers
        }
        self.world = ModelWorld(self.store, self.ca, self.apaches, self.timeline)
        self.config = configuration(scenario)
        self.watch = Watch(lambda: self.config, self.store, self.ca, self.apaches, self.timeline)
        self._set_up()
        self.steps = Steps(plan or {}, self._outside, self._hear)
        self.store.steps = self.world.steps = self.steps
        self.store.on_switch, self.store.on_server = self.watch.switch, self.watch.server
        self.world.on_new_order = self.watch.new_order
        self.engine: Engine
        self.due: dict[Subject, datetime] = {}
        self.ends_at = START + scenario.lasts
        self.abandoned: dict[str, int] = {}
        """Versions that the operator has rolled back from."""
        self.renewed: dict[str, datetime] = {}
        """When the operator has asked an idle certificate for a renewal."""
        self._words: list[Callable[[], None]] = []
        """What the operator has said and certd not heard yet."""
        self._ticking: Subject | None = None
        self._woken: datetime | None = None
        """For when the subject that is ticked was woken meanwhile."""

    @property
    def web(self) -> ModelApache:
        """The first server."""
        return self.apaches[self.scenario.servers[0]]

    def run(self) -> None:
        """To the end. Raises Violation, or what certd raises by mistake."""
        self._restart(timedelta(0))
        ticks = at_once = 0
        while not self._at_rest() and self.timeline.now < self.ends_at:
            subject = min(self.due, key=lambda one: (self.due[one], one.kind != SubjectKind.SERVER, one.name))
            at_once = at_once + 1 if self.due[subject] <= self.timeline.now else 0
            ticks += 1
            if ticks > TICKS_MOST or at_once > TICKS_AT_ONCE:
                raise Violation(f"{subject} is ticked without end")
            self.timeline.move_to(min(max(self.due[subject], self.timeline.now), self.ends_at))
            self.watch.moment()
            self._tick(subject)
        self.timeline.spend(5)  # what loads, loads; what dies, dies
        self.watch.end(self.scenario.stuck)
        if self.world.presented and not self.scenario.stuck:
            raise Violation(f"responses are left behind: {self.world.presented}")
        for name, version in self.abandoned.items():
            # Nor under another number.
            if self.store.sets[name][self.store.links[name]].leaf == self.store.sets[name][version].leaf:
                raise Violation(f"{name}: version {version} is live, which the operator rolled back from")
        for name, record in self.store.certificates.items():
            if isinstance(record.ledger.requested, Request) and name not in self.scenario.stuck:
                raise Violation(f"{name}: the operator's renewal is not done")
        for name, at in self.renewed.items():
            if name not in self.scenario.stuck and self.store.sets[name][self.store.links[name]].added_at < at:
                raise Violation(f"{name}: the operator asked for a renewal, and the old set is live")

    # --- the loop -----------------------------------------------------------------------------------------------

    def _tick(self, subject: Subject) -> None:
        self._ticking, self._woken = subject, None
        try:
            self._hear()
            due = self.engine.tick(subject)
        except Crash as crash:
            self._restart(_DOWN.get(crash.kind, RESTARTS_AFTER))
            return
        finally:
            self._ticking = None
        self.due[subject] = due if self._woken is None else min(due, self._woken)

    def _wake(self, subject: Subject, at: datetime | None) -> None:
        at = self.timeline.now if at is None else at
        if subject == self._ticking:
            self._woken = at if self._woken is None else min(at, self._woken)
        elif subject in self.due:
            self.due[subject] = min(self.due[subject], at)

    def _restart(self, down: timedelta) -> None:
        """A new process on what the old one has left on the disk."""
        self.due.clear()
        while True:
            self.timeline.move_to(self.timeline.now + down)
            self.ends_at = max(self.ends_at, self.timeline.now + self.scenario.lasts)
            self.watch.up_since = self.timeline.now
            clock = Clock(self.timeline.wall, self.timeline.monotonic)
            try:
                self.engine = Engine(
                    self.config,
                    cast(Store, self.store),
                    self.world,
                    clock=clock,
                    rng=random.Random(1),
                    wake=self._wake,
                )
                self.engine.prepare()
            except (Crash, StateError) as crash:  # systemd starts it again
                down = _DOWN.get(crash.kind, RESTARTS_AFTER) if isinstance(crash, Crash) else RESTARTS_AFTER
                continue
            self.due = dict.fromkeys(self.engine.subjects(), self.timeline.now)
            return

    def _at_rest(self) -> bool:
        """Nothing is under way, owed, wanted or planned."""
        if self.timeline.planned or self._words or any(apache.loading for apache in self.apaches.values()):
            return False
        for name in self.config.certificates:
            record = self.store.certificates.get(name)
            link = self.store.links.get(name)
            if not isinstance(record, Idle) or record.ledger.presented or link is None:
                return False
            if self.due[Subject(SubjectKind.CERTIFICATE, name)] <= self.timeline.now + timedelta(minutes=5):
                return False
            if record.ledger.retry is not None or self.store.sets[name][link].placeholder:
                return False
        for server in self.config.servers:
            state = self.store.servers.get(server)
            if not isinstance(state, Settled) or state.wanted != state.confirmed:
                return False
        return True

    # --- what others do -----------------------------------------------------------------------------------------

    def _outside(self, kind: Interruption, label: str) -> None:
        apache = next((one for one in self.apaches.values() if label.endswith(f" {one.unit}")), self.web)
        name = next((one for one in self.scenario.names if label.endswith(f" {one}")), self.scenario.names[0])
        match kind:
            case Interruption.FOREIGN_RELOAD:
                apache.foreign(timedelta(0))
            case Interruption.FOREIGN_EARLIER:
                apache.foreign(timedelta(seconds=0.75))
            case Interruption.STOP:
                self.stop(apache, STOPPED_FOR)
            case Interruption.KILL:
                apache.excused = True
                apache.kill()
            case Interruption.ROLLBACK:
                self._words.append(lambda: self._rollback(name))
            case Interruption.RENEW:
                self._words.append(lambda: self._renew(name, now=False))
            case Interruption.RENEW_NOW:
                self._words.append(lambda: self._renew(name, now=True))
            case Interruption.ADD_NAME:
                self._words.append(lambda: self._add_name(name))
        self.ends_at = max(self.ends_at, self.timeline.now + self.scenario.lasts)
        self._hear()

    def stop(self, apache: ModelApache, lasts: timedelta) -> None:
        """The operator stops it, and starts it again after a while."""

        def start_again() -> None:
            apache.excused = False
            with contextlib.suppress(CommandFailed):
                apache.start()

        if apache.activity is Activity.ACTIVE:
            apache.stop()
            apache.excused = True
            self.timeline.plan(lasts, start_again)

    def _hear(self) -> None:
        """The operator's words come from another thread: they wait for the locks that this one holds."""
        while self._words and not self._locked():
            self._words.pop(0)()

    def _locked(self) -> bool:
        shared = self.engine._shared
        locks = [shared.section, *shared.book._locks.values()]
        return any(lock._is_owned() for lock in locks)  # type: ignore[attr-defined]

    def _rollback(self, name: str) -> None:
        link = self.store.links.get(name)
        try:
            self.engine.rollback(name)
        except Refused:
            return
        except StateError:  # it may be done all the same, now or later
            self.renewed.pop(name, None)
            return
        record = self.engine._shared.book.certificate(name)
        assert record.ledger.hold is not None
        self.renewed.pop(name, None)
        self.abandoned[name] = record.ledger.hold.rejected
        assert link is not None

    def _renew(self, name: str, *, now: bool) -> None:
        idle = isinstance(self.engine._shared.book.certificate(name), Idle)
        try:
            self.engine.renew(name, now=now)
        except StateError:  # as above
            idle = False
        if idle:
            self.renewed[name] = self.timeline.now
        self.watch.fresh_goal.add(name)
        self.abandoned.pop(name, None)
        if now:
            self.watch.opened.add(name)

    def _add_name(self, name: str) -> None:
        spec = self.config.certificates[name]
        changed = replace(spec, domains=(*spec.domains, f"more.{name}"))
        self.config = replace(self.config, certificates={**self.config.certificates, name: changed})
        self.engine.replace_config(self.config)
        for subject in self.engine.subjects():
            self._wake(subject, None)

    # --- the start ----------------------------------------------------------------------------------------------

    def _set_up(self) -> None:
        age = self.scenario.live_age
        for name in self.scenario.names:
            if age is not None:
                self._add_live(name, age)
            else:
                placeholder = IssuedSet(self.ca.issue(f"p{name}", (name,), self.timeline.now), b"p", chain=b"")
                self._put_live(name, placeholder)
        self.scenario.arrange(self)
        for apache in self.apaches.values():
            apache.start()
            apache.served = {name: self.store.served_by_link(name) for name in apache.names}

    def _add_live(self, name: str, age: timedelta) -> None:
        for extra in (30, 0):  # an older version, for roll-backs, and the live one
            leaf = self.ca.issue(f"{name}{extra}", (name,), self.timeline.now - age - timedelta(days=extra))
            self._put_live(name, IssuedSet(leaf, f"old key {name}{extra}".encode()))

    def _put_live(self, name: str, certificates: IssuedSet) -> None:
        version = self.store.add_version(name, certificates, group=None, combined=False)
        self.store.links[name] = version
        self.watch.been_live[name].add(version)
