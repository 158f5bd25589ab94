"""What is wrong with a configuration: every problem found, each at its place, turned into lines at the end.

Problems are found by path (``certificates[3].domains``); lines are looked up once, and only when there are problems.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, ParamSpec, TypeVar

from certd.text import printable

P = ParamSpec("P")
T = TypeVar("T")
KeyPath = tuple[str | int, ...]

LONGEST_SHOWN = 80
"""Characters of a value or key that are repeated in a message."""


class Place(NamedTuple):
    """A key or an item: the number of its file, and the path to it. An empty path is the whole file."""

    source: int
    path: KeyPath = ()

    def at(self, *keys: str | int) -> Place:
        """The place below this one."""
        return Place(self.source, self.path + keys)


class Problem(NamedTuple):
    """One mistake. `line` is 1-based, None where it is to be looked up; `other` is the place it contradicts."""

    place: Place
    text: str
    line: int | None = None
    other: Place | None = None


class Source(NamedTuple):
    """One file as read. `lines` finds the 1-based lines of the paths asked for, and of what leads to them."""

    path: Path
    lines: Callable[[set[KeyPath]], Mapping[KeyPath, int]]


class Report:
    """Collects errors and warnings; the same problem at the same place counts once."""

    def __init__(self) -> None:
        self._errors: dict[Problem, None] = {}
        self._warnings: dict[Problem, None] = {}
        self._places: set[Place] = set()
        self._around: set[Place] = set()

    @property
    def errors(self) -> int:
        """How many errors there are so far."""
        return len(self._errors)

    def found_errors(self) -> tuple[Problem, ...]:
        """The errors so far, in the order in which they were found."""
        return tuple(self._errors)

    def error(self, place: Place, text: str, *, line: int | None = None, other: Place | None = None) -> None:
        """Notes a mistake that makes the configuration unusable."""
        self._errors[Problem(place, text, line, other)] = None
        self._places.add(place)
        self._around.update(Place(place.source, place.path[:length]) for length in range(len(place.path) + 1))

    def warning(self, place: Place, text: str, *, other: Place | None = None) -> None:
        """Notes what is allowed, but probably not meant."""
        self._warnings[Problem(place, text, None, other)] = None

    def missing(self, place: Place, expected: str) -> None:
        """Notes a required key that is not there, unless its value was already found to be wrong."""
        self.error_unless_known(place, f"missing; must be {expected}")

    def error_unless_known(self, place: Place, text: str) -> None:
        """Notes a mistake that is only the consequence of another one, if that was found at this place or below."""
        if not self.has_below(place):
            self.error(place, text)

    def has(self, place: Place) -> bool:
        """Whether an error was found at exactly this place."""
        return place in self._places

    def has_below(self, place: Place) -> bool:
        """Whether an error was found at this place or below it."""
        return place in self._around

    def value(self, place: Place, parse: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """What `parse` makes of its arguments; its ValueError becomes an error at `place`, and the answer None."""
        try:
            return parse(*args, **kwargs)
        except ValueError as error:
            self.error(place, str(error))
            return None

    def lines(self, sources: Sequence[Source]) -> tuple[list[str], list[str]]:
        """The errors and the warnings as ``FILE:LINE: path.to.key: text``, in the order of files and lines."""
        found = _look_up([*self._errors, *self._warnings], sources)
        return _rendered(self._errors, sources, found), _rendered(self._warnings, sources, found)


def shown(text: str) -> str:
    """The text in quotes, safe to print: without control characters, and capped."""
    return f'"{escaped(text)}"'


def escaped(text: str) -> str:
    """The text without control and direction characters, and capped."""
    return printable(text, LONGEST_SHOWN)


def dotted(path: KeyPath) -> str:
    """The path as people write it: ``certificates[3].domains``."""
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{escaped(key)}"
    return text.removeprefix(".") or "(file)"


_Lines = Mapping[int, Mapping[KeyPath, int]]


def _look_up(problems: Iterable[Problem], sources: Sequence[Source]) -> _Lines:
    wanted: dict[int, set[KeyPath]] = {}
    for problem in problems:
        for place in (problem.place, problem.other):
            if place is not None:
                paths = wanted.setdefault(place.source, set())
                paths.update(place.path[:length] for length in range(1, len(place.path) + 1))
    return {source: sources[source].lines(paths) for source, paths in wanted.items()}


def _line_of(place: Place, found: _Lines) -> int:
    # A missing key, or one that came through an alias, is at the nearest thing around it that was written down.
    lines = found[place.source]
    for length in range(len(place.path), 0, -1):
        if place.path[:length] in lines:
            return lines[place.path[:length]]
    return 1


def _rendered(problems: Iterable[Problem], sources: Sequence[Source], found: _Lines) -> list[str]:
    rows = []
    for problem in problems:
        place = problem.place
        line = problem.line or _line_of(place, found)
        text = problem.text
        if problem.other is not None:
            other = problem.other
            text += f" (the other one: {sources[other.source].path}:{_line_of(other, found)})"
        rows.append((place.source, line, f"{sources[place.source].path}:{line}: {dotted(place.path)}: {text}"))
    return [row[2] for row in sorted(rows, key=lambda row: row[:2])]
