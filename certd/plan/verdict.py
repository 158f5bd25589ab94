"""What handshakes before and after a reload prove (ARCHITECTURE 4b).

Only a regression is harm: what was served before is refused or broken now. The old certificate still being served
is a reload that did nothing. What the server did not show before, for want of a virtual host, is not held against it.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from certd.model.records import BatchSet, Blame, Seen, Sight


class Served(msgspec.Struct, frozen=True):
    """Everything that can be seen is new. `not_served`: the server has nothing for these names."""

    not_served: tuple[str, ...] = ()


class Harmed(msgspec.Struct, frozen=True):
    names: tuple[str, ...]


class StillOld(msgspec.Struct, frozen=True):
    names: tuple[str, ...]


class Unclear(msgspec.Struct, frozen=True):
    """Too early to tell."""


Verdict = Served | Harmed | StillOld | Unclear

_DOWN = (Sight.BROKEN, Sight.REFUSED)


def judge(batch: Iterable[BatchSet], before: Iterable[Seen], after: Iterable[Seen], *, final: bool) -> Verdict:
    """What the handshakes prove. `final`: the time is up, the answer must be one of the first three."""
    served_before = {seen.name: seen for seen in before}
    now = {seen.name: seen for seen in after}
    old: list[str] = []
    harmed: list[str] = []
    missing: list[str] = []
    proven = False
    for part in batch:
        seen = now.get(part.name)
        if seen is None or seen.sight is Sight.NO_LEAF:
            continue
        if seen.sight is Sight.LEAF and seen.fingerprint == part.fingerprint:
            proven = True
        elif seen.sight in _DOWN and _was_up(served_before.get(part.name)):
            harmed.append(part.name)
        elif seen.sight is Sight.LEAF and seen.fingerprint == part.previous_fingerprint:
            old.append(part.name)
        else:
            missing.append(part.name)
    if final:
        return _final(harmed, old, missing)
    # One new certificate proves that the server has loaded: what is missing then has no virtual host.
    complete = not harmed and not old and (proven or (not missing and bool(now)))
    return Served(tuple(missing)) if complete else Unclear()


def going_back(batch: Iterable[BatchSet], blame: Blame | None) -> tuple[BatchSet, ...]:
    """The sets that can be gone back from, each with the version to go back to as its `previous`.

    A site that does not do well with its new set goes back to one that is worth it, or not at all. A server that does
    not run with the new sets, or refuses to load them, is another matter: it has many sites, and it did run with what
    was live before, be that a placeholder.
    """
    if blame is not Blame.REGRESSION:
        batch = (replace(part, previous=part.previous or part.last_resort) for part in batch)
    return tuple(part for part in batch if part.previous is not None)


def reversed_set(part: BatchSet) -> BatchSet:
    """The same set, seen from its roll-back: the previous version is what is hoped for."""
    assert part.previous is not None
    return BatchSet(
        name=part.name,
        version=part.previous,
        previous=part.version,
        fingerprint=part.previous_fingerprint or "",
        previous_fingerprint=part.fingerprint,
    )


def _was_up(seen: Seen | None) -> bool:
    return seen is not None and seen.sight in (Sight.LEAF, Sight.NO_LEAF)


def _final(harmed: list[str], old: list[str], missing: list[str]) -> Verdict:
    if harmed:
        return Harmed(tuple(harmed))
    if old:
        return StillOld(tuple(old))
    return Served(tuple(missing))
