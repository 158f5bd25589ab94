"""Alarms: what health sees, what the operator was told of it, and what is still to be delivered."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from certd.model.records import SCHEMA, Moment, Timer


class Level(StrEnum):
    """How bad it is; OK is the absence of a problem."""

    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """Higher is worse."""
        return (Level.OK, Level.WARNING, Level.CRITICAL).index(self)


class Change(StrEnum):
    """What a notice tells."""

    RAISED = "raised"
    CHANGED = "changed"
    """The severity is another one."""
    CLEARED = "cleared"
    REMINDER = "reminder"


class Key(msgspec.Struct, frozen=True):
    """What makes two problems the same one. `kind` is certificate, server, ca, or empty for the daemon itself."""

    code: str
    kind: str = ""
    name: str = ""


class Sighting(msgspec.Struct, frozen=True):
    """A problem that health sees now."""

    key: Key
    level: Level
    text: str
    since: Moment | None = None


class Told(msgspec.Struct, frozen=True):
    """What the operator was told of one problem last; `level` OK: nothing yet."""

    key: Key
    level: Level
    settle: Timer | None = None
    """Health sees another level; it is told if that lasts until then."""
    remind: Timer | None = None
    """A critical problem that is seen still is told again then."""


class Notice(msgspec.Struct, frozen=True):
    """One change to be told. Delivered at least once, so `id` lets a receiver know it again."""

    id: str
    at: Moment
    change: Change
    key: Key
    level: Level
    before: Level
    text: str = ""
    """Escaped and capped; empty where the code's own words say all."""
    since: Moment | None = None


class Outlet(msgspec.Struct, frozen=True):
    """One way to the operator, and what has not gone it yet."""

    id: str
    """Digest of the command or the URL, which may hold a secret and is kept nowhere."""
    pending: tuple[Notice, ...] = ()
    left_out: int = 0
    """Notices that the queue had no room for; the next message tells how many."""
    attempts: int = 0
    """Deliveries that failed in a row."""
    retry: Timer | None = None
    failure: str | None = None
    failing_since: Moment | None = None


class AlarmRecord(msgspec.Struct, frozen=True):
    """alarms.json: written before anything is delivered, and again after it was."""

    told: tuple[Told, ...] = ()
    outlets: tuple[Outlet, ...] = ()
    sequence: int = 0
    """Notices made so far; part of their ids."""
    schema: int = SCHEMA
