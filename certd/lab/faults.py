"""What the lab CA refuses and how: the 29 rows of the JPRS error list as data, and their injection."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from certd.lab.web import Reply

Endpoint = Literal[
    "directory",
    "newNonce",
    "newAccount",
    "account",
    "orders",
    "keyChange",
    "newOrder",
    "order",
    "authorization",
    "challenge",
    "finalize",
    "certificate",
    "revokeCert",
    "validation",
    "issuance",
    "ocsp",
]
"""Where a fault strikes. `validation` and `issuance` are no requests: they are what the CA does in the background."""

URN = "urn:ietf:params:acme:error:"


class LabProblem(Exception):
    """A problem document to answer with (RFC 8555 section 6.7, RFC 7807). `why` is for the lab's own log only."""

    def __init__(
        self,
        type: str,
        status: int,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
        why: str = "",
    ) -> None:
        super().__init__(why or detail)
        self.type = type if ":" in type else URN + type
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})
        self.why = why

    def document(self) -> dict[str, Any]:
        """The JSON form."""
        return {"type": self.type, "status": self.status, "detail": self.detail, **self.extra}


@dataclass(frozen=True)
class Row:
    """One row of the JPRS error list. `on` is the exchange in which JPRS says it, or the first of several."""

    n: int
    type: str
    status: int
    message: str
    on: Endpoint

    def problem(self, value: str = "", *, why: str = "", **extra: Any) -> LabProblem:
        """The row as an answer; `value` takes the place of `%s`."""
        return LabProblem(self.type, self.status, self.message.replace("%s", value), extra=extra, why=why)


ROWS = (
    Row(1, "accountDoesNotExist", 400, "The request specified an account that does not exist", "newAccount"),
    Row(
        2,
        "alreadyRevoked",
        400,
        "The request specified a certificate to be revoked that has already been revoked: [%s]",
        "revokeCert",
    ),
    Row(3, "badCSR", 400, "The CSR is unacceptable", "finalize"),
    Row(4, "badNonce", 400, "The client sent an unacceptable anti-replay nonce", "newOrder"),
    Row(5, "badPublicKey", 400, "The JWS was signed by a public key the server does not support", "newAccount"),
    Row(
        6, "badRevocationReason", 400, "The revocation reason provided is not allowed by the server: [%s]", "revokeCert"
    ),
    Row(
        7,
        "badSignatureAlgorithm",
        400,
        "The JWS was signed with an algorithm the server does not support: [%s]",
        "newAccount",
    ),
    Row(8, "caa", 403, "CAA records forbid the CA from issuing a certificate", "finalize"),
    Row(9, "connection", 400, "The server could not connect to validation target : [%s]", "validation"),
    Row(
        10,
        "externalAccountRequired",
        400,
        "The request must include a value for the externalAccountBinding field",
        "newAccount",
    ),
    Row(11, "invalidContact", 400, "A contact URL for an account was invalid: [%s]", "newAccount"),
    Row(12, "malformed", 400, "The request information is invalid", "newOrder"),
    Row(13, "malformed", 400, "Unable to create account", "newAccount"),
    Row(14, "malformed", 400, "The contact information is invalid:", "newAccount"),
    Row(15, "malformed", 400, "Please agree to the term of service.", "newAccount"),
    Row(16, "malformed", 400, "The FQDN is invalid: [%s]", "newOrder"),
    Row(17, "malformed", 400, "Validity period of application has been expired", "finalize"),
    Row(18, "malformed", 400, "Unable to accept order", "finalize"),
    Row(19, "malformed", 400, "Validity period of application has been expired", "challenge"),
    Row(20, "malformed", 400, "Unable to accept order", "challenge"),
    Row(21, "malformed", 400, "The certificate does not exist: [%s]", "revokeCert"),
    Row(22, "malformed", 405, "The HTTP method is invalid: [%s]", "newOrder"),
    Row(23, "malformed", 415, "The content-type is invalid: [%s]", "newOrder"),
    Row(
        24,
        "orderNotReady",
        403,
        "The request attempted to finalize an order that is not ready to be finalized",
        "finalize",
    ),
    Row(25, "rejectedIdentifier", 400, "The server will not issue certificates for the identifier", "newOrder"),
    Row(26, "serverInternal", 500, "The server experienced an internal error", "newOrder"),
    Row(27, "unauthorized", 401, "The client lacks sufficient authorization", "newOrder"),
    Row(
        28,
        "unsupportedContact",
        400,
        "A contact URL for an account used an unsupported protocol scheme: [%s]",
        "newAccount",
    ),
    Row(29, "unsupportedIdentifier", 400, "An identifier is of an unsupported type", "newOrder"),
)


