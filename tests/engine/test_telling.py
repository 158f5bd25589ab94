"""The log: one sentence for each transition that an operator would want to know of."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from views import DAY, LIFE, NOW, ca, installed, leaf, ledger, ordering, server, spec, staged, timer

from certd.engine import telling
from certd.logs import LineFormatter
from certd.model import actions as do
from certd.model import events as ev
from certd.model.codes import Because, Kind
from certd.model.records import (
    AccountLedger,
    AccountRefused,
    BatchSet,
    Blame,
    Failure,
    Idle,
    KeyWritten,
    OcspCheck,
    OcspWord,
    Registered,
    Rejection,
    Served,
    Settled,
    Step,
    Unusable,
)

NEW = leaf(LIFE, serial="beef")
SERVER = server().spec
INFO, WARNING, ERROR, DEBUG = logging.INFO, logging.WARNING, logging.ERROR, logging.DEBUG


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Any:
    """The only line that was logged: its level and its text."""
    caplog.set_level(logging.DEBUG)

    def only() -> tuple[int, str]:
        (record,) = caplog.records
        return record.levelno, LineFormatter(journal=True).format(record)

    return only


def failed(kind: Kind) -> ev.Failed:
    return ev.Failed(Step.NEW_ORDER, kind, "code", "The CA said no")


@pytest.mark.parametrize(
    ("event", "after", "level", "text"),
    [
        (ev.Issued(8, NEW), staged(), INFO, "Issued."),
        (ev.ParkedIssued("https://ca/o", 8, NEW), staged(), INFO, "Issued."),
        (ev.ParkedIssued("https://ca/o", 8, NEW), Idle(ledger()), INFO, "not used"),
        (ev.StatusChecked(OcspCheck(OcspWord.UNKNOWN, NOW)), staged(), INFO, "OCSP answers unknown."),
        (ev.Swapped(()), installed(), INFO, "Swapped"),
        (ev.Confirmed(), Idle(ledger()), INFO, "Live and confirmed."),
        (ev.GivenBack(), staged(), WARNING, "gave the new set back"),
        (ev.Abandoned("expired", "it expired"), Idle(ledger()), WARNING, "abandoned: it expired."),
        (failed(Kind.TRANSIENT), Idle(ledger()), WARNING, "The CA said no."),
        (failed(Kind.TRANSIENT), ordering(), WARNING, "The CA said no."),
        (failed(Kind.OPERATOR), Idle(ledger()), ERROR, "The CA said no."),
        (failed(Kind.ACCOUNT), Idle(ledger()), ERROR, "The CA said no."),
        (failed(Kind.BUG), Idle(ledger()), ERROR, "The CA said no."),
        (ev.OrderEnded(failed(Kind.VALIDATION)), Idle(ledger()), WARNING, "The CA said no."),
        (ev.OrderParked(), Idle(ledger()), WARNING, "parked"),
        (ev.RevocationChecked("0a1b", OcspWord.REVOKED), Idle(ledger(revoked="0a1b")), WARNING, "revoked"),
        (ev.RevocationChecked("0a1b", OcspWord.GOOD), Idle(ledger()), DEBUG, "RevocationChecked"),
        (ev.RenewRequested(), Idle(ledger()), INFO, "asked for a renewal"),
        (ev.RollbackRequested(6, NEW, 7, NOW + DAY), staged(), WARNING, "rolled back"),
        (ev.Reanchored(), Idle(ledger()), WARNING, "clock was set back"),
        (ev.Probed(Served("0a1b", NOW)), Idle(ledger()), DEBUG, "Probed"),
    ],
)
def test_of_a_certificate(said, event, after, level, text):
    """Each in one line that names it; what goes well is information, what somebody should see a warning or error."""
    telling.certificate(spec(), Idle(ledger()), event, after)
    assert said()[0] == level
    assert text in said()[1]
    assert "example.jp" in said()[1]


def test_the_same_answer_again(said):
    """A responder that says the same as before is not worth a line of its own."""
    check = OcspCheck(OcspWord.UNKNOWN, NOW)
    telling.certificate(spec(), staged(check=check), ev.StatusChecked(check), staged(check=check))
    assert said()[0] == DEBUG


@pytest.mark.parametrize(
    ("action", "record", "text"),
    [
        (do.PlaceOrder(Because.REVOKED), ordering(), "An order is placed."),
        (do.FinalizeOrder("https://ca/f"), ordering(), "The order is ready"),
    ],
)
def test_of_an_intent(said, action, record, text):
    """Before it is done."""
    telling.begun(spec(), action, record)
    assert said()[0] == INFO
    assert text in said()[1]


PARTS = tuple(BatchSet(f"n{number}.jp", 2, 1, "f") for number in range(7))


@pytest.mark.parametrize(
    ("action", "level", "text"),
    [
        (do.Deploy(PARTS, (), True, ()), INFO, "n0.jp,n1.jp,n2.jp,n3.jp,n4.jp and 2 more"),
        (do.ReloadServer(), INFO, "Reloading."),
        (do.StartServer(), WARNING, "starting it"),
        (do.SwapLinks(PARTS), DEBUG, "SwapLinks"),
    ],
)
def test_of_a_step_of_a_deployment(said, action, level, text):
    """Many names are counted, not listed."""
    telling.server_begun(SERVER, action)
    assert said()[0] == level
    assert text in said()[1]
    assert "web" in said()[1]


@pytest.mark.parametrize(
    ("event", "after", "level", "text"),
    [
        (ev.SectionConfirmed(), Settled(), INFO, "Reloaded and verified."),
        (ev.SectionLeft("reload-ineffective", "the old one"), Settled(), WARNING, "stays owed: the old one."),
        (ev.TakenBack(Blame.REGRESSION, "harm"), Settled(), ERROR, "taken back: harm."),
        (ev.CommandRefused("exit 1"), Settled(), ERROR, "exit 1"),
        (ev.BlameSettled(), Settled(rejections=(Rejection("a.jp", 2, timer(DAY), ""),)), ERROR, "a.jp"),
        (ev.AfterRun("a.jp", "exit 2"), Settled(), ERROR, "exit 2"),
        (ev.AfterRun("a.jp"), Settled(), DEBUG, "AfterRun"),
        (ev.LinksSwapped(()), Settled(), DEBUG, "LinksSwapped"),
    ],
)
def test_of_a_server(said, event, after, level, text):
    """What came of a deployment."""
    telling.server(SERVER, event, after)
    assert said()[0] == level
    assert text in said()[1]


def test_of_sets_without_a_virtual_host(caplog):
    """Confirmed, with a warning that names them."""
    caplog.set_level(logging.DEBUG)
    telling.server(SERVER, ev.SectionConfirmed(("a.jp",)), Settled())
    assert [record.levelno for record in caplog.records] == [INFO, WARNING]
    assert "names=a.jp" in LineFormatter(journal=True).format(caplog.records[1])


FAILURE = Failure(Step.ACCOUNT, Kind.OPERATOR, "code", "no such kid", NOW, NOW)
LEDGER = AccountLedger(failure=FAILURE)
WRITTEN = KeyWritten("https://ca/", AccountLedger())
REGISTERED = Registered("https://ca/", "https://ca/1", NOW, AccountLedger())


@pytest.mark.parametrize(
    ("before", "event", "after", "level", "text"),
    [
        (WRITTEN, ev.AccountKnown("https://ca/1"), REGISTERED, INFO, "without external account binding"),
        (REGISTERED, ev.AccountKnown("https://ca/1"), REGISTERED, DEBUG, "AccountKnown"),
        (WRITTEN, failed(Kind.OPERATOR), AccountRefused("https://ca/", LEDGER, timer(DAY)), ERROR, "no such kid"),
        (
            REGISTERED,
            ev.AccountUnknown("c", "t"),
            Unusable("https://ca/", "u", LEDGER, timer(DAY)),
            ERROR,
            "no such kid",
        ),
        (WRITTEN, failed(Kind.TRANSIENT), WRITTEN, WARNING, "could not be asked"),
        (REGISTERED, ev.CaLimited(DAY, "slow down"), REGISTERED, WARNING, "slow down"),
    ],
)
def test_of_an_account(said, before, event, after, level, text):
    """That it works, that it does not, that it is held off."""
    telling.account(ca(), before, event, after)
    assert said()[0] == level
    assert text in said()[1]
    assert "jprs" in said()[1]
