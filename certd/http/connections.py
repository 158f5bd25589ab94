"""Connections that keep the total deadline and the byte cap of the exchange that uses them.

A socket timeout bounds one read, so a peer that sends a byte now and then is never late. Here every read and every
write first sets the socket's timeout to what is left of the whole exchange: status line, headers, body, and a
proxy's answer alike, since all of them are read through `_Reader`. The TLS handshake is one call whose timeout holds
for all of it, and `certd.dial` bounds name resolution and connecting.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.ssl_ import create_urllib3_context

from certd.dial import Deadline, Lookup, connect
from certd.errors import BodyTooLarge, ConnectFailed, DeadlineExceeded
from certd.text import printable

IDLE_LIMIT = 30.0
"""Seconds. A pooled connection that was idle longer is not used again: peers close theirs, and firewalls forget them
without a word, which would cost the next exchange its whole deadline."""
_WRITE_SIZE = 16384


@dataclass
class Exchange:
    """What one exchange may still use, and what has become of it."""

    deadline: Deadline
    max_bytes: int
    """Of everything that arrives: status lines, headers, framing, body."""
    lookup: Lookup
    connected: bool = False
    """A connection was opened for it, as against one taken from the pool."""
    sent: bool = False
    received: int = 0

    @property
    def stale(self) -> bool:
        """Whether a pooled connection was used, and nothing came over it: the peer had most likely closed it."""
        return self.sent and not self.connected and self.received == 0

    def remaining(self, what: str) -> float:
        """Seconds left; raises DeadlineExceeded, telling what was being waited for."""
        try:
            return self.deadline.remaining()
        except TimeoutError:
            raise DeadlineExceeded(f"time ran out while {what}") from None


_current: ContextVar[Exchange] = ContextVar("exchange")
"""The exchange of this thread: urllib3 lends a pooled connection to it without saying to whom."""


@contextmanager
def in_exchange(exchange: Exchange) -> Iterator[None]:
    """Let every connection used in the block keep the bounds of `exchange`."""
    token = _current.set(exchange)
    try:
        yield
    finally:
        _current.reset(token)


class _Reader(io.RawIOBase):
    """Reads from a socket within an exchange's bounds."""

    def __init__(self, stream: io.RawIOBase, sock: socket.socket, exchange: Exchange) -> None:
        self._stream = stream
        self._sock = sock
        self._exchange = exchange
        self.in_head = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        exchange = self._exchange
        self._sock.settimeout(exchange.remaining("reading the answer"))
        try:
            count = self._stream.readinto(buffer)
        except TimeoutError:
            raise DeadlineExceeded("time ran out while reading the answer") from None
        if count == 0 and self.in_head:
            # http.client takes the end of the connection for the end of the headers: a torn answer would look whole.
            raise ConnectFailed("the connection broke before the answer was complete: closed by the peer")
        exchange.received += count or 0
        if exchange.received > exchange.max_bytes:
            raise BodyTooLarge(f"the answer has more than {exchange.max_bytes} bytes, headers and framing included")
        return count

    def close(self) -> None:
        self._stream.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """The standard library's response, reading through `_Reader`."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._reader = _Reader(self.fp.detach(), sock, _current.get())
        self.fp = io.BufferedReader(self._reader)

    def begin(self) -> None:
        self._reader.in_head = True
        super().begin()
        self._reader.in_head = False


class _Connection(HTTPConnection):
    """A connection, or one to a proxy, within the bounds of the exchange that uses it."""

    response_class = _Response
    _last_used = 0.0

    def _new_conn(self) -> socket.socket:
        exchange = _current.get()
        exchange.connected = True
        peer = f"{printable(self.host)}:{self.port}"
        try:
            return connect(
                self._dns_host,
                self.port,
                exchange.deadline,
                lookup=exchange.lookup,
                options=self.socket_options or (),
            )
        except TimeoutError:
            raise DeadlineExceeded(f"time ran out while connecting to {peer}") from None
        except socket.gaierror as error:
            raise ConnectFailed(f"cannot resolve the host name of {peer}: {error.strerror}") from None
        except OSError as error:
            raise ConnectFailed(f"cannot connect to {peer}: {error.strerror or error}") from None

    def _tunnel(self) -> None:
        super()._tunnel()
        # The proxy's answer has used up time; what is left is for the TLS handshake that follows.
        self.sock.settimeout(_current.get().remaining("connecting through the proxy"))

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        exchange = _current.get()
        exchange.sent = True
        try:
            for start in range(0, len(data), _WRITE_SIZE):
                self.sock.settimeout(exchange.remaining("sending the request"))
                super().send(data[start : start + _WRITE_SIZE])
        except TimeoutError:
            raise DeadlineExceeded("time ran out while sending the request") from None
        self._last_used = time.monotonic()

    @property
    def is_connected(self) -> bool:
        """Asked by the pool before a connection is used again."""
        return super().is_connected and time.monotonic() - self._last_used < IDLE_LIMIT


class _TlsConnection(_Connection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


_POOLS: dict[str, Any] = {"http": _Pool, "https": _TlsPool}


class BoundedAdapter(HTTPAdapter):
    """The transport of requests over these connections, with one TLS context for all of them.

    requests would load the trusted roots afresh into every new connection, which costs milliseconds and memory.
    """

    def __init__(self, bundle: Path, connections: int) -> None:
        """Raises OSError where `bundle` cannot be read or holds no certificate."""
        self._context = create_urllib3_context()
        self._context.load_verify_locations(cafile=bundle)
        super().__init__(pool_connections=connections, pool_maxsize=connections, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        made = super().proxy_manager_for(proxy, ssl_context=self._context, **kwargs)
        made.pool_classes_by_scheme = _POOLS
        return made

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """The context already demands and checks the peer's certificate; nothing is loaded here."""
