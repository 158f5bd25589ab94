"""What certd does for an order, against a CA with the ways of JPRS."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from issuance import START, Issuance, is_key
from msgspec.structs import replace
from statedir import NAME

from certd import pki
from certd.effects.orders import OF_NO_USE, OrderRead
from certd.errors import StateError
from certd.lab.call import json_reply
from certd.lab.faults import LabProblem
from certd.lab.web import Reply
from certd.model import actions as do
from certd.model import events as ev
from certd.model import orders
from certd.model.codes import Because, Kind
from certd.model.orders import OrderFailed
from certd.model.records import Parked, Presented, Step, Timer
from certd.model.specs import KeyType

DAY = timedelta(days=1)
END = b"-----END CERTIFICATE-----"
PLACE = do.PlaceOrder(Because.NO_LIVE_CERTIFICATE)


def test_an_order_from_beginning_to_end(registered: Issuance):
    """newOrder, presentation, response, finalize, processing, download: a complete set lies below versions/."""
    record = registered.placed()
    read = registered.do(record, do.ReadOrder())
    assert isinstance(read.step, orders.Present)
    (task,) = read.step.tasks
    assert (task.identifier, task.type) == (NAME, "http-01")
    (place,) = read.places
    assert (place.solver, place.identifier, place.token) == ("http-01", NAME, task.token)

    record, _ = registered.presented(record)
    file = registered.webroot.path / ".well-known/acme-challenge" / task.token
    assert file.read_text().startswith(f"{task.token}.")
    assert registered.warnings == [None]
    assert isinstance(registered.step(record), orders.Respond)

    record, url = registered.validated(replace(record, placed=()))  # presented twice, as after a crash
    processing = registered.do(record, do.FinalizeOrder(url))
    assert isinstance(processing, OrderRead)
    assert processing.step == orders.Poll(processing=True)
    issued = None
    while issued is None:
        step = registered.step(record)
        issued = registered.do(record, do.DownloadCertificate(step.url)) if isinstance(step, orders.Download) else None
    assert isinstance(issued, ev.Issued)
    assert issued.leaf == registered.store.version_leaf(NAME, issued.version)
    assert issued.leaf.names == (NAME,)
    assert [one.serial for one in registered.lab.issued] == [issued.leaf.serial]

    assert registered.do(record, do.CleanUp((place,))) == ev.CleanedUp((task.token,))
    assert not file.exists()


def test_the_key_is_durable_before_the_order(registered: Issuance):
    """I5: it is there when newOrder fails, and the same one is used when it is tried again."""
    registered.lab.faults.inject(26, "newOrder")
    assert isinstance(registered.do(registered.begun(), PLACE), ev.Failed)
    key = registered.store.read_pending_key(NAME, "k1")
    assert is_key(key)
    registered.placed()
    assert registered.store.read_pending_key(NAME, "k1") == key


def test_a_lost_answer_to_finalize(registered: Issuance):
    """The order goes on at the CA: reading it again finds the certificate, for the key that is on disk."""
    record, url = registered.validated(registered.placed())
    registered.lab.faults.lose("finalize")
    failed = registered.do(record, do.FinalizeOrder(url))
    assert (failed.step, failed.kind) == (Step.FINALIZE, Kind.TRANSIENT)
    while not isinstance(step := registered.step(record), orders.Download):
        assert isinstance(step, orders.Poll)
    assert isinstance(registered.do(record, do.DownloadCertificate(step.url)), ev.Issued)


def test_a_request_that_changes_nothing(registered: Issuance):
    """A CA that takes the request and calls the order ready as before is asked later, not handed it again at once."""
    record, url = registered.validated(registered.placed())
    order = {"status": "ready", "identifiers": [], "authorizations": [], "finalize": url}
    registered.lab.faults.answer(json_reply(order, headers={"Retry-After": "7"}), "finalize")
    read = registered.do(record, do.FinalizeOrder(url))
    assert read.step == orders.Poll(processing=False, retry_after=timedelta(seconds=7))


def test_a_download_may_be_repeated(registered: Issuance):
    """A crash between the download and its record brings the same certificate again, as another version."""
    record, url = registered.finalized()
    first, second = (registered.do(record, do.DownloadCertificate(url)) for _ in range(2))
    assert first.leaf == second.leaf
    assert registered.store.versions(NAME) == [first.version, second.version]


def test_a_missing_key(registered: Issuance):
    """An order without its key cannot be finalized: another one is needed. Once issued, a person or time is needed."""
    record, url = registered.finalized()
    registered.store.drop_key(NAME, "k1")
    for action, expected in (
        (do.FinalizeOrder(url), (Step.FINALIZE, Kind.NEW_ORDER, "pki:key-unreadable")),
        (do.DownloadCertificate(url), (Step.STORE, Kind.OPERATOR, "broken-record")),
    ):
        failed = registered.do(record, action)
        assert (failed.step, failed.kind, failed.code) == expected
        assert "pending/k1.pem" in failed.text


@pytest.mark.parametrize(
    ("row", "on", "kind"),
    [
        (16, "newOrder", Kind.OPERATOR),
        (25, "newOrder", Kind.OPERATOR),
        (12, "newOrder", Kind.BUG),
        (26, "newOrder", Kind.TRANSIENT),
    ],
)
def test_what_the_ca_refuses(registered: Issuance, row: int, on: Any, kind: Kind):
    """A problem becomes an event with the kind of the failure and the CA's own words."""
    registered.lab.faults.inject(row, on, value="example.jp")
    failed = registered.do(registered.begun(), PLACE)
    assert (failed.step, failed.kind) == (Step.NEW_ORDER, kind)
    assert failed.code.startswith(("acme:", "jprs:"))


