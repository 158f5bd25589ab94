"""`certd polkit-rule` and `certd systemd-paths`: what to put on the host, on stdout, for what is configured."""

from __future__ import annotations

import sys
from pathlib import Path

from certd import grants
from certd.challenges import OPTIONS
from certd.config import Surroundings, load
from certd.model.specs import Config


def polkit_rule(path: Path) -> int:
    """The rule of polkit for the configured servers."""
    sys.stdout.write(grants.polkit_rule(grants.units(_read(path))))
    return 0


def systemd_paths(path: Path) -> int:
    """The drop-in of certd.service for the configured directories and groups."""
    sys.stdout.write(grants.drop_in(_read(path)))
    return 0


def _read(path: Path) -> Config:
    # What the file says is all that counts here: its secrets and groups may be put in place later.
    return load(path, solvers=OPTIONS, surroundings=Surroundings.current(check_host=False))
