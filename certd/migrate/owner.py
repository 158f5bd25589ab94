"""Root writes as the user that the state directory belongs to, so that the daemon can read and replace it all.

And it reads there as that user: whoever owns a directory can put a link in it to a file that only root may read, and
root must not copy that for them.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from certd.errors import StateError
from certd.migrate import sources

_MOST_LINKS = 40
"""After which Linux follows no more."""


@contextmanager
def acting_as_owner(state_dir: Path) -> Iterator[None]:
    """For the block, files are made by the owner of `state_dir`, with the groups of that user.

    Nothing changes where this process is not root, or the directory is root's or not there yet. The process must have
    one thread. Raises StateError.
    """
    try:
        found = state_dir.stat()
    except FileNotFoundError:
        yield
        return
    except OSError as error:
        raise StateError(f"cannot look at {state_dir}: {error.strerror}") from None
    if os.geteuid() != 0 or found.st_uid == 0:
        yield
        return
    groups, gid = os.getgroups(), os.getegid()
    try:
        os.setgroups(_groups(found.st_uid, found.st_gid))
        os.setegid(found.st_gid)
        os.seteuid(found.st_uid)
    except OSError as error:
        os.setgroups(groups)
        raise StateError(f"cannot write as the owner of {state_dir}: {error.strerror}") from None
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(gid)
        os.setgroups(groups)


def leads_into(path: Path, state_dir: Path) -> bool:
    """Whether the way to `path` leads through `state_dir`, by whatever links and by whatever name of it."""
    return _way_in(path, state_dir) is not None


def read_as_owner(path: Path, state_dir: Path) -> bytes:
    """The file at `path`; where the way to it leads through `state_dir`, what its owner may read there.

    Raises Refused, StateError.
    """
    inside = _way_in(path, state_dir)
    if inside is None:
        return sources.read(path)
    with acting_as_owner(state_dir):
        return sources.read(inside)


def _way_in(path: Path, state_dir: Path) -> Path | None:
    """The path by which the way to `path` comes into `state_dir`, all links before that followed; None if it does not.

    From there on the links are the owner's, so none of them is looked at.
    """
    roots = {state_dir.absolute(), state_dir.resolve()}
    here, links = Path("/"), 0
    ahead = list(reversed(path.absolute().parts[1:]))
    while ahead:
        part = ahead.pop()
        if part == "..":
            here = here.parent
            continue
        here /= part
        if here in roots:
            return here.joinpath(*reversed(ahead))
        if here.is_symlink() and links < _MOST_LINKS:
            links += 1
            target = here.readlink()
            here = Path("/") if target.is_absolute() else here.parent
            ahead += reversed(target.parts[1:] if target.is_absolute() else target.parts)
    return None


def _groups(uid: int, gid: int) -> list[int]:
    try:
        return os.getgrouplist(pwd.getpwuid(uid).pw_name, gid)
    except KeyError:
        return [gid]
