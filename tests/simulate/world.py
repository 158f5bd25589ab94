"""A CA and a calendar for the simulator: outages, maintenance windows, rate limits and failures, by a seeded choice."""

from __future__ import annotations

import random
from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

BEGIN = datetime(2027, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Calendar:
    """When the CA does not issue. `away`: it does not answer; else it answers 503 with the window's end."""

    windows: tuple[tuple[datetime, datetime, bool], ...]
    begins: tuple[datetime, ...] = field(default=())

    @staticmethod
    def of(years: float, *, outages: list[tuple[float, timedelta]], maintenance: timedelta) -> Calendar:
        """Outages at the given days, and a maintenance window on the first Sunday of each month at 02:00 UTC."""
        windows = [(BEGIN + timedelta(days=day), BEGIN + timedelta(days=day) + long, True) for day, long in outages]
        day = BEGIN
        while day < BEGIN + timedelta(days=365 * years):
            if day.weekday() == 6 and day.day <= 7:
                begin = day + timedelta(hours=2)
                windows.append((begin, begin + maintenance, False))
            day += timedelta(days=1)
        windows.sort()
        return Calendar(tuple(windows), tuple(begin for begin, _, _ in windows))

    def at(self, now: datetime) -> tuple[datetime, bool] | None:
        """End of the window that `now` lies in, and whether the CA is away; None while it works."""
        index = bisect_right(self.begins, now) - 1
        for begin, end, away in self.windows[max(0, index - 1) : index + 1]:
            if begin <= now < end:
                return end, away
        return None


@dataclass
class Chances:
    """How often things go wrong while the CA works."""

    validation_fails: float = 0.01
    """Of orders: the CA could not validate, for whatever passing reason."""
    stubborn: float = 0.002
    """Of certificates: for two weeks at a time nothing helps, until an operator mends it."""
    rate_limited: float = 0.002
    """Of newOrder requests: 429 with a Retry-After of an hour."""
    processing: timedelta = timedelta(seconds=60)
    """How long each order stays `processing`."""

    def draw(self, rng: random.Random, chance: float) -> bool:
        return rng.random() < chance
