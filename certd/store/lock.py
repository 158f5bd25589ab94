"""One certd per state directory: a lock that the kernel drops when its holder dies, and that names its holder."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from certd.errors import LockHeld
from certd.model.records import Moment
from certd.store.trouble import explained

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path


MODE = 0o600
"""Whoever may open the file, for reading even, may lock it, and keep certd from its work."""


class Holder(msgspec.Struct, frozen=True):
    """Who holds, or held last, the lock; the content of the file."""

    pid: int
    purpose: str
    since: Moment
    host: str

    def __str__(self) -> str:
        return f"{self.purpose} (pid {self.pid} on {self.host}, since {self.since:%Y-%m-%dT%H:%M:%SZ})"


class StateLock:
    """An flock on one open file. It ends with `release`, or with the process, never with a leftover file."""

    def __init__(self, descriptor: int, holder: Holder) -> None:
        self._descriptor: int | None = descriptor
        self.holder = holder

    @classmethod
    def acquire(cls, path: Path, *, purpose: str, now: datetime) -> StateLock:
        """Take the lock at once or raise LockHeld, which names the holder; StateError where the file cannot be used."""
        holder = Holder(pid=os.getpid(), purpose=purpose, since=now, host=os.uname().nodename)
        with explained("lock", path):
            # Not inherited by reload and after commands: one that stays in the background must not keep the lock.
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, MODE)
            try:
                os.fchmod(descriptor, MODE)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError as error:
                    raise _held(path, os.pread(descriptor, 4096, 0)) from error
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, msgspec.json.format(msgspec.json.encode(holder), indent=1) + b"\n", 0)
            except BaseException:
                os.close(descriptor)
                raise
        return cls(descriptor, holder)

    def release(self) -> None:
        """Give the lock up; a second call does nothing. The file stays: removing it would let two hold it at once."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            with suppress(OSError):  # what a failing disk says to this: the kernel gives the lock up all the same
                os.close(descriptor)


def _held(path: Path, content: bytes) -> LockHeld:
    try:
        holder = str(msgspec.json.decode(content, type=Holder))
    except (msgspec.DecodeError, UnicodeDecodeError):
        # The holder has just taken it and has not written its name yet.
        holder = "another process"
    return LockHeld(f"{path} is held by {holder}; stop that first, or let it do the work", holder)
