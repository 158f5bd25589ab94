"""What is to be done for a certificate: every row of its life, and anything at all."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from strategies import anything, certificate_facts, draws, specs
from views import DAY, LIFE, NOW, installed, leaf, ledger, ordering, spec, staged, timer

from certd.model import actions as do
from certd.model import orders
from certd.model.codes import Because, Code, Kind
from certd.model.facts import AccountState, CaFacts, CertificateFacts, Live, ServerView
from certd.model.records import (
    CertificateRecord,
    Failure,
    Hold,
    Idle,
    Installed,
    Ledger,
    OcspCheck,
    OcspWord,
    Ordering,
    Parked,
    Presented,
    Request,
    Staged,
    Step,
    Timer,
)
from certd.model.specs import Deployment, FirstIssue, KeyType, OcspPolicy
from certd.plan import certificate as plan
from certd.plan.goal import goal

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
READY = CaFacts(directory="https://ca.example.jp/", account=AccountState.READY, permit=True)
TASK = orders.Task("example.jp", False, "http-01", "https://ca/c", "token", "https://ca/z")
PLACE = Presented("http-01", "example.jp", "token", "{}")
PARKED = Parked("https://ca/o", "k0", "jprs", "https://ca.example.jp/", timer(HOUR), NOW + 20 * DAY)
REVOKED = OcspCheck(OcspWord.REVOKED, NOW)


def facts(left: timedelta | None = 60 * DAY, **changes: Any) -> CertificateFacts:
    """What is gathered while a certificate with that much time left is live, and nothing is in the way."""
    live = Live(7, leaf(left)) if left is not None else None
    return replace(CertificateFacts(live=live, link=7 if live else None, ca=READY), **changes)


def ca(**changes: Any) -> CaFacts:
    return replace(READY, **changes)


def idle(**changes: Any) -> Idle:
    return Idle(ledger(**changes))


def decided(record: CertificateRecord, its_facts: CertificateFacts | None = None, at=NOW, **changes: Any) -> Any:
    return plan.decide(spec(**changes), record, its_facts if its_facts is not None else facts(), at)


# --- Idle -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "its_facts", "wanted", "because"),
    [
        (idle(), facts(None), {}, Because.NO_LIVE_CERTIFICATE),
        (idle(), facts(), {"domains": ("example.jp",)}, Because.NAMES_CHANGED),
        (idle(), facts(), {"key": KeyType.P256}, Because.KEY_TYPE_CHANGED),
        (idle(revoked="0a1b"), facts(), {}, Because.REVOKED),
        (idle(requested=Request(NOW)), facts(), {}, Because.REQUESTED),
        (idle(), facts(30 * DAY), {}, Because.RENEWAL_TIME),
        (idle(), facts(-DAY), {}, Because.RENEWAL_TIME),
    ],
)
def test_an_order_is_placed(record, its_facts, wanted, because):
    """Without a live certificate, for other names or keys, revoked, requested, or from renewal time on."""
    assert decided(record, its_facts, **wanted) == do.PlaceOrder(because)


def test_not_due():
    """Before renewal time nothing is ordered; the wait ends there, and chores have their own time."""
    wait = decided(idle(), facts(31 * DAY))
    assert wait == do.Wait(NOW + DAY, Code.NOT_DUE, wake=NOW + 3 * HOUR)
    assert decided(idle(), facts(89 * DAY)).until == NOW + 30 * DAY


LIMITED = Failure(Step.NEW_ORDER, Kind.RATE_LIMITED, "acme:rate-limited", "slow down", NOW, NOW)
TEN_ORDERS = tuple(NOW - 23 * HOUR + n * MINUTE for n in range(10))
WAITING = {"goal": goal(spec()), "attempts": 3, "retry": timer(5 * HOUR)}


@pytest.mark.parametrize(
    ("changes", "its_facts", "until", "code"),
    [
        ({"hold": Hold(timer(2 * DAY), 8)}, facts(DAY), NOW + 2 * DAY, Code.HELD_BY_OPERATOR),
        ({}, facts(DAY, clock_sure=False), NOW + MINUTE, Code.CLOCK_UNSURE),
        (WAITING, facts(30 * DAY), NOW + 5 * HOUR, Code.BACK_OFF),
        (WAITING, facts(None), NOW + 5 * HOUR, Code.BACK_OFF),
        (WAITING, facts(4 * DAY), NOW + 10 * MINUTE, Code.BACK_OFF),
        (WAITING | {"failure": LIMITED}, facts(4 * DAY), NOW + 5 * HOUR, Code.BACK_OFF),
        ({"orders": TEN_ORDERS}, facts(DAY), NOW + HOUR, Code.DAILY_CEILING),
        ({}, facts(DAY, ca=ca(account=AccountState.UNUSABLE)), NOW + HOUR, Code.CA_UNUSABLE),
        ({}, facts(DAY, ca=ca(account=AccountState.PENDING)), NOW + MINUTE, Code.ACCOUNT_PENDING),
        ({}, facts(DAY, ca=ca(held_until=NOW + HOUR)), NOW + HOUR, Code.CA_HELD),
        ({}, facts(DAY, ca=ca(permit=False)), NOW + MINUTE, Code.CA_BUDGET),
        ({}, facts(DAY, ca=ca(permit=False, permit_at=NOW + 2 * HOUR)), NOW + 2 * HOUR, Code.CA_BUDGET),
    ],
)
def test_what_stands_in_the_way_of_an_order(changes, its_facts, until, code):
    """Hold, clock, back-off (ten minutes at most in an emergency, unless the CA asked for it), ceiling, CA, permit."""
    wait = decided(idle(**changes), its_facts)
    assert (wait.until, wait.code) == (until, code)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        (WAITING | {"retry": timer(timedelta(0))}, {}),
        (WAITING, {"domains": ("example.jp",)}),
        (WAITING, {"ca": "other"}),
        ({"hold": Hold(timer(timedelta(0)), 8)}, {}),
        ({"orders": (NOW - DAY, *TEN_ORDERS[1:])}, {}),
        ({"orders": TEN_ORDERS}, {"orders_per_day": 11}),
    ],
)
def test_what_no_longer_stands_in_the_way(changes, wanted):
    """A wait that is over, or was for another goal; a hold that ended; orders of more than a day ago."""
    assert isinstance(decided(idle(**changes), facts(DAY), **wanted), do.PlaceOrder)


DUE = timer(timedelta(0))
DRAWN = ledger().draw


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"draw": None}, do.DrawJitter("0a1b")),
        ({"draw": replace(DRAWN, serial="dead")}, do.DrawJitter("0a1b")),
        ({"presented": (PLACE,)}, do.CleanUp((PLACE,))),
        ({"presented": (PLACE,), "clean_up": DUE}, do.CleanUp((PLACE,))),
        ({"probe": None}, do.ProbeServed(7)),
        ({"probe": DUE}, do.ProbeServed(7)),
        ({"status_check": DUE}, do.CheckRevocation(7, "0a1b")),
        ({"parked": (replace(PARKED, ask=DUE),)}, do.AskParked(replace(PARKED, ask=DUE))),
    ],
)
def test_chores(changes, expected):
    """Each when it is due."""
    assert decided(idle(**changes)) == expected


@pytest.mark.parametrize(
    ("changes", "its_facts", "wanted"),
    [
        ({"presented": (PLACE,), "clean_up": timer(HOUR)}, facts(), {}),
        ({"probe": DUE}, facts(), {"deploy": (Deployment("web", verify=None),)}),
        ({"probe": DUE, "status_check": DUE, "hold": Hold(timer(DAY), 8)}, facts(None), {}),
        ({"status_check": DUE, "revoked": "0a1b", "hold": Hold(timer(DAY), 8)}, facts(), {}),
        ({"parked": (PARKED,)}, facts(), {}),
        ({"parked": (replace(PARKED, ask=DUE),)}, facts(ca=ca(held_until=NOW + MINUTE)), {}),
        ({"parked": (replace(PARKED, ask=DUE),)}, facts(ca=ca(account=AccountState.UNUSABLE)), {}),
        ({"parked": (replace(PARKED, ask=DUE),), "hold": Hold(timer(HOUR), 8)}, facts(), {}),
    ],
)
def test_no_chore(changes, its_facts, wanted):
    """Not before its time, not for nothing; and the wait that follows never lies in the past."""
    wait = decided(idle(**changes), its_facts, **wanted)
    assert isinstance(wait, do.Wait)
    assert wait.due > NOW


def test_a_parked_order_wakes_when_its_ca_is_free():
    """A parked order that is due while its CA is held off is asked as soon as it no longer is."""
    wait = decided(idle(parked=(replace(PARKED, ask=DUE),)), facts(ca=ca(held_until=NOW + MINUTE)))
    assert wait.due == NOW + MINUTE


def test_the_goal_goes_before_chores():
    """What is due for a new certificate is not kept waiting by chores; a wait for it lets them have their turn."""
    busy = {"probe": DUE, "presented": (PLACE,)}
    assert isinstance(decided(idle(**busy), facts(DAY)), do.PlaceOrder)
    assert decided(idle(**busy, **WAITING), facts(30 * DAY)) == do.CleanUp((PLACE,))


# --- Ordering ---------------------------------------------------------------------------------------------------


def order(**changes: Any) -> Ordering:
    return ordering(**({"poll": DUE} | changes))


FINALIZED = {"finalized_at": NOW - MINUTE, "give_up": NOW + DAY}


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (None, do.ReadOrder()),
        (orders.Present((TASK,)), do.PresentChallenges((TASK,), (PLACE,))),
        (orders.WaitReady((TASK,)), do.Defer(settling=True)),
        (orders.Respond((TASK,)), do.RespondToChallenges((TASK,))),
        (orders.Poll(False), do.Defer()),
        (orders.Finalize("https://ca/f"), do.FinalizeOrder("https://ca/f")),
        (orders.OrderFailed("", "no"), do.EndOrder(orders.OrderFailed("", "no"))),
    ],
)
def test_an_order_is_pursued(step, expected):
    """It is read when due; then the one step that it asks for."""
    assert decided(order(), facts(step=step, places=(PLACE,))) == expected


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (orders.Poll(True, MINUTE), do.Defer(MINUTE)),
        (orders.Download("https://ca/d"), do.DownloadCertificate("https://ca/d")),
    ],
)
def test_an_order_is_somebody_elses_if_another_finalized_it(step, expected):
    """A CA may hand out one pending order to two certificates with the same names: who did not finalize it drops it."""
    assert decided(order(**FINALIZED), facts(step=step)) == expected
    dropped = decided(order(), facts(step=step))
    assert isinstance(dropped, do.DropOrder)
    assert dropped.code == "order-taken"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, Code.CA_VALIDATING),
        (FINALIZED, Code.CA_PROCESSING),
        ({"settling": True}, Code.CHALLENGE_SETTLING),
    ],
)
def test_waiting_for_the_next_poll(changes, code):
    """The code tells what is waited for; an order that is to be given up wakes for that."""
    wait = decided(order(poll=timer(20 * SECOND), **changes))
    assert wait == do.Wait(NOW + 20 * SECOND, code, wake=changes.get("give_up"))


@pytest.mark.parametrize(
    ("changes", "wanted", "code"),
    [
        ({"order_url": None}, {}, "no-answer"),
        ({}, {"domains": ("example.jp",)}, "names-changed"),
        ({}, {"key": KeyType.P256}, "names-changed"),
        ({}, {"ca": "other"}, "names-changed"),
        ({"placed_at": NOW - DAY}, {}, "order-too-old"),
    ],
)
def test_an_order_is_dropped(changes, wanted, code):
    """One whose answer was never recorded, one for what is no longer wanted, one that took a day to be ready."""
    assert decided(order(**changes), **wanted).code == code


@pytest.mark.parametrize("wanted", [{"domains": ("example.jp",)}, {"ca": "other"}])
def test_a_finalized_order_is_never_dropped(wanted):
    """I5: neither for its age nor for what is wanted now."""
    assert decided(order(placed_at=NOW - 3 * DAY, **FINALIZED), **wanted) == do.ReadOrder()


def test_an_order_is_parked():
    """At its time to give up, even while the CA holds us off."""
    late = order(finalized_at=NOW - DAY, give_up=NOW)
    assert decided(replace(late, poll=timer(20 * SECOND))) == do.Park()
    assert decided(late, facts(ca=ca(held_until=NOW + HOUR))) == do.Park()


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (None, do.ReadOrder()),
        (orders.Poll(True), do.Park()),
        (orders.Finalize("https://ca/f"), do.Park()),
        (orders.Download("https://ca/d"), do.DownloadCertificate("https://ca/d")),
        (orders.OrderFailed("", "no"), do.EndOrder(orders.OrderFailed("", "no"))),
    ],
)
def test_an_order_is_asked_before_it_is_parked(step, expected):
    """After a downtime its certificate may have been there for long: no second one is ordered beside it."""
    assert decided(order(finalized_at=NOW - DAY, give_up=NOW), facts(step=step)) == expected


def test_a_clock_that_may_be_wrong_gives_nothing_up():
    """Not an order for its age, nor a finalized one, nor a parked one, nor a staged set that seems to have expired."""
    doubtful = facts(clock_sure=False)
    assert decided(order(placed_at=NOW - DAY), doubtful) == do.ReadOrder()
    late = order(finalized_at=NOW - DAY, give_up=NOW)
    assert decided(late, doubtful) == do.ReadOrder()
    held = decided(late, facts(ca=ca(held_until=NOW + HOUR), clock_sure=False))
    assert held == do.Wait(NOW + HOUR, Code.CA_HELD)
    assert decided(idle(parked=(replace(PARKED, ask=DUE),)), doubtful).due == NOW + MINUTE
    assert isinstance(decided(staged(leaf=leaf(timedelta(0), serial="beef")), doubtful), do.Wait)


@pytest.mark.parametrize(
    ("its_ca", "until", "code"),
    [
        (ca(held_until=NOW + 2 * HOUR), NOW + 2 * HOUR, Code.CA_HELD),
        (ca(account=AccountState.UNUSABLE), NOW + HOUR, Code.CA_UNUSABLE),
        (ca(account=AccountState.PENDING), NOW + MINUTE, Code.ACCOUNT_PENDING),
    ],
)
def test_an_order_waits_for_its_ca(its_ca, until, code):
    """No exchange while the account is held off or cannot be used; the time to give up wakes all the same."""
    soon = order(finalized_at=NOW - HOUR, give_up=NOW + 5 * MINUTE)
    assert decided(soon, facts(ca=its_ca)) == do.Wait(until, code, wake=NOW + 5 * MINUTE)


def test_an_unsure_clock_stops_finalize_alone():
    """What leads to a certificate waits for the clock; reading does not, since it brings the CA's time."""
    unsure = facts(clock_sure=False)
    assert decided(order(), unsure) == do.ReadOrder()
    finalize = replace(unsure, step=orders.Finalize("https://ca/f"))
    assert decided(order(), finalize) == do.Wait(NOW + MINUTE, Code.CLOCK_UNSURE)


