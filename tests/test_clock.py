"""The time, and whether it is believed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from views import DAY, NOW

from certd.clock import Clock, utc_now

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


class Machine:
    """A machine whose two clocks are moved by hand."""

    def __init__(self) -> None:
        self.wall, self.ticks = NOW, 1000.0
        self.clock = Clock(lambda: self.wall, lambda: self.ticks)

    def passes(self, time: timedelta) -> None:
        """Time goes by, on both clocks."""
        self.wall += time
        self.ticks += time.total_seconds()

    def jumps(self, by: timedelta) -> None:
        """Somebody sets the wall clock."""
        self.wall += by


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_time_goes_by(machine):
    """Hours between two looks are no jump."""
    for _ in range(3):
        machine.passes(5 * 60 * MINUTE)
        assert machine.clock.now() == machine.wall
    assert machine.clock.sure
    assert machine.clock.doubt is None


@pytest.mark.parametrize("by", [61 * SECOND, -61 * SECOND, 400 * DAY, -400 * DAY])
def test_a_jump(machine, by):
    """More than a minute, forth or back, makes the clock unsure, and so it stays by itself; the text says how far."""
    machine.passes(MINUTE)
    machine.jumps(by)
    assert not machine.clock.sure
    machine.passes(DAY)
    machine.clock.now()
    assert f"jumped by {by.total_seconds():.0f} s" in machine.clock.doubt


@pytest.mark.parametrize("by", [60 * SECOND, -60 * SECOND, timedelta(0)])
def test_a_slew(machine, by):
    """What a time service does while it runs is no jump."""
    machine.passes(MINUTE)
    machine.jumps(by)
    assert machine.clock.sure


@pytest.mark.parametrize(
    ("ahead", "sure"), [(-DAY, True), (5 * MINUTE, True), (5 * MINUTE + SECOND, False), (DAY, False)]
)
def test_a_start_before_what_was_last_seen(machine, ahead, sure):
    """A machine that wakes up in the past is not believed."""
    machine.clock.remember(NOW + ahead)
    assert machine.clock.sure is sure
    assert sure or "behind" in machine.clock.doubt


@pytest.mark.parametrize(("off_for", "sure"), [(30 * DAY, True), (180 * DAY, True), (180 * DAY + SECOND, False)])
def test_a_start_long_after_what_was_last_seen(machine, off_for, sure):
    """A machine that wakes up half a year later is not believed either, until a CA agrees."""
    machine.clock.remember(NOW - off_for)
    assert machine.clock.sure is sure
    assert sure or "ahead" in machine.clock.doubt
    machine.clock.heard(NOW)
    assert machine.clock.sure


@pytest.mark.parametrize("difference", [timedelta(0), 5 * MINUTE, -5 * MINUTE])
def test_a_ca_that_agrees(machine, difference):
    """Within five minutes a CA's Date settles every doubt."""
    machine.clock.remember(NOW + DAY)
    machine.clock.heard(NOW + difference)
    assert machine.clock.sure


@pytest.mark.parametrize("difference", [5 * MINUTE + SECOND, -5 * MINUTE - SECOND, DAY])
def test_a_ca_that_disagrees(machine, difference):
    """It makes a clock unsure that was sure, and leaves no doubt in place that it could settle later."""
    machine.clock.heard(NOW - difference)
    assert f"differs by {difference.total_seconds():.0f} s" in machine.clock.doubt
    machine.clock.heard(NOW)
    assert machine.clock.sure


def test_a_jump_that_the_ca_confirms(machine):
    """A jump that nobody looked at before the CA's word is settled by it: the new time is the right one."""
    machine.jumps(10 * DAY)
    machine.clock.heard(NOW + 10 * DAY)
    assert machine.clock.sure
    machine.passes(DAY)
    assert machine.clock.sure


@given(st.lists(st.tuples(st.sampled_from(["passes", "jumps", "looks", "hears"]), st.integers(-7200, 7200))))
def test_sure_means_right(steps):
    """However it is moved: whoever is sure was never more than a look's minute away from the last word of a CA.

    `true` is the time that the CA tells; each look may hide a minute, no more.
    """
    machine, true, looks = Machine(), NOW, 0
    for step, seconds in steps:
        if step == "passes":
            machine.passes(abs(seconds) * SECOND)
            true += abs(seconds) * SECOND
        elif step == "jumps":
            machine.jumps(seconds * SECOND)
            assert machine.clock.now() == machine.wall
            looks += 1
        elif step == "looks":
            assert machine.clock.now() == machine.wall
        else:
            machine.clock.heard(true)
            looks = 0
            assert machine.clock.sure == (abs(machine.wall - true) <= 5 * MINUTE)
        if machine.clock.sure:
            assert abs(machine.wall - true) <= 5 * MINUTE + looks * MINUTE


def test_the_wall_clock_is_utc():
    """Aware, and without an offset."""
    assert utc_now().utcoffset() == timedelta(0)
    assert Clock().sure
