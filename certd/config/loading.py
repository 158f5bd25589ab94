"""The files: the one that was asked for, and those it includes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from certd.config import files, schema
from certd.config.challenge import SolverTypes
from certd.config.problems import KeyPath, Place, Report, Source, shown
from certd.config.reading import locate, parse
from certd.config.resolve import MAIN, resolve
from certd.config.shape import prune
from certd.config.surroundings import Surroundings
from certd.errors import ConfigError
from certd.model.specs import Config

MOST_FILES = 10_000
_WILD = "*?["


def load(path: Path, *, solvers: SolverTypes, surroundings: Surroundings | None = None) -> Config:
    """The configuration in the file at `path` and in the files it includes.

    `solvers` are the ways to answer challenges, each with the strict msgspec Struct of its options. `surroundings` is
    this process on this machine today, unless given; with `check_host` False neither secrets nor groups nor programs
    are looked at, for commands that only need to know where the sockets are.
    Raises ConfigError with every problem found, in the order of files and lines.
    """
    around = surroundings if surroundings is not None else Surroundings.current()
    report = Report()
    sources: list[Source] = []
    data = _read(path, sources, report)
    config = None
    if data is not None:
        included = _included(path, data, sources, report)
        config = resolve(path, data, included, solvers=solvers, around=around, report=report)
    for number, source in enumerate(sources):
        # Not Path.exists(), which raises where the way to the file is closed; that is an error of the report by now.
        readable = os.access(source.path, os.R_OK, effective_ids=True)
        if readable and (warning := around.reading_warning(source.path)) is not None:
            report.warning(Place(number), warning)
    errors, warnings = report.lines(sources)
    if errors or config is None:
        raise ConfigError(errors, warnings)
    return msgspec.structs.replace(config, warnings=tuple(warnings))


def _read(path: Path, sources: list[Source], report: Report) -> dict[str, Any] | None:
    """The mapping that the file holds; an empty included file holds nothing. None: not to be read, reported."""
    place = Place(len(sources))
    try:
        text = files.content(path)
    except OSError as error:
        sources.append(Source(path, _no_lines))
        report.error(place, f"cannot read the file: {error.strerror or error}")
        return None
    sources.append(Source(path, partial(locate, text)))
    data = parse(text, place, report)
    if isinstance(data, dict):
        return data
    if data is None and place != MAIN:
        return None
    if data is not None or not report.has_below(place):
        what = "the file is empty" if data is None else "this is not a mapping"
        report.error(place, f"{what}; a configuration has the keys cas, defaults, certificates and others")
    return None


def _no_lines(_wanted: set[KeyPath]) -> Mapping[KeyPath, int]:
    return {}


def _included(
    path: Path, data: dict[str, Any], sources: list[Source], report: Report
) -> list[tuple[Place, dict[str, Any]]]:
    patterns = data.get("include")
    if isinstance(patterns, str):
        named = [(patterns, MAIN.at("include"))]
    elif isinstance(patterns, list) and all(isinstance(pattern, str) for pattern in patterns):
        named = [(pattern, MAIN.at("include", index)) for index, pattern in enumerate(patterns)]
    else:
        return []  # absent, or of a wrong type, which is reported with all other types
    named_files: dict[Path, None] = {}
    for pattern, place in named:
        named_files.update(dict.fromkeys(_matching(path, pattern, place, report)))
    if len(named_files) > MOST_FILES:
        report.error(MAIN.at("include"), f"names {len(named_files)} files; at most {MOST_FILES}")
        return []
    found = []
    for file in named_files:
        place = Place(len(sources))
        content = _read(file, sources, report)
        if content is not None:
            found.append((place, _certificates_only(content, place, report)))
    return found


def _matching(path: Path, pattern: str, place: Place, report: Report) -> list[Path]:
    """The files that a pattern names, sorted; hidden files (editors leave some) only if the pattern says so."""
    if "\0" in pattern:
        return []  # reported as every control character is
    wanted = Path(pattern)
    root = Path(wanted.anchor) if wanted.is_absolute() else path.parent
    relative = wanted.relative_to(root) if wanted.is_absolute() else wanted
    try:
        matches = sorted(root.glob(str(relative))) if relative.parts else []
    except (ValueError, OSError):
        matches = []  # ** within a name, a directory that may not be read
    if (closed := _closed(root, relative)) is not None:
        # Else its certificates would be gone without a word, and nothing would renew them.
        report.error(place, f"{closed} may not be looked into by this user; give it access, or name another place")
        return []
    if path in matches:
        report.error(place, f"{shown(pattern)} names this file itself")
        return []
    hidden = wanted.name.startswith(".")
    files = [match for match in matches if _is_file(match) and (hidden or not match.name.startswith("."))]
    if not files and ("**" in pattern or not any(char in pattern for char in _WILD)):
        report.error(place, f"there is no file {shown(pattern)}, seen from {path.parent}")
    return files


def _is_file(path: Path) -> bool:
    """Also what this user may not look at: reading it says so."""
    try:
        return path.is_file()
    except PermissionError:
        return True


def _closed(root: Path, pattern: Path) -> Path | None:
    """The first directory on the way of a pattern that may not be looked into: glob passes over it in silence."""
    directory = root
    for part in pattern.parts:
        try:
            if any(char in part for char in _WILD):
                for entry in directory.iterdir():
                    entry.lstat()
                    break
                return None
            directory /= part
            directory.stat()
        except PermissionError:
            return directory
        except OSError:
            return None
    return None


def _certificates_only(content: dict[str, Any], place: Place, report: Report) -> dict[str, Any]:
    kept = {}
    for key, value in content.items():
        if key == "certificates":
            kept[key] = value
        elif key in schema.File.__struct_encode_fields__:
            report.error(place.at(key), "belongs into the main file; included files hold certificates only")
        else:
            report.error(place.at(key), "unknown key; included files hold certificates only")
    pruned: dict[str, Any] = prune(kept, schema.Included, place, report)
    return pruned
