"""What a configuration is checked against besides itself: the day, the user, the environment, this machine's files."""

from __future__ import annotations

import grp
import os
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NamedTuple

ROOT_ONLY = frozenset({"apachectl", "apache2ctl", "httpd", "apache2", "nginx", "haproxy", "service", "systemctl"})
"""Programs whose reload is for root. (Where polkit lets systemctl through, ``reload: {service: NAME}`` is the way.)"""


class Surroundings(NamedTuple):
    """`check_host` False: this machine's files, groups and programs are not looked at."""

    today: date
    uid: int
    environ: Mapping[str, str]
    check_host: bool = True

    @classmethod
    def current(cls, *, check_host: bool = True) -> Surroundings:
        """Today in UTC, and the process as it is."""
        return cls(datetime.now(UTC).date(), os.geteuid(), os.environ, check_host)

    def command_warning(self, program: str) -> str | None:
        """Why the daemon, if it runs as this user, could not use the program; else None."""
        if not self.check_host:
            return None
        path = Path(program)
        if not path.is_file():
            return f"there is no program {program} on this machine"
        if not os.access(path, os.X_OK):
            return f"{program} cannot be run by this user"
        if self.uid != 0 and path.name in ROOT_ONLY:
            return f"{path.name} needs root, but certd does not run as root; use reload: {{service: NAME}}"
        return None

    def group_error(self, group: str) -> str | None:
        """Why the group cannot be used, or None."""
        if not self.check_host:
            return None
        try:
            grp.getgrnam(group)
        except KeyError:
            return f"there is no group {group} on this machine"
        return None
