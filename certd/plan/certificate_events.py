"""The life of a certificate: what an event makes of the record (ARCHITECTURE 4a).

TRANSITIONS is the whole machine; an event that a phase does not know is an IllegalTransition, a bug of ours.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from certd.errors import IllegalTransition
from certd.model import events as ev
from certd.model.codes import Because, Kind
from certd.model.facts import CertificateFacts
from certd.model.records import (
    CertificateRecord,
    Draw,
    Hold,
    Idle,
    Installed,
    Ledger,
    OcspWord,
    Ordering,
    Request,
    Staged,
    Step,
    Unconfirmed,
)
from certd.model.specs import CertificateSpec
from certd.plan import gate, timers
from certd.plan.certificate import DAY, SOON, need, poll_delay
from certd.plan.certificate_failures import Context, failed_ledger, later, order_failed, park

PROBE_EVERY = timedelta(hours=6)
PROBE_AGAIN = timedelta(minutes=10)
"""After something else than the live certificate was seen: somebody is about to put it right."""
STATUS_EVERY = timedelta(hours=24)
UNCONFIRMED_EVERY = timedelta(minutes=30)
"""The status check of a certificate that went live without a good answer: the first good one ends its warning."""
CLEAN_UP_EVERY = timedelta(hours=1)


def advance(
    spec: CertificateSpec,
    record: CertificateRecord,
    event: ev.CertificateEvent,
    facts: CertificateFacts,
    now: datetime,
    draw: float,
) -> CertificateRecord:
    """The record after the event.

    Raises:
        IllegalTransition: the phase does not know the event.
    """
    transition = TRANSITIONS.get((type(record), type(event)))
    if transition is None:
        raise IllegalTransition(f"a certificate that is {type(record).__name__} knows no {type(event).__name__}")
    after: CertificateRecord = transition(record, event, Context(spec, facts, now, draw))
    _assert_order_kept(record, event, after)
    return after


def needs_saving(before: CertificateRecord, after: CertificateRecord) -> bool:
    """Whether the difference must be durable. A poll writes nothing, unless it ends a long way off."""
    if type(before) is not type(after):
        return True
    if isinstance(before, Ordering) and isinstance(after, Ordering):
        short = after.poll.until - after.poll.set_at <= SOON
        poll = after.poll if short else before.poll
        passing = {"polls_failed": after.polls_failed, "settling": after.settling, "responded": after.responded}
        return replace(before, poll=poll, **passing) != after
    if isinstance(before, Staged) and isinstance(after, Staged):
        same_word = (before.check and before.check.word) == (after.check and after.check.word)
        return not same_word or replace(before, check=after.check, next_check=after.next_check) != after
    return before != after


# --- chores, in every phase -------------------------------------------------------------------------------------


def _with(record: Any, **changes: Any) -> Any:
    return replace(record, ledger=replace(record.ledger, **changes))


def _reanchored(record: CertificateRecord, _: ev.Reanchored, at: Context) -> CertificateRecord:
    """Orders placed in a future that did not come count from now: the ceiling holds, for a day and no longer."""
    anew = timers.reanchor(record, at.now)
    return _with(anew, orders=tuple(min(placed, at.now) for placed in anew.ledger.orders))  # type: ignore[no-any-return]


def _jitter_drawn(record: Idle, event: ev.JitterDrawn, at: Context) -> Idle:
    return _with(record, draw=Draw(event.serial, at.draw))  # type: ignore[no-any-return]


def _probed(record: Any, event: ev.Probed, at: Context) -> Any:
    live = at.facts.live
    differs = live is not None and event.served.serial not in (None, live.leaf.serial)
    every = PROBE_AGAIN if differs else PROBE_EVERY
    return _with(record, served=event.served, probe=timers.after(at.now, at.jittered(every)))


def _revocation_checked(record: Any, event: ev.RevocationChecked, at: Context) -> Any:
    doubt = None if event.word in (OcspWord.GOOD, OcspWord.REVOKED) else record.ledger.unconfirmed
    every = STATUS_EVERY if doubt is None else UNCONFIRMED_EVERY
    checked = _with(record, unconfirmed=doubt, status_check=timers.after(at.now, at.jittered(every)))
    if event.word is not OcspWord.REVOKED:
        return checked
    live, rejected = at.facts.live, record.ledger.rejected
    if live is not None and live.leaf.serial == event.serial and live.version not in rejected:
        rejected = (*rejected, live.version)  # nobody goes back to it, however many certificates come after it
    return _with(checked, revoked=event.serial, rejected=rejected)


def _cleaned_up(record: Any, event: ev.CleanedUp, at: Context) -> Any:
    left = tuple(p for p in record.ledger.presented if p.token not in event.tokens)
    return _with(record, presented=left, clean_up=timers.after(at.now, CLEAN_UP_EVERY) if left else None)


def _parked_asked(record: Idle, event: ev.ParkedAsked, at: Context) -> Idle:
    parked = tuple(
        replace(p, ask=timers.after(at.now, at.jittered(DAY))) if p.order_url == event.order_url else p
        for p in record.ledger.parked
        if not (p.order_url == event.order_url and (event.gone or at.now >= p.until))
    )
    return _with(record, parked=parked)  # type: ignore[no-any-return]


# --- Idle -------------------------------------------------------------------------------------------------------


def _parked_issued(record: Idle, event: ev.ParkedIssued, at: Context) -> Idle | Staged:
    """Adopted if it is better than what is live: it lasts longer, or what is live will not do."""
    parked = tuple(p for p in record.ledger.parked if p.order_url != event.order_url)
    ledger = replace(record.ledger, parked=parked)
    reason, live = need(at.spec, ledger, at.facts, at.now), at.facts.live
    will_do = reason in (None, Because.RENEWAL_TIME, Because.REQUESTED)
    if will_do and live is not None and event.leaf.not_after <= live.leaf.not_after:
        return Idle(ledger=replace(ledger, rejected=(*ledger.rejected, event.version)))
    return _staged(ledger, reason or Because.RENEWAL_TIME, ev.Issued(event.version, event.leaf), at)


def _renew_idle(record: Idle, event: ev.RenewRequested, at: Context) -> Idle:
    request = Request(at.now, event.now)
    return _with(record, requested=request, hold=None, retry=None)  # type: ignore[no-any-return]


def _rollback(record: Idle | Staged | Installed, event: ev.RollbackRequested, at: Context) -> CertificateRecord:
    """The operator's word (ARCHITECTURE 4d): back to that version, the abandoned one never again, and a hold."""
    ledger = replace(
        record.ledger,
        hold=Hold(timers.at(at.now, event.until), event.abandoned),
        rejected=(*(v for v in record.ledger.rejected if v != event.abandoned), event.abandoned),
        requested=None,
    )
    if at.facts.link == event.version:
        return Idle(ledger=ledger)
    return Staged(
        ledger=ledger,
        because=Because.ROLLBACK,
        version=event.version,
        leaf=event.leaf,
        issued_at=at.now,
        activate=timers.at(at.now, at.now),
        deadline=at.now,
        opened=True,
        previous=at.facts.link,
        servers=at.facts.server_ids,
    )


