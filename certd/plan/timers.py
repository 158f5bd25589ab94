"""Waits as records: due times that survive a restart, and a clock that is set back (ARCHITECTURE 4d)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec

from certd.model.records import Timer

TOLERANCE = timedelta(minutes=5)
"""A clock that is behind a record by less is normal: NTP slews, two processes."""

T = TypeVar("T", bound=msgspec.Struct)


def after(now: datetime, delay: timedelta) -> Timer:
    """A wait of `delay` from now."""
    return Timer(set_at=now, until=now + delay)


def at(now: datetime, until: datetime) -> Timer:
    """A wait until a moment in time; one that is past is due at once."""
    return Timer(set_at=now, until=max(now, until))


def due(timer: Timer | None, now: datetime) -> bool:
    """Nothing to wait for, or the wait is over."""
    return timer is None or now >= timer.until


def in_future(timer: Timer, now: datetime) -> bool:
    """Set at a time that has not come yet: the clock was set back since."""
    return now < timer.set_at - TOLERANCE


def any_in_future(record: msgspec.Struct, now: datetime) -> bool:
    """Whether any timer of the record, however deep, was set in the future."""
    return any(in_future(timer, now) for timer in _timers(record))


def reanchor(record: T, now: datetime) -> T:
    """Let every wait that was set in the future begin now, as long as it was. No wait becomes longer."""
    changes = {
        field: new
        for field in _fields_with_timers(type(record))
        if (new := _reanchored(old := getattr(record, field), now)) is not old
    }
    return msgspec.structs.replace(record, **changes) if changes else record


def _timers(value: Any) -> Iterator[Timer]:
    if isinstance(value, Timer):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _timers(item)
    elif isinstance(value, msgspec.Struct):
        for field in _fields_with_timers(type(value)):
            if (inner := getattr(value, field)) is not None:
                yield from _timers(inner)


def _reanchored(value: Any, now: datetime) -> Any:
    if isinstance(value, Timer):
        return after(now, value.until - value.set_at) if in_future(value, now) else value
    if isinstance(value, msgspec.Struct):
        return reanchor(value, now)
    if isinstance(value, tuple):
        items = tuple(_reanchored(item, now) for item in value)
        return items if any(a is not b for a, b in zip(items, value, strict=True)) else value
    return value


@cache
def _fields_with_timers(struct: type[msgspec.Struct]) -> tuple[str, ...]:
    """The fields that can hold a timer, by their types: decide() looks at every timer, ten thousand times over."""
    hints = get_type_hints(struct)
    return tuple(field for field in struct.__struct_fields__ if _may_hold_timer(hints[field]))


def _may_hold_timer(hint: Any) -> bool:
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return hint is Timer or bool(_fields_with_timers(hint))
    return any(_may_hold_timer(inner) for inner in get_args(hint))
