"""What is kept on disk: one record per certificate, server and account (docs/STATE.md).

Every field is stored (N); what can be derived is derived. Records are immutable and hashable; `certd.plan` alone
makes new ones. A phase is the record's type, tagged in JSON by its key `phase`.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec

from certd.model.codes import Because, Code, Kind
from certd.model.specs import KeyType

SCHEMA = 1

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""A point in time. Aware: a record with a time that lacks its offset does not parse."""


class Timer(msgspec.Struct, frozen=True):
    """A wait: due at `until`. `set_at` lets a clock that was set back be noticed (ARCHITECTURE 4d)."""

    set_at: Moment
    until: Moment


class Leaf(msgspec.Struct, frozen=True):
    """The facts of an end-entity certificate. `serial` is lower-case hex without leading zeros."""

    serial: str
    not_before: Moment
    not_after: Moment
    names: tuple[str, ...]
    """dNSName and iPAddress entries of the subjectAltName, lower case, sorted."""
    key: KeyType | None
    """None: a key that certd does not make."""
    ocsp_url: str | None = None
    fingerprint: str = ""
    """SHA-256 of the certificate's DER, lower-case hex."""


class Step(StrEnum):
    """Where a failure happened: selects the back-off and tells the operator."""

    ACCOUNT = "account"
    NEW_ORDER = "newOrder"
    POLL = "poll"
    PRESENT = "present"
    RESPOND = "respond"
    VALIDATION = "validation"
    FINALIZE = "finalize"
    DOWNLOAD = "download"
    STORE = "store"
    OCSP = "ocsp"
    SWAP = "swap"
    RELOAD = "reload"
    AFTER = "after"


class Failure(msgspec.Struct, frozen=True):
    """The latest failure on the way to a goal. The text is escaped and capped; the remedy is derived from the code."""

    step: Step
    kind: Kind
    code: str
    text: str
    first_at: Moment
    at: Moment


# --- certificates -----------------------------------------------------------------------------------------------


class Hold(msgspec.Struct, frozen=True):
    """The operator rolled back; nothing is ordered or activated until then, or until `renew`."""

    timer: Timer
    rejected: int
    """The version that must not go live again."""


class Request(msgspec.Struct, frozen=True):
    """`certd renew`. `now`: open the OCSP gate as well."""

    at: Moment
    now: bool = False


class Draw(msgspec.Struct, frozen=True):
    """A random number in [0, 1) for one leaf, drawn once: the jitter of its renewal time."""

    serial: str
    value: float


class Presented(msgspec.Struct, frozen=True):
    """A challenge response that is, or may be, in place: where, by the solver's own words."""

    solver: str
    identifier: str
    token: str
    place: str
    """The solver's description of the place; only that solver reads it."""


class Parked(msgspec.Struct, frozen=True):
    """A finalized order that came to nothing in time; asked daily, adopted if it turns valid and better (I5)."""

    order_url: str
    key_id: str
    ca: str
    directory: str
    ask: Timer
    until: Moment


class Unconfirmed(msgspec.Struct, frozen=True):
    """The deadline made this certificate live; the responder has not called it good since."""

    serial: str
    code: Code
    """What stood in the way: `ocsp-unknown`, `ocsp-unreachable` or `ocsp-invalid`."""
    since: Moment


class Ledger(msgspec.Struct, frozen=True):
    """What outlives the phases of a certificate."""

    goal: str = ""
    """Digest of names, key type, CA and profile that the attempts below were for."""
    attempts: int = 0
    """Orders placed in a row for this goal; cleared when a certificate is live and confirmed (I4)."""
    retry: Timer | None = None
    failure: Failure | None = None
    orders: tuple[Moment, ...] = ()
    """When orders were placed, of the last day; nothing clears it (I4)."""
    requested: Request | None = None
    hold: Hold | None = None
    rejected: tuple[int, ...] = ()
    draw: Draw | None = None
    presented: tuple[Presented, ...] = ()
    clean_up: Timer | None = None
    parked: tuple[Parked, ...] = ()
    revoked: str | None = None
    """The serial that the responder called revoked."""
    unconfirmed: Unconfirmed | None = None
    status_check: Timer | None = None
    probe: Timer | None = None
    served: Served | None = None


class Served(msgspec.Struct, frozen=True):
    """What a handshake saw last; `serial` None: no certificate could be read."""

    serial: str | None
    at: Moment