@pytest.mark.parametrize(
    ("waited", "retry_after", "delay"),
    [
        (timedelta(0), None, SECOND),
        (40 * SECOND, None, 10 * SECOND),
        (HOUR, None, MINUTE),
        (HOUR, 5 * SECOND, 5 * SECOND),
        (HOUR, timedelta(0), SECOND),
        (HOUR, 3 * DAY, HOUR),
        (-DAY, None, SECOND),
    ],
)
def test_poll_delay(waited, retry_after, delay):
    """The CA's Retry-After within 1 s and an hour, else a quarter of the time waited, 1 s to a minute."""
    assert plan.poll_delay(order(placed_at=NOW - waited), retry_after, NOW) == delay
    assert plan.poll_delay(order(placed_at=NOW - DAY, finalized_at=NOW - waited), retry_after, NOW) == delay


# --- Staged and Installed ---------------------------------------------------------------------------------------

ACTIVATE = NOW + 8 * MINUTE


def test_waiting_for_activation():
    """Until the gate may open; the next question to the responder wakes."""
    assert decided(staged()) == do.Wait(ACTIVATE, Code.OCSP_DELAY, wake=NOW + 30 * SECOND)


@pytest.mark.parametrize(("at", "by_get"), [(NOW + MINUTE, False), (ACTIVATE, True)])
def test_the_responder_is_asked(at, by_get):
    """By POST before activation, since a GET may be remembered on the way; by GET as well after it."""
    assert decided(staged(), at=at) == do.ConfirmStatus(by_get=by_get)


