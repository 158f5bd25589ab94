"""How long to leave alone what failed: one table, clamped before it is multiplied, jittered (ARCHITECTURE 4d).

The k-th failure in a row waits `table(kind)[k]`, plus or minus a quarter, at least FLOOR; and at most
max(5 min, time to expiry / 8), so that an unlucky certificate is tried more often the nearer its end.
A Retry-After is the CA's word, not ours: it is clamped to 1 min .. 7 d and not shortened by expiry.
"""

from __future__ import annotations

from datetime import timedelta

from certd.model.codes import Kind

FLOOR = timedelta(minutes=1)
CEILING = timedelta(hours=24)
RETRY_AFTER_LEAST = timedelta(minutes=1)
RETRY_AFTER_MOST = timedelta(days=7)
JITTER = 0.25

_VALIDATION = (timedelta(minutes=1), timedelta(minutes=10), timedelta(minutes=100), CEILING)
_DOUBLING_MOST = timedelta(hours=6)
_DOUBLING_STEPS = 9
"""1 min doubled nine times is above six hours; more steps would only overflow."""


def backoff(kind: Kind, attempt: int, draw: float, *, life_left: timedelta | None = None) -> timedelta:
    """The wait after the `attempt`-th failure in a row (1 is the first).

    `draw` is random in [0, 1). `life_left` is the time to the live certificate's expiry, None without one.
    """
    wait = _base(kind, max(1, attempt)) * (1 - JITTER + 2 * JITTER * draw)
    if life_left is not None:
        wait = min(wait, max(timedelta(minutes=5), life_left / 8))
    return max(FLOOR, wait)


def clamp_retry_after(delay: timedelta) -> timedelta:
    """A Retry-After as it is honoured."""
    return min(max(delay, RETRY_AFTER_LEAST), RETRY_AFTER_MOST)


def _base(kind: Kind, attempt: int) -> timedelta:
    if kind is Kind.VALIDATION:
        return _VALIDATION[min(attempt, len(_VALIDATION)) - 1]
    if kind in (Kind.OPERATOR, Kind.BUG):
        return CEILING
    doublings = min(attempt - 1, _DOUBLING_STEPS)
    return min(FLOOR * (1 << doublings), _DOUBLING_MOST)
