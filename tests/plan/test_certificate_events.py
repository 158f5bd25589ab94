"""What an event makes of a certificate's record."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from strategies import anything, certificate_facts, draws, specs
from views import DAY, LIFE, NOW, failure, installed, leaf, ledger, ordering, spec, staged, timer

from certd.errors import IllegalTransition
from certd.model import events as ev
from certd.model.codes import Because, Code, Kind
from certd.model.facts import CertificateFacts, Live
from certd.model.records import (
    CertificateRecord,
    Draw,
    Failure,
    Hold,
    Idle,
    Installed,
    Ledger,
    OcspCheck,
    OcspWord,
    Ordering,
    Owed,
    Parked,
    Presented,
    Request,
    Served,
    Staged,
    Step,
    Timer,
    Unconfirmed,
)
from certd.model.specs import OcspPolicy
from certd.plan import certificate_events as events
from certd.plan.goal import goal

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
MIDDLE = 0.5
FACTS = CertificateFacts(live=Live(7, leaf(30 * DAY)), link=7)
NEW = leaf(LIFE, serial="beef")
URL = "https://ca.example.jp/order/1"
PLACE = Presented("http-01", "example.jp", "token", "{}")
PARKED = Parked("https://ca/parked", "k0", "jprs", "https://ca.example.jp/", timer(-HOUR), NOW + 20 * DAY)
FINALIZED = {"finalized_at": NOW - MINUTE, "give_up": NOW + DAY}


def advanced(
    record: CertificateRecord, event: Any, facts: CertificateFacts = FACTS, *, draw: float = MIDDLE, **changes: Any
) -> Any:
    return events.advance(spec(**changes), record, event, facts, NOW, draw)


def failed(kind: Kind = Kind.TRANSIENT, step: Step = Step.POLL, code: str = "code", **changes: Any) -> ev.Failed:
    return ev.Failed(step, kind, code, "what happened", **changes)


# --- the table --------------------------------------------------------------------------------------------------

EVENTS = {
    "Reanchored": ev.Reanchored(),
    "JitterDrawn": ev.JitterDrawn("0a1b"),
    "Probed": ev.Probed(Served("0a1b", NOW)),
    "RevocationChecked": ev.RevocationChecked("0a1b", OcspWord.GOOD),
    "CleanedUp": ev.CleanedUp(("token",)),
    "ParkedAsked": ev.ParkedAsked(PARKED.order_url, gone=False),
    "ParkedIssued": ev.ParkedIssued(PARKED.order_url, 9, NEW),
    "OrderPlaced": ev.OrderPlaced(URL),
    "ChallengesPresented": ev.ChallengesPresented(("token",)),
    "OrderPending": ev.OrderPending(),
    "Issued": ev.Issued(8, NEW),
    "OrderEnded": ev.OrderEnded(failed(Kind.NEW_ORDER)),
    "OrderParked": ev.OrderParked(),
    "Failed": failed(),
    "StatusChecked": ev.StatusChecked(OcspCheck(OcspWord.GOOD, NOW)),
    "Abandoned": ev.Abandoned("expired", "too late"),
    "ServersNoted": ev.ServersNoted(("web", "mail")),
    "Swapped": ev.Swapped((Owed("web", 4),)),
    "Confirmed": ev.Confirmed(),
    "GivenBack": ev.GivenBack(),
    "RenewRequested": ev.RenewRequested(),
    "RollbackRequested": ev.RollbackRequested(6, leaf(), 7, NOW + 7 * DAY),
}
"""One of each."""

TABLE = """
                    Idle       Ordering   Staged     Installed
