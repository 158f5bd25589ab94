"""`certd check`: the configuration only. Works without a daemon and without a network."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from certd.challenges import OPTIONS
from certd.config import json_schema, load
from certd.errors import ConfigError


def check(path: Path) -> int:
    """Errors and warnings to stderr, one line each; a summary to stdout if the configuration can be used."""
    try:
        config = load(path, solvers=OPTIONS)
    except ConfigError as error:
        _say("warning", error.warnings)
        _say("error", error.problems)
        return 2
    _say("warning", config.warnings)
    parts = [
        _count(len(config.certificates), "certificate"),
        _count(len(config.cas), "CA"),
        _count(len(config.servers), "server"),
        _count(len(config.warnings), "warning"),
    ]
    sys.stdout.write(f"OK: {', '.join(parts)}\n")
    return 0


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
