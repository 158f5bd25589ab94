"""What the demo prints: a line for each event with the seconds since the start, and a sign of life between them."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from enum import Enum
from typing import TextIO

EVERY = 4.0
"""Seconds between signs of life where the output is not a terminal."""

_BOLD, _OFF, _CLEAR = "\x1b[1m", "\x1b[0m", "\r\x1b[K"


class Mark(Enum):
    """The kind of a line: its symbol, and its colour on a terminal."""

    EVENT = "*", "\x1b[36m"
    COMMAND = "$", "\x1b[1m"
    WAIT = "~", "\x1b[33m"
    PROVEN = "=", "\x1b[32m"
    WRONG = "!", "\x1b[31m"


class Timeline:
    """Writes to `out`; colours and lines that are written over only where that is a terminal. `clock` in seconds."""

    def __init__(self, out: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._clock = clock
        self._begun = self._last = clock()
        self._live = out.isatty() and os.environ.get("TERM") != "dumb"
        self._colour = self._live and not os.environ.get("NO_COLOR")

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._begun

    def title(self, text: str) -> None:
        """A heading."""
        self._write(f"\n{_BOLD}{text}{_OFF}\n" if self._colour else f"\n{text}\n")

    def plain(self, text: str) -> None:
        """A line without a time."""
        self._write(f"{text}\n")

    def tell(self, mark: Mark, text: str) -> None:
        """One event."""
        symbol, colour = mark.value
        shown = f"{colour}{symbol}{_OFF}" if self._colour else symbol
        self._write(f"  +{self.elapsed:5.1f}s  {shown}  {text}\n")

    def waiting(self, text: str) -> None:
        """A sign of life: on a terminal a line that the next one takes the place of, elsewhere one now and then."""
        if self._live:
            width = shutil.get_terminal_size().columns - 1
            self._out.write(_CLEAR + f"  +{self.elapsed:5.1f}s  ~  {text}"[:width])
            self._out.flush()
        elif self._clock() - self._last >= EVERY:
            self.tell(Mark.WAIT, text)

    def _write(self, text: str) -> None:
        self._last = self._clock()
        self._out.write((_CLEAR if self._live else "") + text)
        self._out.flush()
