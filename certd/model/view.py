"""What the engine shows of itself, for status, health and metrics: specs, records and facts, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

import msgspec

from certd.model.facts import CertificateFacts
from certd.model.records import AccountRecord, Activity, CertificateRecord, ServerRecord
from certd.model.specs import CaSpec, CertificateSpec, HealthPolicy, ServerSpec


class SubjectKind(StrEnum):
    CERTIFICATE = "certificate"
    SERVER = "server"
    ACCOUNT = "account"


class Subject(msgspec.Struct, frozen=True):
    """One life that the scheduler gives a heartbeat to."""

    kind: SubjectKind
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


class Lane(StrEnum):
    """Work that waits for a CA, and work on this machine, never queue behind each other."""

    CA = "ca"
    LOCAL = "local"


class CertificateView(msgspec.Struct, frozen=True):
    """`spec` None: no longer configured (unmanaged). `record` None: it cannot be read; `broken` says why."""

    name: str
    spec: CertificateSpec | None
    record: CertificateRecord | None
    facts: CertificateFacts
    placeholder: bool = False
    broken: str | None = None
    warning: str | None = None
    """The latest warning that stops nothing: the self-check of a challenge, for one."""


class ServerStateView(msgspec.Struct, frozen=True):
    spec: ServerSpec
    record: ServerRecord | None
    activity: Activity
    broken: str | None = None


class AccountView(msgspec.Struct, frozen=True):
    spec: CaSpec
    record: AccountRecord | None
    broken: str | None = None


class Trouble(msgspec.Struct, frozen=True):
    """A fault of the daemon itself, for health. `subject` None: not about one life."""

    code: str
    text: str
    since: datetime
    subject: Subject | None = None


class Tally(msgspec.Struct, frozen=True):
    """What fits into one line: managed certificates, counted from what is in memory."""

    managed: int
    live: int
    busy: int
    unread: int
    """Of these the live link has not been looked at yet, since the start or its last move."""
    config_error: bool


class View(msgspec.Struct, frozen=True):
    """One consistent look at the daemon."""

    version: str
    started_at: datetime
    config_loaded_at: datetime
    config_error: str | None
    clock_sure: bool
    health: HealthPolicy
    certificates: Sequence[CertificateView]
    servers: Sequence[ServerStateView]
    accounts: Sequence[AccountView]
    troubles: Sequence[Trouble] = ()
    """Faults of the daemon itself: errors that nobody foresaw, alarms that cannot be delivered."""
    counters: dict[str, int] = {}
    """Monotonic counters by name, for metrics."""
