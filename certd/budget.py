"""Permits per CA: orders in flight and new orders per interval, the most urgent first (ARCHITECTURE 4d).

A permit is a reservation: whoever asks and is granted one counts as in flight until it is given back. Whoever is not
granted one is told when to ask again, each at its own turn, so that ten thousand that wait do not all ask at once.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from collections import deque
from datetime import datetime, timedelta

from certd.model.specs import CaLimits

PATIENCE = timedelta(minutes=10)
"""Who waits for an order to end is woken when one does; this is for the case that the wake is lost."""


class Budget:
    """What one CA may be asked for. Safe to share between threads."""

    def __init__(self, limits: CaLimits) -> None:
        self.limits = limits
        self._lock = threading.Lock()
        self._in_flight: set[str] = set()
        self._placed: deque[datetime] = deque()
        self._queue: list[tuple[datetime, str]] = []
        """Who waits, the most urgent first; `_urgency` finds the place of a name."""
        self._urgency: dict[str, datetime] = {}

    def restore(self, name: str | None, placed: tuple[datetime, ...]) -> None:
        """Count what the records tell at start: a certificate with an order in flight, and orders placed lately."""
        with self._lock:
            if name is not None:
                self._in_flight.add(name)
            self._placed = deque(sorted((*self._placed, *placed)))

    def reserve(self, name: str, urgency: datetime, now: datetime) -> datetime | None:
        """Ask for a permit. `urgency`: the sooner, the more urgent. None: granted; else when to ask again."""
        with self._lock:
            while self._placed and self._placed[0] <= now - self.limits.new_orders_per:
                self._placed.popleft()
            if name in self._in_flight:
                return None
            self._leave_queue(name)
            rank = bisect_left(self._queue, (urgency, name))
            if rank < self._free():
                self._in_flight.add(name)
                self._placed.append(now)
                return None
            insort(self._queue, (urgency, name))
            self._urgency[name] = urgency
            return self._turn(rank, now)

    def release(self, name: str, *, unused_since: datetime | None = None) -> list[str]:
        """Give a permit, or a place in the queue, back; the names that are worth waking.

        `unused_since`: when the permit was reserved, if no order was placed with it.
        """
        with self._lock:
            self._leave_queue(name)
            if name not in self._in_flight:
                return []
            self._in_flight.discard(name)
            if unused_since is not None and unused_since in self._placed:
                self._placed.remove(unused_since)
            return [waiting for _, waiting in self._queue[: max(0, self._free())]]

    @property
    def in_flight(self) -> int:
        with self._lock:
            return len(self._in_flight)

    def _free(self) -> int:
        by_interval = self.limits.new_orders - len(self._placed)
        return min(self.limits.in_flight - len(self._in_flight), by_interval)

    def _turn(self, rank: int, now: datetime) -> datetime:
        """When the interval has room for the one of this rank; ends of orders in flight wake whoever is first."""
        spare = self.limits.new_orders - len(self._placed)
        if rank < spare:
            return now + PATIENCE
        rounds, place = divmod(rank - max(spare, 0), max(len(self._placed), 1))
        at = self._placed[place] if self._placed else now
        return max(at + (rounds + 1) * self.limits.new_orders_per, now + timedelta(seconds=1))

    def _leave_queue(self, name: str) -> None:
        urgency = self._urgency.pop(name, None)
        if urgency is not None:
            del self._queue[bisect_left(self._queue, (urgency, name))]
