"""Connections are opened within their time, or given up."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence

import pytest

from certd.dial import AddressInfo, Deadline, connect, system_lookup


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def _entry(host: str, port: int) -> AddressInfo:
    return (socket.AF_INET, socket.SOCK_STREAM, 0, "", (host, port))


def _closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


class _Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_deadline_counts_down_and_then_raises() -> None:
    """What remains is never zero or less: that would mean "without a timeout" to a socket."""
    clock = _Clock()
    deadline = Deadline(10, clock)
    assert deadline.remaining() == 10
    clock.now += 9
    assert deadline.remaining() == 1
    clock.now += 1
    with pytest.raises(TimeoutError):
        deadline.remaining()


def test_connects_and_leaves_the_rest_as_timeout(listener: socket.socket) -> None:
    """The socket's timeout is what is left of the deadline."""
    with connect("127.0.0.1", listener.getsockname()[1], Deadline(5)) as sock:
        timeout = sock.gettimeout()
        assert timeout is not None
        assert 0 < timeout <= 5


def test_options_are_set(listener: socket.socket) -> None:
    """Socket options are set before connecting."""
    options = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
    with connect("127.0.0.1", listener.getsockname()[1], Deadline(5), options=options) as sock:
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_the_next_address_is_tried(listener: socket.socket) -> None:
    """A refused address does not end the attempt while there are others."""

    def lookup(host: str, port: int) -> Sequence[AddressInfo]:
        return [_entry("127.0.0.1", _closed_port()), _entry("127.0.0.1", port)]

    with connect("two.example", listener.getsockname()[1], Deadline(5), lookup=lookup) as sock:
        assert sock.getpeername() == listener.getsockname()


def test_a_silent_address_uses_only_its_share(listener: socket.socket) -> None:
    """An address that swallows the packets leaves time for the one after it."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        # A listener whose backlog is full drops further SYNs, as a firewall does.
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())

        def lookup(host: str, port: int) -> Sequence[AddressInfo]:
            return [_entry(*full.getsockname()), _entry("127.0.0.1", port)]

        with connect("two.example", listener.getsockname()[1], Deadline(0.6), lookup=lookup) as sock:
            assert sock.getpeername() == listener.getsockname()
        for filler in fillers:
            filler.close()


def test_refused() -> None:
    """The reason of the last address is what the caller sees."""
    with pytest.raises(ConnectionRefusedError):
        connect("127.0.0.1", _closed_port(), Deadline(5))


def test_a_hanging_resolver_is_left_behind() -> None:
    """The deadline holds though the resolver cannot be interrupted."""
    release = threading.Event()

    def lookup(host: str, port: int) -> Sequence[AddressInfo]:
        release.wait(30)
        return []

    try:
        with pytest.raises(TimeoutError, match="resolver"):
            connect("slow.example", 443, Deadline(0.1), lookup=lookup)
    finally:
        release.set()


def test_a_name_without_addresses() -> None:
    """An empty answer is a name that does not resolve."""
    with pytest.raises(socket.gaierror):
        connect("nothing.example", 443, Deadline(5), lookup=lambda host, port: [])


@pytest.mark.parametrize("name", ["a..example", "x" * 64 + ".example"])
def test_a_name_that_is_none(name: str) -> None:
    """What is no host name fails as one that does not resolve, not with an encoding error."""
    with pytest.raises(socket.gaierror):
        connect(name, 443, Deadline(5), lookup=system_lookup)


def test_the_resolvers_error_is_passed_on() -> None:
    """The resolver's own error reaches the caller, out of its thread."""

    def lookup(host: str, port: int) -> Sequence[AddressInfo]:
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    with pytest.raises(socket.gaierror, match="try again"):
        connect("broken.example", 443, Deadline(5), lookup=lookup)


def test_no_thread_is_left_to_resolve_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit of the service (TasksMax) is a failure to connect like any other, which passes."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(OSError, match="no thread is left"):
        connect("ca.example", 443, Deadline(5), lookup=lambda host, port: [])
