"""certbot's settings files, as text: `key = value`, `[section]`, `[[section of a section]]`, comments."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_HEAD = re.compile(r"(\[+)\s*([^\[\]]+?)\s*(\]+)")


@dataclass
class Section:
    """Values by key, and the sections below by name."""

    values: dict[str, str] = field(default_factory=dict)
    sections: dict[str, Section] = field(default_factory=dict)

    def get(self, key: str, default: str = "") -> str:
        return self.values.get(key) or default

    def section(self, name: str) -> Section:
        """The one of that name, empty where there is none."""
        return self.sections.get(name) or Section()


def parse(text: str) -> Section:
    """The file's own values, and its sections. Lines of another form are passed over; the last of equal keys counts."""
    path = [Section()]
    for raw in text.splitlines():
        line = raw.strip()
        if not line or line.startswith(("#", ";")):
            continue
        head = _HEAD.fullmatch(line)
        if head is not None and len(head[1]) == len(head[3]) <= len(path):
            path = path[: len(head[1])]
            path.append(path[-1].sections.setdefault(_plain(head[2]), Section()))
        elif "=" in line and head is None:
            key, _, value = line.partition("=")
            path[-1].values[_plain(key.strip())] = _plain(value.strip())
    return path[0]


def _plain(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    return "" if text == "None" else text
