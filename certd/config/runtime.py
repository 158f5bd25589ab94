"""Where the sockets are, for commands that talk to the daemon: quickly, and from a file in any state of repair.

A daemon goes on with its old configuration while the new one has errors, and must be reachable meanwhile; and asking
for the status must not cost the reading of ten thousand entries.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from certd.config import files
from certd.config.problems import Place, Report
from certd.config.reading import parse

DEFAULT = Path("/run/certd")

_LINE = re.compile(rb"^runtime_dir[ \t]*:[^\n]*$", re.MULTILINE)


def runtime_dir(path: Path) -> Path:
    """The runtime_dir of the file at `path`; the default where the file says nothing usable, or cannot be read."""
    try:
        content = files.content(path)
    except OSError:
        return DEFAULT
    if b"runtime_dir" not in content:
        return DEFAULT
    line = _LINE.search(content)
    found = _value(line.group()) if line is not None else _value(content)
    return Path(found) if isinstance(found, str) and found.startswith("/") else DEFAULT


def _value(text: bytes) -> Any:
    data = parse(text, Place(0), Report())
    return data.get("runtime_dir") if isinstance(data, dict) else None
