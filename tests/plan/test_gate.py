"""The OCSP gate: when a staged set may go live."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from strategies import certificate_facts, draws, moments, specs, staged_records
from views import DAY, LIFE, NOW, leaf, ledger, spec, staged, timer

from certd.model.codes import Code
from certd.model.facts import CertificateFacts, Live, ServerView
from certd.model.records import OcspCheck, OcspWord, Timer
from certd.model.specs import FirstIssue, OcspPolicy
from certd.plan import gate, timers

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
LIVE = Live(7, leaf(30 * DAY))
ISSUED = NOW - 2 * MINUTE
ACTIVATE, DEADLINE = NOW + 8 * MINUTE, NOW + 68 * MINUTE


def facts(live: Live | None = LIVE, **changes: object) -> CertificateFacts:
    return replace(CertificateFacts(live=live, link=7 if live else None), **changes)


def ending(left: timedelta, at=NOW) -> Live:
    """A live certificate with that much time left at a moment."""
    return Live(7, replace(leaf(), not_after=at + left, not_before=at + left - LIFE))


def check(word: OcspWord, at=NOW) -> OcspCheck:
    return OcspCheck(word, at)


def judged(at=NOW, *, policy: OcspPolicy = OcspPolicy(), facts=facts(), record=staged()):  # noqa: B008
    return gate.judge(spec(ocsp=policy), record, record.ledger, facts, at)


# --- the times --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "ocsp_url", "not_before", "live", "expected"),
    [
        ({}, "http://o/", -HOUR, LIVE, (10 * MINUTE, 70 * MINUTE)),
        ({}, "http://o/", 5 * MINUTE, LIVE, (15 * MINUTE, 75 * MINUTE)),
        ({"propagation_delay": HOUR, "max_wait": HOUR}, "http://o/", -HOUR, LIVE, (HOUR, 2 * HOUR)),
        ({}, None, -HOUR, LIVE, (timedelta(0), timedelta(0))),
        ({}, "http://o/", -HOUR, None, (timedelta(0), timedelta(0))),
        ({"first_issue": FirstIssue.WAIT}, "http://o/", -HOUR, None, (10 * MINUTE, 70 * MINUTE)),
        ({}, "http://o/", -HOUR, ending(40 * MINUTE), (10 * MINUTE, 25 * MINUTE)),
        ({}, "http://o/", -HOUR, ending(20 * MINUTE), (5 * MINUTE, 5 * MINUTE)),
        ({}, "http://o/", -HOUR, ending(10 * MINUTE), (-5 * MINUTE, -5 * MINUTE)),
    ],
)
def test_opening_times(policy, ocsp_url, not_before, live, expected):
    """The delay counts from issue or notBefore; without a responder, or a live certificate, there is none.

    The deadline lies 15 minutes before what is live expires, and activation never after the deadline.
    """
    times = gate.opening_times(
        OcspPolicy(**policy), ocsp_url=ocsp_url, issued_at=NOW, not_before=NOW + not_before, live=live
    )
    assert times == (NOW + expected[0], NOW + expected[1])


# --- the rows of the gate ---------------------------------------------------------------------------------------

GOOD, UNKNOWN = OcspWord.GOOD, OcspWord.UNKNOWN


@pytest.mark.parametrize(
    ("at", "answer", "expected"),
    [
        (NOW, None, (ACTIVATE, Code.OCSP_DELAY)),
        (NOW, check(GOOD), (ACTIVATE, Code.OCSP_DELAY)),
        (ACTIVATE, check(GOOD, ACTIVATE - MINUTE), (DEADLINE, Code.OCSP_UNKNOWN)),
        (ACTIVATE, check(UNKNOWN, ACTIVATE), (DEADLINE, Code.OCSP_UNKNOWN)),
        (ACTIVATE, check(OcspWord.UNREACHABLE, ACTIVATE), (DEADLINE, Code.OCSP_UNREACHABLE)),
        (ACTIVATE, check(OcspWord.INVALID, ACTIVATE), (DEADLINE, Code.OCSP_INVALID)),
        (ACTIVATE + 11 * MINUTE, check(GOOD, ACTIVATE + MINUTE), (DEADLINE, Code.OCSP_UNKNOWN)),
        (DEADLINE, None, (DEADLINE + 5 * MINUTE, Code.OCSP_UNKNOWN)),
        (DEADLINE, check(UNKNOWN, DEADLINE - 11 * MINUTE), (DEADLINE + 5 * MINUTE, Code.OCSP_UNKNOWN)),
    ],
)
def test_closed(at, answer, expected):
    """Until activation; then until a good answer that was asked for after it and is less than ten minutes old.

    After a long downtime the question is asked anew, and the deadline waits five minutes for the answer.
    """
    assert judged(at, record=staged(check=answer)) == gate.Closed(*expected)


@pytest.mark.parametrize(
    ("at", "answer", "forced"),
    [
        (ACTIVATE, check(GOOD, ACTIVATE), None),
        (ACTIVATE + 9 * MINUTE, check(GOOD, ACTIVATE), None),
        (DEADLINE, check(GOOD, DEADLINE), None),
        (DEADLINE, check(UNKNOWN, DEADLINE - MINUTE), Code.OCSP_UNKNOWN),
        (DEADLINE, check(OcspWord.UNREACHABLE, DEADLINE - MINUTE), Code.OCSP_UNREACHABLE),
        (DEADLINE, check(OcspWord.INVALID, DEADLINE - MINUTE), Code.OCSP_INVALID),
        (DEADLINE + 5 * MINUTE, None, Code.OCSP_UNKNOWN),
    ],
)
def test_open(at, answer, forced):
    """By a good answer, or forced by the deadline, with the code of what is amiss."""
    assert judged(at, record=staged(check=answer)) == gate.Open(forced)


@pytest.mark.parametrize(
    ("policy", "facts", "record"),
    [
        ({}, facts(None), staged()),
        ({}, facts(ending(timedelta(0))), staged()),
        ({"first_issue": FirstIssue.WAIT}, facts(), staged(opened=True)),
        ({}, facts(), staged(leaf=replace(leaf(LIFE), ocsp_url=None))),
        ({"early": True}, facts(), staged(check=check(GOOD))),
        ({}, facts(), staged(check=check(GOOD), ledger=ledger(revoked="0a1b"))),
    ],
)
def test_open_at_once(policy, facts, record):
    """With nothing valid live, by the operator's word, without a responder; early, or revoked live: once it is good."""
    assert judged(policy=OcspPolicy(**policy), facts=facts, record=record) == gate.Open()