Reanchored          Idle       Ordering   Staged     Installed
JitterDrawn         Idle       -          -          -
Probed              Idle       -          -          -
RevocationChecked   Idle       -          -          -
CleanedUp           Idle       -          Staged     -
ParkedAsked         Idle       -          -          -
ParkedIssued        Staged     -          -          -
OrderPlaced         -          Ordering   -          -
ChallengesPresented -          Ordering   -          -
OrderPending        -          Ordering   -          -
Issued              -          Staged     -          -
OrderEnded          -          Idle       -          -
OrderParked         -          Idle       -          -
Failed              -          Ordering   -          -
StatusChecked       -          -          Staged     -
Abandoned           -          -          Idle       -
ServersNoted        -          -          Staged     -
Swapped             -          -          Installed  -
Confirmed           -          -          -          Idle
GivenBack           -          -          -          Staged
RenewRequested      Idle       Ordering   Staged     Installed
RollbackRequested   Staged     -          Staged     Staged
"""
"""Event, and what each phase becomes by it; a dash is a bug of ours."""

PHASES = {"Idle": Idle(ledger()), "Ordering": ordering(), "Staged": staged(), "Installed": installed()}
ROWS = [
    (phase, row.split()[0], after)
    for row in TABLE.strip().splitlines()[1:]
    for phase, after in zip(TABLE.split()[:4], row.split()[1:], strict=True)
]


def test_the_table_is_complete():
    """Every event of a certificate has its row."""
    assert {name for _, name, _ in ROWS} == set(EVENTS) == {kind.__name__ for kind in ev.CertificateEvent.__args__}


@pytest.mark.parametrize(("phase", "event", "after"), ROWS)
def test_a_row_of_the_table(phase, event, after):
    """A legal event leads to the phase that the table names; any other is an IllegalTransition."""
    if after == "-":
        with pytest.raises(IllegalTransition, match=f"{phase} knows no {event}"):
            advanced(PHASES[phase], EVENTS[event])
    else:
        assert type(advanced(PHASES[phase], EVENTS[event])).__name__ == after


# --- chores -----------------------------------------------------------------------------------------------------


def test_jitter_is_drawn_once_per_leaf():
    """The number is stored with the serial that it is for."""
    assert advanced(Idle(), ev.JitterDrawn("0a1b"), draw=0.25).ledger.draw == Draw("0a1b", 0.25)


@pytest.mark.parametrize(("draw", "factor"), [(0.0, 0.8), (0.5, 1.0)])
def test_chores_are_jittered(draw, factor):
    """Probes every six hours, revocation checks and parked orders daily, a fifth more or less."""
    probed = advanced(Idle(), ev.Probed(Served("0a1b", NOW)), draw=draw)
    assert probed.ledger.served == Served("0a1b", NOW)
    assert probed.ledger.probe == Timer(NOW, NOW + 6 * HOUR * factor)
    checked = advanced(Idle(), ev.RevocationChecked("0a1b", OcspWord.GOOD), draw=draw)
    assert checked.ledger.status_check == Timer(NOW, NOW + DAY * factor)
    asked = advanced(Idle(ledger(parked=(PARKED,))), ev.ParkedAsked(PARKED.order_url, gone=False), draw=draw)
    assert asked.ledger.parked[0].ask == Timer(NOW, NOW + DAY * factor)


@pytest.mark.parametrize(("serial", "again"), [("0a1b", 6 * HOUR), (None, 6 * HOUR), ("dead", timedelta(minutes=10))])
def test_another_certificate_is_served(serial, again):
    """It is looked again soon: health is to know when somebody has put it right."""
    assert advanced(Idle(), ev.Probed(Served(serial, NOW)), draw=0.5).ledger.probe == Timer(NOW, NOW + again)


def test_a_revoked_certificate_is_remembered():
    """By its serial, and its version is never gone back to; another answer later does not take it back."""
    revoked = advanced(Idle(), ev.RevocationChecked("0a1b", OcspWord.REVOKED))
    assert (revoked.ledger.revoked, revoked.ledger.rejected) == ("0a1b", (7,))
    later = advanced(revoked, ev.RevocationChecked("0a1b", OcspWord.UNREACHABLE))
    assert (later.ledger.revoked, later.ledger.rejected) == ("0a1b", (7,))
    confirmed = advanced(replace(installed(), ledger=later.ledger), ev.Confirmed())
    assert (confirmed.ledger.revoked, confirmed.ledger.rejected) == ("0a1b", (7,))


def test_what_could_not_be_cleaned_up_is_tried_again():
    """In an hour; what is gone is forgotten."""
    record = Idle(ledger(presented=(PLACE, replace(PLACE, token="b"))))
    once = advanced(record, ev.CleanedUp(("token",)))
    assert once.ledger.presented == (replace(PLACE, token="b"),)
    assert once.ledger.clean_up == Timer(NOW, NOW + HOUR)
    done = advanced(once, ev.CleanedUp(("b",)))
    assert (done.ledger.presented, done.ledger.clean_up) == ((), None)


@pytest.mark.parametrize(
    ("gone", "until", "left"),
    [(False, NOW + DAY, 2), (True, NOW + DAY, 1), (False, NOW, 1)],
)
def test_a_parked_order_is_forgotten(gone, until, left):
    """When the CA calls it invalid, or after a month; the others stay."""
    record = Idle(ledger(parked=(replace(PARKED, until=until), replace(PARKED, order_url="https://ca/other"))))
    assert len(advanced(record, ev.ParkedAsked(PARKED.order_url, gone=gone)).ledger.parked) == left


@pytest.mark.parametrize(
    ("live", "changes", "life", "because"),
    [
        (leaf(30 * DAY), {}, LIFE, Because.RENEWAL_TIME),
        (leaf(60 * DAY), {}, LIFE, Because.RENEWAL_TIME),
        (leaf(60 * DAY), {"revoked": "0a1b"}, 40 * DAY, Because.REVOKED),
        (replace(leaf(60 * DAY), names=("example.jp",)), {}, 40 * DAY, Because.NAMES_CHANGED),
        (None, {}, 40 * DAY, Because.NO_LIVE_CERTIFICATE),
    ],
)
def test_a_better_parked_order_is_adopted(live, changes, life, because):
    """I5: its certificate is staged, if it lasts longer than what is live, or what is live will not do."""
    facts = CertificateFacts(live=Live(7, live) if live else None)
    event = ev.ParkedIssued(PARKED.order_url, 9, leaf(life, serial="beef"))
    adopted = advanced(Idle(ledger(parked=(PARKED,), **changes)), event, facts)
    assert isinstance(adopted, Staged)
    assert (adopted.version, adopted.because, adopted.ledger.parked) == (9, because, ())


@pytest.mark.parametrize("changes", [{}, {"requested": Request(NOW)}])
def test_a_parked_order_that_is_no_better_is_not_adopted(changes):
    """What is live lasts as long: the set is never used, the order no longer asked."""
    record = Idle(ledger(parked=(PARKED,), **changes))
    kept = advanced(record, ev.ParkedIssued(PARKED.order_url, 9, leaf(30 * DAY, serial="beef")))
    assert kept == Idle(ledger(parked=(), rejected=(9,), **changes))


def test_a_clock_that_was_set_back():
    """Waits begin anew, and orders of a future that did not come count from now: the ceiling lasts a day."""
    future = NOW + 400 * DAY
    record = Idle(ledger(retry=Timer(future, future + HOUR), orders=(NOW - HOUR, future, future)))
    anew = advanced(record, ev.Reanchored())
    assert anew.ledger.retry == Timer(NOW, NOW + HOUR)
    assert anew.ledger.orders == (NOW - HOUR, NOW, NOW)


# --- Ordering ---------------------------------------------------------------------------------------------------


def test_an_order_is_placed():
    """Its URL is recorded, and it is read at once, or when the CA says."""
    record = ordering(order_url=None, polls_failed=2)
    placed = advanced(record, ev.OrderPlaced(URL))
    assert (placed.order_url, placed.poll, placed.polls_failed) == (URL, Timer(NOW, NOW), 0)
    assert advanced(record, ev.OrderPlaced(URL, MINUTE)).poll == Timer(NOW, NOW + MINUTE)


def test_tokens_are_remembered_once():
    """What is in place, and what the CA was told of."""
    record = ordering(placed=("a",), responded=("a",))
    assert advanced(record, ev.ChallengesPresented(("a", "b"))).placed == ("a", "b")
    assert advanced(record, ev.OrderPending(responded=("a", "b"))).responded == ("a", "b")


def test_a_pending_order_is_read_again():
    """By the CA's word or ours; failures in between are forgotten."""
    pending = advanced(ordering(polls_failed=3), ev.OrderPending(20 * SECOND, settling=True))
    assert (pending.poll, pending.polls_failed, pending.settling) == (Timer(NOW, NOW + 20 * SECOND), 0, True)


