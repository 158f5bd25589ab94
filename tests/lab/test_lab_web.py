"""The lab's little web server under requests that are not as they should be."""

from __future__ import annotations

import socket
import threading

import pytest
from parts import LOOPBACK

from certd.errors import Refused
from certd.lab.web import BODY_CAP, LoopbackServer, Reply


@pytest.fixture
def echo():
    """Answers every request with its own body."""
    server = LoopbackServer(lambda request: Reply(200, request.body, "text/plain"), address=LOOPBACK, port=0)
    server.start()
    yield server
    server.stop()


def _exchange(server, raw: bytes) -> bytes:
    with socket.create_connection((LOOPBACK, server.port), timeout=10) as connection:
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"Transfer-Encoding: chunked", b"411"),
        (b"Content-Length: -1", b"400"),
        (b"Content-Length: x", b"400"),
        (f"Content-Length: {BODY_CAP + 1}".encode(), b"413"),
    ],
)
def test_bodies_without_a_usable_length_are_refused(echo, head, status):
    """And the connection ends, since what follows cannot be told apart from the body."""
    answer = _exchange(echo, b"POST / HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\nGET / HTTP/1.1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert answer.count(b"HTTP/1.1") == 1


def test_a_cut_body_is_not_answered(echo):
    """The client is gone in the middle of it."""
    assert _exchange(echo, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabc") == b""


def test_requests_on_one_connection(echo):
    """Two in a row are two answers, and HEAD has no body."""
    raw = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcHEAD / HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = _exchange(echo, raw)
    assert answer.count(b"HTTP/1.1 200") == 2
    assert answer.endswith(b"\r\n\r\n")
    assert b"\r\n\r\nabc" in answer


def test_stopping_twice_and_starting_again(echo):
    """The port stays the same."""
    port = echo.port
    echo.stop()
    echo.stop()
    echo.start()
    assert echo.port == port
    assert b"200" in _exchange(echo, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")


def test_silent_connections_do_not_delay_the_end(echo):
    """A client that never says a word is cut off."""
    before = threading.active_count()
    with socket.create_connection((LOOPBACK, echo.port), timeout=10) as silent:
        _exchange(echo, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        echo.stop()
        assert silent.recv(1) == b""
    assert threading.active_count() < before


def test_other_addresses_are_refused():
    """The fence holds for every server of the lab."""
    with pytest.raises(Refused):
        LoopbackServer(lambda request: None, address="0.0.0.0", port=0)