def test_a_retry_after_is_passed_on(registered: Issuance):
    """The CA's word on when to come back reaches the plan."""
    registered.lab.faults.inject(
        LabProblem("rateLimited", 429, "too many", headers={"Retry-After": "3600"}), "newOrder"
    )
    failed = registered.do(registered.begun(), PLACE)
    assert (failed.kind, failed.retry_after) == (Kind.RATE_LIMITED, timedelta(hours=1))


def test_a_validation_that_fails(registered: Issuance):
    """The CA calls the order invalid, and says why: a failure of validation."""
    record, action = registered.presented(registered.placed())
    (registered.webroot.path / ".well-known/acme-challenge" / action.tasks[0].token).unlink()
    record = replace(record, responded=registered.do(record, do.RespondToChallenges(action.tasks)).responded)
    while isinstance(step := registered.step(record), orders.Poll):
        pass
    assert isinstance(step, OrderFailed)
    ended = registered.do(record, do.EndOrder(step))
    assert isinstance(ended, ev.OrderEnded)
    assert (ended.failed.step, ended.failed.kind) == (Step.VALIDATION, Kind.VALIDATION)


def test_a_self_check_only_warns(registered: Issuance):
    """A response that cannot be seen from here is presented all the same, with a warning for the status."""
    registered.webroot.stop()
    registered.presented(registered.placed())
    (warning,) = registered.warnings
    assert warning is not None
    assert NAME in warning


def test_a_web_root_that_cannot_be_written(registered: Issuance):
    """It is for the operator, and names the place."""
    solver = replace(registered.spec.challenges[0][1], options={"webroot": str(registered.root / "config.yaml")})
    (registered.root / "config.yaml").write_text("")
    registered.spec = replace(registered.spec, challenges=(("*", solver),))
    record = registered.placed()
    read = registered.do(record, do.ReadOrder())
    failed = registered.do(record, do.PresentChallenges(read.step.tasks, read.places))
    assert (failed.step, failed.kind, failed.code) == (Step.PRESENT, Kind.OPERATOR, "challenge:not-presented")
    assert "config.yaml" in failed.text


