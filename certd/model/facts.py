"""What decide() is told: gathered by the engine right before, never stored."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from certd.model.orders import OrderStep
from certd.model.records import Activity, BatchSet, Leaf, Presented, Seen, Timer


class Live(msgspec.Struct, frozen=True):
    """The set that the live link names, verified; never the placeholder."""

    version: int
    leaf: Leaf


class AccountState(StrEnum):
    """What a certificate needs to know of its account."""

    READY = "ready"
    PENDING = "pending"
    UNUSABLE = "unusable"


class CaFacts(msgspec.Struct, frozen=True):
    directory: str = ""
    account: AccountState = AccountState.PENDING
    held_until: datetime | None = None
    permit: bool = False
    """The budget of this CA lets one more order begin now, and this certificate is the most urgent."""
    permit_at: datetime | None = None
    """Without a permit: when to ask for one again."""


class ServerView(msgspec.Struct, frozen=True):
    """A server, as one certificate sees it."""

    id: str
    wanted: int
    confirmed: int
    rejection: Timer | None = None
    """This certificate's staged version was rejected there; tried again after the timer."""
    not_served: bool = False
    """This certificate was confirmed there without a virtual host that shows it."""


class CertificateFacts(msgspec.Struct, frozen=True):
    live: Live | None = None
    link: int | None = None
    """The version that the live link names, the placeholder's too."""
    ca: CaFacts = CaFacts()
    servers: tuple[ServerView, ...] = ()
    clock_sure: bool = True
    since: datetime | None = None
    """Since when somebody looks after it: the start of this process."""
    step: OrderStep | None = None
    """What the order, read in this tick, asks for next."""
    broken: str = ""
    """What is wrong with the files of the staged set; looked at before anything is decided about it."""
    places: tuple[Presented, ...] = ()
    """Where the solvers would put the responses of a Present step."""

    @property
    def server_ids(self) -> tuple[str, ...]:
        """The servers that this certificate goes to, in the order of the configuration."""
        return tuple(view.id for view in self.servers)


class ServerFacts(msgspec.Struct, frozen=True):
    activity: Activity = Activity.UNKNOWN
    ready: tuple[BatchSet, ...] = ()
    """Staged sets whose gate is open, and whose other servers are settled."""
    ready_since: datetime | None = None
    """When the first of them became ready."""
    owed: tuple[BatchSet, ...] = ()
    """Installed sets that this server has not confirmed."""
    owed_generation: int = 0
    """The highest generation that an installed set waits for; above `wanted` only if the server's record was lost."""
    coming: bool = False
    """Orders for this server are in flight: their sets may be ready in a moment."""
    next_gate: datetime | None = None
    """When the next closed gate may open."""
    shared_busy: bool = False
    """Another server is in the middle of deploying a set that this one loads as well."""
    shared_loading: bool = False
    """Somebody's reload runs on another server that loads sets of this one."""
    seen: tuple[Seen, ...] | None = None
    """What handshakes showed in this tick; None: not looked yet."""
    seen_from: datetime | None = None
    """When the first of these handshakes began; None: just now."""
    verifiable: bool = True
    """False: no set of the batch has anything to verify by."""
    verify_seconds: float = 30.0
    after: tuple[str, ...] = ()
    """Names of the batch that have `after` commands for this server."""
    clock_sure: bool = True


class AccountFacts(msgspec.Struct, frozen=True):
    key_exists: bool = False
    offer: str = ""
    """Digest of what the configuration offers: directory, contacts, terms, EAB."""
    verify: bool = False
    """Not yet verified since this process started."""
    contact: tuple[str, ...] = ()