def row(n: int) -> Row:
    """Row `n` of the list, 1 to 29."""
    return ROWS[n - 1]


def malformed(why: str) -> LabProblem:
    """Row 12, which tells the client nothing; the reason is in the lab's log."""
    return row(12).problem(why=why)


@dataclass
class Fault:
    """One thing that goes wrong. Exactly one of `problem`, `answer` and `lose` is set, or none for a mere delay."""

    on: Endpoint | None
    left: int | None
    name: str | None
    delay: float
    problem: LabProblem | None = None
    answer: Reply | None = None
    lose: bool = False

    def strikes(self, on: Endpoint, names: Collection[str]) -> bool:
        """Is it meant for this exchange?"""
        return self.on in (None, on) and (self.name is None or self.name in names)


class Faults:
    """The faults waiting to strike, in the order they were asked for; each exchange meets at most one.

    Common arguments: `on` the exchange, None for every one; `times` how often, None for ever; `name` only for orders
    that hold this domain; `delay` seconds before the answer. A fault strikes once the request is authenticated.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []

    def inject(
        self,
        what: int | LabProblem,
        on: Endpoint | None = None,
        *,
        times: int | None = 1,
        value: str = "",
        headers: Mapping[str, str] | None = None,
        name: str | None = None,
        delay: float = 0.0,
    ) -> None:
        """Answer with a problem instead of doing what was asked: a row's number, struck where JPRS says it unless `on`
        tells otherwise, or any problem. `headers` (Retry-After) are added."""
        if isinstance(what, int):
            on = on or row(what).on
            what = row(what).problem(value)
        problem = LabProblem(
            what.type,
            what.status,
            what.detail,
            headers={**what.headers, **(headers or {})},
            extra=what.extra,
            why=what.why,
        )
        self._add(Fault(on, times, name, delay, problem=problem))

    def answer(
        self,
        reply: Reply,
        on: Endpoint | None,
        *,
        times: int | None = 1,
        name: str | None = None,
        delay: float = 0.0,
    ) -> None:
        """Answer with these very bytes instead of doing what was asked."""
        self._add(Fault(on, times, name, delay, answer=reply))

    def lose(self, on: Endpoint | None, *, times: int | None = 1, name: str | None = None, delay: float = 0.0) -> None:
        """Do what was asked, then close the connection without an answer."""
        self._add(Fault(on, times, name, delay, lose=True))

    def slow(self, on: Endpoint | None, delay: float, *, times: int | None = 1, name: str | None = None) -> None:
        """Do what was asked, `delay` seconds late."""
        self._add(Fault(on, times, name, delay))

    def take(self, on: Endpoint, names: Collection[str] = ()) -> Fault | None:
        """The fault that strikes this exchange, used up by one."""
        with self._lock:
            fault = next((fault for fault in self._waiting if fault.strikes(on, names)), None)
            if fault is not None and fault.left is not None:
                fault.left -= 1
                if fault.left <= 0:
                    self._waiting.remove(fault)
            return fault

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        with self._lock:
            self._waiting.clear()

    @property
    def waiting(self) -> int:
        """How many faults have not struck for the last time."""
        with self._lock:
            return len(self._waiting)

    def _add(self, fault: Fault) -> None:
        with self._lock:
            self._waiting.append(fault)