@pytest.mark.parametrize(
    ("record", "its_facts", "policy"),
    [
        (staged(), facts(), OcspPolicy(confirm=False)),
        (staged(opened=True), facts(), OcspPolicy()),
        (staged(leaf=replace(leaf(LIFE), ocsp_url=None)), facts(), OcspPolicy()),
        (staged(), facts(None), OcspPolicy()),
    ],
)
def test_the_responder_is_not_asked(record, its_facts, policy):
    """Where the answer would change nothing."""
    assert isinstance(decided(record, its_facts, NOW + MINUTE, ocsp=policy), do.Wait)


def test_an_unsure_clock_asks_nobody_and_keeps_the_gate():
    """No answer could be judged by it, and a gate that is anchored anew would open before its time."""
    unsure = facts(clock_sure=False)
    assert decided(staged(), unsure, NOW + MINUTE) == do.Wait(NOW + 2 * MINUTE, Code.CLOCK_UNSURE)
    assert decided(staged(), unsure, NOW - DAY) == do.Wait(NOW - DAY + MINUTE, Code.CLOCK_UNSURE)
    assert decided(staged(), facts(), NOW - DAY) == do.Reanchor()


@pytest.mark.parametrize(
    ("record", "its_facts", "policy"),
    [
        (staged(), facts(), OcspPolicy(confirm=False, early=True)),
        (staged(ledger=ledger(revoked="0a1b")), facts(), OcspPolicy(confirm=False)),
        (staged(), facts(None), OcspPolicy(first_issue=FirstIssue.WAIT)),
        (staged(issued_at=NOW, deadline=NOW, activate=DUE), facts(), OcspPolicy(propagation_delay=0 * DAY)),
        (staged(issued_at=NOW, deadline=NOW - MINUTE, activate=DUE), facts(14 * MINUTE), OcspPolicy()),
    ],
)
def test_the_responder_is_asked_whenever_the_gate_listens(record, its_facts, policy):
    """Early, for a revoked live certificate, at a first issue that waits, and where there is no time to wait at all."""
    assert isinstance(decided(record, its_facts, NOW + MINUTE, ocsp=policy), do.ConfirmStatus)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (OcspWord.UNKNOWN, Code.OCSP_UNKNOWN),
        (OcspWord.UNREACHABLE, Code.OCSP_UNREACHABLE),
        (OcspWord.INVALID, Code.OCSP_INVALID),
    ],
)
def test_waiting_for_a_good_answer(answer, code):
    """The code tells what the responder says."""
    record = staged(check=OcspCheck(answer, ACTIVATE), next_check=Timer(ACTIVATE, ACTIVATE + 30 * SECOND))
    wait = decided(record, at=ACTIVATE + SECOND)
    assert wait == do.Wait(record.deadline, code, wake=ACTIVATE + 30 * SECOND)


