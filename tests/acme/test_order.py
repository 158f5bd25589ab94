"""certd.acme.order: the state machine of RFC 8555 section 7.1.6 as a table."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certd.acme.messages import Authorization, Challenge, Identifier, Order
from certd.acme.order import AUTHORIZATION_GONE, NO_CHALLENGE, next_step
from certd.acme.problem import Problem
from certd.model.orders import Download, Finalize, OrderFailed, OrderStep, Poll, Present, Respond, Task, WaitReady

ACME = "urn:ietf:params:acme:error:"
LATER = timedelta(seconds=5)


def order(status: str = "pending", **more: Any) -> Order:
    fields: dict[str, Any] = {"identifiers": (), "authorizations": (), "finalize": "https://ca.example/finalize"}
    return Order(status=status, **(fields | more))


def challenge(name: str, status: str = "pending", type: str = "http-01", error: Problem | None = None) -> Challenge:
    return Challenge(type, f"https://ca.example/{name}/{type}", status, token=f"token-of-{name}-{type}", error=error)


def authorization(name: str, status: str = "pending", *challenges: Challenge, wildcard: bool = False) -> Authorization:
    offered = challenges or (challenge(name, type="dns-01"), challenge(name))
    return Authorization(Identifier("dns", name), status, offered, f"https://ca.example/{name}", wildcard)


def task(name: str) -> Task:
    offered = challenge(name)
    return Task(name, False, "http-01", offered.url, offered.token, f"https://ca.example/{name}")


def step(one: Order, *authorizations: Authorization, wanted: str | None = "http-01", **more: Any) -> OrderStep:
    more.setdefault("presented", ())
    return next_step(one, authorizations, solver_for=lambda name, wildcard: wanted, retry_after=LATER, **more)


A, B = task("a.jp"), task("b.jp")
BOTH = (authorization("a.jp"), authorization("b.jp"))


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (order("ready"), Finalize("https://ca.example/finalize")),
        (order("processing"), Poll(processing=True, retry_after=LATER)),
        (order("valid", certificate="https://ca.example/cert"), Download("https://ca.example/cert")),
        (order("valid"), Poll(processing=True, retry_after=LATER)),
        (order("on-hold"), Poll(processing=False, retry_after=LATER)),
        (order("pending"), Poll(processing=False, retry_after=LATER)),
    ],
)
def test_order_states(one: Order, expected: OrderStep) -> None:
    """Each status of RFC 8555 section 7.1.6; valid without a certificate is no success; unknown ones are polled."""
    assert step(one, authorization("a.jp", "valid")) == expected


def test_present_then_respond_then_poll() -> None:
    """All challenges of an order go together, and each is responded to once."""
    assert step(order(), *BOTH) == Present((A, B))
    assert step(order(), *BOTH, presented={A.token}) == Present((B,))
    presented = {A.token, B.token}
    assert step(order(), *BOTH, presented=presented, not_ready={B.token}) == WaitReady((B,))
    assert step(order(), *BOTH, presented=presented) == Respond((A, B))
    assert step(order(), *BOTH, presented=presented, responded={A.token}) == Respond((B,))
    assert step(order(), *BOTH, presented=presented, responded=presented) == Poll(False, LATER)


@pytest.mark.parametrize("status", ["processing", "valid", "thinking"])
def test_a_challenge_under_way_is_polled(status: str) -> None:
    """A challenge that the CA works on, or whose status is unknown, is not responded to again."""
    one = authorization("a.jp", "pending", challenge("a.jp", status))
    assert step(order(), one, presented={A.token}) == Poll(False, LATER)


def test_valid_and_unknown_authorizations_need_nothing() -> None:
    """Only pending ones have tasks."""
    assert step(order(), authorization("a.jp", "valid"), authorization("b.jp")) == Present((B,))
    assert step(order(), authorization("a.jp", "paused")) == Poll(False, LATER)


def test_the_solver_is_asked_with_name_and_wildcard() -> None:
    """The identifier is without ``*.``; whether it is a wildcard is said apart."""
    asked = []

    def solver_for(name: str, wildcard: bool) -> str:
        asked.append((name, wildcard))
        return "dns-01"

    answer = next_step(order(), [authorization("a.jp", wildcard=True)], solver_for=solver_for, presented=())
    assert asked == [("a.jp", True)]
    assert isinstance(answer, Present)
    assert (answer.tasks[0].wildcard, answer.tasks[0].type) == (True, "dns-01")


def test_no_way_to_prove_control_is_the_operators() -> None:
    """Nothing configured, or not offered: the text says what there is."""
    failed = step(order(), authorization("a.jp"), wanted="tls-alpn-01")
    assert isinstance(failed, OrderFailed)
    assert (failed.problem_type, failed.identifier) == (NO_CHALLENGE, "a.jp")
    assert "it offers: dns-01, http-01" in failed.text
    failed = step(order(), authorization("a.jp", wildcard=True), wanted=None)
    assert isinstance(failed, OrderFailed)
    assert "*.a.jp: no challenge is configured" in failed.text


CONNECTION = Problem(ACME + "connection", "timeout to 192.0.2.1:80", 400)
DNS = Problem(ACME + "dns", "SERVFAIL", 400)
OF_ORDER = Problem(ACME + "unauthorized", "some authorization failed", 403)


@pytest.mark.parametrize("status", ["pending", "invalid"])
def test_a_challenges_error_is_the_most_telling(status: str) -> None:
    """It is preferred to the order's own, and seen already while the order is still pending."""
    failed = step(
        order(status, error=OF_ORDER),
        authorization("a.jp", "valid"),
        authorization(
            "b.jp", "invalid", challenge("b.jp", type="dns-01"), challenge("b.jp", "invalid", error=CONNECTION)
        ),
        authorization("c.jp", "invalid", challenge("c.jp", "invalid", error=DNS)),
    )
    text = "b.jp: http-01: timeout to 192.0.2.1:80 (also failed: c.jp)"
    assert failed == OrderFailed(ACME + "connection", text, 400, "b.jp", validation=True)


