"""certd.acme.messages: the CA's objects from bytes that may be anything."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certd.acme import messages
from certd.errors import CertdError, InsecureUrl, ProtocolError

TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"

ORDER: dict[str, Any] = {
    "status": "pending",
    "expires": "on the 24th",  # of no use to certd, so its form does not matter
    "identifiers": [{"type": "dns", "value": "Example.JP"}, {"type": "dns", "value": "*.example.jp"}],
    "authorizations": ["https://ca.example/authz/1", "https://other.example/authz/2"],
    "finalize": "https://ca.example/finalize/1",
}
CHALLENGE: dict[str, Any] = {
    "type": "http-01",
    "url": "https://ca.example/chall/1",
    "status": "pending",
    "token": TOKEN,
}
AUTHORIZATION: dict[str, Any] = {
    "identifier": {"type": "dns", "value": "example.jp"},
    "status": "pending",
    "challenges": [CHALLENGE],
}
DIRECTORY: dict[str, Any] = {
    "newNonce": "https://ca.example/nonce",
    "newAccount": "https://ca.example/account",
    "newOrder": "https://ca.example/order",
    "renewalInfo": "https://ca.example/ari",
    "meta": {
        "termsOfService": "http://ca.example/terms",
        "externalAccountRequired": True,
        "caaIdentities": ["CA.example"],
    },
}


def as_bytes(base: dict[str, Any], /, **changes: Any) -> bytes:
    return json.dumps(base | changes).encode()


def test_directory() -> None:
    """All URLs are read; the terms may be plain http, as only a person opens them; unknown keys do not matter."""
    directory = messages.parse_directory(as_bytes(DIRECTORY, AFN4nIv="https://community.example/"))
    assert directory.new_order == "https://ca.example/order"
    assert directory.renewal_info == "https://ca.example/ari"
    assert directory.terms_of_service == "http://ca.example/terms"
    assert directory.external_account_required
    assert directory.caa_identities == ("ca.example",)
    assert directory.revoke_cert is None


def test_order() -> None:
    """Names are lower case; the answer's Retry-After travels with the order."""
    order = messages.parse_order(as_bytes(ORDER), retry_after=timedelta(seconds=7))
    assert [one.value for one in order.identifiers] == ["example.jp", "*.example.jp"]
    assert order.authorizations == ("https://ca.example/authz/1", "https://other.example/authz/2")
    assert order.certificate is None
    assert order.error is None
    assert order.retry_after == timedelta(seconds=7)


@pytest.mark.parametrize("identities", [None, "ca.example", {"a": 1}, 7, [None, 5, "a b", "\x1b[31m", "x" * 300]])
def test_caa_identities_of_any_shape(identities: Any) -> None:
    """They only help to explain a refusal: their form costs no order."""
    assert messages.parse_directory(as_bytes(DIRECTORY, meta={"caaIdentities": identities})).caa_identities == ()


def test_unknown_status_and_fields_are_tolerated() -> None:
    """RFC 8555 may grow: an unknown status is kept, unknown fields are passed over."""
    assert messages.parse_order(as_bytes(ORDER, status="suspended", star={"a": 1})).status == "suspended"


def test_order_error_of_any_shape() -> None:
    """A malformed `error` never hides the order it is in."""
    assert messages.parse_order(as_bytes(ORDER, error="no")).error is not None
    error = messages.parse_order(as_bytes(ORDER, error={"type": "urn:ietf:params:acme:error:caa", "status": 403})).error
    assert error is not None
    assert (error.short_type, error.status) == ("caa", 403)


def test_authorization() -> None:
    """Challenges come with it; types that certd does not know need no token."""
    unknown = {"type": "moon-01", "url": "https://ca.example/chall/2", "status": "pending", "token": "../x"}
    body = as_bytes(AUTHORIZATION, challenges=[CHALLENGE, unknown], wildcard=True)
    authorization = messages.parse_authorization(body, url="https://ca.example/authz/1")
    assert authorization.url == "https://ca.example/authz/1"
    assert authorization.wildcard
    assert [(one.type, one.token) for one in authorization.challenges] == [("http-01", TOKEN), ("moon-01", "")]


def test_wildcard_prefix_left_in_an_authorization() -> None:
    """A CA that writes ``*.`` into the identifier means `wildcard`."""
    body = as_bytes(AUTHORIZATION, identifier={"type": "dns", "value": "*.example.jp"})
    authorization = messages.parse_authorization(body, url="https://ca.example/authz/1")
    assert (authorization.identifier.value, authorization.wildcard) == ("example.jp", True)


def test_account() -> None:
    """Contacts are kept; a missing status is no reason to lose a registration that spent credentials."""
    account = messages.parse_account(b'{"status": "deactivated", "contact": ["mailto:a@example.jp"]}')
    assert account == messages.Account("deactivated", ("mailto:a@example.jp",))
    assert messages.parse_account(b"{}").status == "valid"