# --- Ordering ---------------------------------------------------------------------------------------------------


def _order_placed(record: Ordering, event: ev.OrderPlaced, at: Context) -> Ordering:
    delay = event.retry_after or timedelta(0)
    return replace(record, order_url=event.url, poll=timers.after(at.now, delay), polls_failed=0)


def _challenges_presented(record: Ordering, event: ev.ChallengesPresented, at: Context) -> Ordering:
    after = replace(record, placed=tuple(dict.fromkeys((*record.placed, *event.tokens))))
    # A CA that shows other tokens at every look is not run after: each is presented later than the one before.
    return later(after, at) if record.placed else after


def _order_pending(record: Ordering, event: ev.OrderPending, at: Context) -> Ordering:
    poll = timers.after(at.now, poll_delay(record, event.retry_after, at.now))
    responded = tuple(dict.fromkeys((*record.responded, *event.responded)))
    return replace(record, poll=poll, polls_failed=0, settling=event.settling, responded=responded)


def _issued(record: Ordering, event: ev.Issued, at: Context) -> Staged:
    return _staged(record.ledger, record.because, event, at)


def _staged(ledger: Ledger, because: Because, event: ev.Issued, at: Context) -> Staged:
    live = gate.valid_live(at.facts, at.now)
    activate_at, deadline = gate.opening_times(
        at.spec.ocsp,
        ocsp_url=event.leaf.ocsp_url,
        issued_at=at.now,
        not_before=event.leaf.not_before,
        live=live,
    )
    orphans = _orphans(ledger, at.facts.link, event.version)
    return Staged(
        ledger=replace(ledger, failure=None, clean_up=None, rejected=(*ledger.rejected, *orphans)),
        because=because,
        version=event.version,
        leaf=event.leaf,
        issued_at=at.now,
        activate=timers.at(at.now, activate_at),
        deadline=deadline,
        opened=ledger.requested is not None and ledger.requested.now,
        previous=at.facts.link,
        servers=at.facts.server_ids,
    )


