"""The life of a certificate: what a failure makes of the record, and how long what failed is left alone.

A failure ends an order, or is survived by it; what ends it, or stands in its way from the beginning, makes the next
order wait (I4), and an order that may have been issued is parked, not lost (I5).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from certd.model import events as ev
from certd.model.codes import Kind
from certd.model.facts import CertificateFacts
from certd.model.records import Failure, Idle, Ledger, Ordering, Parked, Step
from certd.model.specs import CertificateSpec
from certd.plan import timers
from certd.plan.backoff import backoff, clamp_retry_after
from certd.plan.certificate import DAY, EMERGENCY_BACKOFF
from certd.plan.renewal import emergency_time

CHORE_JITTER = 0.2
PARKED_MOST = timedelta(days=30)
FRESH_ORDER = timedelta(minutes=10)
"""A 404 on an order younger than this is a replica that lags (ARCHITECTURE 4d)."""
VANISHED_AGAIN = timedelta(seconds=10)
"""Such an order is looked for again after this, and doubly as long each time: a CA that is broken is not hammered."""
VANISHED_DOUBLINGS = 5
POLLS_MOST = 5
"""Times that "read it again" is believed in a row, before the order is given up."""


class Context:
    """What every transition may look at besides record and event."""

    __slots__ = ("draw", "facts", "now", "spec")

    def __init__(self, spec: CertificateSpec, facts: CertificateFacts, now: datetime, draw: float) -> None:
        self.spec, self.facts, self.now, self.draw = spec, facts, now, draw

    def jittered(self, delay: timedelta) -> timedelta:
        """A fifth more or less."""
        return delay * (1 - CHORE_JITTER + 2 * CHORE_JITTER * self.draw)


def order_failed(record: Ordering, event: ev.Failed, at: Context) -> Ordering | Idle:
    """One exchange for the order failed: whether the order lives on (ARCHITECTURE 4d)."""
    if record.order_url is None:
        return Idle(ledger=failed_ledger(record.ledger, event, at))
    polls = record.polls_failed + 1
    if event.kind is Kind.POLL and polls <= POLLS_MOST:
        read_again = replace(record, poll=timers.after(at.now, timedelta(seconds=5)), polls_failed=polls)
        if event.step is Step.FINALIZE and not record.finalized_again:
            return replace(read_again, finalized_at=None, give_up=None)  # refused: whoever finalizes it, it was not us
        return read_again
    if event.code == "order-vanished" and at.now < record.placed_at + FRESH_ORDER:
        again = VANISHED_AGAIN * (1 << min(polls - 1, VANISHED_DOUBLINGS))
        return replace(record, poll=timers.after(at.now, again), polls_failed=polls)
    finalized = record.finalized_at is not None
    # A finalize that is refused was for nothing, unless it was not the first: that one may have been heard.
    issued_perhaps = finalized and (event.step is not Step.FINALIZE or record.finalized_again)
    # Whoever has to put it right: a certificate that may be waiting is not given up for it before its time (I5).
    kept = finalized and event.step is not Step.FINALIZE and event.kind in (Kind.OPERATOR, Kind.BUG)
    if kept or event.kind in (Kind.TRANSIENT, Kind.RATE_LIMITED, Kind.ACCOUNT):
        asked = event.retry_after
        own = _own_delay(Kind.TRANSIENT if kept else event.kind, polls, at)
        delay = own if asked is None else clamp_retry_after(asked)
        ledger = replace(record.ledger, failure=_failure(record.ledger, event, at))
        return replace(record, ledger=ledger, poll=timers.after(at.now, delay), polls_failed=polls)
    return park(record, event, at) if issued_perhaps else Idle(ledger=failed_ledger(record.ledger, event, at))


def later(record: Ordering, at: Context) -> Ordering:
    """Read the order again after the back-off of a CA in trouble."""
    polls = record.polls_failed + 1
    return replace(record, poll=timers.after(at.now, _own_delay(Kind.TRANSIENT, polls, at)), polls_failed=polls)


def park(record: Ordering, failed: ev.Failed, at: Context) -> Idle:
    """Set the order aside with its key, to be asked daily (I5)."""
    assert record.order_url is not None
    parked = Parked(
        order_url=record.order_url,
        key_id=record.key_id,
        ca=record.ca,
        directory=record.directory,
        ask=timers.after(at.now, at.jittered(DAY)),
        until=at.now + PARKED_MOST,
    )
    ledger = failed_ledger(record.ledger, failed, at)
    return Idle(ledger=replace(ledger, parked=(*ledger.parked, parked)))


def failed_ledger(ledger: Ledger, event: ev.Failed, at: Context) -> Ledger:
    """The ledger after an order came to nothing: the failure, and the wait until the next one."""
    return replace(
        ledger,
        retry=timers.after(at.now, _order_delay(event, ledger.attempts, at)),
        failure=_failure(ledger, event, at),
        clean_up=None,
    )


def _order_delay(event: ev.Failed, attempt: int, at: Context) -> timedelta:
    """Until the next order: a Retry-After makes it longer than our back-off, never shorter (I4)."""
    own = _own_delay(event.kind, attempt, at)
    return own if event.retry_after is None else max(own, clamp_retry_after(event.retry_after))


def _own_delay(kind: Kind, attempt: int, at: Context) -> timedelta:
    """Our back-off; ten minutes at most in an emergency."""
    live = at.facts.live
    if live is None:
        return backoff(kind, attempt, at.draw)
    wait = backoff(kind, attempt, at.draw, life_left=live.leaf.not_after - at.now)
    return min(wait, EMERGENCY_BACKOFF) if at.now >= emergency_time(live.leaf) else wait


def _failure(ledger: Ledger, event: ev.Failed, at: Context) -> Failure:
    first = ledger.failure.first_at if ledger.failure is not None else at.now
    return Failure(step=event.step, kind=event.kind, code=event.code, text=event.text, first_at=first, at=at.now)
