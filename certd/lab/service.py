"""The lab CA's front: from an HTTP request to the verb that answers it (RFC 8555 sections 6 and 7.1)."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import cast

from certd.lab import jws
from certd.lab.accounts import AccountVerbs
from certd.lab.call import Call, json_reply
from certd.lab.faults import Endpoint, Fault, Faults, LabProblem, malformed, row
from certd.lab.nonces import Nonces
from certd.lab.objects import Account, Records
from certd.lab.options import Clock, LabOptions
from certd.lab.orders import OrderVerbs
from certd.lab.web import Reply, Request

PREFIX = "/DV"
LOG_KEPT = 100_000

_OPEN_METHODS: dict[str, tuple[str, ...]] = {
    "directory": ("GET", "HEAD"),
    "newNonce": ("GET", "HEAD"),
    "terms": ("GET",),
}
_WITH_ID = ("account", "orders", "order", "authorization", "challenge", "certificate")
_WITHOUT_ID = ("newNonce", "newAccount", "keyChange", "newOrder", "revokeCert", "terms")


@dataclass(frozen=True)
class LogEntry:
    """One request and what became of it."""

    at: datetime
    method: str
    path: str
    endpoint: str
    """The RFC's name of what was asked for; empty for an unknown path."""
    account: str | None
    """The last part of the account's URL; None before the request was authenticated."""
    status: int
    """Of the answer; 0 when the connection was closed without one."""
    problem: str | None = None
    """The type of the problem without its URN."""
    why: str = ""
    """What the problem's detail does not tell."""