def test_an_invalid_challenge_ends_a_pending_authorization() -> None:
    """RFC 8555 section 7.1.6: it never becomes valid again, so waiting for the authorization to follow is idle."""
    one = authorization("a.jp", "pending", challenge("a.jp", "invalid", error=DNS))
    failed = step(order(), one)
    assert failed == OrderFailed(ACME + "dns", "a.jp: http-01: SERVFAIL", 400, "a.jp", validation=True)
    failed = step(order(), authorization("a.jp", "pending", challenge("a.jp", "invalid")))
    assert isinstance(failed, OrderFailed)
    assert (failed.problem_type, failed.validation) == ("", True)


def test_without_a_challenges_error_the_orders_own_is_told() -> None:
    """With the identifier from its subproblems, if it has any."""
    silent = authorization("a.jp", "invalid", challenge("a.jp", "invalid"))
    failed = step(order("invalid", error=OF_ORDER), silent)
    assert failed == OrderFailed(OF_ORDER.type, OF_ORDER.detail, 403)
    compound = Problem(ACME + "compound", "several", 403, (("a.jp", "caa: forbidden"),))
    failed = step(order("invalid", error=compound))
    assert failed == OrderFailed(compound.type, "several; a.jp: caa: forbidden", 403, "a.jp")


def test_no_reason_at_all() -> None:
    """It says that none was given; nothing is taken for success."""
    failed = step(order("invalid"), authorization("a.jp", "invalid", challenge("a.jp", "invalid")))
    assert isinstance(failed, OrderFailed)
    assert (failed.problem_type, failed.identifier, failed.validation) == ("", "a.jp", True)
    assert step(order("invalid")) == OrderFailed("", "the order is invalid and the CA does not say why")


@pytest.mark.parametrize("status", ["expired", "revoked", "deactivated"])
def test_an_authorization_that_is_gone_ends_the_order(status: str) -> None:
    """A new order is the way on."""
    failed = step(order(), authorization("a.jp", status))
    assert isinstance(failed, OrderFailed)
    assert (failed.problem_type, failed.identifier) == (AUTHORIZATION_GONE, "a.jp")
    assert status in failed.text


def test_many_failures_stay_one_sentence() -> None:
    """A hundred failed names do not flood the text."""
    many = [authorization(f"n{i}.jp", "invalid", challenge("x", "invalid", error=DNS)) for i in range(100)]
    failed = step(order("invalid"), *many)
    assert isinstance(failed, OrderFailed)
    assert "(also failed: n1.jp, n2.jp, n3.jp, n4.jp, n5.jp and 94 more)" in failed.text


statuses = st.sampled_from(["pending", "processing", "ready", "valid", "invalid", "expired", "revoked", "novel"])


@given(
    statuses,
    st.lists(st.tuples(statuses, statuses, st.booleans()), max_size=4),
    st.sampled_from(["http-01", None]),
    st.booleans(),
)
def test_every_combination_has_an_answer(
    status: str, parts: list[tuple[str, str, bool]], wanted: str | None, certificate: bool
) -> None:
    """Download only for a valid order with a certificate; Finalize only when ready; tasks only when pending."""
    one = order(status, certificate="https://ca.example/cert" if certificate else None)
    given_authorizations = [
        authorization(f"n{i}.jp", of, challenge(f"n{i}.jp", inner, error=DNS if error else None))
        for i, (of, inner, error) in enumerate(parts)
    ]
    answer = step(one, *given_authorizations, wanted=wanted)
    assert isinstance(answer, Download) == (status == "valid" and certificate)
    assert isinstance(answer, Finalize) == (status == "ready")
    if isinstance(answer, Present | Respond):
        assert status == "pending"
    if status == "invalid":
        assert isinstance(answer, OrderFailed)