@pytest.mark.parametrize(
    ("event", "delay"),
    [
        (failed(), MINUTE),
        (failed(Kind.ACCOUNT), MINUTE),
        (failed(Kind.RATE_LIMITED, Step.FINALIZE, retry_after=10 * DAY), 7 * DAY),
        (failed(Kind.RATE_LIMITED, retry_after=timedelta(0)), MINUTE),
        (failed(Kind.POLL), 5 * SECOND),
        (failed(Kind.NEW_ORDER, code="order-vanished"), 10 * SECOND),
        (failed(step=Step.STORE), MINUTE),
    ],
)
def test_a_failure_that_the_order_survives(event, delay):
    """What passes by itself is waited for; a 404 in the first ten minutes is a replica that lags."""
    for record in (ordering(), ordering(**FINALIZED)):
        after = advanced(record, event)
        assert isinstance(after, Ordering)
        assert after.poll == Timer(NOW, NOW + delay)
        assert after.polls_failed == 1


def test_other_tokens_at_every_look():
    """The first are told to the CA at once; a CA that then shows others, again and again, is followed less and less."""
    record = advanced(ordering(), ev.ChallengesPresented(("a", "b")))
    assert record.poll == ordering().poll
    waits = []
    for token in "cdef":
        record = advanced(record, ev.ChallengesPresented((token,)))
        waits.append(record.poll.until - NOW)
    assert waits == [MINUTE, 2 * MINUTE, 4 * MINUTE, 8 * MINUTE]
    assert record.placed == tuple("abcdef")


