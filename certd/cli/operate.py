"""The operator's requests: `certd renew`, `certd rollback` and `certd forget`, passed on to the daemon."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from certd.cli.socket_client import Reply, post
from certd.config.runtime import runtime_dir
from certd.sockets.names import CONTROL_NAME
from certd.text import printable


def renew(config: Path, names: list[str], *, now: bool) -> int:
    """Ask for each; 1 if any was refused."""
    path = runtime_dir(config) / CONTROL_NAME
    codes = [_told(name, post(path, "renew", name, query="now=1" if now else "")) for name in names]
    return max(codes)


def rollback(config: Path, name: str) -> int:
    """Ask for the previous version."""
    return _told(name, post(runtime_dir(config) / CONTROL_NAME, "rollback", name))


def forget(config: Path, name: str, *, sure: bool) -> int:
    """Ask for the deletion. A person at a terminal is asked first: keys cannot be brought back."""
    if not sure and sys.stdin.isatty():
        sys.stderr.write(f"Delete all versions and keys of {printable(name)}? Type the name to go on: ")
        sys.stderr.flush()
        if sys.stdin.readline().strip() != name:
            sys.stderr.write("Nothing was deleted.\n")
            return 1
    return _told(name, post(runtime_dir(config) / CONTROL_NAME, "forget", name))


def _told(name: str, reply: Reply) -> int:
    if reply.status != 200:
        sys.stderr.write(f"certd: {_about(name, reply.error_text())}\n")
        return 1
    text = printable(str(json.loads(reply.body)["text"]), 2000)
    sys.stdout.write(f"{_about(name, text)}\n")
    return 0


def _about(name: str, text: str) -> str:
    """The sentence, led by the name it is about unless it begins with it."""
    return text if text.startswith(name) else f"{printable(name)}: {text}"
