"""What a configuration is checked against besides itself: the day, the user, the environment, this machine's files."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NamedTuple, Self

ROOT_ONLY = frozenset({"apachectl", "apache2ctl", "httpd", "apache2", "nginx", "haproxy", "service", "systemctl"})
"""Programs whose reload is for root. (Where polkit lets systemctl through, ``reload: {service: NAME}`` is the way.)"""


class DaemonUser(NamedTuple):
    """The user that the daemon will run as, seen by root: what it may do is found out by becoming it for a moment."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]

    @classmethod
    def find(cls, name: str) -> Self | None:
        """None where there is no such user, or where this process is not root and cannot know."""
        if os.geteuid() != 0:
            return None
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            return None
        return cls(name, user.pw_uid, user.pw_gid, tuple(os.getgrouplist(name, user.pw_gid)))

    def may(self, path: Path, mode: int) -> bool:
        """Whether it may do `mode` (os.R_OK and others) to the path. Groups of the unit alone are not counted in."""
        with self._being():
            return os.access(path, mode, effective_ids=True)

    @contextmanager
    def _being(self) -> Iterator[None]:
        # Only commands do this, and they have one thread.
        before = os.getgroups(), os.getegid(), os.geteuid()
        os.setgroups(self.groups)
        os.setegid(self.gid)
        os.seteuid(self.uid)
        try:
            yield
        finally:
            os.seteuid(before[2])
            os.setegid(before[1])
            os.setgroups(before[0])


class Surroundings(NamedTuple):
    """`check_host` False: this machine's files, groups and programs are not looked at.

    `daemon`: whom the configuration is for, where that is another user than this process's.
    """

    today: date
    uid: int
    environ: Mapping[str, str]
    check_host: bool = True
    daemon: DaemonUser | None = None

    @classmethod
    def current(cls, *, check_host: bool = True, daemon: DaemonUser | None = None) -> Surroundings:
        """Today in UTC, and the process as it is."""
        return cls(datetime.now(UTC).date(), os.geteuid(), os.environ, check_host, daemon)

    def reading_warning(self, path: Path) -> str | None:
        """Why the daemon could not read a file that this process can read, and what helps; else None."""
        if not self.check_host or self.daemon is None or self.daemon.may(path, os.R_OK):
            return None
        name = self.daemon.name
        return f"user {name} cannot read {path}; do: chgrp {name} {path} && chmod 0640 {path}"

    def command_warning(self, program: str) -> str | None:
        """Why the daemon, if it runs as this user, could not use the program; else None."""
        if not self.check_host:
            return None
        path = Path(program)
        if not path.is_file():
            return f"there is no program {program} on this machine"
        daemon = self.daemon
        if not (os.access(path, os.X_OK) if daemon is None else daemon.may(path, os.X_OK)):
            return f"{program} cannot be run by {'this user' if daemon is None else f'user {daemon.name}'}"
        if (self.uid if daemon is None else daemon.uid) != 0 and path.name in ROOT_ONLY:
            return f"{path.name} needs root, but certd does not run as root; use reload: {{service: NAME}}"
        return None

    def open_to_others(self, path: Path) -> bool:
        """Whether a file with a secret may be read or changed by everybody. What cannot be found out is not."""
        try:
            return self.check_host and bool(path.stat().st_mode & 0o007)
        except OSError:
            return False

    def group_error(self, group: str) -> str | None:
        """Why the group cannot be used, or None."""
        if not self.check_host:
            return None
        try:
            grp.getgrnam(group)
        except KeyError:
            return f"there is no group {group} on this machine"
        return None