class Idle(msgspec.Struct, frozen=True, tag="idle", tag_field="phase"):
    """Nothing is under way; a live certificate or none."""

    ledger: Ledger = Ledger()


class Ordering(msgspec.Struct, frozen=True, tag="ordering", tag_field="phase"):
    """An order exists, or may exist: `order_url` None means that newOrder was about to be sent."""

    ledger: Ledger
    because: Because
    ca: str
    directory: str
    key_id: str
    """The file below pending/ with the key that this order is for, and no other (I5)."""
    domains: tuple[str, ...]
    key: KeyType
    placed_at: Moment
    poll: Timer
    order_url: str | None = None
    placed: tuple[str, ...] = ()
    """Tokens that are in place for sure; `ledger.presented` also holds those that may be."""
    responded: tuple[str, ...] = ()
    """Tokens that the CA was told to validate."""
    finalized_at: Moment | None = None
    finalized_again: bool = False
    """Finalize was sent again, since the CA still called the order ready: the first may have had its effect."""
    give_up: Moment | None = None
    """When a finalized order is parked; None until finalize."""
    polls_failed: int = 0
    settling: bool = False
    """Waiting for responses to be published, not for the CA."""


class OcspWord(StrEnum):
    """What is known of a certificate's OCSP status."""

    NOT_ASKED = "not-asked"
    GOOD = "good"
    UNKNOWN = "unknown"
    REVOKED = "revoked"
    UNREACHABLE = "unreachable"
    INVALID = "invalid"


class OcspCheck(msgspec.Struct, frozen=True):
    """The latest answer for a staged certificate."""

    word: OcspWord
    asked_at: Moment
    text: str = ""


class Staged(msgspec.Struct, frozen=True, tag="staged", tag_field="phase"):
    """A complete, verified set lies in versions/; it waits for its gate and its server."""

    ledger: Ledger
    because: Because
    version: int
    leaf: Leaf
    issued_at: Moment
    activate: Timer
    deadline: Moment
    check: OcspCheck | None = None
    next_check: Timer | None = None
    opened: bool = False
    """The operator opened the gate: a roll-back, or `renew --now`."""
    previous: int | None = None
    """The version that the live link named when this set was staged: what a server goes back to that does not do well
    with it. No link moves meanwhile but to this set and back."""
    servers: tuple[str, ...] = ()
    """Those that hear of it when the link moves. It moves only while they are those of the configuration."""


class Owed(msgspec.Struct, frozen=True):
    """The generation that a server must confirm."""

    server: str
    generation: int


class Installed(msgspec.Struct, frozen=True, tag="installed", tag_field="phase"):
    """The live link names this version; its servers have not confirmed it yet (I3)."""

    ledger: Ledger
    staged: Staged
    """What this certificate goes back to if the server gives the set back; its own ledger is not used."""
    owed: tuple[Owed, ...]
    swapped_at: Moment


CertificateRecord = Idle | Ordering | Staged | Installed


# --- servers ----------------------------------------------------------------------------------------------------


class Activity(StrEnum):
    """What the service manager says of a server."""

    ACTIVE = "active"
    RELOADING = "reloading"
    INACTIVE = "inactive"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Sight(StrEnum):
    """What one handshake showed."""

    LEAF = "leaf"
    NO_LEAF = "no-leaf"
    """It is up, but the certificate cannot be read (TLS 1.2 with a client certificate demanded)."""
    BROKEN = "broken"
    REFUSED = "refused"


class Seen(msgspec.Struct, frozen=True):
    """What is served for one certificate."""

    name: str
    sight: Sight
    fingerprint: str | None = None


class BatchSet(msgspec.Struct, frozen=True):
    """One certificate's part of a batch."""

    name: str
    version: int
    previous: int | None
    """The version to go back to; None: there is none that is worth it."""
    fingerprint: str
    previous_fingerprint: str | None = None
    last_resort: int | None = None
    """What was live before, worth it or not: better than a server that does not run, with all its other sites."""


class Blame(StrEnum):
    """Why a batch is being taken back."""

    RELOAD_REFUSED = "reload-refused"
    SERVER_DOWN = "server-down"
    REGRESSION = "regression"


class Rejection(msgspec.Struct, frozen=True):
    """A set that brings the server down or is refused by it, all alone. Tried again after the timer."""

    name: str
    version: int
    timer: Timer
    text: str


