"""Orders and authorizations of the lab CA: their states, and what finalize accepts."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st
from lab_client import b64, make_csr

from certd.lab.objects import AUTHORIZATION_MOVES, ORDER_MOVES, Order, new_id
from certd.model.specs import KeyType


def test_an_order_begins_pending(client, moment):
    """RFC 8555 section 7.1.3; every order has authorizations of its own."""
    first, second = (client.order("a.example.jp", "b.example.jp") for _ in range(2))
    assert first.json["status"] == "pending"
    assert first.json["expires"] == "2026-11-30T09:00:00Z"
    assert [one["value"] for one in first.json["identifiers"]] == ["a.example.jp", "b.example.jp"]
    assert not set(first.json["authorizations"]) & set(second.json["authorizations"])
    authorization = client.post(first.json["authorizations"][0]).json
    assert authorization["identifier"] == {"type": "dns", "value": "a.example.jp"}
    assert [one["type"] for one in authorization["challenges"]] == ["http-01"]
    assert "certificate" not in first.json


@pytest.mark.parametrize(
    "name", ["example", "a..jp", "Example.jp", "-a.jp", "a_b.jp", "192.0.2.1", "日本.jp", "a.jp.", ""]
)
def test_invalid_names_are_refused(client, name):
    """Row 16 names the FQDN."""
    assert client.order(name).problem == (400, "malformed", f"The FQDN is invalid: [{name}]")


def test_identifiers_are_checked(ca, client):
    """Row 29 for other types, row 25 for wildcards and unregistered names, row 12 for what is none."""
    assert client.order("192.0.2.1", kind="ip").problem == (
        400,
        "unsupportedIdentifier",
        "An identifier is of an unsupported type",
    )
    refused = (400, "rejectedIdentifier", "The server will not issue certificates for the identifier")
    assert client.order("*.example.jp").problem == refused
    ca.options.registered = frozenset({"example.jp"})
    assert client.order("example.jp").status == 201
    assert client.order("other.example.jp").problem == refused
    ca.options.registered = None
    url = client.directory["newOrder"]
    for identifiers in (None, [], ["example.jp"], [{"type": "dns"}], [{"type": "dns", "value": "a.jp"}] * 2):
        assert client.post(url, {"identifiers": identifiers}).problem[2] == "The request information is invalid"
    one = [{"type": "dns", "value": "a.jp"}]
    assert client.post(url, {"identifiers": one, "notAfter": "2030-01-01T00:00:00Z"}).status == 400


def test_finalize_waits_for_ready(client, steps):
    """Row 24, with its 403, while the authorizations are pending."""
    order = client.order("example.jp")
    answer = client.post(order.json["finalize"], {"csr": make_csr(steps.key, "example.jp")})
    assert answer.problem == (
        403,
        "orderNotReady",
        "The request attempted to finalize an order that is not ready to be finalized",
    )


def test_finalize_works_once(client, steps):
    """Row 18 for an order that is past it."""
    url = steps.validated("example.jp")
    assert steps.finalize(url, "example.jp").status == 200
    assert steps.finalize(url, "example.jp").problem == (400, "malformed", "Unable to accept order")


def test_an_order_expires(client, steps, moment):
    """Row 17; read, it is invalid. A finalized one is seen through."""
    lost, finalized = steps.validated("a.example.jp"), steps.validated("b.example.jp")
    steps.finalize(finalized, "b.example.jp")
    moment.pass_(days=7)
    finalize = f"{lost}/finalize"
    csr = {"csr": make_csr(steps.key, "a.example.jp")}
    assert client.post(finalize, csr).problem == (400, "malformed", "Validity period of application has been expired")
    assert steps.status(lost) == "invalid"
    assert steps.status(finalized) == "processing"


def test_an_authorization_expires(ca, client, moment):
    """Row 19 for its challenge; its order is lost."""
    order = client.order("example.jp")
    (challenge,) = client.challenges(order)
    ca.options.order_valid_for *= 2
    later = client.order("example.jp")
    moment.pass_(days=7)
    expired = (400, "malformed", "Validity period of application has been expired")
    assert client.post(challenge["url"], {}).problem == expired
    assert client.post(later.json["authorizations"][0]).json["status"] == "expired"
    assert client.post(later.headers["location"]).json["status"] == "invalid"


def test_a_decided_authorization_takes_no_challenge(client, steps):
    """Row 20."""
    order = client.order("example.jp")
    (challenge,) = client.challenges(order)
    assert client.post(order.json["authorizations"][0], {"status": "deactivated"}).json["status"] == "deactivated"
    assert client.post(challenge["url"], {}).problem == (400, "malformed", "Unable to accept order")
    assert steps.status(order.headers["location"]) == "invalid"


KEY = ec.generate_private_key(ec.SECP256R1())


def test_the_csr_must_fit_the_order(ca, client, steps):
    """Row 3 for other names, the account's key, a key not accepted, a wrong signature; row 12 for no CSR at all."""
    names = ("a.example.jp", "b.example.jp")
    url = steps.validated(*names)
    unacceptable = (400, "badCSR", "The CSR is unacceptable")
    for others in (names[:1], (*names, "c.example.jp")):
        assert steps.finalize(url, *others).problem == unacceptable
    assert steps.finalize(url, *names, key=client.key).problem == unacceptable
    assert steps.finalize(url, *names, key=rsa.generate_private_key(65537, 1024)).problem == unacceptable
    ca.options.accepted_keys = frozenset({KeyType.RSA2048})
    assert steps.finalize(url, *names).problem == unacceptable
    assert ca.log[-1].why == "CSR: its key is not accepted"
    for csr in (None, "AA", make_csr(KEY, *names)[:-8]):
        assert client.post(f"{url}/finalize", {"csr": csr}).problem[2] == "The request information is invalid"
    assert steps.status(url) == "ready"
    assert steps.finalize(url, *names[::-1], key=rsa.generate_private_key(65537, 2048)).status == 200


