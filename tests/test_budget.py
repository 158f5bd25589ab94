"""Permits: how many orders may be under way at one CA, and whose turn it is."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from views import DAY, NOW

from certd.budget import LAPSE, PATIENCE, Budget
from certd.model.specs import CaLimits

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


def budget(in_flight: int = 2, new_orders: int = 100, per: timedelta = 3 * HOUR) -> Budget:
    return Budget(CaLimits(in_flight, new_orders, per))


def granted(of: Budget, name: str, urgency: datetime = NOW, at: datetime = NOW) -> bool:
    return of.reserve(name, urgency, at) is None


def test_never_more_in_flight():
    """Beyond the limit one waits; whoever holds a permit already is not counted twice."""
    own = budget(2)
    assert [granted(own, name) for name in "abca"] == [True, True, False, True]
    assert own.in_flight == 2
    assert own.names == {"a", "b", "c"}


def test_a_permit_given_back_wakes_the_most_urgent():
    """As many as there is room for, the sooner to expire the earlier."""
    own = budget(2)
    assert granted(own, "a")
    assert granted(own, "b")
    for name, days in (("late", 30), ("soon", 1), ("later", 40)):
        assert not granted(own, name, NOW + days * DAY)
    assert own.release("a") == ["soon"]
    assert not granted(own, "later", NOW + 40 * DAY)
    assert granted(own, "soon", NOW + DAY)
    assert own.release("b") == ["late"]
    assert own.release("soon") == ["late", "later"]
    assert own.release("nobody") == []


def test_whoever_leaves_the_queue_makes_room():
    """One who needs no permit any more is not waited for, and those behind are told."""
    own = budget(1)
    assert granted(own, "a")
    assert not granted(own, "b", NOW)
    assert not granted(own, "c", NOW + DAY)
    assert own.release("a") == ["b"]
    assert own.release("b") == ["c"]
    assert granted(own, "c", NOW + DAY)


def test_the_urgency_now_keeps_its_place():
    """Certificates without anything live say "now", later each time they ask: none keeps the others out for ever."""
    own = budget(1)
    assert granted(own, "first")
    for minute, name in enumerate("abcd"):
        assert not granted(own, name, NOW + minute * MINUTE, NOW + minute * MINUTE)
    served, now = [], NOW + 5 * MINUTE
    own.release("first")
    while len(served) < 4:
        now += MINUTE
        assert now < NOW + HOUR, "they wait for each other"
        for name in "dcba":
            if name not in served and granted(own, name, now, now):
                served.append(name)
                own.release(name)
    assert served == ["a", "b", "c", "d"]


def test_who_no_longer_asks_holds_up_nobody():
    """A place in the queue lapses some minutes after its turn to ask again."""
    own = budget(1)
    assert granted(own, "holder")
    assert not granted(own, "vanished", NOW)
    assert not granted(own, "waiting", NOW + DAY)
    own.release("holder")
    later = NOW + PATIENCE + LAPSE
    assert not granted(own, "waiting", NOW + DAY, later)
    assert granted(own, "waiting", NOW + DAY, later + SECOND)


def test_orders_per_interval():
    """Beyond them nobody begins, though nothing is in flight; each is told when its turn comes."""
    own = budget(10, new_orders=2, per=HOUR)
    for name, at in (("a", NOW), ("b", NOW + 10 * MINUTE)):
        assert granted(own, name, at=at)
        own.release(name)
    now = NOW + 20 * MINUTE
    assert own.reserve("c", NOW, now) == NOW + HOUR
    assert own.reserve("d", NOW + DAY, now) == NOW + HOUR + 10 * MINUTE
    assert own.reserve("e", NOW + 2 * DAY, now) == NOW + 2 * HOUR
    assert not granted(own, "d", NOW + DAY, NOW + HOUR)
    assert granted(own, "c", NOW, NOW + HOUR)
    assert granted(own, "d", NOW + DAY, NOW + HOUR + 10 * MINUTE)


def test_an_unused_reservation_is_given_back():
    """An order that was not placed after all does not count for the interval."""
    own = budget(10, new_orders=1, per=HOUR)
    assert granted(own, "a")
    assert not granted(own, "b")
    assert own.release("a", unused_since=NOW) == ["b"]
    assert granted(own, "b", NOW, NOW + SECOND)
    own.release("b")
    assert not granted(own, "c", NOW, NOW + 2 * SECOND)


def test_what_the_records_tell():
    """After a restart: orders in flight, and those of the interval, count as before."""
    own = budget(1, new_orders=3, per=HOUR)
    own.restore("a", ())
    own.restore(None, (NOW - 2 * HOUR, NOW - MINUTE))
    own.restore(None, (NOW - 30 * MINUTE,))
    assert granted(own, "a")
    assert not granted(own, "b")
    own.release("a")
    assert granted(own, "b")
    own.release("b")
    assert own.reserve("c", NOW, NOW) == NOW + 30 * MINUTE


def test_a_clock_that_was_set_back():
    """Orders of a future that did not come count from now, not until that future comes."""
    own = budget(10, new_orders=1, per=HOUR)
    own.restore(None, (NOW + 400 * DAY,))
    assert own.reserve("a", NOW, NOW) == NOW + HOUR
    assert granted(own, "a", NOW, NOW + HOUR)


def test_threads_that_disagree_by_a_moment():
    """Two nows in the wrong order are both kept as they are, so that both can be given back."""
    own = budget(10, new_orders=2, per=HOUR)
    assert granted(own, "a", at=NOW + SECOND)
    assert granted(own, "b", at=NOW)
    own.release("a", unused_since=NOW + SECOND)
    own.release("b", unused_since=NOW)
    assert granted(own, "c")
    assert granted(own, "d")


@pytest.mark.parametrize("waiting", [100])
def test_everyone_gets_a_turn(waiting):
    """A first issue of many certificates through a narrow gate comes to its end, with nobody woken in vain."""
    own = budget(3, new_orders=1000)
    now, done, awake = NOW, 0, [f"n{number:03}" for number in range(waiting)]
    while awake:
        begun = [name for name in awake if granted(own, name, now, now)]
        assert begun
        done += len(begun)
        now += SECOND
        awake = sorted({name for one in begun for name in own.release(one)})
    assert done == waiting


class Permits(RuleBasedStateMachine):
    """Certificates that ask, place orders, give back, go away and come back, against a plain count."""

    names = st.sampled_from("abcdefgh")

    @initialize(in_flight=st.integers(1, 3), new_orders=st.integers(1, 6))
    def begin(self, in_flight, new_orders):
        self.limits = CaLimits(in_flight, new_orders, HOUR)
        self.own = Budget(self.limits)
        self.now = NOW
        self.holding: dict[str, datetime] = {}
        self.placed: list[datetime] = []
        self.waiting: dict[str, datetime] = {}

    def recent(self):
        return [at for at in self.placed if at > self.now - HOUR]

    @rule(name=names, days=st.integers(0, 3))
    def asks(self, name, days):
        self.now += SECOND
        urgency = min(self.waiting.get(name, NOW + days * DAY), NOW + days * DAY)
        again = self.own.reserve(name, NOW + days * DAY, self.now)
        if name in self.holding:
            assert again is None
            return
        if again is None:
            self.waiting.pop(name, None)
            assert len(self.holding) < self.limits.in_flight
            assert len(self.recent()) < self.limits.new_orders
            self.holding[name] = self.now
            self.placed.append(self.now)
        else:
            assert again > self.now
            self.waiting[name] = urgency
            free = min(self.limits.in_flight - len(self.holding), self.limits.new_orders - len(self.recent()))
            ahead = [other for other in self.waiting.items() if (other[1], other[0]) < (urgency, name)]
            assert len(ahead) >= free, "refused, though there was room"

    @rule(name=names, unused=st.booleans())
    def gives_back(self, name, unused):
        since = self.holding.pop(name, None)
        left = self.waiting.pop(name, None)
        if unused and since is not None:
            self.placed.remove(since)
        self.waiting = {one: urgency for one, urgency in self.waiting.items() if one in self.own.names}
        woken = self.own.release(name, unused_since=since if unused else None)
        if since is not None or left is not None:
            assert woken == sorted(self.waiting, key=lambda one: (self.waiting[one], one))[: len(woken)]

    @rule(minutes=st.integers(1, 4))
    def time_passes(self, minutes):
        self.now += minutes * MINUTE

    @invariant()
    def counts(self):
        if hasattr(self, "own"):
            assert self.own.in_flight == len(self.holding) <= self.limits.in_flight
            assert self.own.names >= self.holding.keys()


Permits.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestPermits = Permits.TestCase
