"""How long what failed is left alone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import draws

from certd.model.codes import Kind
from certd.plan.backoff import CEILING, FLOOR, backoff, clamp_retry_after

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
MIDDLE = 0.5
"""The draw without jitter."""

kinds = st.sampled_from(Kind)
attempts = st.integers(-3, 10**9)
lives_left = st.none() | st.integers(-(10**8), 10**9).map(lambda seconds: timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("kind", "waits"),
    [
        (Kind.VALIDATION, [MINUTE, 10 * MINUTE, 100 * MINUTE, DAY, DAY]),
        (
            Kind.TRANSIENT,
            [*(MINUTE * n for n in (1, 2, 4, 8, 16, 32, 64, 128, 256)), 6 * HOUR, 6 * HOUR],
        ),
        (Kind.RATE_LIMITED, [MINUTE, 2 * MINUTE]),
        (Kind.ACCOUNT, [MINUTE, 2 * MINUTE]),
        (Kind.NEW_ORDER, [MINUTE, 2 * MINUTE]),
        (Kind.POLL, [MINUTE, 2 * MINUTE]),
        (Kind.OPERATOR, [DAY, DAY]),
        (Kind.BUG, [DAY, DAY]),
    ],
)
def test_the_table(kind, waits):
    """Without jitter the k-th failure in a row waits as the table says."""
    assert [backoff(kind, k, MIDDLE) for k in range(1, len(waits) + 1)] == waits


@given(kinds, attempts, draws, lives_left)
def test_bounds(kind, attempt, draw, life_left):
    """Never below a minute, never above a day and a quarter, and with a life never above max(5 min, life / 8)."""
    wait = backoff(kind, attempt, draw, life_left=life_left)
    assert FLOOR <= wait <= CEILING * 1.25
    if life_left is not None:
        assert wait <= max(5 * MINUTE, life_left / 8)


@given(kinds, attempts, draws)
def test_jitter(kind, attempt, draw):
    """A quarter more or less, but for the floor."""
    middle = backoff(kind, attempt, MIDDLE)
    assert max(FLOOR, middle * 0.75) <= backoff(kind, attempt, draw) <= middle * 1.25


@given(kinds, st.integers(1, 10**9), draws)
def test_patience_never_shrinks(kind, attempt, draw):
    """One failure more never makes the wait shorter: nothing overflows after years of failures."""
    assert backoff(kind, attempt, draw) <= backoff(kind, attempt + 1, draw)


def test_years_of_failures():
    """A certificate that fails for ten years is tried some four times a day at the end, not more, not less."""
    elapsed, tries = timedelta(0), 0
    while elapsed < 3650 * DAY:
        tries += 1
        elapsed += backoff(Kind.TRANSIENT, tries, MIDDLE)
    assert 4 * 3650 <= tries <= 4 * 3650 + 10


@given(st.integers(-(10**9), 10**9).map(lambda seconds: timedelta(seconds=seconds)))
def test_retry_after_is_clamped(delay):
    """A Retry-After counts between a minute and seven days."""
    clamped = clamp_retry_after(delay)
    assert MINUTE <= clamped <= 7 * DAY
    assert clamped == delay or delay < MINUTE or delay > 7 * DAY
