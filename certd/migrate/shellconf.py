"""Settings files that a shell would execute, read as text: assignments and nothing else.

Whatever would need a shell (a command, a condition, an unknown variable) is not evaluated: the setting has no value
then, and its line is reported.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_ASSIGNMENT = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)=")
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")
_OPENS = re.compile(r"(?:if|case|for|while|until)\s.*|.*\{")
_CLOSES = re.compile(r"(?:.*[;\s])?(?:fi|esac|done|\})[\s;]*")
_ENDS = " \t\n;"


@dataclass
class Settings:
    """`values` by name, the last assignment counting; `obscure` are the numbers of lines that were not understood."""

    values: dict[str, str] = field(default_factory=dict)
    obscure: list[int] = field(default_factory=list)

    def get(self, name: str, default: str = "") -> str:
        return self.values.get(name, default)


class _Shell(Exception):
    """Only a shell could tell the value."""


def parse(text: str, known: Mapping[str, str] | None = None) -> Settings:
    """The assignments of `text`; `known` are variables that were set before."""
    settings = Settings(dict(known or {}))
    position = counted = depth = 0
    line = 1
    while position < len(text):
        line += text.count("\n", counted, position)
        counted = position
        end = _end_of_line(text, position)
        start = text[position:end].strip()
        if not start or start.startswith("#"):
            position = end + 1
            continue
        match = _ASSIGNMENT.match(text, position)
        if match is None or depth:
            # Whether an assignment in there happens, and to what it comes, is not to be told from the text.
            settings.obscure.append(line)
            depth = max(0, depth + (_OPENS.fullmatch(start) is not None) - (_CLOSES.fullmatch(start) is not None))
            position = end + 1
            continue
        try:
            value, position = _value(text, match.end(), settings.values)
            settings.values[match[1]] = value
        except _Shell:
            settings.obscure.append(line)
            settings.values.pop(match[1], None)
            position = end + 1
            continue
        end = _end_of_line(text, position)
        rest = text[position:end].strip()
        if rest and not rest.startswith(("#", ";")):
            # NAME=value COMMAND: the assignment is for that command only.
            settings.obscure.append(line)
            settings.values.pop(match[1], None)
        position = end + 1
    return settings


def _end_of_line(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end


def _value(text: str, position: int, known: Mapping[str, str]) -> tuple[str, int]:
    """The word at `position`, quotes resolved, and where it ends."""
    found: list[str] = []
    while position < len(text) and text[position] not in _ENDS:
        letter = text[position]
        if letter == "'":
            end = text.find("'", position + 1)
            if end < 0:
                raise _Shell
            found.append(text[position + 1 : end])
            position = end + 1
        elif letter == '"':
            part, position = _double_quoted(text, position + 1, known)
            found.append(part)
        elif letter == "\\" and position + 1 < len(text):
            found.append("" if text[position + 1] == "\n" else text[position + 1])
            position += 2
        elif letter == "$":
            part, position = _variable(text, position, known)
            found.append(part)
        elif letter in "`()<>&|*?":
            raise _Shell
        else:
            found.append(letter)
            position += 1
    return "".join(found), position


def _double_quoted(text: str, position: int, known: Mapping[str, str]) -> tuple[str, int]:
    found: list[str] = []
    while position < len(text):
        letter = text[position]
        if letter == '"':
            return "".join(found), position + 1
        if letter == "\\" and text[position + 1 : position + 2] in ("$", "`", '"', "\\", "\n"):
            found.append(text[position + 1].replace("\n", ""))
            position += 2
        elif letter == "$":
            part, position = _variable(text, position, known)
            found.append(part)
        elif letter == "`":
            raise _Shell
        else:
            found.append(letter)
            position += 1
    raise _Shell


def _variable(text: str, position: int, known: Mapping[str, str]) -> tuple[str, int]:
    match = _VARIABLE.match(text, position)
    if match is None or (match[1] or match[2]) not in known:
        raise _Shell
    return known[match[1] or match[2]], match.end()
