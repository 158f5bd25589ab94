"""Which changes of health are told to the operator, and what is still to be delivered. Pure.

Worse is told at once; better only once it has lasted `HOLD_DOWN`. So a problem that flaps stays told, and is not told
again: between two notices of the same level there is always one of another, which had to wait. A critical problem that
stays is told again every `REMIND`.

"Seen" and "delivered" are two facts. `observe` puts notices into the queues of the outlets; they stay there, in the
record, until `delivered` takes them out. A crash in between delivers again: at least once, by the same ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import NamedTuple

from msgspec.structs import replace

from certd.model.alarms import AlarmRecord, Change, Key, Level, Notice, Outlet, Sighting, Told
from certd.model.codes import Because, Kind
from certd.plan import timers
from certd.plan.backoff import backoff, clamp_retry_after

HOLD_DOWN = timedelta(minutes=10)
PATIENCE = timedelta(minutes=5)
"""How long the warnings of PASSING may last before they are told."""
PASSING = frozenset({str(Because.NO_LIVE_CERTIFICATE), "placeholder-served", "self-check"})
"""Warnings that belong to every first issue, and go away with it."""
REMIND = timedelta(days=1)
QUEUE_MOST = 1000
"""Notices that wait at one outlet. Beyond that the least serious are left out, and counted."""
BATCH = 50
"""Notices in one message."""
LONGEST_RETRY = timedelta(hours=1)
NOTIFY_FAILED = "notify-failed"


class Watcher(NamedTuple):
    """An outlet as it is configured."""

    id: str
    minimum: Level


def observe(
    record: AlarmRecord, sightings: Iterable[Sighting], watchers: Sequence[Watcher], now: datetime
) -> AlarmRecord:
    """The record after a look at health; the same object where nothing is new."""
    before = record
    record = timers.reanchor(record, now)
    seen = _worst(sightings)
    old = {one.key: one for one in record.told}
    told: list[Told] = []
    numbers = count(record.sequence + 1)
    news: list[Notice] = []
    # In the order of the sightings, which have the worst first; then what is seen no longer.
    for key in dict.fromkeys([*seen, *old]):
        after, change = _judge(key, old.get(key), seen.get(key), now)
        if after is not None:
            told.append(after)
        if change is not None:
            was = old[key].level if key in old else Level.OK
            news.append(_notice(next(numbers), change, key, seen.get(key), was, now))
    outlets = _configured(record.outlets, watchers)
    minimum = {watcher.id: watcher.minimum for watcher in watchers}
    filled = []
    for outlet, known in outlets:
        # A new outlet is told all that stands; the others what is new.
        own = (
            news
            if known
            else [
                _notice(next(numbers), Change.RAISED, t.key, seen[t.key], Level.OK, now)
                for t in told
                if t.level is not Level.OK and t.key in seen
            ]
        )
        filled.append(_queue(outlet, [one for one in own if _concerns(outlet, one, minimum[outlet.id])]))
    after_all = replace(record, told=tuple(told), outlets=tuple(filled), sequence=next(numbers) - 1)
    return before if after_all == before else after_all


def batch(outlet: Outlet, now: datetime) -> tuple[Notice, ...]:
    """What goes into the next message; empty while there is nothing, or the outlet is left alone."""
    return outlet.pending[:BATCH] if timers.due(outlet.retry, now) else ()


def delivered(record: AlarmRecord, outlet: str, notices: Sequence[Notice], left_out: int) -> AlarmRecord:
    """After a message with these notices, that told of so many left out."""
    gone = {notice.id for notice in notices}

    def taken(one: Outlet) -> Outlet:
        rest = tuple(notice for notice in one.pending if notice.id not in gone)
        return Outlet(one.id, rest, max(0, one.left_out - left_out))

    return _at(record, outlet, taken)


def failed(
    record: AlarmRecord, outlet: str, text: str, now: datetime, draw: float, retry_after: timedelta | None = None
) -> AlarmRecord:
    """After a delivery that failed: everything waits. `retry_after` is the receiver's wish."""

    def left_alone(one: Outlet) -> Outlet:
        attempts = one.attempts + 1
        wait = backoff(Kind.TRANSIENT, attempts, draw)
        if retry_after is not None:
            wait = max(wait, clamp_retry_after(retry_after))
        return replace(
            one,
            attempts=attempts,
            retry=timers.after(now, min(wait, LONGEST_RETRY)),
            failure=text,
            failing_since=one.failing_since or now,
        )

    return _at(record, outlet, left_alone)


