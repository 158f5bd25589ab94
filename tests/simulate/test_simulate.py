"""A small fleet in every test run; `make simulate` runs the large one."""

from __future__ import annotations

from datetime import timedelta

from simulate.fleet import Fleet
from simulate.world import BEGIN, Calendar, Chances

from certd.model.specs import CaLimits

YEAR = timedelta(days=365)


def _fleet(outage: timedelta, *, limits: CaLimits, size: int = 150) -> Fleet:
    calendar = Calendar.of(1, outages=[(100.3, outage)], maintenance=timedelta(hours=4))
    return Fleet(size, calendar, Chances(), seed=7, lifetime=timedelta(days=90), limits=limits)


def test_a_week_without_the_ca_lets_nothing_expire() -> None:
    """An outage shorter than the renewal margin, restarts, rate limits and failed validations: nothing expires."""
    restarts = [BEGIN + timedelta(days=day) for day in range(10, 360, 30)]
    tally = _fleet(timedelta(days=7), limits=CaLimits()).run(BEGIN + YEAR, restarts)
    assert tally.renewals > 150 * 5
    assert tally.expired == 0
    assert tally.least_left > timedelta(days=7)


def test_orders_that_an_outage_parks_are_adopted() -> None:
    """Finalized before the CA went away for two days: put aside, and used unless a newer one came first."""
    outages = [(30.0 * number, timedelta(days=2)) for number in range(1, 12)]
    calendar = Calendar.of(1, outages=outages, maintenance=timedelta(hours=4))
    chances = Chances(processing=timedelta(hours=12))
    fleet = Fleet(150, calendar, chances, seed=7, lifetime=timedelta(days=90), limits=CaLimits())
    tally = fleet.run(BEGIN + YEAR, [BEGIN + timedelta(days=day) for day in range(10, 360, 30)])
    assert tally.parked >= 5
    assert tally.parked >= tally.adopted >= 1
    assert tally.expired == 0


def test_an_outage_longer_than_the_margin_lets_certificates_expire() -> None:
    """The simulator can fail: without the CA for forty days certificates do expire."""
    tally = _fleet(timedelta(days=40), limits=CaLimits()).run(BEGIN + YEAR, [])
    assert tally.expired > 0


def test_after_an_outage_orders_keep_to_the_permits() -> None:
    """However many are overdue, no three hours see more orders than the CA's limit allows."""
    limits = CaLimits(in_flight=4, new_orders=10, new_orders_per=timedelta(hours=3))
    tally = _fleet(timedelta(days=7), limits=limits).run(BEGIN + YEAR, [])
    minutes = sorted(tally.orders_per_minute)
    for first in minutes:
        within = sum(tally.orders_per_minute[minute] for minute in minutes if first <= minute < first + 180)
        assert within <= limits.new_orders
    assert tally.expired == 0
