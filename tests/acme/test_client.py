"""certd.acme.client: the verbs of RFC 8555 against a CA that is a function."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from certd.acme.client import NONCE_ATTEMPTS, Client
from certd.acme.jws import AccountKey
from certd.acme.nonces import NoncePool, nonce_in
from certd.errors import ConnectFailed, InsecureUrl, ProblemError, ProtocolError

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
CA = "https://ca.example"
DIRECTORY = {
    "newNonce": f"{CA}/nonce",
    "newAccount": f"{CA}/new-account",
    "newOrder": f"{CA}/new-order",
    "meta": {"termsOfService": f"{CA}/terms"},
}
ORDER = {
    "status": "pending",
    "identifiers": [{"type": "dns", "value": "a.jp"}],
    "authorizations": [f"{CA}/authz/1"],
    "finalize": f"{CA}/finalize/1",
}
TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
CHALLENGE = {"type": "http-01", "url": f"{CA}/chall/1", "status": "pending", "token": TOKEN}
PEM = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
BAD_NONCE = {"type": "urn:ietf:params:acme:error:badNonce", "detail": "stale"}

KEY = AccountKey.from_pem(
    ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
)


@dataclass
class Reply:
    """An answer as `certd.http` makes it."""

    status: int = 200
    json: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    url: str = CA
    date: datetime | None = None

    @property
    def body(self) -> bytes:
        return self.raw if self.raw is not None else json.dumps(self.json).encode()

    def retry_after(self, now: datetime) -> timedelta | None:
        seconds = self.headers.get("retry-after")
        return None if seconds is None else timedelta(seconds=int(seconds))


@dataclass
class Request:
    """What the client sent, unpacked."""

    method: str
    url: str
    headers: Mapping[str, str]
    header: dict[str, Any]
    payload: Any
    """None: the payload was the empty string (POST-as-GET)."""
    limit: int


Handler = Callable[[Request], Reply]


def unpacked(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Ca:
    """Answers the directory and nonces itself, all else by `handler`; every answer brings a nonce unless it has one."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.requests: list[Request] = []
        self.counter = 0
        self.lock = threading.Lock()

    def nonce(self) -> str:
        self.counter += 1
        return f"nonce-{self.counter}"

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        deadline: timedelta,
        limit: int,
    ) -> Reply:
        assert deadline == timedelta(seconds=30)
        jws = json.loads(body) if body else None
        payload = jws["payload"] if jws else ""
        request = Request(
            method,
            url,
            headers or {},
            json.loads(unpacked(jws["protected"])) if jws else {},
            json.loads(unpacked(payload)) if payload else None,
            limit,
        )
        with self.lock:
            self.requests.append(request)
            if method == "GET":
                return Reply(json=DIRECTORY)
            nonce = self.nonce()
        if method == "HEAD":
            return Reply(204, headers={"replay-nonce": nonce}, raw=b"")
        reply = self.handler(request)
        return Reply(
            reply.status, reply.json, {"replay-nonce": nonce} | dict(reply.headers), reply.raw, reply.url, reply.date
        )

    @property
    def posts(self) -> list[Request]:
        return [request for request in self.requests if request.method == "POST"]


def client_of(handler: Handler, **more: Any) -> tuple[Client, Ca]:
    ca = Ca(handler)
    options: dict[str, Any] = {"clock": lambda: NOW, "account_url": f"{CA}/acct/1"}
    return Client(ca, f"{CA}/directory", KEY, **(options | more)), ca


def never(request: Request) -> Reply:
    raise AssertionError(f"nobody should have asked for {request.url}")


def test_directory_is_cached_for_its_age() -> None:
    """Read once an hour; a clock that was set back reads it anew."""
    now = [NOW]
    client, ca = client_of(never, clock=lambda: now[0])
    assert client.directory().new_order == f"{CA}/new-order"
    now[0] = NOW + timedelta(minutes=59)
    client.directory()
    assert len(ca.requests) == 1
    now[0] = NOW + timedelta(hours=1)
    client.directory()
    now[0] = NOW - timedelta(hours=5)
    client.directory()
    assert len(ca.requests) == 3


