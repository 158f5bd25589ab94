"""The OCSP gate: whether a staged set may go live now (ARCHITECTURE 4d, invariants I2 and I6).

Closed until `activate`, then until the CA's responder calls the new certificate good; open at the deadline
whatever it says, unless it says revoked. The live certificate's end is a deadline too.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from certd.model.codes import Code
from certd.model.facts import CertificateFacts, Live
from certd.model.records import Ledger, OcspCheck, OcspWord, Staged, Timer
from certd.model.specs import CertificateSpec, FirstIssue, OcspPolicy
from certd.plan import timers

BEFORE_EXPIRY = timedelta(minutes=15)
"""The new set is live at least this long before the old one expires."""
FRESH = timedelta(minutes=10)
"""A good answer opens the gate only while it is younger."""
ASK_EVERY = timedelta(seconds=30)
ASK_JITTER = 0.2
ASK_AGAIN = timedelta(minutes=8)
"""While a set with an open gate waits for its server, the answer is renewed before it is stale."""
ANSWER = timedelta(seconds=2)
"""For so long after activation the answer to the question that is asked then may be about to come."""
GRACE = timedelta(minutes=5)
"""After a long downtime the question is asked anew; a deadline waits this long for the answer, no longer.

It counts from the start of the process, since nobody asked before; but nothing waits longer than what is live lasts.
"""

_UNCONFIRMED = {
    OcspWord.UNREACHABLE: Code.OCSP_UNREACHABLE,
    OcspWord.INVALID: Code.OCSP_INVALID,
}


class Open(msgspec.Struct, frozen=True):
    """`forced`: the deadline opens it, without a good answer; a warning names this code."""

    forced: Code | None = None


class Closed(msgspec.Struct, frozen=True):
    until: datetime
    code: Code


Gate = Open | Closed


def opening_times(
    policy: OcspPolicy, *, ocsp_url: str | None, issued_at: datetime, not_before: datetime, live: Live | None
) -> tuple[datetime, datetime]:
    """`activate_at` and `deadline` of a set issued now, given what is live."""
    delayed = ocsp_url is not None and (live is not None or policy.first_issue is FirstIssue.WAIT)
    if not delayed:
        return issued_at, issued_at
    activate_at = max(issued_at, not_before) + policy.propagation_delay
    deadline = activate_at + policy.max_wait
    if live is not None:
        deadline = min(deadline, live.leaf.not_after - BEFORE_EXPIRY)
    return min(activate_at, deadline), deadline


def valid_live(facts: CertificateFacts, now: datetime) -> Live | None:
    """The live certificate, if it is worth being waited for."""
    live = facts.live
    return live if live is not None and now < live.leaf.not_after else None


def judge(spec: CertificateSpec, staged: Staged, ledger: Ledger, facts: CertificateFacts, now: datetime) -> Gate:
    """Open or closed, with the reason; pure."""
    check = staged.check
    if check is not None and check.word is OcspWord.REVOKED:
        return Closed(datetime.max.replace(tzinfo=now.tzinfo), Code.SET_REJECTED)
    if not facts.clock_sure:
        return Closed(now + timedelta(minutes=1), Code.CLOCK_UNSURE)
    if rejection := _rejection(facts, now):
        return Closed(rejection.until, Code.SET_REJECTED)
    live = valid_live(facts, now)
    if staged.opened or staged.leaf.ocsp_url is None:
        return Open()
    if live is None and spec.ocsp.first_issue is FirstIssue.IMMEDIATE:
        return Open()
    return _judge_by_status(spec.ocsp, staged, ledger, live, facts.since, now)


def may_open(staged: Staged, closed: Closed, now: datetime) -> datetime:
    """When a closed gate may open: long before its deadline where it only waits for an answer that is about to come."""
    activate_at, check = staged.activate.until, staged.check
    asked = check is not None and check.asked_at >= activate_at
    waits_for_answer = closed.code in (Code.OCSP_UNKNOWN, *_UNCONFIRMED.values())
    if waits_for_answer and not asked and activate_at <= now < activate_at + ANSWER:
        return min(closed.until, activate_at + ANSWER)
    return closed.until


def effective_deadline(staged: Staged, live: Live | None) -> datetime:
    """The stored deadline, or earlier if what is live now ends before."""
    return staged.deadline if live is None else min(staged.deadline, live.leaf.not_after - BEFORE_EXPIRY)


def doubt(policy: OcspPolicy, staged: Staged) -> Code | None:
    """What was amiss with the responder's answer when this set went live; None if none was wanted, or it was good."""
    delayed = staged.leaf.ocsp_url is not None and staged.deadline != staged.issued_at
    if not (policy.confirm and delayed) or staged.opened:
        return None
    good = staged.check is not None and staged.check.word is OcspWord.GOOD
    return None if good else _unconfirmed(staged.check)


def asks_early(policy: OcspPolicy, ledger: Ledger, live: Live | None) -> bool:
    """A good answer opens the gate before `activate`: as configured, or since what is live is revoked."""
    return policy.early or (live is not None and ledger.revoked == live.leaf.serial)


def ask_delay(draw: float) -> timedelta:
    """Between two questions to the responder."""
    return ASK_EVERY * (1 - ASK_JITTER + 2 * ASK_JITTER * draw)


def next_question(staged: Staged, check: OcspCheck, *, early: bool, now: datetime, draw: float) -> Timer:
    """When the responder is asked again after this answer."""
    before_activation = not early and now < staged.activate.until
    if check.word is not OcspWord.GOOD:
        delay = ask_delay(draw)
        return timers.after(now, min(delay, staged.activate.until - now) if before_activation else delay)
    if not early and check.asked_at < staged.activate.until:
        # It does not open the gate, however late the answer came: the question that does is due at activation.
        return timers.at(now, staged.activate.until)
    return timers.after(now, ASK_AGAIN)


def _judge_by_status(
    policy: OcspPolicy, staged: Staged, ledger: Ledger, live: Live | None, since: datetime | None, now: datetime
) -> Gate:
    check, activate_at = staged.check, staged.activate.until
    deadline = effective_deadline(staged, live)
    early = asks_early(policy, ledger, live)
    # An answer of the future was asked for by a clock that was wrong then: it counts for nothing.
    lately = check if check is not None and timedelta(0) <= now - check.asked_at < FRESH else None
    if lately is not None and lately.word is OcspWord.GOOD and (early or lately.asked_at >= activate_at):
        return Open()
    if now >= deadline:
        latest = max(deadline, since or deadline) + GRACE
        if live is not None:
            latest = min(latest, live.leaf.not_after - BEFORE_EXPIRY + GRACE)
        if not policy.confirm or lately is not None or now >= latest:
            return Open(forced=_unconfirmed(check) if policy.confirm else None)
        return Closed(latest, Code.OCSP_UNKNOWN)
    if now < activate_at:
        return Closed(min(activate_at, deadline), Code.OCSP_DELAY)
    if not policy.confirm:
        return Open()
    return Closed(deadline, _unconfirmed(check))


def _unconfirmed(check: OcspCheck | None) -> Code:
    return Code.OCSP_UNKNOWN if check is None else _UNCONFIRMED.get(check.word, Code.OCSP_UNKNOWN)


def _rejection(facts: CertificateFacts, now: datetime) -> Timer | None:
    waiting = [view.rejection for view in facts.servers if view.rejection and not timers.due(view.rejection, now)]
    return max(waiting, key=lambda timer: timer.until) if waiting else None
