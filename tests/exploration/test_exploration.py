"""Runs of several certificates on one server, interrupted after any step: no invariant breaks, and all ends well.

A run takes milliseconds, but there are tens of thousands. By default the smaller scenarios are explored without gaps
and the others evenly thinned; CERTD_EXPLORE=all leaves nothing out, and `make explore` counts.
"""

from __future__ import annotations

import itertools
import os

import pytest
from exploration.explorer import ANOTHER_CRASH, ANYTHING, CRASH, Plan, explore, pairs, single_plans, thinned
from exploration.interruptions import Interruption
from exploration.scenario import Scenario
from exploration.scenarios import ALL, FIRST, RENEWAL_OF_ONE, REVOKED_LIVE

WITHOUT_GAPS = (RENEWAL_OF_ONE, FIRST, REVOKED_LIVE)
MOST, MOST_WITH_PARTS_STUCK = 250, 100
"""Runs of the other scenarios; one that never comes to rest is longer."""
PAIRS_MOST, OTHERS_MOST = 1500, 500
EVERY = 1_000_000
EVERYTHING = os.environ.get("CERTD_EXPLORE") == "all"
PATIENCE = 7200 if EVERYTHING else 1200


def explored(scenario: Scenario, plans: list[Plan]) -> None:
    problems = [str(outcome) for outcome in itertools.islice(explore(scenario, plans), 5)]
    print(f"{scenario.name}: {len(plans)} runs explored")
    assert problems == []


@pytest.mark.timeout(PATIENCE)
@pytest.mark.parametrize("name", ALL)
def test_any_single_interruption(name):
    """Whatever happens at whatever step: I1 to I7 hold all the way, and what is served in the end is what is live."""
    scenario = ALL[name]
    plans = single_plans(scenario)
    if not EVERYTHING and scenario not in WITHOUT_GAPS:
        plans = thinned(plans, MOST_WITH_PARTS_STUCK if scenario.stuck else MOST)
    explored(scenario, plans)


@pytest.mark.timeout(PATIENCE)
@pytest.mark.parametrize("second", ANOTHER_CRASH)
def test_a_crash_and_another_one(second):
    """Also where the recovery from a crash is cut short by the next one."""
    most = EVERY if EVERYTHING else PAIRS_MOST // 3
    explored(RENEWAL_OF_ONE, pairs(RENEWAL_OF_ONE, CRASH, [second], most))


@pytest.mark.timeout(PATIENCE)
def test_any_two_interruptions():
    """What others do, and what fails, meets the recovery from something else."""
    explored(RENEWAL_OF_ONE, pairs(RENEWAL_OF_ONE, ANYTHING, ANYTHING, OTHERS_MOST))


def test_thinning_leaves_out_no_kind():
    """Nor the end of a run: what is thinned is still spread over all of it."""
    plans = single_plans(ALL["RENEWAL"])
    some = thinned(plans, MOST)
    assert MOST / 2 < len(some) <= MOST
    assert {kind for plan in some for kind in plan.values()} == set(Interruption)
    assert max(max(plan) for plan in some) > 0.95 * max(max(plan) for plan in plans)
