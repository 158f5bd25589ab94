"""The life of an account: one per CA (ARCHITECTURE 4c).

    NoKey -> KeyWritten -> Registered <-> Unusable
                  |
                  +-> AccountRefused (the operator must change something)

The key is durable before the CA hears of it and is never overwritten (I7). An attempt with a key that may be known
begins with onlyReturnExisting, so that a lost answer does not cost spent credentials (RFC 8555 section 7.3.1).

A registered account whose CA does not answer stays registered, and is asked about with a back-off of its own; one
that the CA denies (`AccountUnknown`) twice is unusable.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from certd.errors import IllegalTransition
from certd.model import actions as do
from certd.model import events as ev
from certd.model.codes import Code, Kind
from certd.model.facts import AccountFacts, AccountState, CaFacts
from certd.model.records import (
    AccountLedger,
    AccountRecord,
    AccountRefused,
    CaHold,
    Failure,
    KeyWritten,
    NoKey,
    Registered,
    Step,
    Unusable,
)
from certd.model.specs import CaSpec
from certd.plan import timers
from certd.plan.backoff import backoff, clamp_retry_after

FAR = timedelta(days=1)
REGISTERED_MOST = timedelta(hours=1)
"""Between two questions about a registered account: a clock that is doubted waits for the answer, and so do the
certificates once the CA is back."""
PROBE_EVERY = timedelta(hours=6)
DOUBT_AGAIN = timedelta(minutes=10)
DOUBTS_MOST = 2
NEVER = datetime(1970, 1, 1, tzinfo=UTC)
LIMITED_WITHIN = timedelta(minutes=10)
LIMITED_MOST = 3
"""So many certificates with a 429 within LIMITED_WITHIN: it is the account that the CA limits."""
LIMITED_HOLD = timedelta(minutes=15)
HELD_PROBE = timedelta(hours=1)
"""While the CA holds the account off, one cheap question an hour finds out whether it still does."""


def decide(spec: CaSpec, record: AccountRecord, facts: AccountFacts, now: datetime) -> do.AccountAction:
    """The one thing to do now. Pure: the same arguments, the same answer."""
    if timers.any_in_future(record, now):
        return do.Reanchor()
    match record:
        case NoKey():
            return do.WriteKey()
        case KeyWritten():
            if not timers.due(record.retry, now):
                assert record.retry is not None
                return do.Wait(record.retry.until, Code.BACK_OFF)
            return do.Register(find_first=not record.fresh)
        case AccountRefused():
            if timers.due(record.retry, now) or facts.offer != record.ledger.offer:
                return do.Register(find_first=True)
            return do.Wait(record.retry.until, Code.ACCOUNT_REFUSED)
        case Unusable():
            if facts.offer != record.ledger.offer and spec.eab is not None:
                return do.Register(find_first=True)
            if timers.due(record.retry, now) or facts.offer != record.ledger.offer:
                return do.ProbeAccount()
            return do.Wait(record.retry.until, Code.CA_UNUSABLE)
        case Registered():
            return _decide_registered(record, facts, now)


def begin(record: AccountRecord, action: do.AccountAction, facts: AccountFacts) -> AccountRecord:
    """The record that must be durable before the action's effect."""
    match record, action:
        case KeyWritten(), do.Register():
            ledger = replace(record.ledger, offer=facts.offer, attempts=record.ledger.attempts + 1)
            return replace(record, fresh=False, ledger=ledger)
        case ((AccountRefused() | Unusable()), do.Register() | do.ProbeAccount()):
            return replace(record, ledger=replace(record.ledger, offer=facts.offer))
        case _:
            return record


def ca_facts(record: AccountRecord | None, now: datetime, *, permit: bool, directory: str) -> CaFacts:
    """What certificates need to know of this account."""
    match record:
        case Registered():
            state = AccountState.READY
        case AccountRefused() | Unusable():
            state = AccountState.UNUSABLE
        case _:
            state = AccountState.PENDING
    hold = record.ledger.hold if record is not None else None
    held_until = hold.timer.until if hold is not None and not timers.due(hold.timer, now) else None
    return CaFacts(directory=directory, account=state, held_until=held_until, permit=permit)