@pytest.mark.parametrize(("status", "created"), [(201, True), (200, False)])
def test_new_account(status: int, created: bool) -> None:
    """RFC 8555 section 7.3: signed with the key itself; 201 is a new account, 200 one that existed."""
    client, ca = client_of(
        lambda request: Reply(status, {"status": "valid"}, {"location": f"{CA}/acct/9"}), account_url=None
    )
    answer = client.new_account(["ops@example.jp"], terms_agreed=True, eab=("kid-1", b"secret-mac-key"))
    assert (answer.url, answer.created, answer.account.status) == (f"{CA}/acct/9", created, "valid")
    assert client.account_url == f"{CA}/acct/9"
    (sent,) = ca.posts
    assert sent.url == f"{CA}/new-account"
    assert sent.header["jwk"] == KEY.jwk
    assert "kid" not in sent.header
    assert sent.headers["Content-Type"] == "application/jose+json"
    assert sent.payload["contact"] == ["mailto:ops@example.jp"]
    assert sent.payload["termsOfServiceAgreed"] is True
    binding = json.loads(unpacked(sent.payload["externalAccountBinding"]["protected"]))
    assert (binding["kid"], binding["url"]) == ("kid-1", f"{CA}/new-account")


def test_only_return_existing_spends_nothing() -> None:
    """RFC 8555 section 7.3.1: neither contact nor EAB is sent, and the error tells that an account was asked for."""
    error = {"type": "urn:ietf:params:acme:error:accountDoesNotExist", "detail": "unknown key"}
    client, ca = client_of(lambda request: Reply(400, error), account_url=None)
    with pytest.raises(ProblemError) as caught:
        client.new_account(["a@example.jp"], terms_agreed=True, eab=("kid", b"mac"), only_return_existing=True)
    assert ca.posts[0].payload == {"onlyReturnExisting": True}
    assert (caught.value.asked, caught.value.status) == ("account", 400)
    assert client.account_url is None


def test_update_account() -> None:
    """RFC 8555 section 7.3.2: a POST to the account's URL."""
    client, ca = client_of(lambda request: Reply(json={"status": "valid", "contact": ["mailto:b@example.jp"]}))
    assert client.update_account(["b@example.jp"]).contact == ("mailto:b@example.jp",)
    assert (ca.posts[0].url, ca.posts[0].payload) == (f"{CA}/acct/1", {"contact": ["mailto:b@example.jp"]})


def test_new_order() -> None:
    """RFC 8555 section 7.4: signed by kid; the URL comes from Location, IP addresses are identifiers of their own."""
    client, ca = client_of(lambda request: Reply(201, ORDER, {"location": "/order/1"}))
    assert client.new_order(["a.jp", "*.a.jp", "192.0.2.1", "2001:db8::1"]) == f"{CA}/order/1"
    (sent,) = ca.posts
    assert sent.header["kid"] == f"{CA}/acct/1"
    assert [one["type"] for one in sent.payload["identifiers"]] == ["dns", "dns", "ip", "ip"]


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"status": 1}'])
def test_a_placed_order_is_not_lost_for_its_form(body: bytes) -> None:
    """The CA has it, and it counts there: its URL is what is needed."""
    client, _ = client_of(lambda request: Reply(201, raw=body, headers={"location": f"{CA}/order/1"}))
    assert client.new_order(["a.jp"]) == f"{CA}/order/1"


def test_reading_is_post_as_get() -> None:
    """RFC 8555 section 6.3, with Retry-After on what is returned."""
    authorization = {"status": "pending", "identifier": {"type": "dns", "value": "a.jp"}, "challenges": [CHALLENGE]}
    client, ca = client_of(
        lambda request: Reply(json=authorization if "authz" in request.url else ORDER, headers={"retry-after": "3"})
    )
    assert client.fetch_order(f"{CA}/order/1").retry_after == timedelta(seconds=3)
    fetched = client.fetch_authorization(f"{CA}/authz/1")
    assert (fetched.url, fetched.retry_after) == (f"{CA}/authz/1", timedelta(seconds=3))
    assert [request.payload for request in ca.posts] == [None, None]
    assert ca.posts[0].headers["Accept"] == "application/json, application/problem+json"
    assert ca.posts[0].headers["Accept-Language"] == "en"


def test_respond_sends_the_empty_object() -> None:
    """RFC 8555 section 7.5.1: ``{}``, which is not a POST-as-GET."""
    client, ca = client_of(lambda request: Reply(json=CHALLENGE | {"status": "processing"}))
    assert client.respond(f"{CA}/chall/1").status == "processing"
    assert ca.posts[0].payload == {}


def test_finalize_and_download() -> None:
    """The CSR goes as base64url DER; the chain comes as PEM."""

    def handler(request: Request) -> Reply:
        if "cert" in request.url:
            return Reply(raw=PEM, headers={"content-type": "application/pem-certificate-chain"})
        return Reply(json=ORDER | {"status": "processing"})

    client, ca = client_of(handler)
    assert client.finalize(f"{CA}/finalize/1", b"\xfb\xff").status == "processing"
    assert ca.posts[0].payload == {"csr": "-_8"}
    assert client.download(f"{CA}/cert/1") == PEM
    assert ca.posts[1].headers["Accept"].startswith("application/pem-certificate-chain")


