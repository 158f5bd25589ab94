"""When a live certificate is renewed."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from strategies import anything, draws, specs
from views import DAY, NOW, leaf, spec

from certd.model.records import Leaf
from certd.plan.renewal import emergency_time, lifetime, renewal_time

leaves = anything(Leaf)


@pytest.mark.parametrize(
    ("life", "renew_before", "left_at_renewal"),
    [
        (90 * DAY, None, 30 * DAY),
        (199 * DAY, None, 199 * DAY / 3),
        (10 * DAY, None, 10 * DAY / 3),
        (6 * DAY, None, 3 * DAY),
        (90 * DAY, Fraction(1, 4), 90 * DAY / 4),
        (90 * DAY, timedelta(days=20), 20 * DAY),
        (90 * DAY, Fraction(3, 4), 45 * DAY),
        (90 * DAY, timedelta(days=80), 45 * DAY),
        (90 * DAY, timedelta(days=1000), 45 * DAY),
    ],
)
def test_as_configured(life, renew_before, left_at_renewal):
    """Two thirds of life, half below ten days, or as configured; half of life is the earliest."""
    own = leaf(life, life=life)
    assert own.not_after - renewal_time(spec(renew_before=renew_before), own, 0.0) == left_at_renewal


@given(specs, leaves, draws)
def test_bounds(its_spec, its_leaf, draw):
    """Never before half of life, never after its end; the jitter is at most a sixtieth of life, and stable."""
    due = renewal_time(its_spec, its_leaf, draw)
    assert its_leaf.not_before + lifetime(its_leaf) / 2 <= due <= its_leaf.not_after
    without = renewal_time(its_spec, its_leaf, 0.0)
    assert timedelta(0) <= due - without <= lifetime(its_leaf) / 60
    assert renewal_time(its_spec, its_leaf, draw) == due


@given(leaves, st.integers(0, 10**9))
def test_margin_of_any_length(its_leaf, seconds):
    """A margin longer than life is no error: half of life it is."""
    its_spec = spec(renew_before=timedelta(seconds=seconds))
    assert renewal_time(its_spec, its_leaf, 0.0) >= its_leaf.not_before + lifetime(its_leaf) / 2


@given(leaves)
def test_emergency(its_leaf):
    """The last twentieth of life."""
    assert its_leaf.not_before < emergency_time(its_leaf) < its_leaf.not_after
    left = its_leaf.not_after - emergency_time(its_leaf)
    assert abs(left - lifetime(its_leaf) / 20) <= timedelta(microseconds=1)


def test_certificates_of_one_day_spread():
    """Certificates that were issued together are not renewed together."""
    own = replace(leaf(), not_before=NOW - 60 * DAY, not_after=NOW + 30 * DAY)
    times = {renewal_time(spec(), own, draw / 10) for draw in range(10)}
    assert len(times) == 10
    assert max(times) - min(times) > DAY
