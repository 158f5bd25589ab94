"""One method per verb of RFC 8555 over one bounded exchange each.

Never sleeps and never polls: a wait is the caller's record. The one thing repeated here is a request whose nonce the CA
refused (RFC 8555 section 6.5), a bounded number of times. Every method raises ProblemError (the CA said no),
ProtocolError (its answer breaks RFC 8555) or ExchangeError (there was no answer), and nothing else.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from certd.acme import messages
from certd.acme.fields import is_ip_address
from certd.acme.jws import base64url
from certd.acme.nonces import NoncePool, nonce_in
from certd.acme.problem import parse_problem, problem_error, short_type
from certd.errors import ProblemError, ProtocolError
from certd.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from certd.acme.jws import AccountKey

NONCE_ATTEMPTS = 20
"""Sendings of one request while the CA refuses the nonce: one that refuses half of all fails once in a million."""

JSON_LIMIT = 1 << 20
"""Bytes of an order, authorization or directory; a thousand names fit many times."""

CHAIN_LIMIT = 1 << 20
"""Bytes of a certificate chain in PEM."""

EMPTY_LIMIT = 64 << 10
"""Bytes of an answer whose body does not matter."""

_NOT_SHOWN = frozenset({"externalAccountBinding", "csr"})
"""Parts of a request that stay out of logs: made with credentials, or long and of no help."""


class Answer(Protocol):
    """What `certd.http.Answer` is, as far as it is used here. Header names are looked up in lower case."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def body(self) -> bytes: ...
    @property
    def url(self) -> str: ...
    @property
    def date(self) -> datetime | None: ...
    def retry_after(self, now: datetime) -> timedelta | None: ...


class Exchange(Protocol):
    """What `certd.http.Exchanger` is: one request, one answer or an ExchangeError. It sets the User-Agent."""

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        deadline: timedelta,
        limit: int,
    ) -> Answer: ...


class Registration(msgspec.Struct, frozen=True):
    """The answer to newAccount. `created`: the account is new (201), else it existed before (200)."""

    url: str
    account: messages.Account
    created: bool


