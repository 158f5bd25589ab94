"""Where the demo lives: a temporary directory, free ports, and the promise that nothing of it is left."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from certd import atomicfile
from certd.errors import Refused
from certd.lab.httpd import find_binary
from certd.lab.options import LOOPBACK

LONGEST = 60
"""Characters of the directory: the names of Unix sockets below it end at 107 bytes."""
PORTS = range(20000, 32768)
"""Below the kernel's own choice, so that no outgoing connection takes one between looking and listening."""
PATIENCE = 5.0
"""Seconds for a process to end by itself."""


class Place:
    """A new directory that other users may pass, since Apache's children, started by root, are another user."""

    def __init__(self) -> None:
        """Raises `Refused` where there is no fit place for it."""
        self.root = Path(tempfile.mkdtemp(prefix="certd-demo-", dir=_parent()))
        self.root.chmod(0o755)

    def write(self, name: str, text: str, *, mode: int = 0o644) -> Path:
        """A file below it, born with its mode."""
        path = self.root / name
        atomicfile.create_file(path, text.encode(), mode=mode)
        return path

    def remove(self) -> None:
        """The directory with all in it."""
        shutil.rmtree(self.root, ignore_errors=True)

    def end_leftovers(self) -> None:
        """End what certd, cut off in the middle of a reload, may have left running: it names our directory."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in self._processes():
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            deadline = time.monotonic() + PATIENCE
            while any(self._processes()) and time.monotonic() < deadline:
                time.sleep(0.05)

    def _processes(self) -> Iterator[int]:
        """Ours alone: of our Python or httpd (not somebody's `tail`), and with the directory among the arguments."""
        programs = {os.fsencode(sys.executable), os.fsencode(str(find_binary()))}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            with suppress(OSError):
                program, _, arguments = (entry / "cmdline").read_bytes().partition(b"\0")
                if program in programs and os.fsencode(self.root) in arguments:
                    yield int(entry.name)


def free_ports(count: int) -> list[int]:
    """Different ports of the loopback that nobody listens on. Raises `Refused` when there are none."""
    found = []
    for port in random.SystemRandom().sample(PORTS, len(PORTS)):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock, suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((LOOPBACK, port))
            found.append(port)
        if len(found) == count:
            return found
    raise Refused(f"no {count} free ports on {LOOPBACK}")


def _parent() -> Path:
    """The temporary directory of this user, or a common one where that is too long or closed to others."""
    candidates = [Path(name) for name in dict.fromkeys((tempfile.gettempdir(), "/tmp", "/var/tmp"))]  # noqa: S108 - parents of a directory made by mkdtemp
    for candidate in candidates:
        if len(str(candidate)) <= LONGEST and os.access(candidate, os.W_OK | os.X_OK) and _passable(candidate):
            return candidate
    raise Refused(f"no place for the demo: none of {', '.join(map(str, candidates))} can be used; set TMPDIR")


def _passable(directory: Path) -> bool:
    if os.geteuid() != 0:
        return True
    return all(above.stat().st_mode & stat.S_IXOTH for above in (directory, *directory.parents))
