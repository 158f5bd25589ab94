"""The status socket besieged: thousands of connections that drip, flood, hang or talk nonsense. The engine goes on."""

from __future__ import annotations

import os
import random
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from parts import Certd, LabSite, eventually

CONNECTIONS = 3000
BESIEGERS = 24
"""At once; more than the 16 clients that are answered."""
HUGE = b"GET /" + b"a" * 1_000_000
FDS_OF_A_DAEMON = 100
DRIP = 0.3
"""Seconds between two bytes."""
SEATED = 5
"""Bytes that only those can drip who were given a seat; the others are sent away at once."""


class Siege:
    """So many threads, each opening one connection after the other and misbehaving on it."""

    def __init__(self, path: Path) -> None:
        self.connections = 0
        self.cut_off = 0
        self._path = path
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._besiege, args=(number,)) for number in range(BESIEGERS)]
        self._ways: Sequence[Callable[[socket.socket], None]] = (self._drip, self._deaf, _flood, _nonsense, _hang_up)

    @contextmanager
    def laid(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in self._threads:
                thread.join()

    def _besiege(self, number: int) -> None:
        rng = random.Random(number)
        while not self._over.is_set():
            # Those that cost the besieger time hold seats; the others come in great numbers.
            way = self._ways[number % 2] if number < 8 else rng.choice(self._ways[2:])
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client, suppress(OSError):
                client.settimeout(1)
                client.connect(str(self._path))
                self.connections += 1
                way(client)

    def _drip(self, client: socket.socket) -> None:
        """A byte now and then, for as long as that is suffered."""
        dripped = 0
        with suppress(OSError):
            while not self._over.wait(DRIP):
                client.send(b"G")
                dripped += 1
        if dripped > SEATED and not self._over.is_set():
            self.cut_off += 1

    def _deaf(self, client: socket.socket) -> None:
        """Asks for what is large, and never reads."""
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        self._over.wait(7)


def _flood(client: socket.socket) -> None:
    client.sendall(HUGE)


def _nonsense(client: socket.socket) -> None:
    client.sendall(os.urandom(200) + b"\r\n\r\n")
    client.recv(1000)


def _hang_up(client: socket.socket) -> None:
    client.sendall(b"GET /status HTTP/1.1\r\n")


def test_the_engine_does_not_notice(make_labsite: Callable[..., LabSite]) -> None:
    """A renewal runs to its end meanwhile; afterwards everything is answered, and what was refused is counted."""
    site = make_labsite(["a.test"])
    certd = site.daemon(defaults={"ocsp": {"propagation_delay": "0s"}})
    site.put_live()
    site.apache.start()
    certd.start()
    before = site.served()
    siege = Siege(certd.runtime_dir / "status.sock")
    with siege.laid():
        eventually(lambda: siege.connections > CONNECTIONS // 2, "the siege is laid", 60)
        certd.renew("a.test", now=True)
        eventually(lambda: site.served() == site.issued() != before, "the new certificate is served", 120)
        eventually(lambda: siege.connections > CONNECTIONS, "thousands of connections", 60)
        eventually(lambda: siege.cut_off > 0, "somebody who drips is cut off", 60)
    eventually(lambda: _answers(certd), "it answers everybody again")
    eventually(lambda: certd.problems() == set(), "all is well")
    counted = _counters(certd)
    assert counted["certd_status_socket_refused_total"] > 0
    assert counted["certd_status_socket_timeouts_total"] > 0
    assert counted["certd_status_socket_bad_requests_total"] > 0
    assert counted["certd_control_socket_requests_total"] == 1
    fds = Path(f"/proc/{certd.pid}/fd")
    eventually(lambda: len(list(fds.iterdir())) < FDS_OF_A_DAEMON, "no connection is left over")
    print(
        f"{siege.connections} connections:", {name: value for name, value in counted.items() if "status_sock" in name}
    )


def _answers(certd: Certd) -> bool:
    try:
        return certd.ask("GET", "/healthz")[0] == 200
    except (OSError, ValueError):
        return False


def _counters(certd: Certd) -> dict[str, float]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(str(certd.runtime_dir / "status.sock"))
        client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        text = b"".join(iter(lambda: client.recv(65536), b"")).decode()
    samples = (line.rpartition(" ") for line in text.splitlines() if "_total " in line and not line.startswith("#"))
    return {name: float(value) for name, _, value in samples}
