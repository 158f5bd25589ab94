"""Permits per CA: orders in flight and new orders per interval, the most urgent first (ARCHITECTURE 4d).

A permit is a reservation: whoever asks and is granted one counts as in flight until it is given back.
"""

from __future__ import annotations

import threading
from collections import deque
from datetime import datetime

from certd.model.specs import CaLimits


class Budget:
    """What one CA may be asked for. Safe to share between threads."""

    def __init__(self, limits: CaLimits) -> None:
        self.limits = limits
        self._lock = threading.Lock()
        self._in_flight: set[str] = set()
        self._placed: deque[datetime] = deque()
        self._waiting: dict[str, datetime] = {}

    def restore(self, name: str | None, placed: tuple[datetime, ...]) -> None:
        """Count what the records tell at start: a certificate with an order in flight, and orders placed lately."""
        with self._lock:
            if name is not None:
                self._in_flight.add(name)
            self._placed = deque(sorted((*self._placed, *placed)))

    def reserve(self, name: str, urgency: datetime, now: datetime) -> bool:
        """Ask for a permit. `urgency`: the sooner, the more urgent. False: wait to be woken."""
        with self._lock:
            self._forget_old(now)
            if name in self._in_flight:
                return True
            self._waiting[name] = urgency
            free = self._free()
            if free <= 0:
                return False
            if len(self._waiting) > free:
                key = (urgency, name)
                ahead = sum((other, waiting) < key for waiting, other in self._waiting.items())
                if ahead >= free:
                    return False
            del self._waiting[name]
            self._in_flight.add(name)
            self._placed.append(now)
            return True

    def release(self, name: str, *, unused_since: datetime | None = None) -> list[str]:
        """Give a permit back; the names that are worth waking. `unused_since`: when it was reserved, if never used."""
        with self._lock:
            self._waiting.pop(name, None)
            if name not in self._in_flight:
                return []
            self._in_flight.discard(name)
            if unused_since is not None and unused_since in self._placed:
                self._placed.remove(unused_since)
            free = max(0, self._free())
            return sorted(self._waiting, key=lambda waiting: (self._waiting[waiting], waiting))[:free]

    @property
    def in_flight(self) -> int:
        with self._lock:
            return len(self._in_flight)

    def _free(self) -> int:
        by_interval = self.limits.new_orders - len(self._placed)
        return min(self.limits.in_flight - len(self._in_flight), by_interval)

    def _forget_old(self, now: datetime) -> None:
        while self._placed and self._placed[0] <= now - self.limits.new_orders_per:
            self._placed.popleft()
