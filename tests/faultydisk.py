"""A disk that fails, and a power cut that loses what was not synced: for every call that changes something, in turn."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

CALLS = ("open", "fchown", "fchmod", "write", "fsync", "close", "replace", "rename", "link", "unlink", "symlink",
         "mkdir", "rmdir", "chmod", "pwrite", "ftruncate")  # fmt: skip


class PowerCut(BaseException):
    """Nothing runs after this: no `except OSError`, and no later call succeeds."""


class FaultyDisk:
    """Stands in front of the functions of `os` that change the disk; pathlib and shutil call them as well.

    `fail_at` and `cut_at` count the calls from 1. `born` maps a file's name to its mode and group at the first write,
    `asked` to the mode that open was given.
    """

    def __init__(self, workshop: Path, *, fail_at: int = 0, errno: int = 0, cut_at: int = 0) -> None:
        self.calls: list[str] = []
        self.born: dict[str, tuple[int, int]] = {}
        self.asked: dict[str, int] = {}
        self._workshop = workshop
        self._fail_at, self._errno, self._cut_at = fail_at, errno, cut_at
        self._real: dict[str, Callable[..., Any]] = {name: getattr(os, name) for name in CALLS}
        self._dead = False
        # Changes of directories since the last sync, oldest first: the directory's identity, and how to undo it.
        self._loose: list[tuple[tuple[int, int], Callable[[], None]]] = []
        self._unsynced: dict[tuple[int, int], int] = {}
        self._spare: list[int] = []

    @contextmanager
    def in_use(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyDisk]:
        with monkeypatch.context() as patched:
            for name in CALLS:
                patched.setattr(os, name, self._wrapped(name))
            yield self

    def lose_unsynced(self) -> None:
        """What the worst power cut does: every change that was not synced is gone, unsynced content is torn."""
        for _, undo in reversed(self._loose):
            undo()
        for descriptor in self._unsynced.values():
            self._real["ftruncate"](descriptor, os.fstat(descriptor).st_size // 2)

    def dispose(self) -> None:
        for descriptor in [*self._spare, *self._unsynced.values()]:
            self._real["close"](descriptor)

    def _wrapped(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            if self._dead:
                if name == "close":  # the test's own process lives on
                    with suppress(OSError):
                        return self._real["close"](*args)
                raise PowerCut
            self.calls.append(name)
            if len(self.calls) == self._cut_at:
                self._dead = True
                if name == "write":
                    self._write(args[0], args[1][: len(args[1]) // 2])
                if name == "close":
                    self._real["close"](*args)
                raise PowerCut
            if len(self.calls) == self._fail_at:
                if name == "close":
                    self._real["close"](*args)
                raise OSError(self._errno, os.strerror(self._errno))
            special = getattr(self, f"_{name}", None)
            return special(*args, **options) if special else self._real[name](*args, **options)

        return call

    # --- what is remembered, so that it can be lost ---

    def _open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        new = bool(flags & os.O_CREAT) and not os.path.lexists(path)
        if new:
            self.asked[Path(path).name] = mode
            self._remember(Path(path))
        descriptor: int = self._real["open"](path, flags, mode, dir_fd=dir_fd)
        return descriptor

    def _write(self, descriptor: int, data: Any) -> int:
        status = os.fstat(descriptor)
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        self.born.setdefault(name, (stat.S_IMODE(status.st_mode), status.st_gid))
        identity = (status.st_dev, status.st_ino)
        if identity not in self._unsynced:
            self._unsynced[identity] = os.dup(descriptor)
        # Short writes are legal; whoever does not go on loses the rest.
        written: int = self._real["write"](descriptor, data[: max(1, len(data) * 2 // 3)])
        return written

    def _fsync(self, descriptor: int) -> None:
        self._real["fsync"](descriptor)
        status = os.fstat(descriptor)
        identity = (status.st_dev, status.st_ino)
        self._loose = [entry for entry in self._loose if entry[0] != identity]
        if identity in self._unsynced:
            self._real["close"](self._unsynced.pop(identity))

    def _replace(self, source: Any, final: Any) -> None:
        self._rename(source, final)

    def _rename(self, source: Any, final: Any) -> None:
        source, final = Path(source), Path(final)
        if source.is_dir() and not source.is_symlink():
            assert not os.path.lexists(final), "a directory was replaced"
            self._real["rename"](source, final)
            self._loose.append((_identity(source.parent), lambda: self._real["rename"](final, source)))
            return
        self._remember(final)
        self._remember(source)
        self._real["rename"](source, final)

    def _link(self, source: Any, final: Any, **options: Any) -> None:
        self._remember(Path(final))
        self._real["link"](source, final, **options)

    def _symlink(self, target: Any, link: Any, *rest: Any) -> None:
        self._remember(Path(link))
        self._real["symlink"](target, link, *rest)

    def _unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        # Below a directory that is being taken apart, losing an unlink equals a cut before it.
        if dir_fd is None:
            self._remember(Path(path))
        self._real["unlink"](path, dir_fd=dir_fd)

    def _mkdir(self, path: Any, mode: int = 0o777) -> None:
        self._real["mkdir"](path, mode)
        self._loose.append((_identity(Path(path).parent), lambda: shutil.rmtree(path)))

    def _remember(self, path: Path) -> None:
        """Note how to bring one entry of a directory back to what it is now."""
        directory = self._real["open"](path.parent, os.O_RDONLY | os.O_DIRECTORY)
        self._spare.append(directory)
        kept: Path | None = None
        if os.path.lexists(path):
            kept = self._workshop / f"{len(self._spare)}"
            self._real["link"](path, kept, follow_symlinks=False)

        def undo() -> None:
            with suppress(FileNotFoundError):
                self._real["unlink"](path.name, dir_fd=directory)
            if kept is not None:
                self._real["link"](kept, path.name, dst_dir_fd=directory, follow_symlinks=False)

        self._loose.append((_identity(path.parent), undo))


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


class Explorer:
    """Runs one change of the disk again and again, each time with another of its calls going wrong.

    `prepare(root)` makes the state before, `change(root)` is what is attacked, `check(root, done)` asserts what must
    hold after it; `done` tells that the change returned.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
        self._monkeypatch = monkeypatch
        self._directory = directory
        self._runs = 0

    def explore(
        self,
        prepare: Callable[[Path], object],
        change: Callable[[Path], object],
        check: Callable[[Path, bool], object],
        *,
        errnos: tuple[int, ...],
        failures: type[Exception] = OSError,
    ) -> int:
        """The number of calls that were attacked."""
        total = self._undisturbed(prepare, change, check)
        for k in range(1, total + 1):
            for errno in errnos:
                root, disk = self._fresh(prepare, fail_at=k, errno=errno)
                with disk.in_use(self._monkeypatch):
                    try:
                        change(root)
                        done = True
                    except failures:
                        done = False
                check(root, done)
                disk.dispose()
            for lose in (False, True):
                root, disk = self._fresh(prepare, cut_at=k)
                with disk.in_use(self._monkeypatch), pytest.raises(PowerCut):
                    change(root)
                if lose:
                    disk.lose_unsynced()
                check(root, False)
                disk.dispose()
        return total

    def _undisturbed(
        self,
        prepare: Callable[[Path], object],
        change: Callable[[Path], object],
        check: Callable[[Path, bool], object],
    ) -> int:
        """What returned without an error is done, also when the power is cut right after it."""
        root, disk = self._fresh(prepare)
        with disk.in_use(self._monkeypatch):
            change(root)
        check(root, True)
        disk.lose_unsynced()
        check(root, True)
        disk.dispose()
        return len(disk.calls)

    def _fresh(self, prepare: Callable[[Path], object], **faults: int) -> tuple[Path, FaultyDisk]:
        self._runs += 1
        root = self._directory / f"{self._runs}" / "disk"
        workshop = self._directory / f"{self._runs}" / "workshop"
        root.mkdir(parents=True)
        workshop.mkdir()
        prepare(root)
        return root, FaultyDisk(workshop, **faults)