class Settled(msgspec.Struct, frozen=True, tag="settled", tag_field="phase"):
    """No deployment is under way. `wanted` > `confirmed`: a reload is owed."""

    wanted: int = 0
    confirmed: int = 0
    attempts: int = 0
    retry: Timer | None = None
    failure: Failure | None = None
    last_reload: Timer | None = None
    suspects: tuple[tuple[str, ...], ...] = ()
    """Groups of names to be tried apart from each other, after a batch brought the server down."""
    rejections: tuple[Rejection, ...] = ()
    after: tuple[str, ...] = ()
    """Certificates whose `after` commands are due."""
    after_failed: tuple[str, ...] = ()
    """Those of them whose commands failed since the last wait."""
    not_served: tuple[str, ...] = ()
    """Confirmed, but the server has no virtual host for them yet."""


class Deploying(msgspec.Struct, frozen=True, tag="deploying", tag_field="phase"):
    """One critical section: written before the first link moves, gone when the server has confirmed or gone back."""

    settled: Settled
    """What to return to; `wanted` counts this generation, and any that came to be owed meanwhile."""
    generation: int
    batch: tuple[BatchSet, ...]
    before: tuple[Seen, ...]
    was_active: bool
    fresh: tuple[str, ...]
    """Names whose link this section moves; the others were already installed and only owed."""
    stage: DeployStage
    began_at: Moment
    wait: Timer | None = None
    """For LOADING: give up at its end."""
    blame: Blame | None = None
    blame_text: str = ""
    started: bool = False
    """A start was already tried in this section."""


class DeployStage(StrEnum):
    """Each stage names the effect that is, or may be, under way."""

    SWAPPING = "swapping"
    RELOADING = "reloading"
    LOADING = "loading"
    STARTING = "starting"
    RESTORING = "restoring"
    """Links go back to the previous versions."""
    RELOADING_OLD = "reloading-old"
    LOADING_OLD = "loading-old"
    STARTING_OLD = "starting-old"
    REAPPLYING = "reapplying"
    """The old sets were refused as well: the new ones go live again, the reload stays owed."""


ServerRecord = Settled | Deploying


# --- accounts ---------------------------------------------------------------------------------------------------


class CaHold(msgspec.Struct, frozen=True):
    """The CA limits or refuses this account for a while (429, 503)."""

    timer: Timer
    text: str
    probe: Timer
    """When the CA is asked whether the hold is over before its time."""


class AccountLedger(msgspec.Struct, frozen=True):
    """What outlives the phases of an account."""

    hold: CaHold | None = None
    limited: tuple[tuple[str, Moment], ...] = ()
    """Certificates that met a 429, of the last ten minutes."""
    failure: Failure | None = None
    attempts: int = 0
    offer: str = ""
    """Digest of what the configuration offered at the last attempt: a change of it is worth a new one."""


class NoKey(msgspec.Struct, frozen=True, tag="no-key", tag_field="phase"):
    ledger: AccountLedger = AccountLedger()


class KeyWritten(msgspec.Struct, frozen=True, tag="key-written", tag_field="phase"):
    """The key lies on disk; whether the CA knows it is not known. `fresh`: it was never offered to the CA."""

    directory: str
    ledger: AccountLedger
    fresh: bool = True
    retry: Timer | None = None


class Registered(msgspec.Struct, frozen=True, tag="registered", tag_field="phase"):
    directory: str
    url: str
    verified_at: Moment
    ledger: AccountLedger
    doubts: int = 0
    """Answers in a row that deny the account; two, ten minutes apart, make it unusable."""
    doubt: Timer | None = None
    contact: tuple[str, ...] = ()


class AccountRefused(msgspec.Struct, frozen=True, tag="refused", tag_field="phase"):
    """The CA refused the registration: the operator must change something."""

    directory: str
    ledger: AccountLedger
    retry: Timer


class Unusable(msgspec.Struct, frozen=True, tag="unusable", tag_field="phase"):
    """The CA no longer knows or accepts the account."""

    directory: str
    url: str
    ledger: AccountLedger
    retry: Timer


AccountRecord = NoKey | KeyWritten | Registered | AccountRefused | Unusable


class DaemonRecord(msgspec.Struct, frozen=True):
    """daemon.json: what the clock check needs across restarts."""

    last_seen: Moment
    schema: int = SCHEMA
