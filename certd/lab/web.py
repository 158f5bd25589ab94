"""A small HTTP/1.1 server on the loopback, with or without TLS: keep-alive, bounded, and gone when stopped."""

from __future__ import annotations

import contextlib
import email.utils
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler
from typing import cast

from certd.lab.options import Clock, refuse_other_than_loopback, wall_clock

BODY_CAP = 1 << 20
"""Bytes of a request's body."""
IDLE_TIMEOUT = 60.0
"""Seconds after which a silent connection is closed."""
STOP_TIMEOUT = 10.0
"""Seconds that one thread gets to end."""


@dataclass(frozen=True)
class Request:
    """One request as it came in. `path` is the target as sent, query included."""

    method: str
    path: str
    headers: Message
    body: bytes


@dataclass(frozen=True)
class Reply:
    """One answer."""

    status: int
    body: bytes = b""
    content_type: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


Handle = Callable[[Request], Reply | None]
"""Answers one request; None closes the connection without an answer. Called from several threads at once."""


class LoopbackServer:
    """Serves `handle` on 127.0.0.1. `context` may be replaced while it runs: new connections use the new one.

    A port once given by the system is kept over stop and start.
    """

    def __init__(
        self,
        handle: Handle,
        *,
        address: str,
        port: int,
        context: ssl.SSLContext | None = None,
        clock: Clock = wall_clock,
    ) -> None:
        refuse_other_than_loopback(address)
        self.handle = handle
        self.address = address
        self.port = port
        self.context = context
        self.clock = clock
        self._listener: _Listener | None = None
        self._acceptor: threading.Thread | None = None
        self._lock = threading.Lock()
        self._workers: set[threading.Thread] = set()
        self._connections: set[socket.socket] = set()
        self._stopping = False

    def start(self) -> None:
        """Bind and serve in the background. Raises OSError when the port is taken."""
        assert self._listener is None, "already started"
        self._stopping = False
        self._listener = _Listener(self)
        self.port = int(self._listener.server_address[1])
        self._acceptor = threading.Thread(
            target=self._listener.serve_forever, args=(0.02,), name=f"lab-accept-{self.port}", daemon=True
        )
        self._acceptor.start()

    def stop(self) -> None:
        """Close the port and every connection, and end every thread."""
        if self._listener is None or self._acceptor is None:
            return
        self._listener.shutdown()
        self._acceptor.join(STOP_TIMEOUT)
        self._listener.server_close()
        self._listener = self._acceptor = None
        with self._lock:
            self._stopping = True
            workers = list(self._workers)
            for connection in self._connections:
                _cut(connection)
        for worker in workers:
            worker.join(STOP_TIMEOUT)

    def accept(self, connection: socket.socket, client: tuple[str, int]) -> None:
        """Give a fresh connection a thread of its own (a TLS handshake must not hold up the others)."""
        worker = threading.Thread(
            target=self._work, args=(connection, client), name=f"lab-serve-{self.port}", daemon=True
        )
        with self._lock:
            self._workers.add(worker)
        worker.start()

    def _work(self, connection: socket.socket, client: tuple[str, int]) -> None:
        try:
            with contextlib.suppress(OSError), connection:
                self._converse(connection, client)
        finally:
            with self._lock:
                self._workers.discard(threading.current_thread())

    def _converse(self, connection: socket.socket, client: tuple[str, int]) -> None:
        connection.settimeout(IDLE_TIMEOUT)
        context = self.context
        if context is not None:
            connection = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with connection, self._tracked(connection):
            if isinstance(connection, ssl.SSLSocket):
                connection.do_handshake()
            listener = self._listener
            if listener is not None:
                _Handler(connection, client, listener)

    @contextlib.contextmanager
    def _tracked(self, connection: socket.socket) -> Iterator[None]:
        with self._lock:
            if self._stopping:
                raise ConnectionAbortedError
            self._connections.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._connections.discard(connection)


def _cut(connection: socket.socket) -> None:
    """Wake whoever reads from it. SSLSocket.shutdown would take the TLS layer away under the reading thread."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


class _Listener(socketserver.TCPServer):
    allow_reuse_address = True
    request_queue_size = 256

    def __init__(self, owner: LoopbackServer) -> None:
        self.owner = owner
        super().__init__((owner.address, owner.port), _Handler)

    def process_request(self, request: object, client_address: object) -> None:
        self.owner.accept(cast(socket.socket, request), cast(tuple[str, int], client_address))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "certd-lab"
    sys_version = ""
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body leave in one piece
    timeout = IDLE_TIMEOUT
    server: _Listener

    def do_GET(self) -> None:
        body = self._body()
        if body is None:
            return
        reply = self.server.owner.handle(Request(self.command, self.path, self.headers, body))
        if reply is None:
            self.close_connection = True
            return
        self._send(reply)

    do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_GET  # noqa: N815 - http.server finds them by these names

    def _body(self) -> bytes | None:
        if "transfer-encoding" in self.headers:
            self._refuse_body(411)
            return None
        length = self.headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()):
            self._refuse_body(400)
            return None
        if int(length) > BODY_CAP:
            self._refuse_body(413)
            return None
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            self.close_connection = True
            return None
        return body

    def _refuse_body(self, status: int) -> None:
        """What follows on the connection cannot be told apart from the body: it ends here."""
        self.close_connection = True
        self._send(Reply(status, headers={"Connection": "close"}))

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.content_type is not None:
            self.send_header("Content-Type", reply.content_type)
        if reply.status != 204:
            self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if self.command != "HEAD" and reply.status != 204:
            self.wfile.write(reply.body)

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The Date header tells the server's own clock, which a test may have set."""
        del timestamp
        return email.utils.format_datetime(self.server.owner.clock(), usegmt=True)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on stderr: the CA keeps its own log of requests."""
