"""Waits that survive a restart, and a clock that was set back."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from strategies import anything, delays, moments
from views import DAY, NOW, ledger, staged, timer

from certd.model.records import AccountRecord, CertificateRecord, ServerRecord, Timer
from certd.plan import timers

records = anything(CertificateRecord) | anything(ServerRecord) | anything(AccountRecord)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("wait", "expected"),
    [(None, True), (timer(timedelta(0)), True), (timer(-MINUTE), True), (timer(MINUTE), False)],
)
def test_due(wait, expected):
    """No wait is due, and one that has come to its end; the end itself counts."""
    assert timers.due(wait, NOW) is expected


@given(moments, delays, moments)
def test_at_is_never_past(now, delay, until):
    """A wait until a moment that has passed is due at once, and none ends before it began."""
    assert timers.at(now, until) == Timer(now, max(now, until))
    assert timers.after(now, delay) == Timer(now, now + delay)


@pytest.mark.parametrize(("behind", "noticed"), [(5 * MINUTE, False), (5 * MINUTE + timedelta(seconds=1), True)])
def test_tolerance(behind, noticed):
    """A clock that is five minutes behind a record is normal; more is a clock that was set back."""
    assert timers.in_future(Timer(NOW, NOW + DAY), NOW - behind) is noticed


def test_every_depth_is_looked_at():
    """A timer in the ledger of a record counts as one in the record itself."""
    early = NOW - DAY
    assert timers.any_in_future(staged(), early)
    deep = staged(activate=timer(MINUTE, early), next_check=None, ledger=ledger(probe=None, status_check=timer(MINUTE)))
    assert timers.any_in_future(deep, early)
    assert not timers.any_in_future(deep, NOW)


@given(records, moments)
def test_reanchored(record, now):
    """All waits that were set in the future begin now, as long as they were; none becomes longer, others stay.

    Doing it twice is doing it once.
    """
    anew = timers.reanchor(record, now)
    assert not timers.any_in_future(anew, now)
    before, after = list(_timers(record)), list(_timers(anew))
    for old, new in zip(before, after, strict=True):
        assert new == (Timer(now, now + (old.until - old.set_at)) if timers.in_future(old, now) else old)
        assert new.until <= old.until
    assert timers.reanchor(anew, now) is anew
    assert timers.any_in_future(record, now) or anew is record


def _timers(value):
    if isinstance(value, Timer):
        yield value
    elif isinstance(value, tuple):
        for one in value:
            yield from _timers(one)
    elif hasattr(value, "__struct_fields__"):
        for field in value.__struct_fields__:
            yield from _timers(getattr(value, field))
