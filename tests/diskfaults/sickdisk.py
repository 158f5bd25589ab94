"""A disk that refuses: chosen calls of this thread below chosen directories fail with a chosen errno.

What stands in front of `os` here changes nothing and remembers nothing (`faultydisk.py` does that, for one change of
the disk at a time): whole issuances go through it, reading calls included. Other threads, such as those of the CA and
the web server around certd, have a sound disk.
"""

from __future__ import annotations

import errno
import io
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from faultydisk import CALLS

_LOOKS = ("read", "listdir", "scandir", "readlink", "stat", "lstat")
READ = "io.open"
_MAKES = frozenset({"create", "mkdir", "link", "symlink", "rename", "replace"})
_CHANGES = _MAKES | {"fchown", "fchmod", "chmod", "unlink", "rmdir"}
_OPENS = frozenset({READ, "open", "create", "listdir", "scandir"})
_WRITES = frozenset({"write", "pwrite", "fsync"})

REFUSALS: dict[int, frozenset[str]] = {
    errno.ENOSPC: _MAKES | _WRITES,
    errno.EIO: _CHANGES | _OPENS | _WRITES | {"ftruncate", "close", *_LOOKS},
    errno.EROFS: _CHANGES | {"ftruncate"},
    errno.EACCES: _CHANGES - {"fchown", "fchmod"} | _OPENS,
    errno.EMFILE: _OPENS,
}
"""Which calls an errno can come from. A call of `os.open` that makes a file is called `create`."""


class SickDisk:
    """Counts the calls below `places` from 1. `break_at` chooses which fail, `heal` ends it."""

    def __init__(self) -> None:
        self.places: tuple[str, ...] = ()
        self.calls: list[str] = []
        self.refused: list[str] = []
        """The calls that failed, each with the name of its file."""
        self._thread = threading.get_ident()
        self._at, self._errno, self._lasting = 0, 0, False
        self._real: dict[str, Callable[..., Any]] = {name: getattr(os, name) for name in (*CALLS, *_LOOKS)}

    @contextmanager
    def in_use(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[SickDisk]:
        """Every function of `os` that goes to the disk is ours, and the one of `io` by which pathlib reads."""
        with monkeypatch.context() as patched:
            for name, real in self._real.items():
                patched.setattr(os, name, self._guarded(name, real))
            patched.setattr(io, "open", self._guarded(READ, io.open))
            yield self

    def break_at(self, number: int, why: int, lasting: bool) -> None:
        """Refuse call `number` with errno `why`; or, `lasting`, that one and all after it that this errno fits."""
        self._at, self._errno, self._lasting = number, why, lasting
        self.calls.clear()
        self.refused.clear()

    @property
    def sick(self) -> bool:
        """Whether calls may still fail."""
        return self._at > 0

    def heal(self) -> None:
        """Nothing fails any more."""
        self._at = 0

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What is done here is not certd's: it is not counted, and not refused."""
        thread, self._thread = self._thread, 0
        try:
            yield
        finally:
            self._thread = thread

    def _guarded(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            if threading.get_ident() != self._thread or not self._is_ours(args, options):
                return real(*args, **options)
            what = "create" if name == "open" and args[1] & os.O_CREAT else name
            self.calls.append(what)
            if self._refuses(what):
                self.refused.append(f"{what} {self._place(args[0])}")
                if name == "close":  # the kernel gives the descriptor back all the same
                    real(*args)
                raise OSError(self._errno, os.strerror(self._errno))
            return real(*args, **options)

        return call

    def _refuses(self, what: str) -> bool:
        number = len(self.calls)
        chosen = number >= self._at > 0 if self._lasting else number == self._at
        return chosen and what in REFUSALS[self._errno]

    def _is_ours(self, args: Sequence[Any], options: dict[str, Any]) -> bool:
        # With a directory's handle, the name alone says nothing. A symbolic link's place is its second argument.
        handle = options.get("dir_fd", options.get("dst_dir_fd"))
        found = [handle] if handle is not None else args[:2]
        return any(self._place(one).startswith(self.places) for one in found)

    def _place(self, one: Any) -> str:
        """The path behind an argument, empty where it is none."""
        if isinstance(one, bool) or not isinstance(one, int | str | bytes | os.PathLike):
            return ""
        if not isinstance(one, int):
            return os.fsdecode(one)
        try:
            return str(self._real["readlink"](f"/proc/self/fd/{one}"))
        except OSError:
            return ""


def points(calls: Sequence[str]) -> list[tuple[int, int]]:
    """Every call with every errno that it can fail with."""
    return [(number, why) for number, what in enumerate(calls, 1) for why, fits in REFUSALS.items() if what in fits]