def test_an_order_that_is_not_found_is_looked_for_less_and_less():
    """A replica that lags has it in seconds; a CA that has lost it is not hammered for ten minutes."""
    record, waits = ordering(), []
    for _ in range(8):
        record = advanced(record, failed(Kind.NEW_ORDER, code="order-vanished"))
        waits.append((record.poll.until - NOW).total_seconds())
    assert waits == [10, 20, 40, 80, 160, 320, 320, 320]


@pytest.mark.parametrize("kind", [Kind.OPERATOR, Kind.BUG])
def test_a_finalized_order_outlives_what_a_person_has_to_mend(kind):
    """I5: its certificate may be waiting; it is polled on until it is time to give up, and the failure is told."""
    after = advanced(ordering(**FINALIZED), failed(kind))
    assert isinstance(after, Ordering)
    assert after.poll == Timer(NOW, NOW + MINUTE)
    assert after.ledger.failure.kind is kind


@pytest.mark.parametrize(
    ("event", "wait"),
    [
        (failed(Kind.OPERATOR, Step.FINALIZE), DAY),
        (failed(Kind.BUG, Step.FINALIZE), DAY),
        (failed(Kind.NEW_ORDER, Step.FINALIZE), MINUTE),
    ],
)
def test_a_finalize_that_is_refused_the_second_time(event, wait):
    """The first may have been heard, whatever its answer: the order is kept, and asked daily."""
    after = advanced(ordering(**FINALIZED, finalized_again=True), event, CertificateFacts())
    assert [parked.order_url for parked in after.ledger.parked] == [URL]
    assert after.ledger.retry == Timer(NOW, NOW + wait)
    assert advanced(ordering(**FINALIZED), event, CertificateFacts()).ledger.parked == ()


def test_an_order_that_was_not_ready_is_not_finalized():
    """The CA refused our only request: if it issues, it is to somebody else. A second request leaves that open."""
    refused = failed(Kind.POLL, Step.FINALIZE, code="acme:order-not-ready")
    after = advanced(ordering(**FINALIZED), refused)
    assert (after.finalized_at, after.give_up, after.polls_failed) == (None, None, 1)
    assert advanced(ordering(**FINALIZED, finalized_again=True), refused).finalized_at is not None
    assert advanced(ordering(**FINALIZED), failed(Kind.POLL)).finalized_at is not None


@pytest.mark.parametrize(
    ("event", "wait"),
    [
        (failed(Kind.OPERATOR, Step.FINALIZE), DAY),
        (failed(Kind.BUG), DAY),
        (failed(Kind.VALIDATION), 10 * MINUTE),
        (failed(Kind.NEW_ORDER), 2 * MINUTE),
    ],
)
def test_a_failure_that_ends_the_order(event, wait):
    """The next order waits as long as the kind and the number of attempts ask for."""
    own = ledger(attempts=2, goal=goal(spec()))
    after = advanced(ordering(ledger=own), event, CertificateFacts())
    assert isinstance(after, Idle)
    assert after.ledger.retry == Timer(NOW, NOW + wait)
    assert after.ledger.failure == Failure(event.step, event.kind, "code", "what happened", NOW, NOW)
    assert after.ledger.attempts == 2