def test_nonces_are_used_once_and_reused_never() -> None:
    """One newNonce, then those that the answers brought."""
    client, ca = client_of(lambda request: Reply(json=ORDER))
    for _ in range(5):
        client.fetch_order(f"{CA}/order/1")
    nonces = [request.header["nonce"] for request in ca.posts]
    assert len(set(nonces)) == 5
    assert sum(request.method == "HEAD" for request in ca.requests) == 1


def test_nonces_are_never_shared_between_threads() -> None:
    """Thirty-two workers, one client: each nonce is sent once."""
    client, ca = client_of(lambda request: Reply(json=ORDER))
    workers = [
        threading.Thread(target=lambda: [client.fetch_order(f"{CA}/order/1") for _ in range(10)]) for _ in range(32)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    nonces = [request.header["nonce"] for request in ca.posts]
    assert len(nonces) == len(set(nonces)) == 320


def test_bad_nonce_is_answered_with_the_nonce_it_brought() -> None:
    """RFC 8555 section 6.5; invisible to the caller."""
    replies = iter([Reply(400, BAD_NONCE, {"replay-nonce": "fresh"}), Reply(json=ORDER)])
    client, ca = client_of(lambda request: next(replies))
    assert client.fetch_order(f"{CA}/order/1").status == "pending"
    assert ca.posts[1].header["nonce"] == "fresh"


def test_a_nonce_storm_is_weathered() -> None:
    """A CA that refuses nonces for as long as certd is patient still gets its request."""
    replies = iter([Reply(400, BAD_NONCE)] * (NONCE_ATTEMPTS - 1) + [Reply(json=ORDER)])
    client, _ = client_of(lambda request: next(replies))
    assert client.fetch_order(f"{CA}/order/1").status == "pending"


def test_a_ca_that_refuses_every_nonce_is_left() -> None:
    """Bounded: then it is the CA's problem, told as such."""
    client, ca = client_of(lambda request: Reply(400, BAD_NONCE))
    with pytest.raises(ProblemError, match="badNonce"):
        client.fetch_order(f"{CA}/order/1")
    assert len(ca.posts) == NONCE_ATTEMPTS


def test_a_restarted_ca_costs_one_refusal() -> None:
    """An error without a nonce empties the pool: the next request does not offer another dead one."""
    client, ca = client_of(lambda request: Reply(json=ORDER))
    for _ in range(3):
        client.fetch_order(f"{CA}/order/1")
    replies = iter([Reply(400, BAD_NONCE, {"replay-nonce": "not valid!"}), Reply(json=ORDER)])
    ca.handler = lambda request: next(replies)
    client.fetch_order(f"{CA}/order/1")
    assert [request.method for request in ca.requests[-3:]] == ["POST", "HEAD", "POST"]


def test_nonce_pool() -> None:
    """Bounded, newest first; RFC 8555 section 6.5.1: what is not base64url is ignored."""
    pool = NoncePool(2)
    for nonce in ("a", "b", "c"):
        pool.put(nonce)
    assert [pool.take(), pool.take(), pool.take()] == ["c", "b", None]
    pool.put("d")
    pool.clear()
    assert pool.take() is None
    assert nonce_in({"replay-nonce": "aZ0_-"}) == "aZ0_-"
    for bad in ("", "a b", "a=", "a, b", "a\r\nb", "x" * 2000):
        assert nonce_in({"replay-nonce": bad}) is None
    assert nonce_in({}) is None


@pytest.mark.parametrize(
    ("reply", "type", "status"),
    [
        (Reply(403, {"type": "urn:ietf:params:acme:error:caa", "detail": "no"}), "urn:ietf:params:acme:error:caa", 403),
        (Reply(503, raw=b"<html>down</html>"), "about:blank", 503),
        (Reply(500, raw=b""), "about:blank", 500),
        (
            Reply(200, {"type": "x:y"}, {"content-type": "application/problem+json; charset=utf-8"}),
            "x:y",
            200,
        ),
    ],
)
def test_every_error_answer_is_a_problem(reply: Reply, type: str, status: int) -> None:
    """With and without a problem document, whatever its content type; Retry-After goes along."""
    client, _ = client_of(
        lambda request: Reply(reply.status, reply.json, {"retry-after": "9", **reply.headers}, reply.raw)
    )
    with pytest.raises(ProblemError) as caught:
        client.fetch_order(f"{CA}/order/1")
    error = caught.value
    assert (error.type, error.status, error.asked, error.retry_after) == (type, status, "order", timedelta(seconds=9))


@pytest.mark.parametrize("type", ["badPublicKey", "badSignatureAlgorithm"])
def test_a_refused_account_key_is_named(type: str) -> None:
    """Rows 5 and 7 of the JPRS list: the operator has to choose another one, and must know which it is."""
    client, _ = client_of(lambda _: Reply(400, {"type": f"urn:ietf:params:acme:error:{type}", "detail": "no"}))
    with pytest.raises(ProblemError) as raised:
        client.new_account()
    assert raised.value.detail == "no (the account key is p256 (ES256))"


def test_an_error_holds_what_was_sent_without_secrets() -> None:
    """For the log of a request that the CA calls wrong: neither credentials nor the long CSR."""
    client, _ = client_of(lambda _: Reply(400, {"detail": "no"}, url=f"{CA}/asked"))
    with pytest.raises(ProblemError) as raised:
        client.new_account(["a@a.jp"], terms_agreed=True, eab=("kid-1", b"secret"))
    assert raised.value.sent == (
        f'{CA}/asked {{"contact":["mailto:a@a.jp"],"termsOfServiceAgreed":true,"externalAccountBinding":"(not shown)"}}'
    )
    client.account_url = f"{CA}/account/1"
    with pytest.raises(ProblemError) as raised:
        client.finalize(f"{CA}/finalize/1", b"csr")
    assert raised.value.sent.endswith('{"csr":"(not shown)"}')
    with pytest.raises(ProblemError) as raised:
        client.fetch_order(f"{CA}/order/1")
    assert raised.value.sent.endswith("without payload")


def test_answers_that_break_the_protocol() -> None:
    """HTML with status 200, redirects, no Location, no certificate: each a ProtocolError with a sentence."""
    client, ca = client_of(lambda request: Reply(raw=b"<html>welcome</html>"))
    with pytest.raises(ProtocolError, match="not JSON"):
        client.fetch_order(f"{CA}/order/1")
    ca.handler = lambda request: Reply(302, headers={"location": "https://portal.example/\x1b[2J"}, raw=b"")
    with pytest.raises(ProtocolError, match=r"redirects to https://portal\.example") as caught:
        client.fetch_order(f"{CA}/order/1")
    assert str(caught.value).isprintable()
    ca.handler = lambda request: Reply(201, ORDER)
    with pytest.raises(ProtocolError, match="no Location"):
        client.new_order(["a.jp"])
    ca.handler = lambda request: Reply(raw=b"soon", headers={"content-type": "text/plain"})
    with pytest.raises(ProtocolError, match=r"no PEM certificate but 4 bytes \(text/plain\)"):
        client.download(f"{CA}/cert/1")


def test_insecure_location_is_refused() -> None:
    """A new order at a plain http URL is none."""
    client, _ = client_of(lambda request: Reply(201, ORDER, {"location": "http://ca.example/order/1"}))
    with pytest.raises(InsecureUrl):
        client.new_order(["a.jp"])


def test_new_nonce_without_a_nonce() -> None:
    """RFC 8555 section 7.2: the one thing that this answer is for."""

    class Stingy(Ca):
        def nonce(self) -> str:
            return "not a nonce!"

    client = Client(Stingy(never), f"{CA}/directory", KEY, clock=lambda: NOW, account_url=f"{CA}/acct/1")
    with pytest.raises(ProtocolError, match="Replay-Nonce"):
        client.fetch_order(f"{CA}/order/1")


def test_without_an_account_nothing_is_sent() -> None:
    """An order needs the account's URL; asking for it costs no exchange."""
    client, ca = client_of(never, account_url=None)
    with pytest.raises(ProtocolError, match="registered or found first"):
        client.fetch_order(f"{CA}/order/1")
    assert ca.requests == []


def test_exchange_errors_pass_and_are_not_retried() -> None:
    """A lost answer is the caller's to think about."""
    calls = []

    def handler(request: Request) -> Reply:
        calls.append(request)
        raise ConnectFailed("reset")

    client, _ = client_of(handler)
    with pytest.raises(ConnectFailed):
        client.new_order(["a.jp"])
    assert len(calls) == 1


def test_the_cas_clock_is_told() -> None:
    """The Date of every answer that has one."""
    dates: list[datetime] = []
    client, _ = client_of(lambda request: Reply(json=ORDER, date=NOW), on_date=dates.append)
    client.fetch_order(f"{CA}/order/1")
    assert dates == [NOW]


def test_repr_shows_no_secret() -> None:
    """Neither key nor nonces."""
    assert repr(client_of(never)[0]) == f"<Client of {CA}/directory with {KEY!r}>"
