"""What certd tells while it works: the lines of its log as events of the demo."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum


class Happening(Enum):
    """What the demo waits for, in the words of certd's log."""

    REGISTERED = "The account is registered, with external account binding."
    ORDERED = "An order is placed."
    ISSUED = "Issued."
    UNKNOWN = "OCSP answers unknown."
    GOOD = "OCSP answers good."
    SWAPPED = "Swapped: the live link names the new set."
    RELOADING = "Reloading."
    RELOADED = "Reloaded and verified."
    CONFIRMED = "Live and confirmed."


@dataclass(frozen=True)
class Line:
    """One line of the log."""

    at: datetime
    level: str
    sentence: str
    fields: dict[str, str] = field(default_factory=dict)

    @property
    def happening(self) -> Happening | None:
        return _HAPPENINGS.get(self.sentence)

    @property
    def certificate(self) -> str | None:
        return self.fields.get("certificate")

    @property
    def is_complaint(self) -> bool:
        """A warning or worse."""
        return self.level not in ("DEBUG", "INFO")


_HAPPENINGS = {happening.value: happening for happening in Happening}
_LINE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})Z (\w+) (.*)")
_FIELD = re.compile(r' (\w+)=("[^"]*"|\S*)')


def parse(text: str) -> Line | None:
    """A line as certd writes it outside systemd; None for anything else, as an interpreter's last words."""
    found = _LINE.fullmatch(text)
    if found is None:
        return None
    at = datetime.fromisoformat(found[1]).replace(tzinfo=UTC)
    fields = {one[1]: one[2].strip('"') for one in _FIELD.finditer(found[3])}
    first = _FIELD.search(found[3])
    return Line(at, found[2], found[3][: first.start()] if first else found[3], fields)


class Story:
    """The lines so far."""

    def __init__(self) -> None:
        self._lines: list[Line] = []

    def hear(self, texts: Iterable[str]) -> Iterator[Line]:
        """Take in new lines; answers those that can be read."""
        for text in texts:
            line = parse(text)
            if line is not None:
                self._lines.append(line)
                yield line

    def find(self, happening: Happening, since: datetime, certificate: str | None = None) -> list[Line]:
        """The lines that tell of it, the oldest first. Log times are cut to milliseconds, and so is `since`."""
        floor = since.replace(microsecond=since.microsecond // 1000 * 1000)
        return [
            line
            for line in self._lines
            if line.happening is happening
            and line.at >= floor
            and (certificate is None or line.certificate == certificate)
        ]

    def complaints(self) -> list[Line]:
        """Warnings and errors so far."""
        return [line for line in self._lines if line.is_complaint]