def test_a_csr_must_be_signed_by_its_key(client, steps):
    """A bit turned in the signature is enough."""
    url = steps.validated("example.jp")
    csr = make_csr(KEY, "example.jp")
    der = bytearray(base64.urlsafe_b64decode(csr + "=" * (-len(csr) % 4)))
    der[-1] ^= 1
    assert client.post(f"{url}/finalize", {"csr": b64(bytes(der))}).status == 400
    assert steps.status(url) == "ready"


def test_an_order_is_its_owners_business(client, new_client, steps):
    """Row 27 for order, authorization, challenge and certificate; 404 for what does not exist."""
    certificate = steps.issued("example.jp")
    order = client.order("example.jp")
    stranger = new_client()
    stranger.register()
    (challenge,) = client.challenges(order)
    for url in (order.headers["location"], order.json["authorizations"][0], challenge["url"], certificate):
        assert stranger.post(url).problem[:2] == (401, "unauthorized")
        assert client.post(f"{url}0").status == 404


def test_a_name_in_capitals_fits_a_csr(client, steps):
    """RFC 8555 section 7.4: names are compared without regard to case."""
    url = steps.validated("example.jp")
    assert steps.finalize(url, "EXAMPLE.jp").status == 200


def test_retry_after_is_told_while_it_is_unfinished(ca, client, steps):
    """On pending and processing orders and pending authorizations, when configured; not once there is nothing to wait
    for."""
    ca.options.retry_after = 7
    order = client.order("example.jp")
    assert order.headers["retry-after"] == "7"
    assert client.post(order.json["authorizations"][0]).headers["retry-after"] == "7"
    url = steps.validated("example.jp")
    assert client.post(url).headers["retry-after"] is None
    assert steps.finalize(url, "example.jp").headers["retry-after"] == "7"


@given(st.sampled_from(sorted(ORDER_MOVES)), st.sampled_from(sorted(ORDER_MOVES)))
def test_orders_move_by_the_table(before, after):
    """RFC 8555 section 7.1.6: no other move is possible, and the end states are ends."""
    order = Order(new_id(), None, ("example.jp",), None, None, status=before)  # type: ignore[arg-type]
    if after in ORDER_MOVES[before]:
        order.move(after)
        assert order.status == after
    else:
        with pytest.raises(AssertionError):
            order.move(after)


def test_the_tables_are_closed():
    """Every state that can be reached has its own line."""
    for moves in (ORDER_MOVES, AUTHORIZATION_MOVES):
        assert set().union(*moves.values()) <= set(moves)
