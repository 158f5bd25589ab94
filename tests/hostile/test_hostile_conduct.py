"""A CA that is polite and gets nowhere: orders that never end, limits, answers that are lost, tokens that change."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable
from datetime import timedelta
from email.utils import format_datetime

import pytest
from hostility import URN, acme_problem, answer, field, header, reset_when_done, rewritten
from parts import Ask, Conversation, Fault, FaultProxy, Reply
from siege import Siege
from trials import recover, where

from certd.acme.client import NONCE_ATTEMPTS
from certd.model.codes import Kind
from certd.model.records import Idle, Ordering, Registered

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NAME = "h0.example.test"
MANY = int(os.environ.get("CERTD_HOSTILE_NAMES", "8"))
"""Names of which one is limited; `make hostile` takes a hundred."""

Besiege = Callable[..., Siege]


def about(name: str) -> Callable[[Ask], bool]:
    """A newOrder for this name."""
    return lambda ask: ask.endpoint == "newOrder" and name in json.dumps(ask.payload)


def never_finalized(talk: Conversation) -> Reply:
    """The request for the certificate is taken, thrown away, and the order is as ready as before."""
    url = f"https://{talk.ask.headers['host']}{talk.ask.path}"
    order = {"status": "ready", "identifiers": [], "authorizations": [], "finalize": url}
    return Reply(200, body=json.dumps(order).encode())


def changing_tokens() -> Fault:
    """Every look at the authorization shows another token: none of them is ever the one to answer."""
    numbers = itertools.count()

    def change(authorization: dict[str, object]) -> None:
        for challenge in authorization["challenges"]:  # type: ignore[attr-defined]
            challenge["token"] = f"{next(numbers):040d}"

    return rewritten(change)


def refused(*headers: tuple[str, str]) -> Fault:
    """newNonce gives nonces, and each of them is refused."""
    kind = ("Content-Type", "application/problem+json")
    reply = Reply(400, (kind, *headers), json.dumps({"type": f"{URN}badNonce"}).encode())
    return lambda talk: talk.forward() if talk.ask.method == "HEAD" else reply


# --- orders that never end --------------------------------------------------------------------------------------

ENDLESS: dict[str, tuple[str, Fault]] = {
    "pending": ("order", field(status="pending")),
    "of-a-later-status": ("order", field(status="contemplating")),
    "processing-before-finalize": ("order", field(status="processing")),
    "ready": ("order-finalized", field(status="ready", certificate=None)),
    "ready-again-and-again": ("finalize", never_finalized),
    "valid-without-a-certificate": ("order-finalized", field(status="valid", certificate=None)),
    "pending-after-finalize": ("order-finalized", field(status="pending", certificate=None)),
    "changing-tokens": ("authorization", changing_tokens()),
    "challenge-pending": ("authorization", field(status="pending")),
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_an_order_that_never_ends(besiege: Besiege, kind: str) -> None:
    """It is polled once a minute at most, nothing piles up, and in the end it goes on from where it is."""
    siege = besiege()
    place, fault = ENDLESS[kind]
    siege.proxy.strike(where(siege.proxy, place), fault)
    siege.sleep(6 * HOUR)
    assert siege.proxy.count() <= 4 * 6 * 60 + 100
    record = siege.record()
    assert record is not None
    assert len(record.ledger.presented) <= 20
    assert len(siege.challenge_files()) <= 20
    # A CA that calls an order ready and not ready in one breath may have it refused.
    recover(siege, finalized=siege.orders() + 1)


def test_endless_processing(besiege: Besiege) -> None:
    """Parked after a day and asked daily, while new orders are tried; when it is issued after all, it is used."""
    siege = besiege()
    siege.settle()
    old = siege.state().live
    assert old is not None
    siege.later_certificates()
    processing = field(status="processing", certificate=None)
    begin = siege.proxy.count("finalize")
    siege.proxy.strike(lambda ask: ask.endpoint == "order" and siege.proxy.count("finalize") > begin, processing)
    siege.proxy.strike("finalize", processing)
    siege.again()
    siege.until(lambda: isinstance(siege.record(), Ordering), "the order")
    siege.until(lambda: isinstance(siege.record(), Idle), "parked", within=2 * DAY)
    record = siege.record()
    assert record is not None
    assert record.ledger.failure is not None
    assert record.ledger.failure.code == "parked"
    (parked,) = record.ledger.parked
    assert siege.state().live == old, "what works goes on working"

    siege.restart()
    asked = len([ask for ask in siege.proxy.asked if ask.path.endswith(parked.order_url.rpartition("/")[2])])
    siege.proxy.strike("newOrder", answer(500))  # no other order comes between
    siege.proxy.relent()
    siege.proxy.strike("newOrder", answer(500))
    siege.until(lambda: siege.state().live != old, "the parked certificate to be adopted", within=2 * DAY)
    record = siege.record()
    assert record is not None
    assert record.ledger.parked == ()
    again = len([ask for ask in siege.proxy.asked if ask.path.endswith(parked.order_url.rpartition("/")[2])])
    assert again - asked <= 3, "asked daily"
    assert siege.files_outside() == []


@pytest.mark.parametrize("times", [1, 3])
def test_an_order_that_vanishes(besiege: Besiege, times: int) -> None:
    """404 for one order is a replica that lags, or for good: then another order is made, after its back-off."""
    siege = besiege()
    seen: list[str] = []

    def first(ask: Ask) -> bool:
        if ask.endpoint == "order":
            seen.append(ask.path)
        return ask.endpoint == "order" and ask.path == seen[0]

    siege.proxy.strike(first, acme_problem(404, "malformed", "No such order"), times=None if times > 1 else 1)
    siege.settle()
    assert siege.orders() == (2 if times > 1 else 1)
    assert len(siege.issued()) == 1


# --- nonces -----------------------------------------------------------------------------------------------------

NONCES: dict[str, tuple[Fault, tuple[str, ...]]] = {
    "refused-with-another": (refused(("Replay-Nonce", "YW5vdGhlci1vbmU")), ("acme:bad-nonce",)),
    "refused-with-none": (refused(), ("acme:bad-nonce",)),
    "always-the-same": (header("Replay-Nonce", "dGhlLXNhbWUtb25l"), ("acme:bad-nonce",)),
    "of-controls": (header("Replay-Nonce", "a\x1b[2Jb"), ("protocol:broken-answer",)),
    "not-base64url": (header("Replay-Nonce", "../../x?y=z"), ("protocol:broken-answer",)),
    "long": (header("Replay-Nonce", "n" * 30_000), ("protocol:broken-answer",)),
    "none-at-all": (header("Replay-Nonce", None), ("protocol:broken-answer",)),
}


@pytest.mark.parametrize("kind", NONCES)
def test_nonces_that_never_work(besiege: Besiege, kind: str) -> None:
    """A bounded number of sendings, then the back-off of a CA in trouble; when nonces work again, so does all."""
    siege = besiege()
    fault, codes = NONCES[kind]
    siege.proxy.strike(lambda ask: ask.method in ("POST", "HEAD"), fault)
    siege.until(siege.failure, "the failure")
    failure = siege.failure()
    assert failure is not None
    assert failure.code in codes
    assert failure.kind is Kind.TRANSIENT
    assert failure.text.isprintable()
    assert siege.proxy.count() <= 2 * NONCE_ATTEMPTS + 3
    siege.sleep(HOUR)
    assert siege.proxy.count() <= 8 * (2 * NONCE_ATTEMPTS + 3)
    recover(siege)


# --- limits -----------------------------------------------------------------------------------------------------


@pytest.mark.timeout(600 if MANY <= 8 else 3600)
@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_limit_for_one_name_among_many(besiege: Besiege, form: str) -> None:
    """It waits as long as the CA says, over a restart as well; all the others go on."""
    siege = besiege(MANY, new_orders=max(300, 2 * MANY))
    until = siege.now + 3 * DAY
    value = "259200" if form == "seconds" else format_datetime(until, usegmt=True)
    limited = acme_problem(429, "rateLimited", "too many certificates for this name", ("Retry-After", value))
    siege.proxy.strike(about(NAME), limited)
    siege.settle(*siege.names[1:], within=HOUR)
    failure = siege.state().failure
    assert failure is not None
    assert (failure.kind, failure.code) == (Kind.RATE_LIMITED, "acme:rate-limited")
    assert abs(failure.next_at - until) < 2 * MINUTE if failure.next_at else False
    asked = sum(map(about(NAME), siege.proxy.asked))
    siege.restart()
    siege.sleep(2 * DAY)
    assert sum(map(about(NAME), siege.proxy.asked)) == asked == 1
    siege.proxy.relent()
    siege.settle()
    assert siege.now - until < HOUR


def test_limits_for_three_names_hold_the_ca(besiege: Besiege) -> None:
    """Three certificates within ten minutes: it is the account, and nobody asks for a quarter of an hour."""
    siege = besiege(6)
    siege.proxy.strike("newOrder", acme_problem(429, "rateLimited", "slow down", ("Retry-After", "90")))
    siege.until(lambda: siege.held_until, "the hold", within=HOUR)
    asked = siege.proxy.count("newOrder")
    assert asked == 3
    siege.restart()
    siege.sleep(10 * MINUTE)
    assert siege.proxy.count("newOrder") == asked
    siege.proxy.relent()
    siege.settle()
    assert siege.problems() == {}


@pytest.mark.parametrize("place", ["directory", "newNonce", "order", "authorization"])
@pytest.mark.parametrize("status", [429, 503])
def test_a_limit_for_the_account(besiege: Besiege, place: str, status: int) -> None:
    """The whole CA is left alone for as long as it says, but for one cheap question an hour; over a restart as well."""
    siege = besiege(3)
    if place in ("directory", "newNonce"):
        siege.until(lambda: isinstance(siege.account(), Registered), "the account")
        siege.restart()  # nothing of either is remembered
    siege.proxy.strike(place, answer(status, b"", ("Retry-After", "14400")))
    siege.until(lambda: siege.held_until, "the hold", within=HOUR)
    siege.restart()
    asked = siege.proxy.count()
    siege.sleep(3 * HOUR)
    assert siege.proxy.count() - asked <= 30
    siege.proxy.relent()
    siege.settle()
    assert len(siege.issued()) == 3


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_poll_waits_as_long_as_the_ca_says(besiege: Besiege, form: str) -> None:
    """`processing` with a Retry-After: nobody asks before, not even after a restart."""
    siege = besiege()
    until = siege.now + 40 * MINUTE
    value = "2400" if form == "seconds" else format_datetime(until, usegmt=True)
    processing = field(status="processing", certificate=None)

    def later(talk: Conversation) -> Reply:
        reply = processing(talk)
        assert reply is not None
        return reply.with_header("Retry-After", value)

    siege.proxy.strike("finalize", later)
    siege.until(lambda: siege.proxy.count("finalize"), "the request for the certificate")
    siege.work()
    asked = siege.proxy.count("order")
    siege.restart()
    siege.sleep(39 * MINUTE)
    assert siege.proxy.count("order") == asked
    siege.settle(within=5 * MINUTE)
    assert len(siege.issued()) == siege.orders() == 1


@pytest.mark.parametrize("value", ["0", "-5", "1e9", "9" * 300, "soon", "Thu, 99 Xyz 2026 99:99:99 GMT", "\x7f", ""])
def test_a_retry_after_that_makes_no_sense(besiege: Besiege, value: str) -> None:
    """It is neither obeyed to the letter nor a reason to ask at once: a minute at least, a week at most."""
    siege = besiege()
    siege.proxy.strike("newOrder", acme_problem(429, "rateLimited", "x", ("Retry-After", value)))
    siege.until(siege.failure, "the failure")
    begin = siege.now
    siege.sleep(40 * timedelta(seconds=1))
    assert siege.proxy.count("newOrder") == 1
    siege.proxy.relent()
    siege.settle(within=9 * DAY)
    assert siege.now - begin <= 8 * DAY


# --- what is lost -----------------------------------------------------------------------------------------------


def spent(proxy: FaultProxy) -> int:
    """How often credentials were handed in."""
    registrations = [ask.payload for ask in proxy.asked if ask.endpoint == "newAccount"]
    return sum(1 for payload in registrations if "externalAccountBinding" in payload)


@pytest.mark.parametrize("crash", [False, True])
def test_a_registration_whose_answer_is_lost(besiege: Besiege, crash: bool) -> None:
    """The credentials are spent by it: the account is found by its key, and they are not asked for again."""
    siege = besiege()
    siege.proxy.strike("newAccount", reset_when_done, times=1)
    siege.until(siege.failure, "the loss")
    if crash:
        siege.restart()
    siege.settle()
    assert spent(siege.proxy) == 1
    assert siege.problems() == {}


def test_answers_that_are_lost_now_and_then(besiege: Besiege) -> None:
    """Every third answer of the CA gets lost: all names are served in the end, with few more orders."""
    siege = besiege(5)
    count = itertools.count(1)
    siege.proxy.strike(lambda ask: ask.method == "POST" and next(count) % 3 == 0, reset_when_done)
    siege.settle(within=5 * DAY)
    assert spent(siege.proxy) == 1
    assert 5 <= len(siege.issued()) <= 6
    assert siege.orders() <= 20
