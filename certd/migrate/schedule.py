"""What starts the old client by itself: cron lines and timers. It must end, or two clients renew the same names."""

from __future__ import annotations

import re
from pathlib import Path

_RUNS = {
    "acme.sh": re.compile(r"acme\.sh\b.*--cron|acme\.sh\b.*--renew"),
    "certbot": re.compile(r"\bcertbot(-auto)?\b.*\brenew\b"),
    "dehydrated": re.compile(r"\bdehydrated\b.*(?:\s-\S*c|\s--cron)"),
}
_TIMERS = {
    "acme.sh": ("acme*.timer",),
    "certbot": ("certbot*.timer", "snap.certbot*.timer"),
    "dehydrated": ("dehydrated*.timer",),
}
_TABLES = ("etc/crontab", "etc/anacrontab", "etc/cron.d/*", "var/spool/cron/*", "var/spool/cron/crontabs/*")
_SCRIPTS = ("etc/cron.hourly/*", "etc/cron.daily/*", "etc/cron.weekly/*", "etc/cron.monthly/*")
_UNITS = ("etc/systemd/system", "run/systemd/system", "usr/lib/systemd/system", "lib/systemd/system")
_LARGEST = 256 * 1024


def starters(client: str, root: Path = Path("/")) -> list[str]:
    """One sentence for each place that starts `client`, with what ends it. What may not be read is passed over."""
    found = [
        text for pattern in (*_TABLES, *_SCRIPTS) for path in sorted(root.glob(pattern)) for text in _cron(path, client)
    ]
    return found + _timers(client, root)


def _cron(path: Path, client: str) -> list[str]:
    """The content of a line is not repeated: it may hold a secret."""
    try:
        with path.open("rb") as file:
            lines = file.read(_LARGEST).decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    numbers = [
        number
        for number, line in enumerate(lines, 1)
        if not line.lstrip().startswith("#") and _RUNS[client].search(line)
    ]
    how = f"crontab -e -u {path.name}" if "spool" in path.parts else f"remove the line from {path}, or the file"
    return [f"{path}, line {number}: {how}" for number in numbers]


def _timers(client: str, root: Path) -> list[str]:
    names: dict[str, None] = {}
    for pattern in _TIMERS[client]:
        for directory in _UNITS:
            names.update(dict.fromkeys(path.name for path in sorted((root / directory).glob(pattern))))
    return [
        f"{name} ({'enabled' if _enabled(name, root) else 'not enabled'}): systemctl disable --now {name}"
        for name in names
    ]


def _enabled(name: str, root: Path) -> bool:
    return any((root / "etc/systemd/system").glob(f"*.wants/{name}"))
