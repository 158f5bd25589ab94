"""Loopback peers for tests: a handler function gets each accepted connection, TLS or not."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from authority import Identity

from certd.model.specs import Address

Handler = Callable[[socket.socket], None]


class Peer:
    """Accepts on a free port of 127.0.0.1 and runs `handler` for each connection, in a thread of its own."""

    def __init__(self, handler: Handler, context: ssl.SSLContext | None = None) -> None:
        self._handler = handler
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.accepted = 0
        self.stopped = threading.Event()
        """Set at the end of the test: handlers that drip or wait look at it."""
        self._start(self._accept)

    @property
    def address(self) -> Address:
        return Address("127.0.0.1", self.port)

    def url(self, path: str = "/", scheme: str | None = None, host: str = "127.0.0.1") -> str:
        return f"{scheme or ('https' if self._context else 'http')}://{host}:{self.port}{path}"

    def close(self) -> None:
        self.stopped.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        for sock in self._open:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.stopped.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            self._open.append(sock)
            self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        # A peer of a test may be hung up on at any point; that is what many tests are about.
        with contextlib.suppress(OSError), sock:
            if self._context is None:
                self._handler(sock)
                return
            with self._context.wrap_socket(sock, server_side=True) as wrapped:
                self._open.append(wrapped)
                self._handler(wrapped)


@contextlib.contextmanager
def peer(handler: Handler, context: ssl.SSLContext | None = None) -> Iterator[Peer]:
    """A peer for the length of a block."""
    running = Peer(handler, context)
    try:
        yield running
    finally:
        running.close()


def server_context(directory: Path, leaf: Identity, chain: bytes) -> ssl.SSLContext:
    """A TLS server's context for a leaf and what is to be sent with it."""
    file = directory / f"{leaf.certificate.serial_number:x}.pem"
    file.write_bytes(chain + leaf.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def read_request(sock: socket.socket) -> bytes:
    """One request with its body; b"" at the end of the connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        if not more:
            return b""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    while len(body) < length:
        body += sock.recv(65536)
    return head + b"\r\n\r\n" + body


def answer(body: bytes = b"", *, status: str = "200 OK", headers: str = "") -> bytes:
    """An answer with its length."""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


def replying(*replies: bytes, close: bool = False) -> Handler:
    """A handler that gives these replies in turn, the last one again and again; keep-alive unless `close`."""

    def handle(sock: socket.socket) -> None:
        turn = 0
        while read_request(sock):
            sock.sendall(replies[min(turn, len(replies) - 1)])
            turn += 1
            if close:
                return

    return handle
