"""What certd does to the world outside its process, counted; at a chosen act the process dies by SIGKILL.

An act is a successful call that changes something: an entry or a file below one of `places`, a lock, a POST to a CA or
responder, a server's command. The process dies right after it, and of what can be half done it dies half way as well:
a `torn` write has written half of its bytes, a command was `spawned` and has not ended. There are no other moments:
from one act to the next SIGKILL finds the same world. (After `fsync` it finds no other world than before; only a cut
of the power would, see `tests/store`.) That no act is missing here is shown by the kernel's own word
(`test_kill_points.py`, strace).

All is wrapped from outside, in a process that is made for it; certd knows nothing of this.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import contextmanager
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from certd import deploy
from certd.http import Exchanger

_ENTRIES = ("rename", "replace", "link", "symlink", "unlink", "remove", "mkdir", "rmdir", "mkfifo", "mknod")
_INODES = ("fchmod", "chmod", "fchown", "chown", "lchown", "fsync", "fdatasync", "ftruncate", "truncate", "utime",
           "setxattr", "removexattr", "posix_fallocate", "pwrite")  # fmt: skip
_COMMANDS = ("reload", "start", "run")


class Act(NamedTuple):
    """One line of the log."""

    number: int
    what: str
    where: str
    phase: str
    """Of the certificate and of the server, by their records on the disk."""
    at: str
    """By certd's clock."""

    def __str__(self) -> str:
        return f"{self.number}: {self.what} {self.where} ({self.phase})"


class Acts:
    """Counts from 1 and writes `log`, one line each; ends the process at act number `last`."""

    def __init__(self, places: tuple[str, ...], last: int, log: Path, clock: Callable[[], datetime]) -> None:
        self._places = places
        self._last = last
        self._clock = clock
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._write = os.write
        self._number = 0
        self._commanding = ""
        self._phases: dict[str, str] = {}
        for record in Path(places[0]).glob("*/*/state.json"):
            self._note_phase(str(record))

    def install(self) -> None:
        """From now on everything is counted."""
        for name in _ENTRIES:
            setattr(os, name, self._counted(name, getattr(os, name), self._entry))
        for name in _INODES:
            setattr(os, name, self._counted(name, getattr(os, name), lambda args, _: self._path(args[0])))
        os.open = self._counted("create", os.open, self._created)  # type: ignore[assignment]
        os.write = self._write_in_two(os.write)
        os.fdopen = self._opened  # type: ignore[assignment]
        fcntl.flock = self._counted("flock", fcntl.flock, lambda args, _: self._path(args[0]))  # type: ignore[assignment]
        for name in _COMMANDS:
            setattr(deploy, name, self._command(name, getattr(deploy, name)))
        subprocess.Popen = self._popen()  # type: ignore[assignment,misc]
        send = Exchanger.send

        @wraps(send)
        def sent(exchanger: Exchanger, method: str, url: str, **options: Any) -> Any:
            answer = send(exchanger, method, url, **options)
            if method == "POST":
                self._act("POST", url)
            return answer

        Exchanger.send = sent  # type: ignore[method-assign]

    # --- what is wrapped

    def _counted(self, name: str, real: Callable[..., Any], place: Callable[..., str]) -> Callable[..., Any]:
        @wraps(real)
        def call(*args: Any, **options: Any) -> Any:
            where = place(args, options)
            result = real(*args, **options)
            if where.startswith(self._places):
                self._note_phase(where)
                self._act(name, where)
            return result

        return call

    def _write_in_two(self, real: Callable[[int, Any], int]) -> Callable[[int, Any], int]:
        @wraps(real)
        def write(descriptor: int, data: Any) -> int:
            where = self._path(descriptor)
            if not where.startswith(self._places):
                return real(descriptor, data)
            if self._number + 1 == self._last:
                real(descriptor, data[: len(data) // 2])
            self._act("torn", where)
            written = real(descriptor, data)
            self._act("write", where)
            return written

        return write

    def _opened(self, descriptor: int, mode: str = "r", *rest: Any, **options: Any) -> Any:
        """A file that writes by `os.write`, at once: what the io module writes nobody could count."""
        if "r" in mode:
            return open(descriptor, mode, *rest, **options)
        return _Plain(descriptor, mode.replace("b", ""))

    def _command(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(real)
        def command(*args: Any, **options: Any) -> Any:
            with self._in_command(name):
                result = real(*args, **options)
            self._act("ended", name)
            return result

        return command

    @contextmanager
    def _in_command(self, name: str) -> Any:
        self._commanding = name
        try:
            yield
        finally:
            self._commanding = ""

    def _popen(self) -> type[subprocess.Popen[bytes]]:
        acts, real = self, subprocess.Popen

        class Counted(real):  # type: ignore[valid-type,misc]
            def __init__(self, *args: Any, **options: Any) -> None:
                super().__init__(*args, **options)
                if acts._commanding:  # else it is a question: whether the server runs
                    acts._act("spawned", acts._commanding)

        return Counted

    # --- where it happens

    def _entry(self, args: Any, options: Any) -> str:
        """The entry that appears or goes: the last path of the call."""
        paths = [one for one in args[:2] if isinstance(one, str | os.PathLike)]
        handle = options.get("dst_dir_fd", options.get("dir_fd"))
        return self._path(paths[-1], handle)

    def _created(self, args: Any, options: Any) -> str:
        creates = args[1] & (os.O_CREAT | os.O_TRUNC)
        return self._path(args[0], options.get("dir_fd")) if creates else ""

    def _path(self, one: Any, handle: int | None = None) -> str:
        if isinstance(one, int):
            try:
                return str(Path(f"/proc/self/fd/{one}").readlink())
            except OSError:
                return ""
        path = os.fsdecode(one)
        return path if handle is None else f"{self._path(handle)}/{path}"

    # --- what is counted

    def _act(self, what: str, where: str) -> None:
        self._number += 1
        act = Act(self._number, what, where, " ".join(sorted(self._phases.values())), self._clock().isoformat())
        self._write(self._log, f"{json.dumps(act)}\n".encode())
        if self._number == self._last:
            _die()

    def _note_phase(self, where: str) -> None:
        if not where.endswith("/state.json"):
            return
        try:
            record = json.loads(Path(where).read_bytes())
        except (OSError, ValueError):
            return
        kind = "certificate" if "/certs/" in where else "server"
        self._phases[where] = f"{kind} {record.get('stage') or record['phase']}"


class _Plain(io.FileIO):
    def write(self, data: Any) -> int:
        return os.write(self.fileno(), data)


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("a dead process goes on")


def read_log(log: Path) -> list[Act]:
    return [Act(*json.loads(line)) for line in log.read_text().splitlines()]
