"""The exploration finds mistakes: each small one, made on purpose, breaks an invariant in some run."""

from __future__ import annotations

import pytest
from exploration.explorer import explore, plans_of_kinds
from exploration.mutants import MUTANTS, Mutant, applied


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_killed(mutant: Mutant):
    """Some run of its scenario notices it, and none does without it."""
    plans = [{}, *plans_of_kinds(mutant.scenario, mutant.kinds)]
    with applied(mutant):
        found = next(((plan, outcome) for plan in plans for outcome in explore(mutant.scenario, [plan])), None)
    assert found is not None, f"no run notices that {mutant.name}"
    plan, _ = found
    assert list(explore(mutant.scenario, [plan])) == []


def test_the_code_is_mended_after_a_mutant():
    """A mutation ends with its context, also when a run ends by an exception."""
    mutant = MUTANTS[0]
    with pytest.raises(ZeroDivisionError), applied(mutant):
        raise ZeroDivisionError
    assert list(explore(mutant.scenario, [{}])) == []