def advance(record: AccountRecord, event: ev.AccountEvent, spec: CaSpec, now: datetime, draw: float) -> AccountRecord:
    """The record after the event.

    Raises:
        IllegalTransition: the phase does not know the event.
    """
    transition = TRANSITIONS.get((type(record), type(event))) or _ANYWHERE.get(type(event))
    if transition is None:
        raise IllegalTransition(f"an account that is {type(record).__name__} knows no {type(event).__name__}")
    after: AccountRecord = transition(record, event, spec, now, draw)
    assert isinstance(record, NoKey) or not isinstance(after, NoKey), "I7: an account key would be forgotten"
    return after


def _decide_registered(record: Registered, facts: AccountFacts, now: datetime) -> do.AccountAction:
    if record.doubts:
        if timers.due(record.doubt, now):
            return do.ProbeAccount()
        assert record.doubt is not None
        return do.Wait(record.doubt.until, Code.REGISTERED)
    if facts.verify and timers.due(record.doubt, now):
        return do.ProbeAccount()
    hold = record.ledger.hold
    if hold is not None and not timers.due(hold.timer, now):
        if timers.due(hold.probe, now):
            return do.ProbeAccount()
        return do.Wait(hold.timer.until, Code.CA_HELD, hold.probe.until)
    if facts.contact != record.contact and timers.due(record.doubt, now):
        return do.UpdateContact(facts.contact)
    wake = record.doubt.until if record.doubt is not None and record.doubt.until > now else None
    return do.Wait(now + FAR, Code.REGISTERED, wake)


def _key_made(_: NoKey, __: ev.KeyMade, spec: CaSpec, ___: datetime, ____: float) -> KeyWritten:
    return KeyWritten(directory=spec.directory, ledger=AccountLedger())


def _known(record: Any, event: ev.AccountKnown, spec: CaSpec, now: datetime, _: float) -> Registered:
    # An account that was found, not made, has the contacts of whoever made it: they are told anew.
    before = record.contact if isinstance(record, Registered) else ()
    return Registered(
        directory=spec.directory,
        url=event.url,
        verified_at=now,
        ledger=replace(record.ledger, failure=None, attempts=0, hold=None),
        contact=event.contact if event.contact is not None else before,
    )


def _failed(record: Any, event: ev.Failed, spec: CaSpec, now: datetime, draw: float) -> AccountRecord:
    """Registration, or a probe of what is unusable, failed."""
    ledger = _with_failure(record.ledger, event, now)
    if isinstance(record, Unusable):
        return replace(record, ledger=ledger, retry=timers.after(now, PROBE_EVERY))
    delay = backoff(event.kind, max(1, ledger.attempts), draw)
    retry = timers.after(now, clamp_retry_after(event.retry_after) if event.retry_after else delay)
    if event.kind in (Kind.OPERATOR, Kind.ACCOUNT, Kind.BUG):
        return AccountRefused(directory=spec.directory, ledger=ledger, retry=retry)
    return KeyWritten(directory=spec.directory, ledger=ledger, fresh=False, retry=retry)


def _not_answered(record: Registered, event: ev.Failed, _: CaSpec, now: datetime, draw: float) -> Registered:
    """Verification or update failed. What worked before is not doubted because the CA is away.

    A question spends nothing, so it is not written ahead but counted here: a CA that is away is asked less and less
    often, though once in REGISTERED_MOST.
    """
    ledger = _with_failure(record.ledger, event, now)
    ledger = replace(ledger, attempts=ledger.attempts + 1)
    # What the operator has to put right, contacts most often, was answered: nobody waits for that answer.
    most = timedelta.max if event.kind in (Kind.OPERATOR, Kind.BUG) else REGISTERED_MOST
    delay = clamp_retry_after(event.retry_after) if event.retry_after else backoff(event.kind, ledger.attempts, draw)
    if event.kind is Kind.RATE_LIMITED or event.retry_after is not None:
        # A CA that asks for time gets it from everybody.
        ledger = _held(ledger, delay, event.text, now)
    return replace(record, ledger=ledger, doubt=timers.after(now, min(delay, most)))