@pytest.mark.parametrize("revoked", [None, "0a1b"])
def test_early_needs_a_good_answer(revoked):
    """Neither `early` nor a revoked live certificate opens the gate on less than a good answer."""
    record = staged(check=check(UNKNOWN), ledger=ledger(revoked=revoked))
    assert isinstance(judged(policy=OcspPolicy(early=revoked is None), record=record), gate.Closed)


def test_first_issue_may_wait():
    """`first_issue: wait` keeps the delay where nothing is live."""
    policy = OcspPolicy(first_issue=FirstIssue.WAIT)
    assert judged(policy=policy, facts=facts(None)) == gate.Closed(ACTIVATE, Code.OCSP_DELAY)


def test_without_confirmation():
    """`confirm: false` waits for the delay alone."""
    policy = OcspPolicy(confirm=False)
    assert judged(ACTIVATE - MINUTE, policy=policy) == gate.Closed(ACTIVATE, Code.OCSP_DELAY)
    assert judged(ACTIVATE, policy=policy) == gate.Open()
    assert judged(DEADLINE, policy=policy) == gate.Open()


def test_codes_of_other_reasons():
    """An unsure clock closes the gate, a rejection by a server too, until it is tried again; revoked for ever."""
    assert judged(facts=facts(clock_sure=False)) == gate.Closed(NOW + MINUTE, Code.CLOCK_UNSURE)
    rejecting = facts(servers=(ServerView("web", 3, 3, timer(HOUR)), ServerView("b", 1, 1, timer(2 * HOUR))))
    assert judged(facts=rejecting) == gate.Closed(NOW + 2 * HOUR, Code.SET_REJECTED)
    over = facts(None, servers=(ServerView("web", 3, 3, timer(timedelta(0))),))
    assert judged(facts=over) == gate.Open()
    revoked = judged(record=staged(check=check(OcspWord.REVOKED), opened=True))
    assert isinstance(revoked, gate.Closed)
    assert (revoked.until.year, revoked.code) == (9999, Code.SET_REJECTED)