def test_a_name_without_a_challenge(registered: Issuance):
    """Nothing is presented for a name that no solver is configured for: the order fails, for the operator."""
    record = registered.placed()
    registered.spec = replace(registered.spec, challenges=())
    step = registered.step(record)
    assert isinstance(step, OrderFailed)
    assert registered.do(record, do.EndOrder(step)).failed.kind is Kind.OPERATOR
    task = orders.Task("other.jp", False, "http-01", "https://ca/c", "token", "https://ca/z")
    failed = registered.do(record, do.PresentChallenges((task,), (Presented("http-01", "other.jp", "token", "{}"),)))
    assert failed.text == "no challenge is configured for other.jp"


def test_clean_up_goes_by_the_recorded_place(registered: Issuance):
    """Never by today's configuration; what cannot be removed is left for the next time."""
    record, action = registered.presented(registered.placed())
    registered.spec = replace(registered.spec, challenges=())
    bad = replace(action.places[0], token="other", place='{"webroot": "/proc/nowhere", "token": "x/y"}')
    cleaned = registered.do(record, do.CleanUp((*action.places, bad)))
    assert cleaned == ev.CleanedUp((action.places[0].token,))
    assert list((registered.webroot.path / ".well-known/acme-challenge").iterdir()) == []


def test_dropping_an_order_asks_nobody(registered: Issuance):
    """It is an event of our own."""
    before = len(registered.lab.log)
    ended = registered.do(registered.begun(), do.DropOrder("no-answer", "interrupted"))
    assert ended == ev.OrderEnded(ev.Failed(Step.NEW_ORDER, Kind.NEW_ORDER, "no-answer", "interrupted"))
    assert len(registered.lab.log) == before


# --- parked orders ----------------------------------------------------------------------------------------------


def parked(issuance: Issuance, url: str, key_id: str = "k1") -> Parked:
    asked = Timer(issuance.times(), issuance.times())
    return Parked(url, key_id, "jprs", issuance.ca.directory, asked, issuance.times() + 30 * DAY)


@pytest.mark.parametrize("moved", [True, False])
def test_a_parked_order_that_turned_valid(registered: Issuance, moved: bool):
    """I5: its certificate is adopted, wherever a crash left its key."""
    record, _ = registered.finalized()
    if moved:
        registered.store.park_key(NAME, "k1")
    event = registered.do(record, do.AskParked(parked(registered, record.order_url or "")))
    assert isinstance(event, ev.ParkedIssued)
    assert event.leaf == registered.store.version_leaf(NAME, event.version)


def test_a_parked_order_that_is_not_there_yet(registered: Issuance):
    """It is asked again, also when the CA cannot be reached; gone is only what can never come."""
    record = registered.placed()
    url = record.order_url or ""
    ask = do.AskParked(parked(registered, url))
    assert registered.do(record, ask) == ev.ParkedAsked(url, gone=False)
    registered.lab.faults.inject(26, "order")
    assert registered.do(record, ask) == ev.ParkedAsked(url, gone=False)
    elsewhere = do.AskParked(replace(parked(registered, url), ca="removed"))
    assert registered.do(record, elsewhere) == ev.ParkedAsked(url, gone=False)


@pytest.mark.parametrize(
    ("wanted", "later"),
    [
        ({"domains": ("other.jp",)}, 0 * DAY),
        ({"domains": (NAME, "other.jp")}, 0 * DAY),
        ({"key": KeyType.P384}, 0 * DAY),
        ({}, 1000 * DAY),
    ],
)
def test_a_parked_order_of_no_use(
    registered: Issuance, caplog: pytest.LogCaptureFixture, wanted: dict[str, Any], later: timedelta
):
    """What was issued for other names or another key type than are wanted now, or has expired, is of none for ever."""
    record, _ = registered.finalized()
    url = record.order_url or ""
    ask = do.AskParked(parked(registered, url))
    registered.spec = replace(registered.spec, **wanted)
    registered.times.now += later
    assert registered.do(record, ask) == ev.ParkedAsked(url, gone=True)
    assert registered.store.versions(NAME) == []
    assert "A parked order brought nothing usable: " in caplog.text


