"""The time, and whether it can be believed (ARCHITECTURE 4d).

Wall time decides about certificates; monotonic time notices that the wall clock was set. A clock that jumped, or that
is behind what was last seen on disk or half a year ahead of it, is unsure until a CA's Date header agrees with it; and
a CA's Date that disagrees makes it unsure. While it is unsure no order is placed, nothing is swapped, and nothing is
given up.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

JUMP = timedelta(seconds=60)
AGREES = timedelta(minutes=5)
FAR_AHEAD = timedelta(days=180)
"""A start so much later than anything seen before is taken for a wrong clock until a CA says the same: what a machine
that really was off for so long has to do cannot be done without a CA."""


def utc_now() -> datetime:
    """The wall clock, aware, in UTC."""
    return datetime.now(UTC)


class Clock:
    """Wall time with doubts. Safe to share between threads."""

    def __init__(self, wall: Callable[[], datetime] = utc_now, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._anchor = (wall(), monotonic())
        self._doubt: str | None = None

    def now(self) -> datetime:
        """The wall clock; looks for a jump on the way."""
        with self._lock:
            return self._look()

    def remember(self, last_seen: datetime) -> None:
        """Compare with the latest time that an earlier run has seen."""
        with self._lock:
            now = self._look()
            if now < last_seen - AGREES:
                self._doubt = f"the clock is behind {last_seen:%Y-%m-%d %H:%M} UTC, which an earlier run has seen"
            elif now > last_seen + FAR_AHEAD:
                self._doubt = f"the clock is {(now - last_seen).days} days ahead of what an earlier run has seen"

    def heard(self, date: datetime) -> None:
        """A CA's Date header (RFC 9110 section 6.6.1) settles it, one way or the other."""
        with self._lock:
            difference = self._look() - date  # a jump that nobody has noticed yet is settled as well
            if abs(difference) <= AGREES:
                self._doubt = None
            else:
                self._doubt = f"the CA's clock differs by {difference.total_seconds():.0f} s"

    @property
    def doubt(self) -> str | None:
        """Why the clock is not believed; None if it is."""
        with self._lock:
            self._look()
            return self._doubt

    @property
    def sure(self) -> bool:
        return self.doubt is None

    def _look(self) -> datetime:
        now, elapsed = self._wall(), self._monotonic()
        wall, since = self._anchor
        jump = (now - wall) - timedelta(seconds=elapsed - since)
        if abs(jump) > JUMP:
            self._doubt = f"the clock jumped by {jump.total_seconds():.0f} s"
        self._anchor = (now, elapsed)
        return now
