"""A proxy in front of a CA or a responder that does what a script says: answers late, wrongly, in part, or not at all.

Everything goes through it: it has a certificate of its own, hands the Host header on (Pebble makes its URLs of that),
and sets every Date by the test's clock. What it is not told to spoil, it passes on as it is.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from parts.authority import TestAuthority, pem_of
from parts.ports import LOOPBACK, free_port

UPSTREAM_TIMEOUT = 30
_NOT_PASSED_ON = frozenset({"connection", "content-length", "date", "keep-alive", "transfer-encoding"})


@dataclass(frozen=True)
class Ask:
    """One request, as it came."""

    endpoint: str
    """What is asked for, in the words of RFC 8555."""
    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def payload(self) -> Any:
        """What a JWS carries; None for a POST-as-GET, or what is no JWS."""
        try:
            text = json.loads(self.body)["payload"]
            return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))) if text else None
        except (ValueError, KeyError, TypeError):
            return None


@dataclass(frozen=True)
class Reply:
    """One answer. A Date among the headers stays; else the proxy sets it by its clock."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def json(self) -> Any:
        return json.loads(self.body)

    def with_json(self, value: Any) -> Reply:
        return replace(self, body=json.dumps(value).encode())

    def with_header(self, name: str, value: str | None) -> Reply:
        """Replaced, or added; None: without it."""
        kept = tuple(pair for pair in self.headers if pair[0].lower() != name.lower())
        return replace(self, headers=kept if value is None else (*kept, (name, value)))


