"""Somebody who connects all the while, and remembers what was served."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from parts import Background, served_serial


class Sight(NamedTuple):
    """One handshake: when it began and ended, and the serial seen; None: it failed."""

    began: datetime
    ended: datetime
    serial: str | None


class Visitor(Background):
    """Shakes hands with a server for each of `names` in turn, from entering the context to leaving it."""

    def __init__(self, port: int, names: Iterable[str]) -> None:
        super().__init__()
        self.sights: dict[str, list[Sight]] = {name: [] for name in names}
        self._port = port
        self._over = threading.Event()

    def serials(self, name: str) -> list[str | None]:
        """What was served for `name`, in order, each change once."""
        changes: list[str | None] = []
        for sight in self.sights[name]:
            if not changes or changes[-1] != sight.serial:
                changes.append(sight.serial)
        return changes

    def _end(self) -> None:
        self._over.set()

    def _run(self) -> None:
        while not self._over.is_set():
            for name, sights in self.sights.items():
                began = datetime.now(UTC)
                serial = served_serial(self._port, name)
                sights.append(Sight(began, datetime.now(UTC), serial))
            time.sleep(0.05)