def test_a_shorter_life_moves_the_deadline():
    """What is live now counts, not what was live at the issue."""
    record = staged(check=check(UNKNOWN, NOW))
    assert judged(NOW + 6 * MINUTE, record=record, facts=facts(ending(21 * MINUTE))) == gate.Open(Code.OCSP_UNKNOWN)


def test_a_deadline_that_passed_in_a_downtime():
    """The question is asked anew: the time for the answer counts from the start, and ends with what is live."""
    record, start = staged(check=check(GOOD, ACTIVATE)), DEADLINE + DAY
    up = facts(since=start)
    assert judged(start, record=record, facts=up) == gate.Closed(start + gate.GRACE, Code.OCSP_UNKNOWN)
    assert judged(start + gate.GRACE, record=record, facts=up) == gate.Open(Code.OCSP_UNKNOWN)
    asked = staged(check=check(GOOD, start))
    assert judged(start, record=asked, facts=up) == gate.Open()
    ends = facts(ending(12 * MINUTE, start), since=start)
    assert judged(start, record=record, facts=ends) == gate.Closed(start + 2 * MINUTE, Code.OCSP_UNKNOWN)


def test_an_answer_of_the_future_counts_for_nothing():
    """It was asked for by a clock that was wrong then: it is neither good, nor what a deadline waits for."""
    early_bird = staged(check=check(GOOD, ACTIVATE + HOUR))
    assert judged(record=early_bird) == gate.Closed(ACTIVATE, Code.OCSP_DELAY)
    assert judged(ACTIVATE, record=early_bird) == gate.Closed(DEADLINE, Code.OCSP_UNKNOWN)
    forced = staged(check=check(UNKNOWN, DEADLINE + HOUR))
    assert judged(DEADLINE, record=forced) == gate.Closed(DEADLINE + gate.GRACE, Code.OCSP_UNKNOWN)


@pytest.mark.parametrize(
    ("record", "policy", "expected"),
    [
        (staged(check=check(UNKNOWN)), OcspPolicy(), Code.OCSP_UNKNOWN),
        (staged(check=check(OcspWord.UNREACHABLE)), OcspPolicy(), Code.OCSP_UNREACHABLE),
        (staged(check=check(OcspWord.INVALID)), OcspPolicy(), Code.OCSP_INVALID),
        (staged(), OcspPolicy(), Code.OCSP_UNKNOWN),
        (staged(check=check(GOOD)), OcspPolicy(), None),
        (staged(check=check(UNKNOWN)), OcspPolicy(confirm=False), None),
        (staged(check=check(UNKNOWN), opened=True), OcspPolicy(), None),
        (staged(issued_at=NOW, deadline=NOW), OcspPolicy(), None),
        (staged(leaf=replace(leaf(LIFE), ocsp_url=None)), OcspPolicy(), None),
    ],
)
def test_doubt(record, policy, expected):
    """What health goes on to tell of a set that its deadline made live; nothing where no answer was wanted."""
    assert gate.doubt(policy, record) == expected


@pytest.mark.parametrize(
    ("at", "record", "code", "expected"),
    [
        (ACTIVATE - timedelta(seconds=1), staged(), Code.OCSP_DELAY, None),
        (ACTIVATE, staged(), Code.OCSP_UNKNOWN, ACTIVATE + gate.ANSWER),
        (
            ACTIVATE,
            staged(check=OcspCheck(GOOD, ACTIVATE - timedelta(seconds=1))),
            Code.OCSP_UNKNOWN,
            ACTIVATE + gate.ANSWER,
        ),
        (ACTIVATE + timedelta(seconds=1), staged(check=OcspCheck(OcspWord.UNKNOWN, ACTIVATE)), Code.OCSP_UNKNOWN, None),
        (ACTIVATE + timedelta(seconds=1), staged(), Code.SET_REJECTED, None),
        (ACTIVATE + gate.ANSWER, staged(), Code.OCSP_UNKNOWN, None),
    ],
)
def test_an_answer_that_is_about_to_come_is_counted_on(at, record, code, expected):
    """Sets whose time has come together go live by one reload, although their answers come one after the other."""
    closed = gate.Closed(record.deadline, code)
    assert gate.may_open(record, closed, at) == (expected or record.deadline)


