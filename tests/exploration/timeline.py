"""Virtual time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class Timeline:
    """Moves only when told to; what is planned for a moment happens when that moment is reached."""

    def __init__(self) -> None:
        self.now = START
        self._planned: list[tuple[datetime, Callable[[], None]]] = []

    def wall(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        return (self.now - START).total_seconds()

    def plan(self, delay: timedelta, happening: Callable[[], None]) -> None:
        """Let `happening` happen after `delay`."""
        self._planned.append((self.now + delay, happening))
        self._planned.sort(key=lambda planned: planned[0])

    @property
    def planned(self) -> bool:
        """Whether anything is yet to happen by itself."""
        return bool(self._planned)

    def move_to(self, moment: datetime) -> None:
        while self._planned and self._planned[0][0] <= moment:
            at, happening = self._planned.pop(0)
            self.now = max(self.now, at)
            happening()
        self.now = max(self.now, moment)

    def spend(self, seconds: float) -> None:
        """An act takes this long."""
        self.move_to(self.now + timedelta(seconds=seconds))
