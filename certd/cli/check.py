"""`certd check`: the configuration only. Works without a daemon and without a network."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from certd.challenges import OPTIONS, written_below
from certd.config import DaemonUser, Surroundings, json_schema, load
from certd.errors import ConfigError
from certd.grants import CHALLENGES, USER
from certd.model.specs import Config


def daemon_user() -> DaemonUser | None:
    """Whom root checks a configuration for: the user of the shipped unit, where it is installed."""
    return DaemonUser.find(USER)


def check(path: Path, daemon: DaemonUser | None = None) -> int:
    """Errors and warnings to stderr, one line each; a summary to stdout if the configuration can be used.

    It is judged for `daemon`, where that is not this process's user. What polkit and the unit's sandbox allow is not
    looked at: only a reload and a challenge prove that.
    """
    try:
        config = load(path, solvers=OPTIONS, surroundings=Surroundings.current(daemon=daemon))
    except ConfigError as error:
        _say("warning", error.warnings)
        _say("error", error.problems)
        return 2
    warnings = (*config.warnings, *(_unwritable(config, daemon) if daemon is not None else ()))
    _say("warning", warnings)
    parts = [
        _count(len(config.certificates), "certificate"),
        _count(len(config.cas), "CA"),
        _count(len(config.servers), "server"),
        _count(len(warnings), "warning"),
    ]
    sys.stdout.write(f"OK: {', '.join(parts)}\n")
    return 0


def _unwritable(config: Config, daemon: DaemonUser) -> list[str]:
    """One line for each directory of challenges that the daemon cannot write to."""
    solvers = (solver for spec in config.certificates.values() for _, solver in spec.challenges)
    roots = sorted({root for solver in solvers if (root := written_below(solver)) is not None})
    lines = []
    for root in roots:
        # What is missing is made by the daemon, in what is there.
        ways = (Path(root), Path(root, ".well-known"), Path(root, ".well-known/acme-challenge"))
        deepest = [way for way in ways if way.is_dir()][-1:]
        if deepest and not daemon.may(deepest[0], os.W_OK | os.X_OK):
            lines.append(
                f"{config.path}: webroot: user {daemon.name} cannot write to {deepest[0]}; use {CHALLENGES} with the "
                f"Apache snippet certd-challenge.conf, or do: install -d -o {daemon.name} {ways[-1]}"
            )
    return lines


def schema() -> int:
    """The JSON Schema, for editors."""
    sys.stdout.write(json.dumps(json_schema(OPTIONS), indent=2, ensure_ascii=False) + "\n")
    return 0


def _say(kind: str, lines: tuple[str, ...]) -> None:
    for line in lines:
        # FILE:LINE first, so that editors can jump there.
        sys.stderr.write(f"{line}\n" if kind == "error" else f"{line} (warning)\n")


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
