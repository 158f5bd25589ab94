"""What the status socket says, as types: the JSON of /status and /healthz. Fields are added, never renamed or dropped.

Times are in UTC and whole seconds; serials are lower-case hex.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

SCHEMA = 1


class Severity(StrEnum):
    WARNING = "warning"
    CRITICAL = "critical"


class Standing(StrEnum):
    """The whole daemon's health: the worst of its problems."""

    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that is wrong. At most one of the last three names what it is about."""

    code: str
    severity: Severity
    text: str
    remedy: str
    since: datetime | None
    certificate: str | None = None
    ca: str | None = None
    server: str | None = None


class Health(msgspec.Struct, frozen=True):
    """The answer to /healthz."""

    status: Standing
    problems: tuple[Problem, ...]
    schema: int = SCHEMA


class Daemon(msgspec.Struct, frozen=True):
    version: str
    started_at: datetime
    config_loaded_at: datetime
    config_error: str | None
    clock: str
    """`sure`, or `unsure`: no orders and no swaps until a CA's clock agrees."""
    now: datetime


class FailureState(msgspec.Struct, frozen=True):
    kind: str
    code: str
    text: str
    remedy: str
    attempts: int
    first_at: datetime
    next_at: datetime | None
    step: str
    at: datetime


class CaState(msgspec.Struct, frozen=True):
    name: str
    account: str
    """The account's phase: no-key, key-written, registered, refused, unusable, or broken."""
    eab_deadline: datetime | None
    held_until: datetime | None
    directory: str
    failure: FailureState | None = None


class ServerState(msgspec.Struct, frozen=True):
    name: str
    active: str
    wanted: int
    confirmed: int
    phase: str
    """settled, deploying or broken."""
    stage: str | None = None
    rejected: tuple[str, ...] = ()
    not_served: tuple[str, ...] = ()
    failure: FailureState | None = None


class Waiting(msgspec.Struct, frozen=True):
    code: str
    until: datetime


class LiveState(msgspec.Struct, frozen=True):
    serial: str
    not_before: datetime
    not_after: datetime
    version: int
    names: tuple[str, ...]


class StagedState(msgspec.Struct, frozen=True):
    serial: str
    activate_at: datetime
    deadline: datetime
    ocsp: str
    version: int
    not_after: datetime


class ServedState(msgspec.Struct, frozen=True):
    serial: str | None
    at: datetime


class CertificateState(msgspec.Struct, frozen=True):
    """One certificate: what is, what comes next, when and why."""

    name: str
    domains: tuple[str, ...]
    phase: str
    """idle, ordering, staged, installed; broken where the record cannot be read."""
    reason: str | None
    """Why it is being renewed, or what it waits for; `unmanaged` for one that is no longer configured."""
    waiting: Waiting | None
    next_action: str | None
    next_at: datetime | None
    live: LiveState | None
    placeholder: bool
    staged: StagedState | None
    served: ServedState | None
    failure: FailureState | None
    managed: bool = True
    ca: str | None = None
    servers: tuple[str, ...] = ()
    next: str = ""
    """next_action, next_at and why, as a sentence."""
    hold_until: datetime | None = None
    revoked: bool = False
    orders_today: int = 0
    parked: int = 0
    broken: str | None = None
    warning: str | None = None


class Snapshot(msgspec.Struct, frozen=True):
    """The answer to /status."""

    daemon: Daemon
    cas: tuple[CaState, ...]
    servers: tuple[ServerState, ...]
    certificates: tuple[CertificateState, ...]
    status: Standing
    problems: tuple[Problem, ...]
    schema: int = SCHEMA


class CertificateReport(msgspec.Struct, frozen=True):
    """The answer to /status/NAME."""

    certificate: CertificateState
    problems: tuple[Problem, ...]
    now: datetime
    schema: int = SCHEMA
