"""`make explore`: every scenario interrupted once at every step in every way, and twice in many ways.

Prints its figures, and each violation with the plan that leads to it; exits 1 if there is one.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from exploration.explorer import ANOTHER_CRASH, ANYTHING, CRASH, Plan, explore, pairs, single_plans
from exploration.scenario import Scenario
from exploration.scenarios import ALL

AT_ONCE = 40
"""Runs that a process is given at a time."""
PAIRS = 1000
SHOWN = 5
"""Violations of a scenario that are printed; all are counted."""


def main() -> int:
    options = _options()
    began = time.monotonic()
    runs = violations = 0
    with ProcessPoolExecutor(options.processes) as pool:
        for name in options.scenarios:
            for what, plans in _plans(ALL[name], options):
                shares = [plans[first : first + AT_ONCE] for first in range(0, len(plans), AT_ONCE)]
                found = [one for some in pool.map(_explored, [name] * len(shares), shares) for one in some]
                print(f"{name:16}{len(plans):6,} runs {what}: {len(found)} violations", flush=True)
                print(*(f"    {one}\n" for one in found[:SHOWN]), sep="", end="", flush=True)
                runs += len(plans)
                violations += len(found)
    minutes = (time.monotonic() - began) / 60
    print(f"{len(options.scenarios)} scenarios, {runs:,} runs, {violations} violations; {minutes:.0f} min")
    return 1 if violations else 0


def _plans(scenario: Scenario, options: argparse.Namespace) -> Iterator[tuple[str, list[Plan]]]:
    if options.singles:
        yield "with one interruption or none", [{}, *single_plans(scenario)]
    if options.pairs:
        yield "with two crashes", pairs(scenario, CRASH, ANOTHER_CRASH, options.pairs)
        yield "with two interruptions of any kind", pairs(scenario, ANYTHING, ANYTHING, options.pairs)


def _explored(name: str, plans: list[Plan]) -> list[str]:
    return [str(outcome) for outcome in explore(ALL[name], plans)]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", default=list(ALL), help=f"of {', '.join(ALL)}")
    parser.add_argument("--singles", action=argparse.BooleanOptionalAction, default=True, help="one interruption each")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="for each scenario and kind, at most; 0: none")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    if unknown := set(options.scenarios) - set(ALL):
        parser.error(f"no scenario is called {', '.join(sorted(unknown))}")
    return options


if __name__ == "__main__":
    sys.exit(main())
