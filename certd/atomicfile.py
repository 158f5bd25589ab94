"""Files that are there whole or not at all, whatever fails: a full disk, a crash, a power cut.

Every function that changes something works by a temporary entry in the same directory (so that SELinux labels are
inherited and the rename stays within one file system), fsync of what was written, one rename or link, and fsync of the
directory. On an OSError before that rename the temporary entry is removed and what was there before is untouched. When
the last step alone fails, the directory's fsync, the new state is in place, but may not survive a power cut; the error
is raised all the same.

Modes and groups are final before the first byte is written, and do not depend on the umask. Until then only the
owner may open a file: whoever opens a file early can read what is written to it later.

Temporary entries begin with `TEMP_PREFIX`. Those that a crash left behind are removed by `remove_leftovers`, to be
called where nothing else writes to that directory.

`read_file` is the way back: whatever lies there in a file's place, it neither waits for it nor swallows it whole.
"""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEMP_PREFIX = ".certd-tmp-"

_PART = 64 * 1024
"""Bytes of one read: the memory that a reader takes follows the file, not the limit."""

_numbers = itertools.count()


class UnfitFile(OSError):
    """What has the file's name is not what its reader takes."""


class NotRegular(UnfitFile):
    """It is a directory, a FIFO, a device."""


class TooLarge(UnfitFile):
    """It is larger than its reader takes."""


@contextmanager
def opened_file(path: Path) -> Iterator[int]:
    """A descriptor of a regular file, to be read. Raises NotRegular, else OSError; waits for nobody."""
    # O_NONBLOCK: to open a FIFO would last until somebody writes to it; O_NOCTTY: a terminal stays a file.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NotRegular("it is not a regular file")
        yield descriptor
    finally:
        os.close(descriptor)


def read_file(path: Path, *, limit: int) -> bytes:
    """The content of a regular file of at most `limit` bytes. Raises UnfitFile, else OSError; waits for nobody."""
    content = bytearray()
    with opened_file(path) as descriptor:
        while len(content) <= limit and (part := os.read(descriptor, _PART)):
            content += part
    if len(content) > limit:
        raise TooLarge(f"it is larger than {limit:,} bytes")
    return bytes(content)


def write_atomic(path: Path, data: bytes, *, mode: int, group: int | None = None) -> None:
    """Create or replace `path`. Readers see the old content or the new, never a part. Raises OSError."""
    with _temporary(path.parent) as temp:
        _create(temp, data, mode, group, sync=True)
        temp.replace(path)
    sync_directory(path.parent)


def write_once(path: Path, data: bytes, *, mode: int, group: int | None = None) -> None:
    """Create `path`, never replace it. Raises FileExistsError where anything has that name, else OSError."""
    with _temporary(path.parent) as temp:
        _create(temp, data, mode, group, sync=True)
        # A link, not a rename: it is the only step that is atomic and refuses an existing name at the same time.
        path.hardlink_to(temp)
        sync_directory(path.parent)
        temp.unlink()


def create_file(path: Path, data: bytes, *, mode: int, group: int | None = None) -> None:
    """Write a new file below a directory that is not published yet; neither atomic nor synced. Raises OSError."""
    _create(path, data, mode, group, sync=False)


def replace_symlink(link: Path, target: str) -> None:
    """Make `link` point to `target`, in one step. Raises OSError, also where `link` is a directory."""
    with _temporary(link.parent) as temp:
        temp.symlink_to(target)
        temp.replace(link)
    sync_directory(link.parent)


def make_directory(path: Path, *, mode: int) -> None:
    """Create `path` with exactly this mode; one that exists is left as it is. Raises OSError."""
    if path.is_dir():
        return
    with _temporary(path.parent) as temp:
        temp.mkdir(mode=0o700)
        temp.chmod(mode)
        temp.rename(path)
    sync_directory(path.parent)


@contextmanager
def new_directory(final: Path, *, mode: int) -> Iterator[Path]:
    """A temporary directory to fill, published as `final` at the end of the block, removed if the block fails.

    Raises FileExistsError where `final` exists, else OSError.
    """
    with _temporary(final.parent) as temp:
        temp.mkdir(mode=0o700)
        yield temp
        temp.chmod(mode)
        publish_directory(temp, final)


def publish_directory(temp: Path, final: Path) -> None:
    """Sync the files in `temp` (it is flat) and give it its name. Raises FileExistsError where `final` exists, else
    OSError.

    All files are written before the first is synced: the file system then commits them together, and the remaining
    calls cost next to nothing.
    """
    for entry in sorted(temp.iterdir()):
        _sync(entry, os.O_NOFOLLOW)
    sync_directory(temp)
    if os.path.lexists(final):
        # Without this an empty directory would be replaced. The caller's lock keeps others from coming in between.
        raise _exists(final)
    temp.rename(final)
    sync_directory(final.parent)


def move_file(source: Path, final: Path) -> None:
    """Rename a file, also into another directory. Raises FileExistsError where `final` exists, else OSError."""
    if os.path.lexists(final):
        raise _exists(final)
    source.rename(final)
    # The new place first: a power cut in between may then leave the file under two names, not under none.
    sync_directory(final.parent)
    sync_directory(source.parent)


def remove_file(path: Path) -> None:
    """Remove a file or symlink durably; one that is missing is no error. Raises OSError."""
    path.unlink(missing_ok=True)
    sync_directory(path.parent)


def remove_directory(path: Path) -> None:
    """Remove a directory and all below it. It vanishes in one step, so nobody sees half of it. Raises OSError."""
    temp = _unused_name(path.parent)
    path.rename(temp)
    sync_directory(path.parent)
    shutil.rmtree(temp)


def remove_leftovers(directory: Path) -> int:
    """Remove what crashed writers left in `directory`, which may be missing; the number of entries. Raises OSError."""
    try:
        with os.scandir(directory) as entries:
            leftovers = [entry for entry in entries if entry.name.startswith(TEMP_PREFIX)]
    except FileNotFoundError:
        return 0
    for entry in leftovers:
        _remove(directory / entry.name)
    return len(leftovers)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable. Raises OSError."""
    _sync(path, os.O_DIRECTORY)


def _create(path: Path, data: bytes, mode: int, group: int | None, *, sync: bool) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode & 0o600)
    try:
        if group is not None:
            os.fchown(descriptor, -1, group)
        os.fchmod(descriptor, mode)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        if sync:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync(path: Path, kind: int) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | kind)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _temporary(directory: Path) -> Iterator[Path]:
    """A name for a temporary entry, which is removed if the block fails."""
    temp = _unused_name(directory)
    try:
        yield temp
    except BaseException:
        with suppress(OSError):
            _remove(temp)
        raise


def _unused_name(directory: Path) -> Path:
    """A name no entry has; another process with the same number (in a container) may have left some."""
    while True:
        name = directory / f"{TEMP_PREFIX}{os.getpid()}-{next(_numbers)}"
        if not os.path.lexists(name):
            return name


def _exists(path: Path) -> FileExistsError:
    return FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