def test_waiting_for_the_server():
    """An open gate leaves the rest to the server."""
    good = staged(check=OcspCheck(OcspWord.GOOD, ACTIVATE), next_check=Timer(ACTIVATE, ACTIVATE + 8 * MINUTE))
    wait = decided(good, at=ACTIVATE + SECOND)
    assert (wait.until, wait.code) == (ACTIVATE + SECOND + MINUTE, Code.SERVER)


def test_waiting_after_a_rejection():
    """A set that its server rejected waits until it is tried again, looking once a day at least."""
    rejected = facts(servers=(ServerView("web", 3, 3, timer(HOUR)),))
    wait = decided(staged(opened=True, servers=("web",)), rejected)
    assert (wait.until, wait.code) == (NOW + HOUR, Code.SET_REJECTED)


@pytest.mark.parametrize(
    ("record", "wanted", "code"),
    [
        (staged(check=REVOKED), {}, "revoked"),
        (staged(check=REVOKED, opened=True), {}, "revoked"),
        (staged(leaf=leaf(timedelta(0), serial="beef")), {}, "expired"),
        (staged(), {"domains": ("example.jp",)}, "names-changed"),
        (staged(), {"key": KeyType.P256}, "names-changed"),
    ],
)
def test_a_staged_set_is_abandoned(record, wanted, code):
    """Revoked, expired, or no longer what is wanted."""
    assert decided(record, **wanted).code == code