@pytest.mark.parametrize(
    ("left", "retry_after", "wait"),
    [
        (None, SECOND, 64 * MINUTE),
        (None, 3 * HOUR, 3 * HOUR),
        (DAY, SECOND, 10 * MINUTE),
        (DAY, 3 * HOUR, 3 * HOUR),
    ],
)
def test_a_retry_after_never_shortens_the_wait_for_an_order(left, retry_after, wait):
    """I4: a CA that says "in a second" again and again is not asked every minute; in an emergency ten minutes do."""
    facts = CertificateFacts(live=Live(7, leaf(left))) if left else CertificateFacts()
    record = ordering(order_url=None, ledger=ledger(attempts=7))
    after = advanced(record, failed(Kind.RATE_LIMITED, Step.NEW_ORDER, retry_after=retry_after), facts)
    assert after.ledger.retry == Timer(NOW, NOW + wait)


def test_a_failure_keeps_its_beginning():
    """`first_at` is that of the first failure in a row, `at` that of the latest."""
    record = ordering(ledger=ledger(failure=failure()))
    latest = advanced(record, failed(Kind.BUG)).ledger.failure
    assert (latest.first_at, latest.at, latest.kind) == (failure().first_at, NOW, Kind.BUG)


def test_reading_again_is_believed_five_times():
    """An order that only leads back to itself is given up, or parked once finalized."""
    record: Any = ordering()
    for _ in range(5):
        record = advanced(record, failed(Kind.POLL))
        assert isinstance(record, Ordering)
    assert isinstance(advanced(record, failed(Kind.POLL)), Idle)
    assert advanced(replace(record, **FINALIZED), failed(Kind.POLL)).ledger.parked


def test_a_404_later_ends_the_order():
    """After ten minutes the order is gone; a finalized one is parked, not lost."""
    old = ordering(placed_at=NOW - 10 * MINUTE)
    gone = failed(Kind.NEW_ORDER, code="order-vanished")
    assert advanced(old, gone).ledger.parked == ()
    (parked,) = advanced(replace(old, **FINALIZED), gone).ledger.parked
    assert (parked.order_url, parked.key_id, parked.ca) == (URL, "k1", "jprs")


def test_no_answer_to_new_order():
    """Whatever failed before the URL was known: back to idle, with the wait."""
    for kind in Kind:
        after = advanced(ordering(order_url=None), failed(kind, Step.NEW_ORDER), CertificateFacts())
        assert isinstance(after, Idle)
        assert after.ledger.retry.until >= NOW + 45 * SECOND


def test_an_order_is_parked():
    """Its URL, its key and its CA are kept, to be asked daily for a month; the next order backs off."""
    after = advanced(ordering(**FINALIZED), ev.OrderParked(), CertificateFacts())
    expected = Parked(URL, "k1", "jprs", "https://ca.example.jp/", Timer(NOW, NOW + DAY), NOW + 30 * DAY)
    assert after.ledger.parked == (expected,)
    assert after.ledger.retry == Timer(NOW, NOW + MINUTE)
    assert after.ledger.failure.code == "parked"


def test_the_back_off_is_bounded_by_life():
    """Nobody waits a day with five days to live; in the last twentieth of life ten minutes are the most."""
    soon, now = (CertificateFacts(live=Live(7, leaf(left))) for left in (5 * DAY, 4 * DAY))
    assert advanced(ordering(), failed(Kind.OPERATOR), soon).ledger.retry == Timer(NOW, NOW + 15 * HOUR)
    assert advanced(ordering(), failed(Kind.OPERATOR), now).ledger.retry == Timer(NOW, NOW + 10 * MINUTE)
    assert advanced(ordering(polls_failed=9), failed(), now).poll == Timer(NOW, NOW + 10 * MINUTE)


def test_issued():
    """The gate's times are fixed at the issue; what failed on the way is forgotten, the attempts are not."""
    record = ordering(ledger=ledger(attempts=3, failure=failure(), clean_up=timer(HOUR)))
    after = advanced(record, ev.Issued(8, NEW))
    assert (after.version, after.leaf, after.issued_at) == (8, NEW, NOW)
    assert after.activate == Timer(NOW, NOW + 10 * MINUTE)
    assert after.deadline == NOW + 70 * MINUTE
    assert (after.ledger.failure, after.ledger.clean_up, after.ledger.attempts) == (None, None, 3)
    assert not after.opened


