"""The loop around a server's life: the one place where live links move (ARCHITECTURE 4b)."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta

from certd.engine import telling
from certd.engine.gather import Look
from certd.engine.looks import Looks
from certd.engine.shared import STEPS_MOST, TROUBLE, Shared
from certd.errors import BrokenRecord, CommandDenied, CommandFailed, PkiError, StateError
from certd.logs import log_event
from certd.model import actions as do
from certd.model import events as ev
from certd.model.facts import ServerFacts
from certd.model.records import Activity, BatchSet, Deploying, Settled
from certd.model.specs import ServerSpec
from certd.model.view import Subject, SubjectKind
from certd.plan import server as plan
from certd.plan.server_events import advance

_log = logging.getLogger(__name__)

FAR = timedelta(days=1)
LOOK_EVERY = timedelta(minutes=5)


class Servers:
    """Ticks servers."""

    def __init__(self, shared: Shared) -> None:
        self._of = shared
        self._looks = Looks(shared)
        self._activities: dict[str, tuple[Activity, datetime]] = {}

    def tick(self, server: str) -> datetime:
        """Do all that is due for a server; when it is due next."""
        subject = Subject(SubjectKind.SERVER, server)
        look: Look | None = None
        try:
            for _ in range(STEPS_MOST):
                spec = self._of.config.servers.get(server)
                if spec is None:
                    return self._of.clock.now() + FAR
                activity, shared_loading = self._activity(spec), self._loads_elsewhere(spec)
                with self._of.section:
                    due, action, facts = self._decide(subject, spec, activity, shared_loading, look)
                    if isinstance(action, do.SwapLinks | do.RestoreLinks):
                        # In the section from the decision on: no roll-back comes between it and the links.
                        self._carry_out(subject, spec, action, facts)
                        continue
                if due is not None:
                    self._of.book.well(subject)
                    return due
                if isinstance(action, do.Look):
                    look = self._looks.look(spec, self._of.book.server(server), action.batch)
                    continue
                look = None
                self._carry_out(subject, spec, action, facts)
        except StateError as error:
            self._of.trouble(subject, error)
            return self._of.clock.now() + TROUBLE
        return self._of.clock.now()

    def activity_known(self, server: str) -> Activity:
        """As last seen, for the status."""
        return self._activities[server][0] if server in self._activities else Activity.UNKNOWN

    def owe(self, server: str) -> None:
        """Links that this server loads have moved, and not in its own section. Raises StateError."""
        subject = Subject(SubjectKind.SERVER, server)
        spec = self._of.config.servers.get(server)
        if spec is not None:  # else it left the configuration right now, and owes nothing
            self._apply(subject, spec, ev.ReloadOwed(), ServerFacts())
            self._of.wake(subject, None)

    def try_again(self, server: str, name: str) -> None:
        """The operator asks for a certificate whose set waits for this server. Raises StateError."""
        spec = self._of.config.servers.get(server)
        if spec is not None:
            self._apply(Subject(SubjectKind.SERVER, server), spec, ev.RetryRequested(name), ServerFacts())

    def _decide(
        self,
        subject: Subject,
        spec: ServerSpec,
        activity: Activity,
        shared_loading: bool,
        look: Look | None,
    ) -> tuple[datetime | None, do.ServerAction, ServerFacts]:
        """The action, with its intent recorded; a due time instead of it where there is nothing to do."""
        with self._of.book.lock(subject):
            if self._of.book.flush(subject):
                for name in self._of.deployable(spec.id):
                    self._of.wake_certificate(name)
            record = self._of.book.server(spec.id)
            now = self._of.clock.now()
            names = self._of.deployable(spec.id)
            facts = self._of.gather.server(
                self._of.config, spec, names, record, activity, look, now, shared_loading=shared_loading
            )
            action = plan.decide(spec, record, facts, now)
            if isinstance(action, do.Wait):
                return action.due, action, facts
            begun = plan.begin(record, action, now)
            if begun is not record:
                self._of.book.put_server(spec.id, begun)
            telling.server_begun(spec, action)
            return None, action, facts

    def _activity(self, spec: ServerSpec) -> Activity:
        """Asked anew while there is something to do, else now and then, for the status."""
        now = self._of.clock.now()
        if not self._idle(spec) or not self._asked_lately(spec.id, now):
            self._activities[spec.id] = self._of.world.activity(spec), now
        return self._activities[spec.id][0]

    def _idle(self, spec: ServerSpec) -> bool:
        record = self._of.book.server(spec.id)
        settled = isinstance(record, Settled) and record.wanted == record.confirmed
        return settled and not self._of.deployable(spec.id)

    def _asked_lately(self, server: str, now: datetime) -> bool:
        if server not in self._activities:
            return False
        since = now - self._activities[server][1]
        return timedelta(0) <= since < LOOK_EVERY

    def _loads_elsewhere(self, spec: ServerSpec) -> bool:
        """Whether a reload runs on another server that loads links of this one (I2)."""
        config = self._of.config
        others: set[str] = set()
        for name in self._of.deployable(spec.id):
            certificate = config.certificates.get(name)
            others |= {d.server for d in certificate.deploy} if certificate else set()
        found = (config.servers[other] for other in sorted(others - {spec.id}))
        return any(self._activity(other) is Activity.RELOADING for other in found)

    def _carry_out(self, subject: Subject, spec: ServerSpec, action: do.ServerAction, facts: ServerFacts) -> None:
        event = self._perform(spec, action)
        if event is not None:
            self._apply(subject, spec, event, facts)

    def _perform(self, spec: ServerSpec, action: do.ServerAction) -> ev.ServerEvent | None:
        try:
            match action:
                case do.Deploy():
                    return None  # the intent is all; the next round swaps
                case do.SwapLinks(batch):
                    return self._swap(spec, batch)
                case do.RestoreLinks(batch):
                    return self._restore(spec, batch)
                case do.ReloadServer():
                    self._of.world.reload(spec)
                    return ev.ReloadReturned()
                case do.StartServer():
                    self._of.world.start(spec)
                    return ev.ServerStarted()
                case do.RunAfter(name):
                    return self._run_after(spec, name)
                case do.Confirm(not_served):
                    return ev.SectionConfirmed(not_served)
                case do.LeaveOwed(code, text):
                    return ev.SectionLeft(code, text)
                case do.TakeBack(blame, text):
                    return ev.TakenBack(blame, text)
                case do.SettleBlame():
                    return ev.BlameSettled()
                case do.Reanchor():
                    return ev.Reanchored()
                case _:
                    raise AssertionError(f"{type(action).__name__} has no effect")
        except CommandFailed as error:
            return ev.CommandRefused(str(error), denied=isinstance(error, CommandDenied))

    def _apply(self, subject: Subject, spec: ServerSpec, event: ev.ServerEvent, facts: ServerFacts) -> None:
        with self._of.book.lock(subject):
            record = self._of.book.server(spec.id)
            after = advance(spec, record, event, facts, self._of.clock.now(), self._of.draw())
            self._of.book.put_server(spec.id, after)
        telling.server(spec, event, after)
        batch = record.batch if isinstance(record, Deploying) else ()
        for part in batch:
            self._of.wake_certificate(part.name)

    def _swap(self, spec: ServerSpec, batch: tuple[BatchSet, ...]) -> ev.LinksSwapped:
        self._owe_others(spec, ((part.name, part.version) for part in batch))
        swapped, refused = [], []
        for part in batch:
            try:
                self._switch(part.name, part.version)
                swapped.append(part)
            except (PkiError, BrokenRecord) as error:
                log_event(_log, logging.ERROR, f"A set does not go live: {error}", certificate=part.name)
                refused.append((part.name, part.version, str(error)))
        return ev.LinksSwapped(tuple(swapped), tuple(refused))

    def _restore(self, spec: ServerSpec, batch: tuple[BatchSet, ...]) -> ev.LinksRestored:
        self._owe_others(spec, ((part.name, part.previous) for part in batch if part.previous is not None))
        restored = []
        for part in batch:
            assert part.previous is not None
            try:
                self._switch(part.name, part.previous)
                restored.append(part)
            except (PkiError, BrokenRecord) as error:
                log_event(_log, logging.ERROR, f"A set cannot be gone back to: {error}", certificate=part.name)
        return ev.LinksRestored(tuple(restored))

    def _switch(self, name: str, version: int) -> None:
        if self._of.lives.of(name).link == version:
            return
        try:
            self._of.world.switch(name, version, self._of.clock.now())
        finally:
            self._of.lives.forget(name)

    def _owe_others(self, spec: ServerSpec, moves: Iterable[tuple[str, int]]) -> None:
        """Other servers that load the links that are about to move are told first: a crash cannot forget them (I3)."""
        others = set()
        for name, version in moves:
            certificate = self._of.config.certificates.get(name) if self._of.lives.of(name).link != version else None
            others |= {d.server for d in certificate.deploy} if certificate else set()
        for other in sorted(others - {spec.id}):
            self.owe(other)

    def _run_after(self, spec: ServerSpec, name: str) -> ev.AfterRun:
        certificate = self._of.config.certificates.get(name)
        deployment = self._looks.deployment(spec, name)
        link = self._of.lives.of(name).link
        if certificate is not None and deployment is not None and link is not None:
            try:
                self._of.world.after(certificate, deployment.after, link)
            except CommandFailed as error:
                return ev.AfterRun(name, str(error))
        return ev.AfterRun(name)
