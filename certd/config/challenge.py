"""How domains are to be validated: ``challenge`` as one solver, or as a mapping of domain patterns to solvers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from certd.config.layers import Layer, Layers
from certd.config.names import normal_domain
from certd.config.problems import Place, Report, shown
from certd.config.shape import prune
from certd.model.specs import SolverSpec

SolverTypes = Mapping[str, type[msgspec.Struct]]
Challenges = tuple[tuple[str, SolverSpec], ...]

EVERY = "*"
"""The pattern of all domains."""


def solver_for(challenges: Sequence[tuple[str, SolverSpec]], domain: str) -> SolverSpec | None:
    """The solver of this domain, the first whose pattern matches; a wildcard's domain begins with ``*.``."""
    for pattern, solver in challenges:
        if pattern in (EVERY, domain) or (pattern.startswith("*.") and domain.endswith(pattern[1:])):
            return solver
    return None


def combine(over: Layer, base: Layer | None) -> Layers:
    """A certificate's challenge on top of the default one. Options of one solver type merge, types replace."""
    if base is None or _is_single(over.value) != _is_single(base.value):
        return Layers(over)
    if _is_single(over.value):
        return Layers(over, base) if _same_type(over.value, base.value) else Layers(over)
    kept = {
        pattern: solver
        for pattern, solver in base.value.items()
        if pattern not in over.value or _same_type(over.value[pattern], solver)
    }
    return Layers(over, base._replace(value=kept))


def resolve_challenges(layers: Layers, solvers: SolverTypes, report: Report) -> Challenges | None:
    """Pairs of pattern and solver, the most specific pattern first. None: mistakes, which were reported."""
    before = report.errors
    data = layers.merged()
    if not data:
        report.error(layers.place(), f"empty; give type: {_types(solvers)}, and its options")
        return None
    patterns: dict[str, SolverSpec] = {}
    for key, options in [(EVERY, data)] if _is_single(data) else list(data.items()):
        below = layers if _is_single(data) else layers.below(key)
        assert below is not None
        pattern = EVERY if key == EVERY else report.value(below.place(), normal_domain, key, wildcard=True)
        solver = _solver(options, below, solvers, report)
        if pattern is None or solver is None:
            continue
        if pattern in patterns:
            report.error(below.place(), f"{pattern} is already given in another spelling")
        patterns[pattern] = solver
    if report.errors > before:
        return None
    return tuple(sorted(patterns.items(), key=_generality))


def _solver(options: Any, layers: Layers, solvers: SolverTypes, report: Report) -> SolverSpec | None:
    before = report.errors
    if not isinstance(options, dict):
        report.error(layers.place(), f"must be a mapping with type: {_types(solvers)}, and its options")
        return None
    kind = options.get("type")
    if not isinstance(kind, str) or kind not in solvers:
        what = (
            "missing"
            if "type" not in options
            else f"{shown(kind) if isinstance(kind, str) else 'this'} is not a way to solve challenges"
        )
        report.error(layers.place("type"), f"{what}; allowed: {_types(solvers)}")
        return None
    own = {key: value for key, value in options.items() if key != "type"}
    _check_options(own, solvers[kind], layers, report)
    return SolverSpec(kind, own) if report.errors == before else None


def _check_options(own: dict[str, Any], wanted: type[msgspec.Struct], layers: Layers, report: Report) -> None:
    found = Report()
    # The options may have come from two places; each problem goes where its key was written.
    prune(own, wanted, Place(0), found)
    for problem in found.found_errors():
        report.error(layers.place(*problem.place.path), problem.text)


def _is_single(value: Mapping[str, Any]) -> bool:
    return "type" in value or not all(isinstance(item, dict) for item in value.values())


def _same_type(over: Any, base: Any) -> bool:
    return (
        not isinstance(over, dict)
        or "type" not in over
        or not isinstance(base, dict)
        or over["type"] == base.get("type")
    )


def _generality(item: tuple[str, SolverSpec]) -> tuple[int, int, str]:
    pattern = item[0]
    if pattern == EVERY:
        return 2, 0, pattern
    return (1, -len(pattern), pattern) if pattern.startswith("*.") else (0, 0, pattern)


def _types(solvers: SolverTypes) -> str:
    return " or ".join(sorted(solvers)) or "none is known"
