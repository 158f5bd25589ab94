"""What certd tells the service manager: READY, RELOADING, STOPPING, STATUS and WATCHDOG (sd_notify(3)).

Without NOTIFY_SOCKET every call is silent, so callers need not care how the process was started.
"""

from __future__ import annotations

import os
import time
from threading import Event, Thread
from typing import TYPE_CHECKING

from sdnotify import SystemdNotifier

from certd.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

STATUS_LIMIT = 400
PATIENCE = 1.0
"""Seconds that one message may take: while the service manager reads nothing, its queue is full."""
READY_ATTEMPTS = 30
"""READY ends a start or a reload, which the service manager gives up if it never hears so; all else is told again."""


class ServiceManager:
    """The notification socket, if there is one. Messages that cannot be sent are dropped: they are news, not needs."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        # SystemdNotifier reads the environment by itself, and leaves a socket open where the variable is missing.
        self._notifier = SystemdNotifier() if environ.get("NOTIFY_SOCKET") else None
        if self._notifier is not None and self._notifier.socket is not None:
            # Else a send waits for as long as nobody reads, and the main thread with it: deaf to SIGTERM.
            self._notifier.socket.settimeout(PATIENCE)
            self._notifier.debug = True  # errors are raised, and judged here
        self._interval = watchdog_interval(environ)
        self._stop = Event()
        self._feeder: Thread | None = None

    def ready(self, text: str = "") -> None:
        """Start, or a reload, is complete."""
        self._send("READY=1", text, attempts=READY_ATTEMPTS)

    def reloading(self, text: str = "") -> None:
        """A reload begins. The time lets systemd tell this one from an earlier one (Type=notify-reload)."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}", text)

    def stopping(self, text: str = "") -> None:
        """The process is on its way out."""
        self._send("STOPPING=1", text)

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send("", text)

    def watchdog(self, healthy: Callable[[], bool]) -> None:
        """Feed the watchdog at half its time for as long as `healthy` says so; call once.

        When it says no, or does not return, systemd ends and restarts the service. Without WATCHDOG_USEC: nothing.
        """
        if self._notifier is None or self._interval is None:
            return
        self._feeder = Thread(target=self._feed, args=(healthy, self._interval / 2), name="watchdog", daemon=True)
        self._feeder.start()

    def close(self) -> None:
        """End the feeding and close the socket."""
        self._stop.set()
        if self._feeder is not None:
            self._feeder.join(timeout=1)
        if self._notifier is not None and self._notifier.socket is not None:
            self._notifier.socket.close()
        self._notifier = None

    def _feed(self, healthy: Callable[[], bool], every: float) -> None:
        while True:
            if healthy():
                self._send("WATCHDOG=1", "")
            if self._stop.wait(every):
                return

    def _send(self, state: str, text: str, *, attempts: int = 1) -> None:
        notifier = self._notifier
        if notifier is None or notifier.socket is None:
            return
        # The library writes latin-1; what it cannot express must not lose the whole message.
        line = printable(text, STATUS_LIMIT).encode("ascii", "replace").decode("ascii")
        message = "\n".join(part for part in (state, f"STATUS={line}" if text else "") if part)
        for _ in range(attempts):
            try:
                notifier.notify(message)
            except TimeoutError:
                continue
            except OSError:  # nobody is there, or it was closed meanwhile
                return
            return


def watchdog_interval(environ: Mapping[str, str]) -> float | None:
    """Seconds between signs of life that the service manager asks of this process; None if it asks for none."""
    pid = environ.get("WATCHDOG_PID")
    microseconds = environ.get("WATCHDOG_USEC", "")
    if (pid and pid != str(os.getpid())) or not microseconds.isdecimal() or int(microseconds) == 0:
        return None
    return int(microseconds) / 1_000_000
