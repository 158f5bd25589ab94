"""`make simulate`: years of a fleet in minutes, and whether anything expires or stampedes.

Prints its figures; exits 1 if a certificate expired although every outage was shorter than the renewal margin.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from simulate.fleet import Fleet, Tally
from simulate.world import BEGIN, Calendar, Chances

from certd.model.specs import CaLimits

OUTAGES = [(100.3, timedelta(hours=1)), (400.6, timedelta(days=1)), (700.1, timedelta(days=7))]
MAINTENANCE = timedelta(hours=4)
IN_FLIGHT = 32


def main() -> int:
    options = _options()
    shards = [(options.certificates // options.processes, options.years, seed) for seed in range(options.processes)]
    began = time.monotonic()
    with ProcessPoolExecutor(options.processes) as pool:
        tallies = list(pool.map(_simulate, shards))
    return _report(tallies, options, time.monotonic() - began)


def _simulate(shard: tuple[int, float, int]) -> Tally:
    size, years, seed = shard
    calendar = Calendar.of(years, outages=OUTAGES, maintenance=MAINTENANCE)
    limits = CaLimits(IN_FLIGHT, _orders_in_three_hours(size), timedelta(hours=3))
    fleet = Fleet(size, calendar, Chances(), seed=seed, lifetime=timedelta(days=90), limits=limits)
    restarts = [BEGIN + timedelta(days=day, hours=3) for day in range(15, int(365 * years), 30)]
    return fleet.run(BEGIN + timedelta(days=365 * years), restarts)


def _orders_in_three_hours(size: int) -> int:
    """The default limit, or more for a fleet that it could not keep alive."""
    return max(300, size // 100)


def _report(tallies: list[Tally], options: argparse.Namespace, seconds: float) -> int:
    per_minute: Counter[int] = Counter()
    for tally in tallies:
        per_minute.update(tally.orders_per_minute)
    orders, peak = sum(per_minute.values()), max(per_minute.values())
    mean = orders / (365 * options.years * 24 * 60)
    expired = sum(tally.expired for tally in tallies)
    most = max(count for tally in tallies for count in tally.orders_per_certificate.values())
    years = options.certificates * options.years
    allowed = options.processes * _orders_in_three_hours(options.certificates // options.processes)
    outages = ", ".join(f"{long.total_seconds() / 3600:g} h" for _, long in OUTAGES)
    rows = {
        "certificate-years": f"{years:,.0f} ({options.certificates:,} certificates for {options.years:g} years)",
        "CA outages": f"{outages}; a maintenance window of {MAINTENANCE.total_seconds() / 3600:g} h each month",
        "restarts of the daemon": "one in 30 days",
        "decisions": f"{sum(tally.decisions for tally in tallies):,} in {seconds:.0f} s",
        "certificates expired": f"{expired}",
        "least time left at a renewal": f"{min(tally.least_left for tally in tallies)}",
        "renewals": f"{sum(tally.renewals for tally in tallies):,}",
        "orders parked, and used in the end": f"{sum(t.parked for t in tallies)}, {sum(t.adopted for t in tallies)}",
        "orders per certificate and year": f"{orders / years:.2f} (one certificate had {most} in all)",
        "orders per minute": f"mean {mean:.2f}, peak {peak}, ratio {peak / mean:.1f}",
        "what the permits allow": f"{allowed} new orders in three hours, {IN_FLIGHT * options.processes} in flight",
    }
    print("\n".join(f"{name:36}{figure}" for name, figure in rows.items()))
    return 1 if expired else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--certificates", type=int, default=100_000)
    parser.add_argument("--years", type=float, default=3)
    parser.add_argument("--processes", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