def find(record: AlarmRecord, outlet: str) -> Outlet | None:
    """The outlet of this id."""
    return next((one for one in record.outlets if one.id == outlet), None)


def _judge(key: Key, told: Told | None, seen: Sighting | None, now: datetime) -> tuple[Told | None, Change | None]:
    """What is remembered of one problem, and what is told of it now."""
    was = told.level if told is not None else Level.OK
    level = seen.level if seen is not None else Level.OK
    if level is was:
        if was is Level.OK:
            return None, None
        assert told is not None
        if told.remind is not None and timers.due(told.remind, now):
            return _told(key, level, now), Change.REMINDER
        return (told if told.settle is None else replace(told, settle=None)), None
    wait = _wait(key, was, level)
    settle = (told.settle if told is not None else None) or timers.after(now, wait)
    if wait and not timers.due(settle, now):
        return replace(told or Told(key, Level.OK), settle=settle), None
    if level is Level.OK:
        return None, Change.CLEARED
    return _told(key, level, now), Change.RAISED if was is Level.OK else Change.CHANGED


def _wait(key: Key, was: Level, level: Level) -> timedelta:
    """How long another level must last to be told."""
    if level.rank < was.rank:
        return HOLD_DOWN
    return PATIENCE if level is Level.WARNING and key.code in PASSING else timedelta(0)


def _told(key: Key, level: Level, now: datetime) -> Told:
    return Told(key, level, remind=timers.after(now, REMIND) if level is Level.CRITICAL else None)


def _worst(sightings: Iterable[Sighting]) -> dict[Key, Sighting]:
    found: dict[Key, Sighting] = {}
    for one in sightings:
        if one.key not in found or one.level.rank > found[one.key].level.rank:
            found[one.key] = one
    return found


def _notice(number: int, change: Change, key: Key, seen: Sighting | None, before: Level, now: datetime) -> Notice:
    level, text, since = (seen.level, seen.text, seen.since) if seen is not None else (Level.OK, "", None)
    return Notice(f"{now:%Y%m%dT%H%M%SZ}-{number}", now, change, key, level, before, text, since)


def _concerns(outlet: Outlet, notice: Notice, minimum: Level) -> bool:
    if notice.key.code == NOTIFY_FAILED and outlet.attempts:
        return False  # it would learn of its own failure once there is none
    if notice.change is Change.REMINDER:
        return notice.level.rank >= minimum.rank
    return _clipped(notice.level, minimum) is not _clipped(notice.before, minimum)


def _clipped(level: Level, minimum: Level) -> Level:
    return level if level.rank >= minimum.rank else Level.OK


def _configured(outlets: Sequence[Outlet], watchers: Sequence[Watcher]) -> list[tuple[Outlet, bool]]:
    """The outlets of the configuration, and whether each was known.

    One that comes in the place of one that goes has most likely been corrected: it takes over what waits there.
    """
    ids = {watcher.id for watcher in watchers}
    known = {one.id: one for one in outlets}
    orphans = [one for one in outlets if one.id not in ids]
    found = []
    for watcher in watchers:
        if watcher.id in known:
            found.append((known[watcher.id], True))
        elif orphans:
            heir = orphans.pop(0)
            found.append((Outlet(watcher.id, heir.pending, heir.left_out), True))
        else:
            found.append((Outlet(watcher.id), False))
    return found


def _queue(outlet: Outlet, news: Sequence[Notice]) -> Outlet:
    if not news:
        return outlet
    waiting = (*outlet.pending, *news)
    if len(waiting) > QUEUE_MOST:
        # Stable: of equally serious ones the oldest stay, and all stay in their order.
        kept = sorted(sorted(range(len(waiting)), key=lambda n: _seriousness(waiting[n]))[:QUEUE_MOST])
        left_out = outlet.left_out + len(waiting) - QUEUE_MOST
        return replace(outlet, pending=tuple(waiting[n] for n in kept), left_out=left_out)
    return replace(outlet, pending=waiting)


def _seriousness(notice: Notice) -> tuple[bool, int]:
    """Less is more serious."""
    return notice.change is Change.REMINDER, -max(notice.level.rank, notice.before.rank)


def _at(record: AlarmRecord, outlet: str, change: Callable[[Outlet], Outlet]) -> AlarmRecord:
    return replace(record, outlets=tuple(change(one) if one.id == outlet else one for one in record.outlets))
