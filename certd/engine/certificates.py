"""The loop around a certificate's life: gather, decide, record the intent, act, record what came of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from certd.effects.orders import OrderRead
from certd.engine import telling
from certd.engine.shared import STEPS_MOST, TROUBLE, Shared
from certd.errors import StateError
from certd.logs import log_event
from certd.model import actions as do
from certd.model import events as ev
from certd.model.facts import CertificateFacts
from certd.model.records import CertificateRecord, Idle, Installed, Ordering, Owed, Staged
from certd.model.specs import CertificateSpec
from certd.model.view import Subject, SubjectKind
from certd.plan import certificate as plan
from certd.plan.certificate_events import TRANSITIONS, advance

_log = logging.getLogger(__name__)

FAR = timedelta(days=1)

_ORDER_ACTIONS = (
    do.PlaceOrder,
    do.ReadOrder,
    do.PresentChallenges,
    do.RespondToChallenges,
    do.FinalizeOrder,
    do.DownloadCertificate,
    do.EndOrder,
    do.DropOrder,
    do.AskParked,
    do.CleanUp,
)


class Certificates:
    """Ticks certificates and takes the operator's words for them."""

    def __init__(self, shared: Shared, owe: Callable[[str], None]) -> None:
        """`owe`: note durably that a server has to load what is live."""
        self._of = shared
        self._owe = owe
        self._ticking: set[str] = set()

    def is_ticking(self, name: str) -> bool:
        """Whether a tick of this certificate, which may have left the configuration meanwhile, is still under way."""
        return name in self._ticking

    def tick(self, name: str) -> datetime:
        """Do all that is due for a certificate; when it is due next."""
        self._ticking.add(name)
        try:
            return self._tick(name)
        finally:
            self._ticking.discard(name)

    def _tick(self, name: str) -> datetime:
        subject = Subject(SubjectKind.CERTIFICATE, name)
        reading: OrderRead | None = None
        try:
            for _ in range(STEPS_MOST):
                spec = self._of.config.certificates.get(name)
                if spec is None:
                    return self._of.clock.now() + FAR
                due, record, action, facts = self._decide(subject, spec, reading)
                if due is not None:
                    self._of.book.well(subject)
                    return due
                outcome = self._perform(spec, record, action, facts)
                reading = outcome if isinstance(outcome, OrderRead) else None
                if outcome is not None and not isinstance(outcome, OrderRead):
                    self.apply(spec, record, outcome)
        except StateError as error:
            self._of.trouble(subject, error)
            return self._of.clock.now() + TROUBLE
        return self._of.clock.now()

    def apply(
        self, spec: CertificateSpec, seen: CertificateRecord | None, event: ev.CertificateEvent
    ) -> CertificateRecord:
        """Record an event. One that answers a record which has moved on meanwhile is dropped if it no longer fits."""
        subject = Subject(SubjectKind.CERTIFICATE, spec.name)
        with self._of.book.lock(subject):
            record = self._of.book.certificate(spec.name)
            if seen is not None and _moved_on(seen, record, event):
                log_event(
                    _log, logging.DEBUG, "A late answer is dropped.", subject=subject, answer=type(event).__name__
                )
                return record
            now = self._of.clock.now()
            facts = self._of.gather.certificate(self._of.config, spec, record, now)
            after = advance(spec, record, event, facts, now, self._of.draw())
            self._keep(spec, record, after)
        telling.certificate(spec, record, event, after)
        self._of.wake_servers(spec)
        return after

    def _decide(
        self, subject: Subject, spec: CertificateSpec, reading: OrderRead | None
    ) -> tuple[datetime | None, CertificateRecord, do.CertificateAction, CertificateFacts]:
        """The action, with its intent recorded; a due time instead of it where there is nothing to do."""
        with self._of.book.lock(subject):
            if self._of.book.flush(subject):
                self._of.wake_servers(spec)
            record = self._of.book.certificate(spec.name)
            self._of.take_up(spec)
            now = self._of.clock.now()
            facts = self._of.gather.certificate(self._of.config, spec, record, now, reading, deciding=True)
            action = plan.decide(spec, record, facts, now)
            if facts.ca.permit and isinstance(record, Idle) and not isinstance(action, do.PlaceOrder):
                self._of.release(spec.ca, spec.name, unused_since=now)
            if isinstance(action, do.Wait):
                return action.due, record, action, facts
            begun = plan.begin(spec, record, action, facts, now, self._of.draw())
            if begun is not record:
                self._keep(spec, record, begun)
            if begun is not record:
                telling.begun(spec, action, begun)
            return None, begun, action, facts

    def _perform(
        self, spec: CertificateSpec, record: CertificateRecord, action: do.CertificateAction, facts: CertificateFacts
    ) -> ev.CertificateEvent | OrderRead | None:
        world, now = self._of.world, self._of.clock.now()
        if isinstance(action, _ORDER_ACTIONS):
            return world.order(spec, record, action)
        match action:
            case do.ConfirmStatus():
                return world.ask_status(spec, record, action, now)
            case do.CheckRevocation():
                return world.check_revocation(spec, action, now)
            case do.ProbeServed():
                return world.probe(spec, now)
            case do.Reanchor():
                return ev.Reanchored()
            case do.DrawJitter(serial):
                return ev.JitterDrawn(serial)
            case do.Defer(retry_after, settling):
                return ev.OrderPending(retry_after, settling)
            case do.Park():
                return ev.OrderParked()
            case do.Abandon(code, text, step):
                return ev.Abandoned(code, text, step)
            case do.NoteServers(servers):
                return ev.ServersNoted(servers)
            case do.NoteSwapped():
                return self._swapped(record, facts)
            case do.NoteConfirmed():
                self._pass_on_debts(record, facts)
                return ev.Confirmed()
            case do.NoteGivenBack():
                return ev.GivenBack()
            case _:
                raise AssertionError(f"{type(action).__name__} has no effect")

    def _swapped(self, record: CertificateRecord, facts: CertificateFacts) -> ev.Swapped:
        """Servers that were told before the link moved owe a reload already; the others are told now (I3)."""
        assert isinstance(record, Staged)
        owed = []
        for view in facts.servers:
            told = view.id in record.servers and view.wanted > 0
            if not told:  # it came to this certificate since, or its record is gone
                self._owe(view.id)
            owed.append(Owed(view.id, view.wanted if told else view.wanted + 1))
        return ev.Swapped(tuple(owed))

    def _pass_on_debts(self, record: CertificateRecord, facts: CertificateFacts) -> None:
        """Servers that came to this certificate since the swap, most often an old one by a new name, load it (I3)."""
        assert isinstance(record, Installed)
        known = {owed.server for owed in record.owed}
        for view in facts.servers:
            if view.id not in known:
                self._owe(view.id)

    def _keep(self, spec: CertificateSpec, before: CertificateRecord, after: CertificateRecord) -> None:
        """Save, and do the housekeeping that belongs to a change of phase."""
        try:
            self._of.book.put_certificate(spec.name, after)
        finally:
            # What the disk refuses is known all the same, and written later (Book.flush).
            self._of.index(spec, after)
            if isinstance(before, Ordering) and not isinstance(after, Ordering):
                self._of.release(before.ca, spec.name)
        if isinstance(after, Idle) and not isinstance(before, Idle):
            self._of.sweep(spec, after, confirmed=isinstance(before, Installed))


def _moved_on(seen: CertificateRecord, record: CertificateRecord, event: ev.CertificateEvent) -> bool:
    """The operator's word came between a question and its answer, which no longer fits."""
    if isinstance(seen, Staged) and isinstance(record, Staged):
        return seen.version != record.version
    return type(seen) is not type(record) and (type(record), type(event)) not in TRANSITIONS
