"""A mistake made on purpose, in the code that is explored."""

from __future__ import annotations

import importlib
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from exploration.interruptions import Interruption
from exploration.scenario import Scenario


@dataclass(frozen=True)
class Mutant:
    """`module`'s source with `old` replaced by `new`; a run of the scenario without or with `kinds` must notice."""

    name: str
    module: str
    old: str
    new: str
    scenario: Scenario
    kinds: frozenset[Interruption] = frozenset()
    after_crash: bool = False
    """These kinds come after a crash, somewhere in the recovery from it."""
    breaks: str = ""
    """The invariant that it must break; otherwise any, or that things do not end well."""


@contextmanager
def applied(mutant: Mutant) -> Iterator[None]:
    """While the context lasts, the functions of the module have the code of its mutated source."""
    module = importlib.import_module(mutant.module)
    assert module.__file__ is not None
    source = Path(module.__file__).read_text()
    assert source.count(mutant.old) == 1, f"{mutant.name}: its place is gone or no longer unique"
    mutated = types.ModuleType(mutant.module)
    exec(compile(source.replace(mutant.old, mutant.new), module.__file__, "exec"), mutated.__dict__)
    originals = [(function, function.__code__) for function in _functions(module).values()]
    replacements = _functions(mutated)
    try:
        for name, function in _functions(module).items():
            function.__code__ = replacements[name].__code__
        yield
    finally:
        for function, code in originals:
            function.__code__ = code


def _functions(module: types.ModuleType) -> dict[str, types.FunctionType]:
    """The functions and methods that the module defines, by qualified name."""
    found = {}
    for value in vars(module).values():
        members = [value, *vars(value).values()] if isinstance(value, type) else [value]
        for member in members:
            if isinstance(member, types.FunctionType) and member.__module__ == module.__name__:
                found[member.__qualname__] = member
    return found
