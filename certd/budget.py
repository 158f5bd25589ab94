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
TOLERANCE = timedelta(minutes=5)
LAPSE = timedelta(minutes=5)
"""A place in the queue is lost so long after its turn: one who no longer asks holds up nobody."""


class Budget:
    """What one CA may be asked for. Safe to share between threads."""

    def __init__(self, limits: CaLimits) -> None:
        self.limits = limits
        self._lock = threading.Lock()
        self._in_flight: set[str] = set()
        self._placed: deque[datetime] = deque()
        self._in_order = True
        self._queue: list[tuple[datetime, str]] = []
        """Who waits, the most urgent first; `_places` finds the place of a name."""
        self._places: dict[str, tuple[datetime, datetime]] = {}
        """Urgency, and when the name was told to ask again."""

    def restore(self, name: str | None, placed: tuple[datetime, ...]) -> None:
        """Count what the records tell at start: a certificate with an order in flight, and orders placed lately."""
        with self._lock:
            if name is not None:
                self._in_flight.add(name)
            # Sorted once, when it is first needed: ten thousand records are read at a start.
            self._placed.extend(placed)
            self._in_order = False

    def reserve(self, name: str, urgency: datetime, now: datetime) -> datetime | None:
        """Ask for a permit. `urgency`: the sooner, the more urgent. None: granted; else when to ask again.

        Who asks again keeps the urgency of the first time, if that was sooner: "now" loses no place by waiting.
        """
        with self._lock:
            self._forget_old(now)
            if name in self._in_flight:
                return None
            urgency = min(urgency, self._leave_queue(name) or urgency)
            free = self._free()
            self._drop_lapsed(free, now)
            rank = bisect_left(self._queue, (urgency, name))
            if rank < free:
                self._in_flight.add(name)
                insort(self._placed, now)  # another thread's now may be a little later
                return None
            turn = self._turn(rank, now)
            insort(self._queue, (urgency, name))
            self._places[name] = (urgency, turn)
            return turn

    def release(self, name: str, *, unused_since: datetime | None = None) -> list[str]:
        """Give a permit, or a place in the queue, back; the names that are worth waking.

        `unused_since`: when the permit was reserved, if no order was placed with it.
        """
        with self._lock:
            if self._leave_queue(name) is None and name not in self._in_flight:
                return []
            self._in_flight.discard(name)
            if unused_since is not None and unused_since in self._placed:
                self._placed.remove(unused_since)
            return [waiting for _, waiting in self._queue[: max(0, self._free())]]

    @property
    def names(self) -> frozenset[str]:
        """All that hold a permit or wait for one."""
        with self._lock:
            return frozenset((*self._in_flight, *self._places))

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

    def _forget_old(self, now: datetime) -> None:
        if not self._in_order:
            self._placed, self._in_order = deque(sorted(self._placed)), True
        if self._placed and self._placed[-1] > now + TOLERANCE:
            # The clock was set back: what was placed in a future that did not come counts from now.
            self._placed = deque(min(placed, now) for placed in self._placed)
        while self._placed and self._placed[0] <= now - self.limits.new_orders_per:
            self._placed.popleft()

    def _drop_lapsed(self, free: int, now: datetime) -> None:
        """The first in the queue stand between the free permits and all others: those must still be there."""
        place = 0
        while place < min(free, len(self._queue)):
            name = self._queue[place][1]
            if self._places[name][1] + LAPSE < now:
                self._leave_queue(name)
            else:
                place += 1

    def _leave_queue(self, name: str) -> datetime | None:
        """The urgency that it had; None if it did not wait."""
        if name not in self._places:
            return None
        urgency, _ = self._places.pop(name)
        del self._queue[bisect_left(self._queue, (urgency, name))]
        return urgency