def test_a_roll_back_covers_what_it_covers():
    """The operator's word is not undone because the older set has other names."""
    back = staged(because=Because.ROLLBACK, opened=True)
    assert decided(back, domains=("example.jp",)) == do.Wait(NOW + MINUTE, Code.SERVER)


def test_challenges_are_cleaned_up_while_staged():
    """What was presented does not lie around until the gate opens."""
    assert decided(staged(ledger=ledger(presented=(PLACE,)))) == do.CleanUp((PLACE,))


def test_a_swap_is_noted():
    """The link is the fact, the record follows: even when the set was revoked meanwhile."""
    assert decided(staged(), facts(link=8)) == do.NoteSwapped()
    assert decided(staged(check=REVOKED), facts(link=8)) == do.NoteSwapped()


@pytest.mark.parametrize(
    ("link", "servers", "expected"),
    [
        (8, (ServerView("web", 4, 4),), do.NoteConfirmed()),
        (8, (ServerView("web", 5, 5),), do.NoteConfirmed()),
        (8, (), do.NoteConfirmed()),
        (8, (ServerView("web", 4, 3),), do.Wait(NOW + MINUTE, Code.SERVER)),
        (7, (ServerView("web", 4, 4),), do.NoteGivenBack()),
        (None, (ServerView("web", 4, 3),), do.NoteGivenBack()),
    ],
)
def test_installed(link, servers, expected):
    """Confirmed by every server that still is one, given back, or waiting."""
    assert decided(installed(), facts(link=link, servers=servers)) == expected


