"""What a CA says in good form and should not: URLs, tokens, identifiers and certificates that lead astray."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from authority import Authority, make_key
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from hostility import ESCAPES, URN, after, answer, field, header, rewritten
from parts import Fault, Reply
from siege import Siege
from trials import Row, one_after_the_other, rows

DAY = timedelta(days=1)
NAME = "h0.example.test"
BROKEN, INSECURE, CONNECT = "protocol:broken-answer", "transport:insecure-url", "transport:connect-failed"
TOO_LARGE, NO_CHALLENGE = "transport:body-too-large", "order:no-challenge"
CODE_SIGNING = x509.ExtendedKeyUsageOID.CODE_SIGNING
BEGIN, END = b"-----BEGIN CERTIFICATE-----\n", b"\n-----END CERTIFICATE-----\n"

Besiege = Callable[..., Siege]


# --- URLs -------------------------------------------------------------------------------------------------------

BAD_URLS: dict[str, tuple[Any, str]] = {
    "http": ("http://127.0.0.1:9/x", INSECURE),
    "file": ("file:///etc/passwd", BROKEN),
    "javascript": ("javascript:alert(1)", BROKEN),
    "credentials": ("https://user:secret@127.0.0.1/x", BROKEN),
    "space": ("https://127.0.0.1/a b", BROKEN),
    "long": ("https://127.0.0.1/" + "x" * 3000, BROKEN),
    "port-zero": ("https://127.0.0.1:0/", BROKEN),
    "port-high": ("https://127.0.0.1:99999/", BROKEN),
    "bracket": ("https://[::1/", BROKEN),
}
"""Good for no field and no header."""
BAD_VALUES: dict[str, tuple[Any, str]] = BAD_URLS | {
    "relative": ("/x", BROKEN),
    "no-host": ("https:///x", BROKEN),
    "controls": (f"https://127.0.0.1/{ESCAPES}", BROKEN),
    "not-ascii": ("https://127.0.0.1/\u3042", BROKEN),
    "number": (5, BROKEN),
    "list": (["https://127.0.0.1/x"], BROKEN),
    "object": ({"href": "https://127.0.0.1/x"}, BROKEN),
}
NOWHERE = {"nowhere": ("https://127.0.0.1:9/x", CONNECT)}
"""A legal URL of another host, where nobody listens."""


def spoilt(spoil: Callable[[Any], Fault], values: Mapping[str, tuple[Any, str]]) -> list[Row]:
    return [Row(name, spoil(value), frozenset({code})) for name, (value, code) in values.items()]


def challenge_url(url: Any) -> Fault:
    return challenges(lambda challenge: challenge.update(url=url))


def challenges(change: Callable[[dict[str, Any]], None]) -> Fault:
    """Every http-01 challenge of an authorization changed."""

    def rewrite(authorization: dict[str, Any]) -> None:
        for challenge in authorization["challenges"]:
            if challenge["type"] == "http-01":
                change(challenge)

    return rewritten(rewrite)


PLACES_OF_URLS: dict[str, tuple[str, list[Row]]] = {
    **{
        f"directory-{name}": ("directory", spoilt(lambda url, name=name: field(**{name: url}), BAD_VALUES))
        for name in ("newNonce", "newAccount", "newOrder")
    },
    "account": ("newAccount", spoilt(lambda url: header("Location", url), BAD_URLS)),
    "order": ("newOrder", spoilt(lambda url: header("Location", url), BAD_URLS)),
    "finalize": ("order", spoilt(lambda url: field(finalize=url), BAD_VALUES)),
    "authorization": ("order", spoilt(lambda url: field(authorizations=[url]), BAD_VALUES | NOWHERE)),
    "challenge": ("authorization", spoilt(challenge_url, BAD_VALUES | NOWHERE)),
    "certificate": ("order-finalized", spoilt(lambda url: field(certificate=url), BAD_VALUES | NOWHERE)),
}


@pytest.mark.parametrize("kind", PLACES_OF_URLS)
def test_a_url_that_leads_astray(besiege: Besiege, kind: str) -> None:
    """Wherever the CA names one: only https is followed, to whatever host; nothing else is touched."""
    place, trials = PLACES_OF_URLS[kind]
    one_after_the_other(besiege(), place, trials)


@pytest.mark.parametrize(
    ("place", "fault"),
    [
        ("directory", field(newOrder="https://127.0.0.1:9/x")),
        ("newOrder", header("Location", "https://127.0.0.1:9/x")),
        ("newAccount", header("Location", "https://127.0.0.1:9/x")),
        ("newAccount", header("Location", "/elsewhere")),
    ],
)
def test_a_url_that_is_kept_and_leads_nowhere(besiege: Besiege, place: str, fault: Fault) -> None:
    """A directory, an order and an account live on in memory or on disk: a wrong one is not believed for ever."""
    siege = besiege()
    siege.proxy.strike(place, fault, times=1)
    siege.until(siege.failure, "the failure")
    siege.settle(within=2 * DAY)
    assert len(siege.issued()) == 1


def test_urls_of_another_host_are_followed(besiege: Besiege) -> None:
    """A directory may name whatever host it likes (RFC 8555 section 7.1): the whole order goes there."""
    siege = besiege()
    here, there = (siege.proxy.url.replace("127.0.0.1", name).encode() for name in ("127.0.0.1", "localhost"))

    def moved(reply: Reply) -> Reply:
        headers = tuple((name, value.replace(here.decode(), there.decode())) for name, value in reply.headers)
        return replace(reply, headers=headers, body=reply.body.replace(here, there))

    siege.proxy.strike(lambda ask: True, after(moved))
    siege.settle()
    assert siege.failure() is None
    hosts = {ask.endpoint: ask.headers["host"].partition(":")[0] for ask in siege.proxy.asked}
    assert hosts.pop("directory") == "127.0.0.1"
    assert set(hosts.values()) == {"localhost"}


# --- what is to be proved ---------------------------------------------------------------------------------------

TOKENS: dict[str, Any] = {
    "climbing": "../../x",
    "climbing-well": "../../../../../aaaaaaaaaaaaaaaaaaaaaa",
    "absolute": "/etc/cron.d/aaaaaaaaaaaaaaaaaaaaaa",
    "nul": "aaaaaaaaaaaaaaaaaaaaaa\x00",
    "newline": "aaaaaaaaaaaaaaaaaaaaaa\n",
    "controls": ESCAPES,
    "slash": "aaaaaaaaaaa/aaaaaaaaaaaa",
    "percent": "%2e%2e%2faaaaaaaaaaaaaaaaaaaaa",
    "dots": "..",
    "htaccess": ".htaccess",
    "shell": "$(touch${IFS}certd-was-here)aaaaaaaaaaaa",
    "empty": "",
    "short": "abc",
    "long": "a" * 10_000,
    "full-width": "\uff0e\uff0e\uff0faaaaaaaaaaaaaaaaaaaaaa",
    "number": 5,
    "padded": "aaaaaaaaaaaaaaaaaaaaaa==",
}
IDENTIFIERS: dict[str, tuple[Any, str]] = {
    "another": ({"type": "dns", "value": "evil.test"}, NO_CHALLENGE),
    "an-address": ({"type": "ip", "value": "127.0.0.1"}, NO_CHALLENGE),
    "of-a-later-type": ({"type": "permanent-identifier", "value": "x"}, NO_CHALLENGE),
    "climbing": ({"type": "dns", "value": "../../evil"}, BROKEN),
    "controls": ({"type": "dns", "value": ESCAPES}, BROKEN),
    "long": ({"type": "dns", "value": "a" * 5000}, BROKEN),
    "no-address": ({"type": "ip", "value": "999.1.1.1"}, BROKEN),
    "of-no-type": ({"value": NAME}, BROKEN),
    "text": (NAME, BROKEN),
}
AUTHORIZATIONS: dict[str, tuple[dict[str, Any], str]] = {
    "wildcard": ({"wildcard": True}, NO_CHALLENGE),
    "wildcard-text": ({"wildcard": "yes"}, BROKEN),
    "no-challenges": ({"challenges": []}, NO_CHALLENGE),
    "null-challenges": ({"challenges": None}, BROKEN),
    "challenges-of-text": ({"challenges": ["http-01"]}, BROKEN),
    "many-challenges": ({"challenges": [{"type": "x", "url": "https://e.test/", "status": "pending"}] * 65}, BROKEN),
    "foreign-challenge": (
        {"challenges": [{"type": f"x-{'y' * 40}", "url": "https://e.test/", "status": "pending"}]},
        NO_CHALLENGE,
    ),
    "number-status": ({"status": 1}, BROKEN),
    "revoked": ({"status": "revoked"}, "order:authorization-gone"),
    "expired": ({"status": "expired"}, "order:authorization-gone"),
    "invalid": ({"status": "invalid"}, "order:validation-failed"),
    "invalid-for-controls": (
        {
            "status": "invalid",
            "challenges": [
                {
                    "type": "http-01",
                    "url": "https://e.test/",
                    "status": "invalid",
                    "token": "a" * 30,
                    "error": {"type": ESCAPES, "detail": ESCAPES * 100},
                }
            ],
        },
        "order:validation-failed",
    ),
}
ORDERS: dict[str, tuple[dict[str, Any], str]] = {
    "no-authorizations": ({"authorizations": 0}, BROKEN),
    "many-authorizations": ({"authorizations": ["https://127.0.0.1:9/x"] * 1001}, BROKEN),
    "no-status": ({"status": None}, BROKEN),
    "long-status": ({"status": "s" * 100_000}, BROKEN),
    "controls-status": ({"status": ESCAPES}, BROKEN),
    "invalid": ({"status": "invalid"}, "order:invalid"),
    "invalid-for-text": ({"status": "invalid", "error": "because"}, "order:invalid"),
    "invalid-for-controls": (
        {"status": "invalid", "error": {"type": "x", "detail": ESCAPES}},
        "order:validation-failed",
    ),
    "many-identifiers": ({"identifiers": [{"type": "dns", "value": NAME}] * 5000}, BROKEN),
}
PROOFS: dict[str, tuple[str, list[Row]]] = {
    "tokens": (
        "authorization",
        rows({n: challenges(lambda c, t=token: c.update(token=t)) for n, token in TOKENS.items()}, BROKEN),
    ),
    "identifiers": ("authorization", spoilt(lambda value: field(identifier=value), IDENTIFIERS)),
    "authorizations": ("authorization", spoilt(lambda values: field(**values), AUTHORIZATIONS)),
    "orders": ("order", spoilt(lambda values: field(**values), ORDERS)),
}


@pytest.mark.parametrize("kind", PROOFS)
def test_an_object_that_leads_astray(besiege: Besiege, kind: str) -> None:
    """No token becomes a path, no foreign name is answered for, and nothing is believed for its form alone."""
    place, trials = PROOFS[kind]
    one_after_the_other(besiege(), place, trials)


@pytest.mark.parametrize(
    ("place", "fault"),
    [
        ("newOrder", after(lambda reply: replace(reply, body=b"\x00 no JSON"))),
        ("order", field(expires="9999-99-99T99:99:99Z", notBefore=5, notAfter=[])),
        ("authorization", field(expires="tomorrow")),
        ("newAccount", field(orders="http://127.0.0.1:9/", contact=[ESCAPES])),
        ("directory", field(meta={"termsOfService": ESCAPES, "website": 5}, keyChange=None, revokeCert=None)),
        ("directory", field(**{f"x-{index}": "y" * 500 for index in range(1000)})),
    ],
    ids=["newOrder", "order", "authorization", "newAccount", "directory-meta", "directory-long"],
)
def test_what_is_not_used_does_no_harm(besiege: Besiege, place: str, fault: Fault) -> None:
    """No order is lost for the form of a field that certd has no use for."""
    siege = besiege()
    siege.proxy.strike(place, fault)
    siege.settle()
    assert siege.failure() is None
    assert len(siege.issued()) == siege.orders() == 1


# --- certificates -----------------------------------------------------------------------------------------------


def first_of(chain: bytes) -> bytes:
    """The leaf alone."""
    return chain[: chain.index(END) + len(END)]


class Forger:
    """Signs whatever is wanted for the key of the request that was finalized last."""

    def __init__(self, siege: Siege) -> None:
        self.siege = siege
        self.authority = Authority("forger", now=siege.now)

    def leaf(self, *names: str, **changes: Any) -> bytes:
        finalized = [ask.payload for ask in self.siege.proxy.asked if ask.endpoint == "finalize"]
        text = finalized[-1]["csr"]
        csr = x509.load_der_x509_csr(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        changes = {"public_key": csr.public_key()} | changes
        return self.authority.leaf(*(names or (NAME,)), **changes).pem

    @property
    def issuer(self) -> bytes:
        return self.authority.intermediate.pem


CHAINS: dict[str, tuple[Callable[[Forger, bytes], bytes], str]] = {
    "other-key": (lambda f, _: f.leaf(public_key=make_key().public_key()) + f.issuer, "pki:key-mismatch"),
    "other-key-type": (
        lambda f, _: f.leaf(public_key=rsa.generate_private_key(65537, 2048).public_key()) + f.issuer,
        "pki:key-mismatch",
    ),
    "other-names": (lambda f, _: f.leaf("other.test") + f.issuer, "pki:names-missing"),
    "more-names": (lambda f, _: f.leaf(NAME, "evil.test") + f.issuer, "pki:names-extra"),
    "expired": (
        lambda f, _: f.leaf(not_before=f.siege.now - 90 * DAY, not_after=f.siege.now - DAY) + f.issuer,
        "pki:expired",
    ),
    "of-the-future": (
        lambda f, _: f.leaf(not_before=f.siege.now + 30 * DAY, not_after=f.siege.now + 90 * DAY) + f.issuer,
        "pki:not-yet-valid",
    ),
    "a-ca": (lambda f, _: f.leaf(ca=True) + f.issuer, "pki:leaf-is-ca"),
    "not-for-servers": (
        lambda f, _: f.leaf(usages=(x509.ExtendedKeyUsageOID.CODE_SIGNING,)) + f.issuer,
        "pki:no-server-auth",
    ),
    "alone": (lambda f, true: first_of(true), "pki:chain-incomplete"),
    "of-another-issuer": (lambda f, true: first_of(true) + f.issuer, "pki:chain-broken"),
    "backwards": (lambda f, _: f.issuer + f.leaf(), "pki:leaf-is-ca"),
    "twice": (lambda f, true: first_of(true) * 2, "pki:chain-broken"),
    "eleven": (lambda f, true: true + f.issuer * 10, "pki:chain-too-large"),
    "with-a-key": (lambda f, true: true + f.authority.root.key_pem, "pki:chain-not-pem"),
    "with-text": (lambda f, true: ESCAPES.encode() + true, "pki:chain-not-pem"),
    "cut": (lambda f, true: true[: len(true) // 3], "pki:chain-not-pem"),
    "garbage": (
        lambda f, _: BEGIN + b"AAAA" + END,
        "pki:certificate-unreadable",
    ),
    "not-base64": (
        lambda f, _: BEGIN + b"\xff!\x1b" + END,
        "pki:chain-not-pem",
    ),
    "flipped": (lambda f, true: true.replace(b"MII", b"MIJ", 1), "pki:certificate-unreadable"),
    "der": (lambda f, _: b"\x30\x82\x05\x00" + b"\x02" * 1280, BROKEN),
    "empty": (lambda f, _: b"", BROKEN),
    "half-a-megabyte": (lambda f, true: true + b"\n" * 500_000, "pki:chain-too-large"),
    "two-megabytes": (lambda f, true: true + b"\n" * 2_000_000, TOO_LARGE),
}


def test_a_certificate_that_is_not_what_was_ordered(besiege: Besiege) -> None:
    """Another key, other names, another time, half a chain, no PEM: it never becomes a version on the disk."""
    siege = besiege()
    forger, before = Forger(siege), siege.store.versions(NAME)

    def forging(make: Callable[[Forger, bytes], bytes]) -> Fault:
        return after(lambda reply: replace(reply, body=make(forger, reply.body)))

    one_after_the_other(siege, "certificate", spoilt(forging, CHAINS))
    assert siege.store.versions(NAME) == [*before, max(before) + 1]


def test_a_certificate_of_somebody_else_at_once(besiege: Besiege) -> None:
    """An order that claims to be valid before anything was proved or asked for: what it offers is not taken."""
    siege = besiege()
    forger = Forger(siege)
    foreign = forger.authority.leaf(NAME).pem + forger.issuer
    siege.proxy.strike("order", field(status="valid", certificate=f"{siege.proxy.url}/certZ/foreign"))
    siege.proxy.strike("certificate", answer(200, foreign, kind="application/pem-certificate-chain"))
    siege.until(siege.failure, "the failure")
    failure = siege.failure()
    assert failure is not None
    assert failure.code == "order-taken"
    siege.proxy.relent()
    siege.settle()
    assert len(siege.issued()) == 1


NONCES: dict[str, tuple[tuple[str, str], ...]] = {
    "without-a-new-one": (),
    "with-a-bad-new-one": (("Replay-Nonce", "a b"),),
    "with-a-long-new-one": (("Replay-Nonce", "n" * 5000),),
    "with-a-good-new-one": (("Replay-Nonce", "bm9uY2U"),),
}


@pytest.mark.parametrize("kind", NONCES)
def test_nonces_that_never_work(besiege: Besiege, kind: str) -> None:
    """So many sendings of one request, then the back-off; and when they work again, so does all else."""
    siege = besiege()
    reply = Reply(400, NONCES[kind], json.dumps({"type": f"{URN}badNonce", "detail": "never"}).encode())
    one_after_the_other(siege, "newOrder", [Row(kind, lambda talk: reply, frozenset({"acme:bad-nonce"}))])
    assert siege.proxy.count() <= 90, "twenty sendings and a nonce for each, and what an order needs besides"
