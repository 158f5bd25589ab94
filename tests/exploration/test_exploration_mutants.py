"""The exploration finds mistakes: each small one, made on purpose, breaks an invariant in some run."""

from __future__ import annotations

import pytest
from exploration.explorer import CRASH, Plan, explore, pairs, plans_of_kinds
from exploration.mutants import MUTANTS
from exploration.mutation import Mutant, applied

PAIRS_MOST = 10_000


def plans_for(mutant: Mutant) -> list[Plan]:
    if mutant.after_crash:
        return pairs(mutant.scenario, CRASH, sorted(mutant.kinds), PAIRS_MOST)
    return [{}, *plans_of_kinds(mutant.scenario, mutant.kinds)]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_killed(mutant: Mutant):
    """Some run of its scenario notices it, and none does without it."""
    plans = plans_for(mutant)
    with applied(mutant):
        found = next(((plan, outcome) for plan in plans for outcome in explore(mutant.scenario, [plan])), None)
    assert found is not None, f"no run notices that {mutant.name}"
    plan, outcome = found
    print(f"{mutant.name}: {outcome}")
    assert f"{mutant.breaks}:" in outcome.problem or not mutant.breaks
    assert list(explore(mutant.scenario, [plan])) == []


def test_every_invariant_has_a_mutant():
    """Not one of them could be taken out of the watch without a test that fails."""
    assert {mutant.breaks for mutant in MUTANTS} >= {f"I{number}" for number in range(1, 8)}


def test_the_code_is_mended_after_a_mutant():
    """A mutation ends with its context, also when a run ends by an exception."""
    mutant = MUTANTS[0]
    with pytest.raises(ZeroDivisionError), applied(mutant):
        raise ZeroDivisionError
    assert list(explore(mutant.scenario, [{}])) == []