def _orphans(ledger: Ledger, link: int | None, version: int) -> tuple[int, ...]:
    """Versions that were never live: they came between the live one and this one, and were not recorded then.

    A crash between a set and its record leaves one behind, with this very certificate. It must not pass for an earlier
    one that can be gone back to.
    """
    if link is None:
        return ()  # what was live before cannot be told
    return tuple(one for one in range(link + 1, version) if one not in ledger.rejected)


def _order_ended(record: Ordering, event: ev.OrderEnded, at: Context) -> Idle:
    return Idle(ledger=failed_ledger(record.ledger, event.failed, at))


def _order_parked(record: Ordering, _: ev.OrderParked, at: Context) -> Idle:
    failed = ev.Failed(Step.DOWNLOAD, Kind.TRANSIENT, "parked", "the CA did not issue in time; the order is kept")
    return park(record, failed, at)


def _renew_ordering(record: Ordering, event: ev.RenewRequested, at: Context) -> Ordering:
    request = Request(at.now, event.now)
    ledger = replace(record.ledger, requested=request, retry=None)
    return replace(record, ledger=ledger, poll=timers.after(at.now, timedelta(0)), polls_failed=0)


# --- Staged and Installed ---------------------------------------------------------------------------------------


def _status_checked(record: Staged, event: ev.StatusChecked, at: Context) -> Staged:
    early = gate.asks_early(at.spec.ocsp, record.ledger, gate.valid_live(at.facts, at.now))
    following = gate.next_question(record, event.check, early=early, now=at.now, draw=at.draw)
    return replace(record, check=event.check, next_check=following)


def _abandoned(record: Staged, event: ev.Abandoned, at: Context) -> Idle:
    failed = ev.Failed(event.step, Kind.TRANSIENT, event.code, event.text)
    ledger = failed_ledger(record.ledger, failed, at)
    return Idle(ledger=replace(ledger, rejected=(*ledger.rejected, record.version)))


def _servers_noted(record: Staged, event: ev.ServersNoted, _: Context) -> Staged:
    return replace(record, servers=event.servers)


def _swapped(record: Staged, event: ev.Swapped, at: Context) -> Installed:
    kept = replace(record, ledger=Ledger(), opened=record.opened)
    code = gate.doubt(at.spec.ocsp, record)
    ledger = replace(record.ledger, unconfirmed=Unconfirmed(record.leaf.serial, code, at.now) if code else None)
    return Installed(ledger=ledger, staged=kept, owed=event.owed, swapped_at=at.now)


