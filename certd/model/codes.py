"""Reason and waiting codes: stable, append-only. docs/CODES.md lists them; a test compares.

`Code` members are what decide() answers, what records and the status keep, and what health reports.
Their prose and remedies are in `certd.acme.problems` (what a CA says) and `certd.reasons` (all else).
"""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """What a failure asks for: the row of the back-off table, and whether a person is needed (ARCHITECTURE 4d)."""

    VALIDATION = "validation"
    TRANSIENT = "transient"
    RATE_LIMITED = "rate-limited"
    OPERATOR = "operator"
    ACCOUNT = "account"
    BUG = "bug"
    NEW_ORDER = "new-order"
    """The order or authorization is of no more use; a new order is the way on."""
    POLL = "poll"
    """Not a failure: read the objects again and go on from their real status."""
    SUCCESS = "success"
    """What was asked for is already so."""


class Because(StrEnum):
    """Why an order is placed, or a set is staged."""

    NO_LIVE_CERTIFICATE = "no-live-certificate"
    NAMES_CHANGED = "names-changed"
    KEY_TYPE_CHANGED = "key-type-changed"
    REVOKED = "revoked"
    REQUESTED = "requested"
    RENEWAL_TIME = "renewal-time"
    ROLLBACK = "rollback"


class Code(StrEnum):
    """What is being waited for."""

    NOT_DUE = "not-due"
    BACK_OFF = "back-off"
    HELD_BY_OPERATOR = "held-by-operator"
    CA_HELD = "ca-held"
    CA_UNUSABLE = "ca-unusable"
    CA_BUDGET = "ca-budget"
    ACCOUNT_PENDING = "account-pending"
    DAILY_CEILING = "daily-ceiling"
    CLOCK_UNSURE = "clock-unsure"
    CA_PROCESSING = "ca-processing"
    CA_VALIDATING = "ca-validating"
    CHALLENGE_SETTLING = "challenge-settling"
    OCSP_DELAY = "ocsp-delay"
    OCSP_UNKNOWN = "ocsp-unknown"
    OCSP_UNREACHABLE = "ocsp-unreachable"
    OCSP_INVALID = "ocsp-invalid"
    SERVER = "server"
    SET_REJECTED = "set-rejected"
    NOTHING_OWED = "nothing-owed"
    RELOAD_BACK_OFF = "reload-back-off"
    RELOAD_INTERVAL = "reload-interval"
    SERVER_LOADING = "server-loading"
    SERVER_STOPPED = "server-stopped"
    GATES_CLOSED = "gates-closed"
    REGISTERED = "registered"
    ACCOUNT_REFUSED = "account-refused"
    RECORD_BROKEN = "record-broken"
