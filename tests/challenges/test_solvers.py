"""certd.challenges: the registry of solvers."""

from __future__ import annotations

from pathlib import Path

import pytest

from certd.challenges import OPTIONS, SOLVERS, make_solver
from certd.errors import ChallengeError
from certd.model.orders import Task
from certd.model.specs import SolverSpec

TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"


def test_every_solver_has_options_and_its_own_type() -> None:
    """The configuration checks options by the same key under which solvers are found."""
    assert set(SOLVERS) == set(OPTIONS)
    assert all(solver.type == key for key, solver in SOLVERS.items())


def test_a_solver_from_the_configuration(tmp_path: Path) -> None:
    """Made from a spec, used, and cleaned up through the registry alone."""
    task = Task("a.jp", False, "http-01", "https://ca.example/c", TOKEN, "https://ca.example/a")
    solver = make_solver(SolverSpec("http-01", {"webroot": str(tmp_path)}))
    place = solver.place(task, "answer")
    solver.present(task, "answer", place)
    written = tmp_path / ".well-known" / "acme-challenge" / TOKEN
    assert written.read_text() == "answer"
    SOLVERS[solver.type].clean_up(place)
    assert not written.exists()


def test_an_unknown_type() -> None:
    """The error lists the known ones."""
    with pytest.raises(ChallengeError, match="moon-01 is not known; known: http-01"):
        make_solver(SolverSpec("moon-01", {}))
