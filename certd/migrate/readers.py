"""Who may read a key. A link must not take it away from a server that is not root."""

from __future__ import annotations

import grp
import os
import pwd
from dataclasses import dataclass
from pathlib import Path

_OWNER, _GROUP, _OTHERS = 0o400, 0o040, 0o004


@dataclass(frozen=True)
class Access:
    """Owner, group and mode of a file."""

    uid: int
    gid: int
    mode: int

    @classmethod
    def of(cls, path: Path) -> Access:
        """Of the file that the path leads to. Raises OSError."""
        found = path.stat()
        return cls(found.st_uid, found.st_gid, found.st_mode)


def planned(state_dir: Path, group: str | None) -> Access | None:
    """What the key of a version will have, with `files.group`; None where there is no such group."""
    owner = state_dir.stat().st_uid if state_dir.exists() else os.geteuid()
    if group is None:
        return Access(owner, -1, _OWNER)
    try:
        return Access(owner, grp.getgrnam(group).gr_gid, _OWNER | _GROUP)
    except KeyError:
        return None


def grants(access: Access, group: str | None) -> bool:
    """Whether a key has what `files.group` says; anything will do where it says nothing."""
    if group is None:
        return True
    try:
        return bool(access.mode & _GROUP) and access.gid == grp.getgrnam(group).gr_gid
    except KeyError:
        return False


def cut_off(old: Access, new: Access) -> tuple[str, str] | None:
    """Who could read the old key and cannot read the new one, and the group that would let them; None for nobody.

    root reads everything, and its group has nobody else in it.
    """
    if new.mode & _OTHERS:
        return None
    if old.mode & _GROUP and old.gid != 0 and not (new.mode & _GROUP and new.gid == old.gid):
        group = _group(old.gid)
        return f"group {group}", group
    if old.mode & _OWNER and old.uid not in (0, new.uid) and not (new.mode & _GROUP and new.gid in _groups(old.uid)):
        user, group = _user(old.uid)
        return f"user {user}", group
    return None


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _user(uid: int) -> tuple[str, str]:
    """The user's name, and that of the first group."""
    try:
        found = pwd.getpwuid(uid)
    except KeyError:
        return str(uid), "GROUP"
    return found.pw_name, _group(found.pw_gid)


def _groups(uid: int) -> list[int]:
    try:
        found = pwd.getpwuid(uid)
    except KeyError:
        return []
    return os.getgrouplist(found.pw_name, found.pw_gid)
