"""What the service manager hears, on a real datagram socket."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from certd.systemd import ServiceManager, watchdog_interval


@pytest.fixture
def ear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The service manager's end of the notification socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        path = str(tmp_path / "notify")
        listening.bind(path)
        listening.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        yield listening


def test_life_is_told_in_order(ear: socket.socket) -> None:
    """READY, RELOADING with its time, STOPPING, each with its status line."""
    manager = ServiceManager()
    manager.ready("3 certificates")
    manager.reloading()
    manager.stopping("bye")
    manager.status("idle")
    heard = [ear.recv(4096).decode() for _ in range(4)]
    assert heard[0] == "READY=1\nSTATUS=3 certificates"
    state, stamp = heard[1].split("\n")
    assert state == "RELOADING=1"
    assert int(stamp.removeprefix("MONOTONIC_USEC=")) > 0
    assert heard[2:] == ["STOPPING=1\nSTATUS=bye", "STATUS=idle"]
    manager.close()
    manager.status("after the end")


def test_a_status_cannot_smuggle_in_a_message(ear: socket.socket) -> None:
    """Line ends and foreign letters stay within the status line."""
    manager = ServiceManager()
    manager.status("証明書\nSTOPPING=1")
    assert ear.recv(4096) == b"STATUS=???\\nSTOPPING=1"
    manager.close()


def test_the_watchdog_is_fed_only_while_healthy(ear: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signs of life end when `healthy` says no."""
    monkeypatch.setenv("WATCHDOG_USEC", "2000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    answers = iter([True, True, False, False, True])
    exhausted = threading.Event()

    def healthy() -> bool:
        answer = next(answers, None)
        if answer is None:
            exhausted.set()
        return bool(answer)

    manager = ServiceManager()
    manager.watchdog(healthy)
    assert exhausted.wait(10)
    manager.close()
    ear.setblocking(False)
    heard = []
    while True:
        try:
            heard.append(ear.recv(4096))
        except BlockingIOError:
            break
    assert heard == [b"WATCHDOG=1"] * 3


def test_a_service_manager_that_does_not_read(ear: socket.socket) -> None:
    """Its full queue costs the news, not the daemon: nothing waits for a reader. READY alone is tried again."""
    manager = ServiceManager()
    filling = threading.Thread(target=lambda: [manager.status(str(number)) for number in range(3)], daemon=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.setblocking(False)
        with pytest.raises(BlockingIOError):
            while True:
                other.sendto(b"STATUS=somebody else", ear.getsockname())
    filling.start()
    filling.join(timeout=60)
    assert not filling.is_alive()
    ready = threading.Thread(target=manager.ready, daemon=True)
    ready.start()
    heard = b""
    while heard != b"READY=1":
        heard = ear.recv(4096)
    ready.join(timeout=60)
    manager.close()


def test_without_a_service_manager_all_is_silent() -> None:
    """Every call does nothing where NOTIFY_SOCKET is missing."""
    manager = ServiceManager({"WATCHDOG_USEC": "1000"})
    manager.ready()
    manager.watchdog(lambda: pytest.fail("asked for nothing"))
    manager.close()


def test_a_socket_that_nobody_reads_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service manager that went away does not take the service with it."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(path))
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        manager = ServiceManager()
    manager.ready()
    manager.close()


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
    ],
)
def test_watchdog_interval(environ: dict[str, str], seconds: float | None) -> None:
    """Only a sane value, meant for this process, counts."""
    assert watchdog_interval(environ) == seconds