# --- what is recorded before an effect --------------------------------------------------------------------------


def begun(record: CertificateRecord, action: Any, its_facts: CertificateFacts | None = None, draw: float = 0.5) -> Any:
    return plan.begin(spec(), record, action, its_facts if its_facts is not None else facts(DAY), NOW, draw)


def test_an_order_is_written_ahead():
    """A crash right after newOrder backs off like a failure: attempt, time and wait are there before it is sent."""
    record = begun(
        idle(attempts=2, goal=goal(spec()), orders=(NOW - 2 * DAY, NOW - HOUR)), do.PlaceOrder(Because.REVOKED)
    )
    assert isinstance(record, Ordering)
    assert (record.order_url, record.placed_at, record.because) == (None, NOW, Because.REVOKED)
    assert (record.ca, record.directory) == ("jprs", "https://ca.example.jp/")
    assert record.ledger.attempts == 3
    assert record.ledger.retry == Timer(NOW, NOW + 4 * MINUTE)
    assert record.ledger.orders == (NOW - HOUR, NOW)


def test_another_goal_begins_anew():
    """The attempts of another goal do not count."""
    record = begun(idle(attempts=7, goal="other", retry=timer(5 * HOUR)), do.PlaceOrder(Because.NAMES_CHANGED))
    assert (record.ledger.attempts, record.ledger.goal) == (1, goal(spec()))


def test_no_order_before_its_time():
    """I4 is asserted: an order that something stands in the way of cannot begin."""
    with pytest.raises(AssertionError, match="I4"):
        begun(idle(**WAITING), do.PlaceOrder(Because.RENEWAL_TIME), facts(30 * DAY))


def test_places_are_written_ahead():
    """Where a response will be is recorded before it is put there, once per token."""
    record = order(ledger=ledger(presented=(PLACE, replace(PLACE, token="old"))))
    again = begun(record, do.PresentChallenges((TASK,), (replace(PLACE, place="elsewhere"),)))
    assert again.ledger.presented == (replace(PLACE, token="old"), replace(PLACE, place="elsewhere"))
    assert again.placed == ()


