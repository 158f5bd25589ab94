"""Open TCP connections within a total time: name resolution and all addresses included."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import queue
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

AddressInfo = tuple[Any, Any, int, str, Any]
"""One entry of what `socket.getaddrinfo` returns."""
Lookup = Callable[[str, int], Sequence[AddressInfo]]
SocketOption = tuple[int, int, int | bytes]

MAX_ADDRESSES = 8
"""Of a name's addresses, how many are tried at most."""


class Deadline:
    """The moment by which one exchange must be over, on the monotonic clock."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + seconds

    def remaining(self) -> float:
        """Seconds left, always more than zero; raises TimeoutError when there are none."""
        left = self._end - self._clock()
        if left <= 0:
            raise TimeoutError("the deadline has passed")
        return left


def system_lookup(host: str, port: int) -> Sequence[AddressInfo]:
    """Ask the system's resolver; raises OSError."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


def connect(
    host: str,
    port: int,
    deadline: Deadline,
    *,
    lookup: Lookup = system_lookup,
    options: Sequence[SocketOption] = (),
) -> socket.socket:
    """A connected socket whose timeout is what is left of the deadline.

    Each address gets an equal share of the time that is left, so that one which swallows packets (an IPv6 route that
    leads nowhere) does not use up the time of those after it. Raises TimeoutError at the deadline, `socket.gaierror`
    when the name has no address, and the last address's OSError when none can be reached. Never anything but OSError.
    """
    addresses = _resolve(host, port, deadline, lookup)[:MAX_ADDRESSES]
    failure: OSError = socket.gaierror(socket.EAI_NONAME, "the name has no address")
    for index, (family, kind, protocol, _, address) in enumerate(addresses):
        share = deadline.remaining() / (len(addresses) - index)
        sock: socket.socket | None = None
        try:
            sock = socket.socket(family, kind, protocol)
            for option in options:
                sock.setsockopt(*option)
            sock.settimeout(share)
            sock.connect(address)
            sock.settimeout(deadline.remaining())
            return sock
        except OSError as error:
            failure = error
            if sock is not None:
                sock.close()
    raise failure


def _resolve(host: str, port: int, deadline: Deadline, lookup: Lookup) -> Sequence[AddressInfo]:
    """The addresses of `host`.

    The resolver of the C library cannot be interrupted and takes as long as resolv.conf lets it. So it is asked in a
    thread of its own, and left behind when time is up: such a thread ends when the resolver gives up. Literal
    addresses need no resolver and no thread.
    """
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(host)
        return lookup(host, port)
    answer: queue.SimpleQueue[Sequence[AddressInfo] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answer.put(lookup(host, port))
        except OSError as error:
            answer.put(error)
        except UnicodeError:  # what getaddrinfo says of a label that is empty or too long
            answer.put(socket.gaierror(socket.EAI_NONAME, "not a host name"))

    try:
        threading.Thread(target=ask, name="resolver", daemon=True).start()
    except RuntimeError:
        raise OSError(errno.EAGAIN, "no thread is left to ask the resolver in") from None
    try:
        found = answer.get(timeout=deadline.remaining())
    except queue.Empty:
        raise TimeoutError("the resolver did not answer") from None
    if isinstance(found, OSError):
        raise found
    return found
