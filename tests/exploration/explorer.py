"""Explores a scenario: once without interruption, then once for each step and each kind of interruption."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from exploration.interruptions import Interruption, Step, worth_interrupting
from exploration.scenario import Scenario
from exploration.simulation import Simulation

Plan = Mapping[int, Interruption]


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


def plans_of_kinds(scenario: Scenario, kinds: frozenset[Interruption]) -> list[Plan]:
    """One interruption each, of these kinds only."""
    return [plan for plan in single_plans(scenario) if kinds.issuperset(plan.values())] if kinds else []


def thinned(plans: list[Plan], most: int) -> list[Plan]:
    """At most so many, evenly taken, and of all kinds: the stride has no factor in common with their number."""
    least = -(-len(plans) // most)
    if least <= 1:
        return plans
    return plans[:: next(stride for stride in itertools.count(least) if _coprime(stride))]


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


def _coprime(stride: int) -> bool:
    """With the numbers of kinds that a step may have, so that no kind is always passed over."""
    return all(stride % divisor for divisor in (2, 3, 5, 7))


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
