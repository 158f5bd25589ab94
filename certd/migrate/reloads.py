"""Reload commands of other clients, which a shell executes, as reload targets of certd, which knows no shell."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from certd.migrate.found import Reload

_SHELL = re.compile(r"[|&;<>()$`*?\[\]{}~\n#!]")
_FORGIVEN = re.compile(r"(\|\|\s*(true|:)|[12&]?>+\s*(/dev/null|&[12]))$")
"""What only hides the outcome, or the output."""
_UNIT = re.compile(r"([A-Za-z0-9][A-Za-z0-9:_.@-]*?)(?:\.service)?")
_ELSEWHERE = ("--user", "--host", "--machine", "--root", "-H", "-M")
"""Options of systemctl by which the unit is none of this host's own."""
_VERBS = {"reload", "restart", "force-reload", "try-restart", "try-reload-or-restart", "reload-or-restart", "graceful"}
_APACHE = {"apachectl": "httpd", "httpd": "httpd", "apache2ctl": "apache2", "apache2": "apache2"}


def understood(command: str) -> Reload | None:
    """What the command reloads; None where only a shell could tell.

    What restarts becomes a reload: Apache takes up new certificates by that, and drops no connection.
    """
    text = command.strip()
    while (shorter := _FORGIVEN.sub("", text).rstrip()) != text:
        text = shorter
    if not text or _SHELL.search(text):
        return None
    try:
        words = shlex.split(text)
    except ValueError:
        return None
    if words and Path(words[0]).name == "sudo":
        words = words[1:]
    if not words:
        return None
    return _service(Path(words[0]).name, words[1:]) or _argv(words)


def _service(program: str, words: list[str]) -> Reload | None:
    plain = [word for word in words if not word.startswith("-") or word == "-k"]
    match program, plain:
        case "systemctl", [verb, unit] if verb in _VERBS and not any(word.startswith(_ELSEWHERE) for word in words):
            return _unit(unit)
        case "service", [unit, verb] if verb in _VERBS:
            return _unit(unit)
        case (("apachectl" | "apache2ctl" | "httpd" | "apache2"), (["-k", verb] | [verb])) if verb in _VERBS:
            return Reload(service=_APACHE[program])
        case "nginx", ["reload"] if words == ["-s", "reload"]:
            return Reload(service="nginx")
    return None


def _unit(text: str) -> Reload | None:
    match = _UNIT.fullmatch(text)
    return Reload(service=match[1]) if match is not None else None


def _argv(words: list[str]) -> Reload | None:
    # A script under /etc/init.d is asked to do what systemd would do with the unit of that name.
    if words[0].startswith("/etc/init.d/") and len(words) == 2 and words[1] in _VERBS:
        return _unit(Path(words[0]).name)
    return Reload(command=tuple(words)) if words[0].startswith("/") else None