class Client:
    """One account on one CA. Safe to share between threads."""

    def __init__(
        self,
        exchange: Exchange,
        directory_url: str,
        key: AccountKey,
        *,
        clock: Callable[[], datetime],
        account_url: str | None = None,
        deadline: timedelta = timedelta(seconds=30),
        directory_age: timedelta = timedelta(hours=1),
        on_date: Callable[[datetime], None] | None = None,
    ) -> None:
        """`deadline` is that of each exchange; the directory is read again after `directory_age`.

        `on_date` gets the Date header of every answer, for the check of this machine's clock. `account_url` is set by
        the first successful `new_account` where it is not known.
        """
        self.account_url = account_url
        self._exchange = exchange
        self._directory_url = directory_url
        self._key = key
        self._clock = clock
        self._deadline = deadline
        self._directory_age = directory_age
        self._on_date = on_date
        self._nonces = NoncePool()
        self._directory: tuple[messages.Directory, datetime] | None = None

    def __repr__(self) -> str:
        return f"<Client of {self._directory_url} with {self._key!r}>"

    def directory(self) -> messages.Directory:
        """The CA's directory (RFC 8555 section 7.1.1), not older than `directory_age`."""
        now = self._clock()
        if self._directory is not None:
            directory, read_at = self._directory
            if timedelta(0) <= now - read_at < self._directory_age:
                return directory
        answer = self._send("GET", self._directory_url, headers={"Accept": "application/json"})
        self._keep(nonce_in(answer.headers))
        directory = messages.parse_directory(self._checked(answer, "directory").body)
        self._directory = (directory, now)
        return directory

    def new_account(
        self,
        contact: Sequence[str] = (),
        *,
        terms_agreed: bool = False,
        eab: tuple[str, bytes] | None = None,
        only_return_existing: bool = False,
    ) -> Registration:
        """Register the key (RFC 8555 section 7.3), or find its account (section 7.3.1).

        `contact` are e-mail addresses; `eab` is the key identifier and the MAC key (section 7.3.4). With
        `only_return_existing` nothing else is sent, so that no credentials are spent; an unknown key is then the
        problem accountDoesNotExist. An answer that got lost is asked for in the same way.
        """
        url = self.directory().new_account
        payload: dict[str, Any] = {"onlyReturnExisting": True}
        if not only_return_existing:
            payload = {"contact": _mailto(contact)} if contact else {}
            if terms_agreed:
                payload["termsOfServiceAgreed"] = True
            if eab is not None:
                payload["externalAccountBinding"] = self._key.external_account_binding(*eab, url)
        asked = "account" if only_return_existing else "newAccount"
        answer = self._post(url, payload, asked, with_key=True)
        account_url = messages.parse_location(answer.headers.get("location"), answer.url, asked)
        account = messages.parse_account(answer.body)
        self.account_url = account_url
        return Registration(account_url, account, created=answer.status == 201)

    def update_account(self, contact: Sequence[str]) -> messages.Account:
        """Tell the CA the contacts, as e-mail addresses (RFC 8555 section 7.3.2)."""
        answer = self._post(self._kid("account"), {"contact": _mailto(contact)}, "account")
        return messages.parse_account(answer.body)

    def new_order(self, domains: Sequence[str]) -> str:
        """Apply for a certificate (RFC 8555 section 7.4); the order's URL. `domains` are A-labels or IP addresses.

        The order in the answer is not looked at: it is read afresh in any case, and one that was placed must not be
        lost, and then placed again, for what is wrong with its form.
        """
        identifiers = [{"type": "ip" if is_ip_address(name) else "dns", "value": name} for name in domains]
        answer = self._post(self.directory().new_order, {"identifiers": identifiers}, "newOrder")
        return messages.parse_location(answer.headers.get("location"), answer.url, "newOrder")

    def fetch_order(self, url: str) -> messages.Order:
        """The order as it is now (RFC 8555 section 7.4)."""
        answer = self._post(url, None, "order")
        return messages.parse_order(answer.body, retry_after=self._retry_after(answer))

    def fetch_authorization(self, url: str) -> messages.Authorization:
        """An authorization as it is now (RFC 8555 section 7.5)."""
        answer = self._post(url, None, "authorization")
        return messages.parse_authorization(answer.body, url=url, retry_after=self._retry_after(answer))

    def respond(self, url: str) -> messages.Challenge:
        """Tell the CA that a challenge can be validated (RFC 8555 section 7.5.1): the empty object says so."""
        answer = self._post(url, {}, "challenge")
        return messages.parse_challenge(answer.body, retry_after=self._retry_after(answer))

    def finalize(self, url: str, csr_der: bytes) -> messages.Order:
        """Hand in the CSR (RFC 8555 section 7.4). The order may stay `processing` for minutes."""
        answer = self._post(url, {"csr": base64url(csr_der)}, "finalize")
        return messages.parse_order(answer.body, retry_after=self._retry_after(answer))

    def download(self, url: str) -> bytes:
        """The certificate chain in PEM (RFC 8555 section 7.4.2). Only its outer form is checked here."""
        answer = self._post(url, None, "certificate", accept="application/pem-certificate-chain", limit=CHAIN_LIMIT)
        if b"-----BEGIN CERTIFICATE-----" not in answer.body:
            kind = printable(answer.headers.get("content-type") or "no content type", 60)
            raise ProtocolError(f"certificate: the CA sent no PEM certificate but {len(answer.body)} bytes ({kind})")
        return answer.body

    def _post(
        self,
        url: str,
        payload: Mapping[str, Any] | None,
        asked: str,
        *,
        with_key: bool = False,
        accept: str = "application/json",
        limit: int = JSON_LIMIT,
    ) -> Answer:
        kid = None if with_key else self._kid(asked)
        headers = {"Content-Type": "application/jose+json", "Accept": f"{accept}, application/problem+json"}
        nonce = self._nonces.take() or self._new_nonce()
        for _ in range(NONCE_ATTEMPTS):
            body = self._key.sign(payload, url=url, nonce=nonce, kid=kid)
            answer = self._send("POST", url, headers=headers, body=body, limit=limit)
            fresh = nonce_in(answer.headers)
            if not _refuses_nonce(answer):
                self._keep(fresh)
                return self._checked(answer, asked, payload)
            if fresh is None:
                # RFC 8555 section 6.5 makes the error bring a new one; where it does not, the pool is no better than
                # the nonce that was refused (a CA that restarted knows none of them).
                self._nonces.clear()
            nonce = fresh or self._new_nonce()
        raise self._problem(answer, asked, payload)

    def _new_nonce(self) -> str:
        # RFC 8555 section 7.2.
        answer = self._send("HEAD", self.directory().new_nonce, limit=EMPTY_LIMIT)
        nonce = nonce_in(self._checked(answer, "newNonce").headers)
        if nonce is None:
            raise ProtocolError("newNonce: the CA's answer has no usable Replay-Nonce header")
        return nonce

    def _keep(self, nonce: str | None) -> None:
        if nonce is not None:
            self._nonces.put(nonce)

    def _send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        limit: int = JSON_LIMIT,
    ) -> Answer:
        # RFC 8555 section 6.1. English, since explanations are found by the wording of a CA's messages too.
        headers = {"Accept-Language": "en", **(headers or {})}
        answer = self._exchange.send(method, url, headers=headers, body=body, deadline=self._deadline, limit=limit)
        if self._on_date is not None and answer.date is not None:
            self._on_date(answer.date)
        return answer

    def _checked(self, answer: Answer, asked: str, payload: Mapping[str, Any] | None = None) -> Answer:
        if 200 <= answer.status < 300 and not _is_problem(answer):
            return answer
        if 300 <= answer.status < 400:
            target = printable(answer.headers.get("location") or "nowhere", 200)
            raise ProtocolError(
                f"{asked}: {printable(answer.url, 200)} redirects to {target}; ACME requests are not redirected: "
                "if the CA has moved, its new directory URL belongs into the configuration"
            )
        raise self._problem(answer, asked, payload)

    def _problem(self, answer: Answer, asked: str, payload: Mapping[str, Any] | None) -> ProblemError:
        return problem_error(
            answer.body,
            status=answer.status,
            asked=asked,
            retry_after=self._retry_after(answer),
            account_key=self._key.kind,
            sent=f"{printable(answer.url, 200)} {_shown(payload)}",
        )

    def _retry_after(self, answer: Answer) -> timedelta | None:
        return answer.retry_after(self._clock())

    def _kid(self, asked: str) -> str:
        if self.account_url is None:
            raise ProtocolError(f"{asked}: the account has no URL yet; it must be registered or found first")
        return self.account_url


def _shown(payload: Mapping[str, Any] | None) -> str:
    """What was signed, for a log: no credentials, and nothing long."""
    if payload is None:
        return "without payload"
    short = {name: "(not shown)" if name in _NOT_SHOWN else value for name, value in payload.items()}
    return msgspec.json.encode(short).decode()


def _mailto(contact: Sequence[str]) -> list[str]:
    return [f"mailto:{address}" for address in contact]


def _is_problem(answer: Answer) -> bool:
    return (answer.headers.get("content-type") or "").partition(";")[0].strip().lower() == "application/problem+json"


def _refuses_nonce(answer: Answer) -> bool:
    return answer.status >= 400 and short_type(parse_problem(answer.body, answer.status).type) == "badNonce"
