"""Ctrl-C and its kin as a flag: the demo looks at it between its steps, so that nothing is cut off half made."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Self

CAUGHT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """A signal asked for the end; `code` is the exit code that shells give for it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.code = 128 + number


class Signals:
    """Catches the signals within its context; in other threads than the main one, which Python forbids, it does not."""

    def __init__(self) -> None:
        self._number: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in CAUGHT:
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def look(self) -> None:
        """Raises `Interrupted` once a signal has come."""
        if self._number is not None:
            raise Interrupted(self._number)

    def pause(self, seconds: float) -> None:
        """Sleep a little, and look."""
        time.sleep(seconds)
        self.look()

    def _note(self, number: int, _: FrameType | None) -> None:
        self._number = self._number or number