@pytest.mark.parametrize(
    ("left", "give_up"),
    [(60 * DAY, NOW + DAY), (None, NOW + DAY), (5 * DAY, NOW + 12 * HOUR), (DAY, NOW + DAY), (-DAY, NOW + DAY)],
)
def test_finalize_is_written_ahead(left, give_up):
    """With the time to give up: a day, or the live certificate's emergency time if that is still to come."""
    record = begun(order(), do.FinalizeOrder("https://ca/f"), facts(left))
    assert (record.finalized_at, record.give_up) == (NOW, give_up)


def test_finalizing_again_puts_nothing_off():
    """A CA that answers finalize with errors does not keep the order alive for ever."""
    record = order(**FINALIZED)
    again = begun(record, do.FinalizeOrder("https://ca/f"))
    assert again == replace(record, finalized_again=True)
    assert begun(again, do.FinalizeOrder("https://ca/f")) is again


def test_a_staged_set_whose_files_are_broken():
    """It is given up, for a new certificate with a new key; it is not waited for until it expires."""
    given_up = decided(staged(), facts(broken="cert.pem is missing"))
    assert isinstance(given_up, do.Abandon)
    assert (given_up.code, given_up.step) == ("set-broken", Step.STORE)
    assert "cert.pem is missing" in given_up.text


def test_a_staged_set_that_goes_to_other_servers():
    """They are recorded before its link may move."""
    elsewhere = facts(servers=(ServerView("web", 3, 3), ServerView("mail", 1, 1)))
    assert decided(staged(servers=("web",)), elsewhere) == do.NoteServers(("web", "mail"))
    assert isinstance(decided(staged(servers=("web", "mail")), elsewhere), do.Wait)


@pytest.mark.parametrize("action", [do.ReadOrder(), do.Defer(), do.RespondToChallenges((TASK,)), do.Reanchor()])
def test_reading_is_written_nowhere(action):
    """What can be done twice needs no intent."""
    record = order()
    assert begun(record, action) is record


# --- for anything at all ----------------------------------------------------------------------------------------

records = anything(CertificateRecord)


@given(specs, records, certificate_facts, draws)
def test_there_is_always_an_answer(its_spec, record, its_facts, draw):
    """Whatever the record and the facts: an action, its intent, and a wait only for something to come."""
    action = plan.decide(its_spec, record, its_facts, NOW)
    if isinstance(action, do.Wait):
        assert action.due > NOW
        assert isinstance(action.code, Code)
    begun = plan.begin(its_spec, record, action, its_facts, NOW, draw)
    assert plan.decide(its_spec, record, its_facts, NOW) == action
    if begun is not record and isinstance(action, do.PlaceOrder):
        assert begun.ledger.retry.until - NOW >= MINUTE


@given(specs, anything(Ordering) | anything(Staged) | anything(Installed), certificate_facts)
def test_an_order_begins_in_idle_only(its_spec, record, its_facts):
    """One order at a time: no other phase places one."""
    assert not isinstance(plan.decide(its_spec, record, its_facts, NOW), do.PlaceOrder)


@given(specs, anything(Staged), certificate_facts)
def test_what_is_staged_is_never_forced_by_the_certificate(its_spec, record, its_facts):
    """A certificate moves no link: only its server does, so no action of its own swaps."""
    action = plan.decide(its_spec, record, its_facts, NOW)
    assert isinstance(action, do.Wait | do.Reanchor | do.ConfirmStatus | do.Abandon | do.NoteSwapped | do.CleanUp)


@given(records)
def test_records_survive_the_disk(record):
    """JSON and back is the same record, in every phase."""
    assert msgspec.json.decode(msgspec.json.encode(record), type=CertificateRecord) == record


@given(st.lists(st.integers(0, 200_000).map(lambda s: NOW - s * SECOND), max_size=12), st.integers(1, 10))
def test_the_daily_ceiling(placed, per_day):
    """An order begins only if fewer than the ceiling were placed within the day before."""
    record = Idle(Ledger(orders=tuple(placed)))
    action = plan.decide(spec(orders_per_day=per_day), record, facts(None), NOW)
    recent = sum(at > NOW - DAY for at in placed)
    assert isinstance(action, do.PlaceOrder) == (recent < per_day)
    if isinstance(action, do.Wait):
        assert action.code is Code.DAILY_CEILING
        assert NOW < action.until <= NOW + DAY