@pytest.mark.parametrize(("requested", "opened"), [(Request(NOW), False), (Request(NOW, now=True), True)])
def test_issued_for_the_operator(requested, opened):
    """`renew --now` during the order opens the gate of its certificate."""
    assert advanced(ordering(ledger=ledger(requested=requested)), ev.Issued(8, NEW)).opened is opened


@pytest.mark.parametrize(
    ("version", "link", "rejected"),
    [(8, 7, (5,)), (10, 7, (5, 8, 9)), (10, None, (5,)), (8, 4, (5, 6, 7))],
    ids=["next", "orphans", "no link", "one of them known"],
)
def test_what_was_live_is_known_from_the_link(version, link, rejected):
    """Sets between the live one and the new one were never live, and do not pass for what can be gone back to."""
    before = ordering(ledger=ledger(rejected=(5,)))
    after = advanced(before, ev.Issued(version, NEW), replace(FACTS, link=link))
    assert (after.previous, after.ledger.rejected) == (link, rejected)


# --- Staged and Installed ---------------------------------------------------------------------------------------


def test_the_responder_was_asked():
    """The answer is kept, and when to ask again."""
    check = OcspCheck(OcspWord.UNKNOWN, NOW)
    after = advanced(staged(), ev.StatusChecked(check))
    assert (after.check, after.next_check) == (check, Timer(NOW, NOW + 30 * SECOND))


def test_abandoned():
    """Never that set again; an attempt that came to nothing backs off."""
    after = advanced(staged(ledger=ledger(attempts=2)), ev.Abandoned("revoked", "it is revoked"), CertificateFacts())
    assert after.ledger.rejected == (8,)
    assert after.ledger.retry == Timer(NOW, NOW + 2 * MINUTE)
    assert after.ledger.failure.code == "revoked"


def test_a_broken_set_is_a_matter_of_the_disk():
    """Not of the responder."""
    after = advanced(staged(), ev.Abandoned("set-broken", "cert.pem is missing", Step.STORE), CertificateFacts())
    assert (after.ledger.failure.step, after.ledger.failure.code) == (Step.STORE, "set-broken")


def test_swapped_and_given_back():
    """What the server gives back is staged as it was, with all that the ledger has learnt meanwhile."""
    before = staged(opened=True, check=OcspCheck(OcspWord.GOOD, NOW))
    swapped = advanced(before, ev.Swapped((Owed("web", 4),)))
    assert (swapped.owed, swapped.staged.version, swapped.swapped_at) == ((Owed("web", 4),), 8, NOW)
    learnt = replace(swapped, ledger=replace(swapped.ledger, rejected=(3,)))
    back = advanced(learnt, ev.GivenBack())
    assert back == replace(before, ledger=learnt.ledger)


def test_a_set_that_its_deadline_made_live():
    """It is remembered what was amiss, and asked about every half hour, until the responder says what it is."""
    before = staged(check=OcspCheck(OcspWord.UNREACHABLE, NOW))
    swapped = advanced(before, ev.Swapped((Owed("web", 4),)))
    doubt = Unconfirmed(before.leaf.serial, Code.OCSP_UNREACHABLE, NOW)
    assert swapped.ledger.unconfirmed == doubt
    live = advanced(swapped, ev.Confirmed())
    assert live.ledger.unconfirmed == doubt
    asked = advanced(live, ev.RevocationChecked(before.leaf.serial, OcspWord.UNKNOWN))
    assert asked.ledger.unconfirmed == doubt
    assert asked.ledger.status_check == Timer(NOW, NOW + timedelta(minutes=30))
    for word in (OcspWord.GOOD, OcspWord.REVOKED):
        settled = advanced(asked, ev.RevocationChecked(before.leaf.serial, word))
        assert settled.ledger.unconfirmed is None
        assert settled.ledger.status_check == Timer(NOW, NOW + DAY)
    good = replace(before, ledger=asked.ledger, check=OcspCheck(OcspWord.GOOD, NOW))
    assert advanced(good, ev.Swapped(())).ledger.unconfirmed is None