class Service:
    """Answers the requests of the https endpoint, several at once."""

    def __init__(
        self,
        records: Records,
        options: LabOptions,
        faults: Faults,
        orders: OrderVerbs,
        clock: Clock,
        port: Callable[[], int],
    ) -> None:
        self.log: deque[LogEntry] = deque(maxlen=LOG_KEPT)
        self.leaving = threading.Event()
        """Set: delayed requests are dropped."""
        self._records = records
        self._options = options
        self._faults = faults
        self._clock = clock
        self._port = port
        self._nonces = Nonces()
        self._signed = 0
        accounts = AccountVerbs(records, options)
        self._verbs: dict[str, Callable[[Call], Reply]] = {
            "newAccount": accounts.new_account,
            "account": accounts.account,
            "orders": accounts.orders,
            "keyChange": accounts.key_change,
            "newOrder": orders.new_order,
            "order": orders.order,
            "authorization": orders.authorization,
            "challenge": orders.challenge,
            "finalize": orders.finalize,
            "certificate": orders.certificate,
            "revokeCert": orders.revoke,
        }

    @property
    def base(self) -> str:
        """What every URL of the CA begins with."""
        return f"https://{self._options.address}:{self._port()}{PREFIX}"

    def handle(self, request: Request) -> Reply | None:
        """Answer one request, whatever it is, and keep it in the log."""
        endpoint, ident = route(request.path)
        entry = LogEntry(self._clock(), request.method, request.path, endpoint, None, 0)
        try:
            reply, account = self._answer(endpoint, ident, request)
            entry = replace(entry, account=account.id if account else None)
        except LabProblem as problem:
            reply = json_reply(problem.document(), problem.status, problem.headers)
            reply = replace(reply, content_type="application/problem+json")
            entry = replace(entry, problem=problem.type.rpartition(":")[2], why=problem.why)
        if reply is not None:
            entry = replace(entry, status=reply.status)
            reply = replace(reply, headers=self._with_common(endpoint, request.method, reply.headers))
        self.log.append(entry)
        return reply

    def _answer(self, endpoint: str, ident: str, request: Request) -> tuple[Reply | None, Account | None]:
        if not endpoint:
            raise LabProblem("malformed", 404, "Not found")
        allowed = _OPEN_METHODS.get(endpoint, ("POST",))
        if request.method not in allowed:
            problem = row(22).problem(request.method)
            problem.headers["Allow"] = ", ".join(allowed)
            raise problem
        if endpoint == "terms":
            return Reply(200, b"This CA proves nothing to anyone.\n", "text/plain"), None
        if endpoint in _OPEN_METHODS:
            return self._with_fault(cast(Endpoint, endpoint), (), lambda: self._open(endpoint, request.method)), None
        call = self._authenticate(endpoint, ident, request)
        names = self._names(endpoint, call)
        reply = self._with_fault(cast(Endpoint, endpoint), names, lambda: self._perform(endpoint, call))
        return reply, call.account

    def _with_fault(self, endpoint: Endpoint, names: tuple[str, ...], perform: Callable[[], Reply]) -> Reply | None:
        fault = self._faults.take(endpoint, names) or Fault(endpoint, 1, None, 0.0)
        if fault.delay > 0 and self.leaving.wait(fault.delay):
            return None
        if fault.problem is not None:
            raise fault.problem
        if fault.answer is not None:
            return fault.answer
        reply = perform()
        return None if fault.lose else reply

    def _perform(self, endpoint: str, call: Call) -> Reply:
        with self._records.lock:
            return self._verbs[endpoint](call)

    def _open(self, endpoint: str, method: str) -> Reply:
        if endpoint == "newNonce":
            # RFC 8555 section 7.2: 200 to HEAD, 204 to GET.
            return Reply(200 if method == "HEAD" else 204)
        names = ("newNonce", "newAccount", "newOrder", "revokeCert", "keyChange")
        directory: dict[str, object] = {name: f"{self.base}/{name}" for name in names}
        directory["meta"] = {
            "termsOfService": f"{self.base}/terms",
            "caaIdentities": ["lab.invalid"],
            "externalAccountRequired": self._options.eab_required,
        }
        return json_reply(directory)

    # --- authentication (RFC 8555 sections 6.2 to 6.5) --------------------------------------------------------

    def _authenticate(self, endpoint: str, ident: str, request: Request) -> Call:
        content_type = request.headers.get("content-type", "")
        if content_type != "application/jose+json":
            raise row(23).problem(content_type)
        signed = jws.parse(request.body)
        jws.check_algorithm(signed)
        self._check_nonce(signed)
        if signed.header.get("url") not in self._spellings(request.path):
            # RFC 8555 section 6.4: a request for another URL is not authorized.
            raise row(27).problem(why=f"url is {signed.header.get('url')!r}")
        jwk, account = self._signer(endpoint, signed)
        jws.verify(signed, jwk)
        if account is not None and account.status != "valid":
            raise row(27).problem(why=f"the account is {account.status}")
        return Call(self.base, ident, signed, jwk, account, self._clock())

    def _check_nonce(self, signed: jws.Jws) -> None:
        every = self._options.nonce_reject_every
        with self._records.lock:
            self._signed += 1
            rejected = every > 0 and self._signed % every == 0
        if not self._nonces.spend(signed.header.get("nonce")) or rejected:
            raise row(4).problem(why="rejected on purpose" if rejected else "unknown or used")

    def _spellings(self, path: str) -> tuple[str, str]:
        return f"https://{self._options.address}:{self._port()}{path}", f"https://localhost:{self._port()}{path}"

    def _signer(self, endpoint: str, signed: jws.Jws) -> tuple[jws.Jwk, Account | None]:
        """RFC 8555 section 6.2: jwk for newAccount, jwk or kid for revokeCert, kid for all else, never both."""
        has_key, has_kid = "jwk" in signed.header, "kid" in signed.header
        may_key, may_kid = endpoint in ("newAccount", "revokeCert"), endpoint != "newAccount"
        if has_key == has_kid or (has_key and not may_key) or (has_kid and not may_kid):
            raise malformed(f"{endpoint} with {'jwk' if has_key else 'no jwk'} and {'kid' if has_kid else 'no kid'}")
        if has_key:
            return jws.parse_jwk(signed.header["jwk"]), None
        kid = str(signed.header["kid"])
        with self._records.lock:
            account = self._records.accounts.get(kid.removeprefix(f"{self.base}/account/"))
        if account is None or kid != f"{self.base}/account/{account.id}":
            raise row(1).problem(why=f"kid {kid!r}")
        return account.jwk, account

    def _names(self, endpoint: str, call: Call) -> tuple[str, ...]:
        """The domains this request is about, for faults that are meant for one of them."""
        if endpoint != "newOrder":
            with self._records.lock:
                return self._records.names_of(endpoint, call.ident)
        try:
            identifiers = call.fields().get("identifiers")
        except LabProblem:
            return ()
        if not isinstance(identifiers, list):
            return ()
        return tuple(str(one.get("value")) for one in identifiers if isinstance(one, dict))

    def _with_common(self, endpoint: str, method: str, headers: dict[str, str]) -> dict[str, str]:
        common = {"Cache-Control": "no-store"}
        if method == "POST" or endpoint == "newNonce":
            common["Replay-Nonce"] = self._nonces.new()
        index = f'<{self.base}/getDirectory>;rel="index"'
        if endpoint != "directory":
            common["Link"] = f"{headers['Link']}, {index}" if "Link" in headers else index
        return {**headers, **common}


def route(path: str) -> tuple[str, str]:
    """The RFC's name of what the path leads to, and the object's id; two empty strings for no such thing."""
    parts = path.removeprefix(f"{PREFIX}/").split("/") if path.startswith(f"{PREFIX}/") else []
    match parts:
        case ["getDirectory"]:
            return "directory", ""
        case [verb] if verb in _WITHOUT_ID:
            return verb, ""
        case ["order", ident, "finalize"]:
            return "finalize", ident
        case [noun, ident] if noun in _WITH_ID:
            return noun, ident
    return "", ""
