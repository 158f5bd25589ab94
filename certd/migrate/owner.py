"""Root writes as the user that the state directory belongs to, so that the daemon can read and replace it all."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from certd.errors import StateError


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


def _groups(uid: int, gid: int) -> list[int]:
    try:
        return os.getgrouplist(pwd.getpwuid(uid).pw_name, gid)
    except KeyError:
        return [gid]