def test_confirmed():
    """The goal is reached: attempts, wait, failure and request are forgotten; ceiling and parked orders stay."""
    own = ledger(
        attempts=4, retry=timer(HOUR), failure=failure(), requested=Request(NOW), orders=(NOW,), parked=(PARKED,)
    )
    after = advanced(replace(installed(), ledger=own), ev.Confirmed()).ledger
    assert (after.attempts, after.retry, after.failure, after.requested) == (0, None, None, None)
    assert (after.orders, after.parked) == ((NOW,), (PARKED,))
    assert (after.probe, after.status_check) == (None, None)


# --- the operator -----------------------------------------------------------------------------------------------

HOLD = Hold(timer(3 * DAY), 8)


def test_renew_when_idle():
    """A request, and neither hold nor wait."""
    after = advanced(Idle(ledger(hold=HOLD, retry=timer(HOUR), attempts=3)), ev.RenewRequested(now=True)).ledger
    assert (after.requested, after.hold, after.retry) == (Request(NOW, now=True), None, None)
    assert after.attempts == 3


def test_renew_during_an_order():
    """It is asked at once; its back-off is cleared."""
    record = ordering(ledger=ledger(retry=timer(HOUR)), poll=timer(HOUR), polls_failed=4)
    after = advanced(record, ev.RenewRequested())
    assert (after.poll, after.polls_failed, after.ledger.retry) == (Timer(NOW, NOW), 0, None)


@pytest.mark.parametrize("now", [False, True])
def test_renew_when_staged(now):
    """`--now` opens the gate; without it nothing is hurried. An open gate stays open."""
    after = advanced(staged(ledger=ledger(hold=HOLD)), ev.RenewRequested(now))
    assert (after.opened, after.ledger.hold) == (now, None)
    assert advanced(staged(opened=True), ev.RenewRequested()).opened


def test_renew_when_installed():
    """It is what was asked for already."""
    assert advanced(installed(), ev.RenewRequested()) == installed()


def test_renew_during_a_roll_back():
    """The roll-back comes to its end, and then the renewal that was asked for comes, without the hold."""
    back = replace(installed(), staged=staged(because=Because.ROLLBACK), ledger=ledger(hold=HOLD))
    for record in (back, replace(back.staged, ledger=back.ledger)):
        asked = advanced(record, ev.RenewRequested())
        done: Any = asked if isinstance(asked, Installed) else advanced(asked, ev.Swapped(()))
        after = advanced(done, ev.Confirmed()).ledger
        assert (after.requested, after.hold) == (Request(NOW), None)


ROLLBACK = ev.RollbackRequested(6, leaf(), 7, NOW + 7 * DAY)


def test_a_roll_back_from_idle():
    """The older set is staged with its gate open, the abandoned one rejected, and nothing happens for a week."""
    after = advanced(Idle(ledger(requested=Request(NOW), rejected=(7, 3))), ROLLBACK)
    assert (after.version, after.because, after.opened) == (6, Because.ROLLBACK, True)
    assert after.ledger.rejected == (3, 7)
    assert after.ledger.hold == Hold(Timer(NOW, NOW + 7 * DAY), 7)
    assert after.ledger.requested is None


def test_a_roll_back_to_what_is_live():
    """What was only staged is dropped: there is nothing to swap."""
    event = ev.RollbackRequested(7, leaf(), 8, NOW + DAY)
    after = advanced(staged(), event)
    assert isinstance(after, Idle)
    assert after.ledger.rejected == (8,)


# --- what must be durable ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "event", "saved"),
    [
        (ordering(), ev.OrderPending(), False),
        (ordering(placed_at=NOW - DAY), ev.OrderPending(), False),
        (ordering(), ev.OrderPending(MINUTE), False),
        (ordering(), ev.OrderPending(20 * MINUTE), True),
        (ordering(), ev.OrderPending(settling=True, responded=("a",)), False),
        (ordering(), failed(Kind.POLL), False),
        (ordering(), failed(), True),
        (ordering(), ev.ChallengesPresented(("a",)), True),
        (ordering(order_url=None), ev.OrderPlaced(URL), True),
        (ordering(), ev.Issued(8, NEW), True),
        (staged(), ev.StatusChecked(OcspCheck(OcspWord.UNKNOWN, NOW)), True),
        (staged(check=OcspCheck(OcspWord.UNKNOWN, NOW)), ev.StatusChecked(OcspCheck(OcspWord.UNKNOWN, NOW)), False),
        (staged(check=OcspCheck(OcspWord.UNKNOWN, NOW)), ev.StatusChecked(OcspCheck(OcspWord.GOOD, NOW)), True),
        (staged(), ev.RenewRequested(now=True), True),
        (installed(), ev.RenewRequested(), False),
        (Idle(), ev.Probed(Served("0a1b", NOW)), True),
    ],
)
def test_what_is_written(before, event, saved):
    """A poll writes nothing, unless it ends a long way off; a word of the responder that is not new neither."""
    assert events.needs_saving(before, advanced(before, event)) is saved