def test_what_is_of_no_use_has_codes_that_exist():
    """Those that certd.pki lists."""
    assert [code for code in OF_NO_USE if f"``{code}``" not in (pki.__doc__ or "")] == []


def test_a_parked_order_that_the_ca_calls_invalid(registered: Issuance):
    """It is gone: the CA will not issue any more."""
    record, _ = registered.finalized()
    url = record.order_url or ""
    order = {"status": "invalid", "identifiers": [], "authorizations": [], "finalize": url}
    registered.lab.faults.answer(json_reply(order), "order")
    assert registered.do(record, do.AskParked(parked(registered, url))) == ev.ParkedAsked(url, gone=True)


CHAINS = {
    "the leaf alone": lambda chain: chain[: chain.index(END) + len(END)] + b"\n",
    "cut off": lambda chain: chain[: len(chain) // 4],
    "the issuer first": lambda chain: chain[chain.index(END) + len(END) :].lstrip(),
    "the root in between": lambda chain: chain[: chain.index(END) + len(END)] + b"\n" + chain,
    "of no PEM block": lambda chain: b"-----BEGIN CERTIFICATE-----\nsorry\n-----END CERTIFICATE-----\n",
}


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)
def test_a_parked_order_with_an_odd_answer(registered: Issuance, caplog: pytest.LogCaptureFixture, chain: Any):
    """I5: one answer is no end. The order is kept, with a warning, and adopted once the CA delivers it whole."""
    record, url = registered.finalized()
    whole = registered.world._authorities.client("jprs").download(url)
    ask = do.AskParked(parked(registered, record.order_url or ""))
    registered.lab.faults.answer(Reply(200, chain(whole), "application/pem-certificate-chain"), "certificate")
    assert registered.do(record, ask) == ev.ParkedAsked(record.order_url or "", gone=False)
    assert "A parked order brought nothing usable yet" in caplog.text
    assert isinstance(registered.do(record, ask), ev.ParkedIssued)


@pytest.mark.parametrize("left", [None, b"", b"spoilt", "another key"], ids=["missing", "empty", "broken", "another"])
def test_a_parked_order_whose_key_is_restored(registered: Issuance, caplog: pytest.LogCaptureFixture, left: Any):
    """Without its key nothing comes of it, for now: docs/STATE.md has it restored from a backup."""
    record, _ = registered.finalized()
    ask = do.AskParked(parked(registered, record.order_url or ""))
    registered.store.park_key(NAME, "k1")
    path = registered.store.layout.parked_key(NAME, "k1")
    backup = path.read_bytes()
    path.unlink()
    if left is not None:
        path.write_bytes(pki.generate_key(KeyType.P256) if left == "another key" else left)
    assert registered.do(record, ask) == ev.ParkedAsked(record.order_url or "", gone=False)
    assert "A parked order brought nothing usable yet" in caplog.text
    assert left or "parked/k1.pem" in caplog.text
    path.write_bytes(backup)
    assert isinstance(registered.do(record, ask), ev.ParkedIssued)


# --- events of errors -------------------------------------------------------------------------------------------


def test_an_order_at_a_ca_that_is_gone(registered: Issuance):
    """An order waits for its CA to be configured again; the text says so."""
    record = replace(registered.placed(), ca="removed")
    failed = registered.do(record, do.ReadOrder())
    assert (failed.step, failed.kind) == (Step.STORE, Kind.TRANSIENT)
    assert "add it again" in failed.text
    assert registered.times() == START


def test_a_store_that_fails_is_ours(registered: Issuance):
    """What the disk does is not laid to the CA's charge."""
    record, url = registered.finalized()
    registered.store.close()
    failed = registered.do(record, do.DownloadCertificate(url))
    assert (failed.step, failed.code) == (Step.STORE, StateError.code)
    assert registered.heard == []
