"""Threads of their own for alarms: one that looks, and one for each delivery that is under way.

A command or webhook that hangs holds up its own outlet until its timeout, and nothing else.
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING

from certd.logs import log_bug

if TYPE_CHECKING:
    from certd.alarms.keeper import Alarms

_log = logging.getLogger(__name__)

EVERY = timedelta(seconds=60)
LEAST = timedelta(seconds=1)
"""Between two looks, however often something happens."""
SHARE = 100
"""And at least so many times as long as the last look took: with ten thousand certificates it takes a quarter of a
second, and every other second one of them has its tick."""


class AlarmLane:
    """Looks every minute, and soon after `nudge`."""

    def __init__(self, alarms: Alarms, *, every: timedelta = EVERY, least: timedelta = LEAST) -> None:
        self._alarms = alarms
        self._every = every.total_seconds()
        self._least = least.total_seconds()
        self._changed = threading.Condition()
        self._nudged = True
        self._stopping = False
        self._busy: set[str] = set()
        # Daemon threads: at the end nobody waits for a webhook; what was not delivered is delivered at the next start.
        self._looker = threading.Thread(target=self._run, name="alarms", daemon=True)

    def start(self) -> None:
        self._looker.start()

    def nudge(self) -> None:
        """Something may have changed. Cheap: called after every tick."""
        if not self._nudged:
            with self._changed:
                self._nudged = True
                self._changed.notify_all()

    def stop(self, timeout: timedelta) -> bool:
        """Look no more, and let deliveries that are under way end. False: some did not in time."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            return self._changed.wait_for(lambda: not self._busy, timeout.total_seconds())

    def _run(self) -> None:
        pause = self._least
        while self._wait(pause):
            began = time.monotonic()
            try:
                self._alarms.look()
                for outlet in self._alarms.due():
                    self._begin(outlet)
            except Exception as error:  # the thread must outlive whatever happens here
                log_bug(_log, "The look at health met an error nobody foresaw; it is repeated.", error)
            pause = min(self._every, max(self._least, SHARE * (time.monotonic() - began)))

    def _wait(self, pause: float) -> bool:
        """Until it is time to look again; False when it is time to stop."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._stopping, pause):
                self._changed.wait_for(lambda: self._stopping or self._nudged, max(0.0, self._every - pause))
            self._nudged = False
            return not self._stopping

    def _begin(self, outlet: str) -> None:
        with self._changed:
            if outlet in self._busy or self._stopping:
                return
            # The system may have no thread left; then the next look tries again. One that has begun is held up by the
            # lock before it can be done.
            threading.Thread(target=self._deliver, args=(outlet,), name=f"alarm-{outlet}", daemon=True).start()
            self._busy.add(outlet)

    def _deliver(self, outlet: str) -> None:
        try:
            while self._alarms.deliver(outlet) and not self._stopping:
                pass
        finally:
            with self._changed:
                self._busy.discard(outlet)
                # Health names an outlet that fails: another one may have to be told, or that it is over.
                self._nudged = True
                self._changed.notify_all()