def _renew_staged(record: Staged, event: ev.RenewRequested, at: Context) -> Staged:
    ledger = replace(record.ledger, requested=Request(at.now, event.now), hold=None)
    return replace(record, ledger=ledger, opened=record.opened or event.now)


def _confirmed(record: Installed, _: ev.Confirmed, __: Context) -> Idle:
    """The goal is reached: a certificate is live and confirmed. Only now are attempts forgotten (ARCHITECTURE 2)."""
    # A renewal that was asked for during a roll-back is still to come.
    requested = record.ledger.requested if record.staged.because is Because.ROLLBACK else None
    ledger = replace(
        record.ledger, attempts=0, retry=None, failure=None, requested=requested, probe=None, status_check=None
    )
    return Idle(ledger=ledger)


def _given_back(record: Installed, _: ev.GivenBack, __: Context) -> Staged:
    return replace(record.staged, ledger=record.ledger)


def _renew_installed(record: Installed, event: ev.RenewRequested, at: Context) -> Installed:
    """What is installed is what was asked for, unless it is a roll-back's."""
    if record.staged.because is not Because.ROLLBACK:
        return record
    return _with(record, requested=Request(at.now, event.now), hold=None)  # type: ignore[no-any-return]


# --- shared -----------------------------------------------------------------------------------------------------


def _assert_order_kept(before: CertificateRecord, event: ev.CertificateEvent, after: CertificateRecord) -> None:
    """I5: a finalized order leaves Ordering by its certificate, by being parked, or by the CA's own refusal."""
    if not isinstance(before, Ordering) or before.finalized_at is None or not isinstance(after, Idle):
        return
    at_first = isinstance(event, ev.Failed) and event.step is Step.FINALIZE and not before.finalized_again
    refused = at_first or isinstance(event, ev.OrderEnded)
    parked = any(p.order_url == before.order_url for p in after.ledger.parked)
    assert refused or parked, "I5: a finalized order would be lost"


_Transition = Callable[[Any, Any, Context], Any]

TRANSITIONS: dict[tuple[type, type], _Transition] = {
    (Idle, ev.Reanchored): _reanchored,
    (Idle, ev.JitterDrawn): _jitter_drawn,
    (Idle, ev.Probed): _probed,
    (Idle, ev.RevocationChecked): _revocation_checked,
    (Idle, ev.CleanedUp): _cleaned_up,
    (Idle, ev.ParkedAsked): _parked_asked,
    (Idle, ev.ParkedIssued): _parked_issued,
    (Idle, ev.RenewRequested): _renew_idle,
    (Idle, ev.RollbackRequested): _rollback,
    (Ordering, ev.Reanchored): _reanchored,
    (Ordering, ev.OrderPlaced): _order_placed,
    (Ordering, ev.ChallengesPresented): _challenges_presented,
    (Ordering, ev.OrderPending): _order_pending,
    (Ordering, ev.Issued): _issued,
    (Ordering, ev.OrderEnded): _order_ended,
    (Ordering, ev.OrderParked): _order_parked,
    (Ordering, ev.Failed): order_failed,
    (Ordering, ev.RenewRequested): _renew_ordering,
    (Staged, ev.Reanchored): _reanchored,
    (Staged, ev.CleanedUp): _cleaned_up,
    (Staged, ev.StatusChecked): _status_checked,
    (Staged, ev.Abandoned): _abandoned,
    (Staged, ev.ServersNoted): _servers_noted,
    (Staged, ev.Swapped): _swapped,
    (Staged, ev.RenewRequested): _renew_staged,
    (Staged, ev.RollbackRequested): _rollback,
    (Installed, ev.Reanchored): _reanchored,
    (Installed, ev.Confirmed): _confirmed,
    (Installed, ev.GivenBack): _given_back,
    (Installed, ev.RenewRequested): _renew_installed,
    (Installed, ev.RollbackRequested): _rollback,
}
