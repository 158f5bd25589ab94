"""What is under way, what failed, and all of it in one line."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from views import (
    DAY,
    NOW,
    account,
    certificate,
    failure,
    installed,
    leaf,
    ledger,
    ordering,
    server,
    spec,
    staged,
    timer,
    view,
)

from certd.engine import progress
from certd.model.codes import Kind
from certd.model.facts import AccountState, CaFacts
from certd.model.records import (
    AccountLedger,
    AccountRefused,
    Activity,
    Deploying,
    DeployStage,
    Idle,
    KeyWritten,
    OcspCheck,
    OcspWord,
    Presented,
    Request,
    Settled,
)
from certd.model.view import Tally

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
FAILED = failure()
PENDING = {"ca": CaFacts(account=AccountState.PENDING)}
GOOD = OcspCheck(OcspWord.GOOD, NOW)
SECTION = Deploying(Settled(4, 3), 4, (), (), True, (), DeployStage.LOADING, NOW, timer(MINUTE))
REFUSED = AccountRefused("https://ca.example.jp/", AccountLedger(failure=FAILED), timer(HOUR))


def lines(*certificates: Any, beyond_gates: bool = True, **parts: Any) -> list[str]:
    shown = view([certificate(**one) for one in certificates], **parts)
    return progress.under_way(shown, NOW, beyond_gates=beyond_gates)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ({}, None),
        ({"left": DAY}, "work is due"),
        ({"record": Idle(ledger(presented=(Presented("http-01", "a", "t", "{}"),)))}, "work is due"),
        ({"record": Idle(ledger(probe=timer(timedelta(0))))}, None),
        ({"record": Idle(ledger(status_check=timer(timedelta(0))))}, None),
        ({"record": ordering()}, "an order is under way"),
        ({"record": ordering(ledger=ledger(failure=FAILED), poll=timer(MINUTE))}, "an order is under way"),
        ({"record": ordering(ledger=ledger(failure=FAILED), poll=timer(HOUR))}, None),
        ({"record": staged()}, "issued, goes live by 12:08:00 UTC (ocsp-delay)"),
        ({"record": staged(opened=True)}, "its server is to load it"),
        ({"record": installed()}, "its server is to load it"),
        ({"left": DAY, "facts": PENDING}, "waiting (account-pending)"),
        ({"left": DAY, "broken": "the disk is full"}, None),
        ({"left": DAY, "spec": None}, None),
        ({"left": DAY, "record": None, "broken": "broken"}, None),
    ],
)
def test_under_way(shown, expected):
    """What goes on by itself soon; neither a back-off nor a daily look is worth staying for."""
    record = shown.pop("record", Idle(ledger()))
    one = certificate(record=record, **{key: shown[key] for key in shown if key != "record"})
    found = progress.under_way(view([one]), NOW, beyond_gates=True)
    assert found == ([f"example.jp: {expected}"] if expected and record is not None else [])


def test_up_to_the_gate():
    """Without waiting for gates, a staged set is the end of it; one whose gate is open is not."""
    assert lines({"record": staged()}, beyond_gates=False) == []
    assert lines({"record": staged(opened=True)}, beyond_gates=False) == ["example.jp: its server is to load it"]


@pytest.mark.parametrize(
    "gave_up", [server(Activity.INACTIVE), server(failure=FAILED), server(wanted=4, failure=FAILED)]
)
def test_a_server_that_gave_up(gave_up):
    """A stopped server, or one that backs off, is not waited for."""
    for record in (staged(opened=True), installed()):
        assert lines({"record": record}, servers=[gave_up]) == []


def test_a_refused_account():
    """Nobody waits for an account that failed."""
    waiting = {"left": DAY, "facts": PENDING}
    assert lines(waiting, accounts=[account(REFUSED)]) == []
    assert lines(waiting, accounts=[account(KeyWritten("https://ca/", AccountLedger()))]) != []
    assert lines(waiting, accounts=[account(KeyWritten("https://ca/", AccountLedger(failure=FAILED)))]) == []


def test_a_server_that_loads():
    """A section is waited for, whatever its certificates do."""
    loading = server()
    loading = type(loading)(loading.spec, SECTION, Activity.ACTIVE)
    assert lines({}, servers=[loading]) == ["server web is loading"]


def test_failures():
    """One line for each thing that somebody has to mend."""
    shown = view(
        [
            certificate(),
            certificate(name="failing", record=Idle(ledger(failure=FAILED))),
            certificate(name="broken", broken="the record is broken"),
            certificate(name="none", left=None),
            certificate(name="coming", left=None, record=ordering()),
            certificate(name="foreign", left=None, spec=None),
        ],
        servers=[server(), server(failure=failure(Kind.OPERATOR, text="syntax error"))],
        accounts=[account(REFUSED)],
    )
    assert progress.failures(shown, NOW) == [
        "jprs: refused",
        "failing: refused",
        "broken: the record is broken",
        "none: there is no certificate yet",
        "server web: syntax error",
    ]


def test_a_renewal_that_is_due_and_has_to_wait():
    """`certd once` does not call that done; an operator's hold is the operator's own."""
    asked = ledger(requested=Request(NOW))
    held = CaFacts(account=AccountState.READY, held_until=NOW + timedelta(days=1), permit=True)
    shown = certificate(record=Idle(asked), facts={"ca": held})
    assert progress.failures(view([shown]), NOW) == [f"{shown.name}: a renewal is due, but has to wait (ca-held)"]


def test_no_failures():
    """All is well, also while a deployment runs."""
    loading = server()
    assert progress.failures(view(servers=[type(loading)(loading.spec, SECTION, Activity.ACTIVE)]), NOW) == []


def test_summary():
    """What is live, what is being renewed, and that the configuration needs a look."""
    tally = Tally(managed=3, live=2, busy=1, unread=0, config_error=False)
    assert progress.summary(tally) == "2 of 3 certificates live, 1 being renewed"
    started = Tally(managed=3, live=0, busy=0, unread=3, config_error=True)
    assert progress.summary(started) == (
        "0 of 3 certificates live, 0 being renewed, 3 not read yet; the configuration file has mistakes"
    )


def test_a_good_answer_is_not_waited_for_twice():
    """A staged set whose gate a good answer has opened waits for its server alone."""
    record = staged(activate=timer(timedelta(0)), check=GOOD, next_check=timer(8 * MINUTE), leaf=leaf(serial="beef"))
    assert lines({"record": record, "spec": spec()}) == ["example.jp: its server is to load it"]
