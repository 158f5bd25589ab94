"""What the two sockets answer: the read-only status socket, and the operator's control socket (docs/CODES.md)."""

from __future__ import annotations

import time
from threading import Lock
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import msgspec

from certd import status
from certd.errors import CertdError, ConfigError, Refused
from certd.sockets.http import Rejected, Request, Response, error
from certd.sockets.server import HttpSocket

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from certd.model.view import View

T = TypeVar("T")

STATUS_MODE = 0o660
CONTROL_MODE = 0o600
KEEP = 1.0
"""Seconds for which an answer about everything is given again."""
KEEP_SHARE = 10
"""An answer is kept for this many times the processor time that it took, so that no client can use up a core."""


class Operator(Protocol):
    """What the control socket may ask for. Each answers with one sentence.

    Raises:
        Refused: it cannot be done now; the text says why.
        CertdError: it failed.
    """

    def renew(self, name: str, now: bool) -> str: ...

    def rollback(self, name: str) -> str: ...

    def forget(self, name: str) -> str: ...


class StatusSocket(HttpSocket):
    """RUNTIME_DIR/status.sock: GET /healthz, /status, /status/NAME and /metrics. Computed from `view` per request."""

    def __init__(
        self,
        path: Path,
        view: Callable[[], View],
        clock: Callable[[], datetime],
        *,
        group: str | None = None,
        deadline: float = 5.0,
        clients: int = 16,
        beside: HttpSocket | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        cpu: Callable[[], float] = time.thread_time,
    ) -> None:
        """`beside`: another socket, whose clients /metrics counts as well."""
        super().__init__(path, self._route, mode=STATUS_MODE, group=group, deadline=deadline, clients=clients)
        self._view = view
        self._clock = clock
        self._beside = beside
        self._seen = _Kept(view, monotonic, cpu)
        self._health = _Kept(self._make_health, monotonic, cpu)
        self._status = _Kept(self._make_status, monotonic, cpu)
        self._metrics = _Kept(self._make_metrics, monotonic, cpu)

    def _route(self, request: Request) -> Response:
        whole = {"/healthz": self._health, "/status": self._status, "/metrics": self._metrics}.get(request.path)
        name = request.path.removeprefix("/status/")
        if whole is None and (name == request.path or not name or "/" in name):
            return error(404, "not-found", "There is /healthz, /status, /status/NAME and /metrics.")
        if request.method not in ("GET", "HEAD"):
            return error(405, "method-not-allowed", "This socket only answers GET.", "GET, HEAD")
        return whole.get() if whole is not None else self._one(name)

    def _one(self, name: str) -> Response:
        found = status.report(self._seen.get(), name, self._clock())
        if found is None:
            return error(404, "unknown-certificate", "There is no certificate of that name.")
        return _json(200, found)

    def _make_health(self) -> Response:
        judged = status.health(self._view(), self._clock())
        return _json(503 if judged.status is status.Standing.CRITICAL else 200, judged)

    def _make_status(self) -> Response:
        return _json(200, status.snapshot(self._view(), self._clock()))

    def _make_metrics(self) -> Response:
        # Imported when first asked for: a daemon that nobody scrapes need not carry the library.
        from certd import metrics

        counters = {f"status_socket_{k}": v for k, v in self.counters().items()}
        if self._beside is not None:
            counters |= {f"control_socket_{k}": v for k, v in self._beside.counters().items()}
        text = metrics.render(self._view(), self._clock(), counters)
        return Response(200, text, metrics.CONTENT_TYPE)


class ControlSocket(HttpSocket):
    """RUNTIME_DIR/control.sock: POST /renew/NAME[?now=1], /rollback/NAME, /forget/NAME and /reload."""

    def __init__(self, path: Path, operator: Operator, *, reload: Callable[[], str]) -> None:
        """`reload` has the configuration read again, and answers and raises like the operator's requests."""
        super().__init__(path, self._route, mode=CONTROL_MODE)
        self._operator = operator
        self._reload = reload

    def _route(self, request: Request) -> Response:
        _, verb, *names = request.path.split("/")
        if verb not in ("renew", "rollback", "forget", "reload") or len(names) != (verb != "reload") or "" in names:
            return error(404, "not-found", "There is /renew/NAME, /rollback/NAME, /forget/NAME and /reload.")
        if request.method != "POST":
            return error(405, "method-not-allowed", "This socket only answers POST.", "POST")
        try:
            return _json(200, {"text": self._act(verb, *names, now=request.query.get("now", "0"))})
        except Refused as refused:
            return error(409, refused.code, str(refused))
        except ConfigError as problem:
            return error(422, problem.code, str(problem))
        except CertdError as failed:
            return error(500, failed.code, str(failed))

    def _act(self, verb: str, name: str = "", *, now: str) -> str:
        match verb:
            case "renew":
                if now not in ("0", "1"):
                    raise Rejected(400, "bad-request", "The value of now is 0 or 1.")
                return self._operator.renew(name, now == "1")
            case "rollback":
                return self._operator.rollback(name)
            case "forget":
                return self._operator.forget(name)
            case _:
                return self._reload()


class _Kept(Generic[T]):
    """An answer that is made at most once at a time, and given again for a moment.

    Its cost is the thread's own seconds of processor: on a busy machine what is cheap takes long too, and stays fresh.
    """

    def __init__(self, make: Callable[[], T], monotonic: Callable[[], float], cpu: Callable[[], float]) -> None:
        self._make = make
        self._monotonic = monotonic
        self._cpu = cpu
        self._lock = Lock()
        self._until = 0.0
        self._made: T | None = None

    def get(self) -> T:
        with self._lock:
            if self._made is None or self._monotonic() >= self._until:
                began = self._cpu()
                self._made = self._make()
                cost = self._cpu() - began
                keep = max(KEEP, KEEP_SHARE * cost) if cost > KEEP / KEEP_SHARE else 0.0
                self._until = self._monotonic() + keep
            return self._made


def _json(code: int, value: object) -> Response:
    return Response(code, msgspec.json.encode(value) + b"\n")
