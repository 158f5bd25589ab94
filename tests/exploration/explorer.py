"""Explores a scenario: once without interruption, then once for each step and each kind of interruption."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from exploration.interruptions import KINDS, Act, Interruption, Step, worth_interrupting
from exploration.scenario import Scenario
from exploration.simulation import Simulation

Plan = Mapping[int, Interruption]
KINDS_AT_A_STEP = 2 * 3 * 5 * 7
"""Stands for the numbers of kinds that a step may have: 5, 9, 14 and 15."""
CRASH = (Interruption.CRASH_AFTER,)
ANOTHER_CRASH = (Interruption.CRASH_BEFORE, Interruption.CRASH_AFTER, Interruption.DOWN_HOUR)
"""Also where the recovery from a crash is cut short by the next one."""
ANYTHING = tuple(kind for kind in Interruption if kind is not Interruption.DOWN_MONTH)
"""After a month most of what came before is over."""


@dataclass
class Outcome:
    """What a plan came to."""

    plan: Mapping[int, Interruption]
    problem: str
    labels: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        where = ", ".join(
            f"{kind} at step {number} ({label})"
            for (number, kind), label in zip(self.plan.items(), self.labels, strict=True)
        )
        return f"{where or 'no interruption'}: {self.problem}"


def steps_of(scenario: Scenario) -> list[Step]:
    """The steps of the run without interruptions. Raises what that run raises."""
    with _quiet():
        simulation = Simulation(scenario)
        simulation.run()
    return simulation.steps.seen


def single_plans(scenario: Scenario) -> list[Plan]:
    """One interruption each."""
    plans = worth_interrupting(steps_of(scenario))
    return [{number: kind} for number, kind in plans if kind not in scenario.without]


def pairs(
    scenario: Scenario, firsts: Collection[Interruption], seconds: Collection[Interruption], most: int
) -> list[Plan]:
    """One of `firsts` at a change, then one of `seconds` at a step after it, also in the recovery. Evenly thinned."""
    steps = steps_of(scenario)
    changes = [step for step in steps if step.act is not Act.LOOK]
    # The second run is longer than the one without interruptions: what the first one cut short is done again.
    end = len(steps) + len(steps) // 4
    kinds = [(first, second) for first in firsts for second in seconds if scenario.without.isdisjoint({first, second})]
    possible = len(kinds) * sum(end - step.number - 1 for step in changes)
    every: Iterator[Plan] = (
        {step.number: first, other: second}
        for step in changes
        for other in range(step.number + 1, end)
        for first, second in kinds
    )
    chosen = itertools.islice(every, None, None, _stride(possible, most, len(kinds)))
    acts = {step.number: step.act for step in steps}
    return [plan for plan in chosen if plan[min(plan)] in KINDS[acts[min(plan)]]]


def plans_of_kinds(scenario: Scenario, kinds: frozenset[Interruption]) -> list[Plan]:
    """One interruption each, of these kinds only."""
    return [plan for plan in single_plans(scenario) if kinds.issuperset(plan.values())] if kinds else []


def thinned(plans: list[Plan], most: int) -> list[Plan]:
    """At most so many, evenly taken, and of all kinds."""
    return plans[:: _stride(len(plans), most, KINDS_AT_A_STEP)]


def explore(scenario: Scenario, plans: Iterable[Plan]) -> Iterator[Outcome]:
    """Every plan that came to a violation."""
    with _quiet():
        for plan in plans:
            simulation = Simulation(scenario, plan)
            try:
                simulation.run()
            except Exception as error:  # an assertion of certd's is as good as one of ours
                seen = simulation.steps.seen
                labels = [seen[number].label if number < len(seen) else "not reached" for number in plan]
                yield Outcome(plan, f"{type(error).__name__}: {error}", labels)


def _stride(plans: int, most: int, kinds: int) -> int:
    """Every how many-th plan is taken. No factor in common with the number of kinds: each has its turn."""
    least = max(1, -(-plans // most))
    return next(stride for stride in itertools.count(least) if stride == 1 or math.gcd(stride, kinds) == 1)


@contextmanager
def _quiet() -> Iterator[None]:
    """certd's log says nothing meanwhile."""
    logger = logging.getLogger("certd")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)