def test_hours_of_polling_write_nothing():
    """However long the CA takes: only the memory changes."""
    record, now = ordering(**FINALIZED), NOW
    for _ in range(300):
        now += MINUTE
        after = events.advance(spec(), record, ev.OrderPending(), FACTS, now, MIDDLE)
        assert not events.needs_saving(record, after)
        record = after


# --- for anything at all ----------------------------------------------------------------------------------------


@given(specs, anything(CertificateRecord), anything(ev.CertificateEvent), certificate_facts, draws)
def test_every_event_has_an_outcome(its_spec, record, event, facts, draw):
    """A record or an IllegalTransition, nothing else; what bounds orders is never lost (I4, I5)."""
    illegal = (type(record), type(event)) not in events.TRANSITIONS
    if isinstance(event, ev.OrderParked) and isinstance(record, Ordering) and record.order_url is None:
        return  # decide() drops such an order; it never parks it
    if illegal:
        with pytest.raises(IllegalTransition):
            events.advance(its_spec, record, event, facts, NOW, draw)
        return
    after = events.advance(its_spec, record, event, facts, NOW, draw)
    assert len(after.ledger.orders) == len(record.ledger.orders)
    goes = isinstance(event, ev.ParkedAsked | ev.ParkedIssued)
    assert goes or {p.order_url for p in record.ledger.parked} <= {p.order_url for p in after.ledger.parked}
    assert after.ledger.attempts == record.ledger.attempts or isinstance(event, ev.Confirmed)
    if isinstance(after, Staged) and not isinstance(record, Installed):
        assert after.activate.until <= max(after.deadline, after.issued_at) or isinstance(record, Staged)
    assert not events.needs_saving(after, after)


@given(anything(Ordering), st.sampled_from(Kind), st.sampled_from(Step), certificate_facts, draws)
def test_a_finalized_order_is_never_lost(record, kind, step, facts, draw):
    """I5: after any failure it is pursued, or parked; only the CA's refusal of the first finalize ends it."""
    after = events.advance(spec(), record, failed(kind, step), facts, NOW, draw)
    refused_at_first = step is Step.FINALIZE and not record.finalized_again
    if record.finalized_at is not None and isinstance(after, Idle) and not refused_at_first:
        assert after.ledger.parked[-1].order_url == record.order_url
        assert after.ledger.parked[-1].key_id == record.key_id
    if isinstance(after, Idle):
        assert after.ledger.retry.until >= NOW + MINUTE


@given(specs, anything(Ordering), certificate_facts)
def test_the_gate_of_an_issue(its_spec, record, facts):
    """Whatever is live: activation is not after the deadline, and the deadline leaves 15 minutes of what is live."""
    after = events.advance(replace(its_spec, ocsp=OcspPolicy()), record, ev.Issued(8, NEW), facts, NOW, MIDDLE)
    assert after.activate.until <= max(after.deadline, NOW)
    if facts.live is not None and facts.live.leaf.not_after > NOW:
        assert after.deadline <= facts.live.leaf.not_after - 15 * MINUTE


def test_a_ledger_is_kept_whole():
    """A cycle of a life gives back what it does not mean to change."""
    own = Ledger(goal="g", rejected=(1,), draw=Draw("0a1b", 0.5), presented=(PLACE,), parked=(PARKED,))
    issued = advanced(ordering(ledger=own), ev.Issued(8, NEW))
    done = advanced(advanced(issued, ev.Swapped(())), ev.Confirmed())
    assert (done.ledger.goal, done.ledger.rejected, done.ledger.draw) == ("g", (1,), Draw("0a1b", 0.5))
    assert (done.ledger.presented, done.ledger.parked) == ((PLACE,), (PARKED,))