class Conversation:
    """One request on its connection, for a fault to deal with."""

    def __init__(self, ask: Ask, sock: socket.socket, forward: Callable[[Ask], Reply], ended: threading.Event) -> None:
        self.ask = ask
        self.ended = ended
        """Set when the proxy stops: whoever drips or waits looks at it."""
        self._sock = sock
        self._forward = forward

    def forward(self) -> Reply:
        """Let the CA do what was asked for; its answer."""
        return self._forward(self.ask)

    def send(self, data: bytes) -> None:
        """Raw bytes. Raises OSError where the client has gone."""
        self._sock.sendall(data)

    def hung_up(self) -> bool:
        """Whether the client has ended the connection, as far as it is known here."""
        self._sock.setblocking(False)
        try:
            return self._sock.recv(1) == b""
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except OSError:
            return True
        finally:
            self._sock.setblocking(True)

    def reset(self) -> None:
        """End the connection by RST."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


Fault = Callable[[Conversation], "Reply | None"]
"""The answer; or None: all is done, and the connection ends."""


@dataclass
class _Rule:
    strikes: Callable[[Ask], bool]
    fault: Fault
    left: int | None


class FaultProxy:
    """One proxy. `start` it, name its `url` to the client, give it an `upstream`, and `strike`."""

    def __init__(self, root: Path, endpoint_of: Callable[[str, str], str], *, tls: bool = True) -> None:
        """`root` is an empty directory; `endpoint_of` gives a method and a path their name."""
        self.port = free_port()
        self.url = f"{'https' if tls else 'http'}://{LOOPBACK}:{self.port}"
        self.trust_path = root / "faultproxy-ca.pem"
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.asked: list[Ask] = []
        self.struck: list[Ask] = []
        """Those of `asked` that met a fault."""
        self.spoilt = 0
        """How many requests met a fault in all; nothing resets it."""
        self._endpoint_of = endpoint_of
        self._upstream: tuple[str, int, ssl.SSLContext | None] = (LOOPBACK, 0, None)
        self._rules: list[_Rule] = []
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._context = self._own_context(root) if tls else None
        self._listener: socket.socket | None = None

    # --- its life

    def to(self, url: str, trust: Path | None = None) -> None:
        """Pass on to the scheme, host and port of `url`; `trust` holds the root of an https one."""
        parts = urlsplit(url)
        context = ssl.create_default_context(cafile=trust) if parts.scheme == "https" else None
        self._upstream = (parts.hostname or LOOPBACK, parts.port or 0, context)

    def start(self) -> None:
        self._listener = socket.create_server((LOOPBACK, self.port), backlog=128)
        self._run(self._accept, self._listener)

    def stop(self) -> None:
        """Close the port and every connection, and wait for the threads."""
        self._ended.set()
        assert self._listener is not None
        self._listener.shutdown(socket.SHUT_RDWR)
        self._cut()
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    # --- the script

    def strike(self, where: str | Callable[[Ask], bool], fault: Fault, *, times: int | None = None) -> None:
        """Spoil what `where` names or chooses; the first rule that fits counts. `times` None: until `relent`."""
        strikes = where if callable(where) else lambda ask: ask.endpoint == where
        with self._lock:
            self._rules.append(_Rule(strikes, fault, times))

    def relent(self) -> None:
        """No faults any more. Connections are cut, so that nobody is still in the middle of one."""
        with self._lock:
            self._rules.clear()
        self._cut()

    def forget(self) -> None:
        """As new: no faults, and nothing was asked."""
        self.relent()
        with self._lock:
            self.asked.clear()
            self.struck.clear()

    def count(self, endpoint: str = "") -> int:
        """How many requests came, all or those to one endpoint."""
        with self._lock:
            return sum(1 for ask in self.asked if endpoint in ("", ask.endpoint))

    # --- connections

    def _run(self, target: Callable[[socket.socket], None], sock: socket.socket) -> None:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        thread = threading.Thread(target=target, args=(sock,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while not self._ended.is_set():
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            self._run(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        # Clients hang up whenever they like; that is what many tests are about.
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.enter_context(sock)
            if self._context is not None:
                sock.settimeout(UPSTREAM_TIMEOUT)
                sock = stack.enter_context(self._context.wrap_socket(sock, server_side=True))
                sock.settimeout(None)
            with self._lock:
                self._open.add(sock)
            stack.callback(self._open.discard, sock)
            upstream = _Upstream(self._upstream)
            stack.callback(upstream.close)
            with contextlib.closing(sock.makefile("rb")) as stream:
                while (ask := self._read(stream)) is not None and self._answer(ask, sock, upstream):
                    pass

    def _answer(self, ask: Ask, sock: socket.socket, upstream: _Upstream) -> bool:
        """Whether the connection goes on."""
        fault = self._fault_for(ask)
        reply = fault(Conversation(ask, sock, upstream.send, self._ended)) if fault else upstream.send(ask)
        if reply is None:
            return False
        sock.sendall(self._rendered(reply, with_body=ask.method != "HEAD"))
        return True

    def _fault_for(self, ask: Ask) -> Fault | None:
        with self._lock:
            self.asked.append(ask)
            rule = next((rule for rule in self._rules if rule.left != 0 and rule.strikes(ask)), None)
            if rule is None:
                return None
            self.struck.append(ask)
            self.spoilt += 1
            if rule.left is not None:
                rule.left -= 1
            return rule.fault

    def _read(self, stream: Any) -> Ask | None:
        first = stream.readline(65536).decode("latin-1").split()
        if len(first) != 3:
            return None
        method, path, _ = first
        headers: dict[str, str] = {}
        while (line := stream.readline(65536).strip()) != b"":
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        body = stream.read(int(headers.get("content-length", 0)))
        return Ask(self._endpoint_of(method, path), method, path, headers, body)

    def _rendered(self, reply: Reply, *, with_body: bool) -> bytes:
        passed = [(name, value) for name, value in reply.headers if name.lower() not in _NOT_PASSED_ON]
        date = next((value for name, value in reply.headers if name.lower() == "date"), None)
        own = [("Date", date or format_datetime(self.now(), usegmt=True))]
        if with_body and reply.status not in (204, 304):
            own.append(("Content-Length", str(len(reply.body))))
        head = "".join(f"{name}: {value}\r\n" for name, value in (*own, *passed))
        text = f"HTTP/1.1 {reply.status} {http.client.responses.get(reply.status, 'Whatever')}\r\n{head}\r\n"
        return text.encode("latin-1") + (reply.body if with_body else b"")

    def _cut(self) -> None:
        with self._lock:
            cut = list(self._open)
        for sock in cut:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def _own_context(self, root: Path) -> ssl.SSLContext:
        authority = TestAuthority("fault proxy root")
        self.trust_path.write_bytes(pem_of(authority.certificate))
        certificate, key = authority.issue("localhost", LOOPBACK)
        file = root / "faultproxy.pem"
        file.write_bytes(pem_of(certificate) + key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


class _Upstream:
    """The other side of one connection, opened when it is first needed."""

    def __init__(self, place: tuple[str, int, ssl.SSLContext | None]) -> None:
        self._place = place
        self._connection: http.client.HTTPConnection | None = None

    def send(self, ask: Ask) -> Reply:
        if self._connection is None:
            host, port, context = self._place
            if context is None:
                self._connection = http.client.HTTPConnection(host, port, timeout=UPSTREAM_TIMEOUT)
            else:
                self._connection = http.client.HTTPSConnection(host, port, timeout=UPSTREAM_TIMEOUT, context=context)
        headers = {name: value for name, value in ask.headers.items() if name not in _NOT_PASSED_ON}
        try:
            self._connection.request(ask.method, ask.path, body=ask.body or None, headers=headers)
            answer = self._connection.getresponse()
            kept = tuple((name, value) for name, value in answer.getheaders() if name.lower() not in _NOT_PASSED_ON)
            return Reply(answer.status, kept, answer.read())
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise OSError(f"the upstream failed: {error}") from error

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
