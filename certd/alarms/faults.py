"""Ticks that raised what nobody foresaw: a bug, told in health for as long as it stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from certd.errors import CertdError
from certd.model.view import Trouble
from certd.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from certd.model.view import Subject

BUG = "bug:error"
BUGS = frozenset({"illegal-transition"})
"""Codes of our own errors that have words as bugs of their own."""


class Faults:
    """Ticks for the scheduler, and remembers which ticks raise. Safe to share between threads."""

    def __init__(
        self, tick: Callable[[Subject], datetime], *, now: Callable[[], datetime], after: Callable[[], None]
    ) -> None:
        """`after` is called after each tick, however it ends."""
        self._tick = tick
        self._now = now
        self._after = after
        self._troubles: dict[Subject, Trouble] = {}

    def tick(self, subject: Subject) -> datetime:
        """Raises what the tick raises."""
        try:
            due = self._tick(subject)
        except Exception as error:
            known = self._troubles.get(subject)
            code = f"bug:{error.code}" if isinstance(error, CertdError) and error.code in BUGS else BUG
            text = printable(f"{type(error).__name__}: {error}", 400)
            self._troubles[subject] = Trouble(code, text, known.since if known else self._now(), subject)
            raise
        else:
            self._troubles.pop(subject, None)
            return due
        finally:
            self._after()

    def forget(self, subject: Subject) -> None:
        """It is ticked no more."""
        self._troubles.pop(subject, None)

    def troubles(self) -> tuple[Trouble, ...]:
        """What raised at its latest tick."""
        return tuple(self._troubles.copy().values())