# --- for anything at all ----------------------------------------------------------------------------------------


@given(specs, staged_records, certificate_facts, moments)
def test_never_before_activation(its_spec, record, its_facts, now):
    """I2: before `activate` only deadline, operator, early, or nothing valid live; after `revoked` never."""
    judged = gate.judge(its_spec, record, record.ledger, its_facts, now)
    if not isinstance(judged, gate.Open):
        assert judged.until > now
        return
    assert record.check is None or record.check.word is not OcspWord.REVOKED
    assert its_facts.clock_sure
    live = gate.valid_live(its_facts, now)
    good = record.check is not None and record.check.word is GOOD
    if now < record.activate.until:
        assert (
            record.opened
            or record.leaf.ocsp_url is None
            or now >= gate.effective_deadline(record, live)
            or (gate.asks_early(its_spec.ocsp, record.ledger, live) and good)
            or (live is None and its_spec.ocsp.first_issue is FirstIssue.IMMEDIATE)
        )


def unhindered(record, its_facts):
    """Neither revoked nor rejected, and the clock is right."""
    servers = tuple(replace(server, rejection=None) for server in its_facts.servers)
    answer = record.check if record.check and record.check.word is not OcspWord.REVOKED else None
    return replace(record, check=answer), replace(its_facts, servers=servers, clock_sure=True)


@given(specs, staged_records, certificate_facts, moments)
def test_open_by_the_deadline(its_spec, record, its_facts, now):
    """I6: five minutes after the deadline, or after a start that came later, it is open; and in any case ten minutes
    before what is live expires.
    """
    record, its_facts = unhindered(record, its_facts)
    live = gate.valid_live(its_facts, now)
    late = now >= max(record.deadline, its_facts.since or record.deadline) + gate.GRACE
    ending_soon = live is not None and now >= live.leaf.not_after - 10 * MINUTE
    if late or ending_soon:
        assert isinstance(gate.judge(its_spec, record, record.ledger, its_facts, now), gate.Open)


@given(specs, staged_records, certificate_facts, moments, st.sampled_from(OcspWord), st.booleans(), draws)
def test_next_question(its_spec, record, its_facts, now, word, early, draw):
    """Every 30 s give or take a fifth, sooner only at activation; a good answer is renewed before it is stale."""
    asked = gate.next_question(record, OcspCheck(word, now), early=early, now=now, draw=draw)
    assert asked.set_at == now
    wait = asked.until - now
    waiting = not early and now < record.activate.until
    if word is GOOD and waiting:
        assert asked.until == record.activate.until
    elif word is GOOD:
        assert timedelta(0) < wait < gate.FRESH
    else:
        assert timedelta(0) < wait <= timedelta(seconds=36)
        assert wait >= timedelta(seconds=24) or asked.until == record.activate.until


def test_an_answer_that_came_after_activation_to_a_question_before_it():
    """It does not open the gate, so the question is asked again at once, not when a good answer grows old."""
    record, late = staged(activate=Timer(ISSUED, ACTIVATE)), ACTIVATE + timedelta(seconds=1)
    asked = gate.next_question(
        record, OcspCheck(GOOD, ACTIVATE - timedelta(seconds=1)), early=False, now=late, draw=0.5
    )
    assert asked == Timer(late, late)


def test_opening_times_are_not_moved_by_a_restart():
    """The times are records: what is judged does not depend on when the process started."""
    record = staged(activate=Timer(ISSUED, ACTIVATE))
    assert not timers.due(record.activate, ACTIVATE - timedelta(seconds=1))
    assert judged(ACTIVATE, record=replace(record, check=check(GOOD, ACTIVATE))) == gate.Open()