@pytest.mark.parametrize("token", ["../../../../etc/cron.d/x", "short", TOKEN + "=", TOKEN + "/..", "", None, 5])
def test_unsafe_token_is_refused(token: Any) -> None:
    """A token becomes a file name or a DNS record: only base64url of sufficient length is one."""
    with pytest.raises(ProtocolError, match="`token`"):
        messages.parse_challenge(as_bytes(CHALLENGE, token=token))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"status": 5}, "`status` must be a string"),
        ({"status": None}, "`status` is missing"),
        ({"status": "a\nb"}, "`status` must be 1 to 64 printable"),
        ({"finalize": None}, "`finalize` is missing"),
        ({"finalize": []}, "`finalize` must be a string"),
        ({"authorizations": "x"}, "`authorizations` must be a list"),
        ({"authorizations": [1]}, "`authorizations` must hold strings"),
        ({"authorizations": ["https://ca.example/1"] * 1001}, "at most 1000"),
        ({"identifiers": None}, "`identifiers` is missing"),
        ({"identifiers": ["x"]}, "`identifiers` must hold objects"),
        ({"identifiers": [{"type": "dns", "value": "a/../b"}]}, "not a host name"),
        ({"identifiers": [{"type": "ip", "value": "300.1.1.1"}]}, "not an IP address"),
    ],
)
def test_wrong_types_are_said_clearly(changes: dict[str, Any], said: str) -> None:
    """One sentence: which object, which field, what it must be."""
    with pytest.raises(ProtocolError, match=said):
        messages.parse_order(as_bytes(ORDER, **changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"finalize": "http://ca.example/f"},
        {"authorizations": ["http://ca.example/a"]},
        {"certificate": "http://ca.example/c"},
    ],
)
def test_plain_http_is_refused_in_orders(changes: dict[str, Any]) -> None:
    """RFC 8555 section 6.1: every URL of an order must be https."""
    with pytest.raises(InsecureUrl):
        messages.parse_order(as_bytes(ORDER, **changes))


def test_plain_http_is_refused_in_directory_and_challenge() -> None:
    """The same for what the directory and challenges name."""
    with pytest.raises(InsecureUrl):
        messages.parse_directory(as_bytes(DIRECTORY, newOrder="http://ca.example/order"))
    with pytest.raises(InsecureUrl):
        messages.parse_challenge(as_bytes(CHALLENGE, url="http://ca.example/chall"))


def test_location() -> None:
    """Relative ones are resolved (RFC 9110 section 10.2.2); none, or plain http, is refused."""
    base = "https://ca.example/new"
    assert messages.parse_location("/order/1", base, "newOrder") == "https://ca.example/order/1"
    assert messages.parse_location("https://b.example/1", base, "newOrder") == "https://b.example/1"
    with pytest.raises(ProtocolError, match="no Location"):
        messages.parse_location(None, base, "newOrder")
    with pytest.raises(InsecureUrl):
        messages.parse_location("http://ca.example/1", base, "newOrder")
    with pytest.raises(ProtocolError):
        messages.parse_location("https://[::1/x", base, "newOrder")


@pytest.mark.parametrize(
    "body", [b"", b"<html>maintenance</html>", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'"a"']
)
def test_what_is_no_object_is_a_protocol_error(body: bytes) -> None:
    """Maintenance pages, nothing, garbage, nesting without end."""
    with pytest.raises(ProtocolError, match="order: the CA's answer is"):
        messages.parse_order(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("https://ca.example/x"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
names = st.sampled_from(
    sorted({*ORDER, *CHALLENGE, *AUTHORIZATION, *DIRECTORY, "error", "wildcard", "value", "contact"})
)


@given(st.one_of(st.binary(), st.dictionaries(names, json_values).map(lambda value: json.dumps(value).encode())))
def test_only_certd_errors_come_out(body: bytes) -> None:
    """Whatever the bytes: an object or a CertdError."""
    for parse in (messages.parse_directory, messages.parse_account, messages.parse_order, messages.parse_challenge):
        try:
            parse(body)
        except CertdError as error:
            assert str(error).isprintable()
    try:
        messages.parse_authorization(body, url="https://ca.example/a")
    except CertdError as error:
        assert str(error).isprintable()


@given(names, json_values)
def test_one_wrong_field_at_a_time(name: str, value: Any) -> None:
    """The same with an order and authorization that are right but for one field."""
    for base in (ORDER, AUTHORIZATION, CHALLENGE):
        try:
            messages.parse_order(as_bytes(base, **{name: value}))
        except CertdError as error:
            assert str(error).isprintable()
        try:
            messages.parse_authorization(as_bytes(base, **{name: value}), url="https://ca.example/a")
        except CertdError as error:
            assert str(error).isprintable()