def _with_failure(ledger: AccountLedger, event: ev.Failed, now: datetime) -> AccountLedger:
    first = ledger.failure.first_at if ledger.failure is not None else now
    failure = Failure(event.step, event.kind, event.code, event.text, first, now)
    hold = ledger.hold and replace(ledger.hold, probe=timers.after(now, HELD_PROBE))
    return replace(ledger, failure=failure, hold=hold)


def _unknown(record: Any, event: ev.AccountUnknown, spec: CaSpec, now: datetime, _: float) -> AccountRecord:
    """The CA denies the account. Once may be a replica; twice, ten minutes apart, is meant."""
    failure = Failure(Step.ACCOUNT, Kind.ACCOUNT, event.code, event.text, now, now)
    ledger = replace(record.ledger, failure=failure)
    if isinstance(record, Registered):
        if not timers.due(record.doubt, now) and record.doubts:
            return record
        doubts = record.doubts + 1
        if doubts < DOUBTS_MOST:
            return replace(record, ledger=ledger, doubts=doubts, doubt=timers.after(now, DOUBT_AGAIN))
        return Unusable(directory=record.directory, url=record.url, ledger=ledger, retry=timers.after(now, PROBE_EVERY))
    if isinstance(record, Unusable):
        return replace(record, ledger=ledger, retry=timers.after(now, PROBE_EVERY))
    return AccountRefused(directory=spec.directory, ledger=ledger, retry=timers.after(now, PROBE_EVERY))


def _doubted(record: Any, _: ev.AccountDoubted, __: CaSpec, ___: datetime, ____: float) -> Any:
    """What is known of the account counts as never verified: it is asked for by its key, and its URL read anew."""
    return replace(record, verified_at=NEVER) if isinstance(record, Registered) else record


def _limited(record: Any, event: ev.CaLimited, _: CaSpec, now: datetime, __: float) -> Any:
    return replace(record, ledger=_held(record.ledger, clamp_retry_after(event.delay), event.text, now))


def _certificate_limited(record: Any, event: ev.CertificateLimited, _: CaSpec, now: datetime, __: float) -> Any:
    recent = {name: at for name, at in record.ledger.limited if at > now - LIMITED_WITHIN} | {event.name: now}
    ledger = replace(record.ledger, limited=tuple(recent.items()))
    if len(recent) >= LIMITED_MOST:
        text = f"the CA answered 429 for {len(recent)} certificates within ten minutes"
        ledger = replace(ledger, limited=())
        if ledger.hold is None or ledger.hold.timer.until < now + LIMITED_HOLD:
            ledger = _held(ledger, LIMITED_HOLD, text, now)
    return replace(record, ledger=ledger)


def _held(ledger: AccountLedger, delay: timedelta, text: str, now: datetime) -> AccountLedger:
    return replace(ledger, hold=CaHold(timers.after(now, delay), text, timers.after(now, HELD_PROBE)))


def _reanchored(record: Any, _: ev.Reanchored, __: CaSpec, now: datetime, ___: float) -> Any:
    return timers.reanchor(record, now)


_Transition = Callable[[Any, Any, CaSpec, datetime, float], Any]

_ANYWHERE: dict[type, _Transition] = {
    ev.Reanchored: _reanchored,
    ev.AccountDoubted: _doubted,
    ev.CaLimited: _limited,
    ev.CertificateLimited: _certificate_limited,
}

TRANSITIONS: dict[tuple[type, type], _Transition] = {
    (NoKey, ev.KeyMade): _key_made,
    **{
        (phase, event): transition
        for phase in (KeyWritten, AccountRefused, Registered, Unusable)
        for event, transition in (
            (ev.AccountKnown, _known),
            (ev.AccountUnknown, _unknown),
            (ev.Failed, _failed),
        )
    },
    (Registered, ev.Failed): _not_answered,
}
