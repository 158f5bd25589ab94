"""What decide() answers. A `Wait` has a code and a time; every other action names one effect.

The class name, in kebab-case, is the action's reason code in logs and in the status.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from certd.model.codes import Because, Code
from certd.model.orders import OrderFailed, Task
from certd.model.records import BatchSet, Blame, Parked, Presented, Seen, Step


class Wait(msgspec.Struct, frozen=True):
    """Nothing to do before `until`, because of `code`. `wake`: an earlier look is worth while, for chores."""

    until: datetime
    code: Code
    wake: datetime | None = None

    @property
    def due(self) -> datetime:
        """The earliest time at which anything can be different."""
        return self.until if self.wake is None else min(self.until, self.wake)


class Reanchor(msgspec.Struct, frozen=True):
    """The clock was set back behind recorded waits: re-anchor them (ARCHITECTURE 4d)."""


# --- certificates -----------------------------------------------------------------------------------------------


class DrawJitter(msgspec.Struct, frozen=True):
    """Draw the jitter of the live certificate's renewal time, once."""

    serial: str


class PlaceOrder(msgspec.Struct, frozen=True):
    because: Because


class ReadOrder(msgspec.Struct, frozen=True):
    """Read order and authorizations afresh; a poll, recorded nowhere."""


class Defer(msgspec.Struct, frozen=True):
    """Nothing can be done for the order yet: read it again later."""

    retry_after: timedelta | None = None
    settling: bool = False


class PresentChallenges(msgspec.Struct, frozen=True):
    tasks: tuple[Task, ...]
    places: tuple[Presented, ...]


class RespondToChallenges(msgspec.Struct, frozen=True):
    tasks: tuple[Task, ...]


class FinalizeOrder(msgspec.Struct, frozen=True):
    url: str


class DownloadCertificate(msgspec.Struct, frozen=True):
    url: str


class EndOrder(msgspec.Struct, frozen=True):
    """The CA calls the order invalid: record why."""

    failed: OrderFailed


class DropOrder(msgspec.Struct, frozen=True):
    """The order is of no more use to us: no answer to newOrder, other names wanted, too old, or somebody else's."""

    code: str
    text: str


class Park(msgspec.Struct, frozen=True):
    """Set the finalized order aside with its key; it is asked daily (I5)."""


class AskParked(msgspec.Struct, frozen=True):
    parked: Parked


class CleanUp(msgspec.Struct, frozen=True):
    presented: tuple[Presented, ...]


class ConfirmStatus(msgspec.Struct, frozen=True):
    """Ask the OCSP responder about the staged certificate. `by_get`: by GET as well as by POST."""

    by_get: bool


class CheckRevocation(msgspec.Struct, frozen=True):
    """Ask the OCSP responder about the live certificate."""

    version: int
    serial: str


class ProbeServed(msgspec.Struct, frozen=True):
    """See by a handshake what is served; feeds health."""

    version: int


class Abandon(msgspec.Struct, frozen=True):
    """The staged set is of no more use."""

    code: str
    text: str
    step: Step = Step.OCSP


class NoteServers(msgspec.Struct, frozen=True):
    """The staged set goes to other servers than before: record which."""

    servers: tuple[str, ...]


class NoteSwapped(msgspec.Struct, frozen=True):
    """The live link names the staged version: record it."""


class NoteConfirmed(msgspec.Struct, frozen=True):
    """Every server has confirmed the installed version: record it."""


class NoteGivenBack(msgspec.Struct, frozen=True):
    """The live link no longer names the installed version: record it."""


CertificateAction = (
    Wait
    | Reanchor
    | DrawJitter
    | PlaceOrder
    | ReadOrder
    | Defer
    | PresentChallenges
    | RespondToChallenges
    | FinalizeOrder
    | DownloadCertificate
    | EndOrder
    | DropOrder
    | Park
    | AskParked
    | CleanUp
    | ConfirmStatus
    | CheckRevocation
    | ProbeServed
    | Abandon
    | NoteServers
    | NoteSwapped
    | NoteConfirmed
    | NoteGivenBack
)


# --- servers ----------------------------------------------------------------------------------------------------


class Look(msgspec.Struct, frozen=True):
    """See by handshakes what is served for these sets; a fact, recorded nowhere."""

    batch: tuple[BatchSet, ...]


class Deploy(msgspec.Struct, frozen=True):
    """Open the critical section for these sets: bookkeeping only, the intent is what matters."""

    batch: tuple[BatchSet, ...]
    before: tuple[Seen, ...]
    was_active: bool
    fresh: tuple[str, ...]
    """Names whose link will move; the others are only owed."""
    owed_generation: int = 0


class SwapLinks(msgspec.Struct, frozen=True):
    batch: tuple[BatchSet, ...]


class ReloadServer(msgspec.Struct, frozen=True):
    """Ask the server to load its files again."""


class StartServer(msgspec.Struct, frozen=True):
    """Start a server that died or failed; never one that was stopped on purpose."""


class RestoreLinks(msgspec.Struct, frozen=True):
    batch: tuple[BatchSet, ...]


class Confirm(msgspec.Struct, frozen=True):
    """The batch is served. `not_served`: sets that no virtual host shows yet."""

    not_served: tuple[str, ...] = ()


class TakeBack(msgspec.Struct, frozen=True):
    """The batch did harm: begin the roll-back."""

    blame: Blame
    text: str


class LeaveOwed(msgspec.Struct, frozen=True):
    """End the section with the reload owed: the server is stopped, or did not take it."""

    code: str
    text: str


class SettleBlame(msgspec.Struct, frozen=True):
    """The old sets serve again: reject the set, or try the halves."""


class RunAfter(msgspec.Struct, frozen=True):
    """Run one certificate's `after` commands; deployments and other certificates get their turn in between."""

    name: str


ServerAction = (
    Wait
    | Reanchor
    | Look
    | Deploy
    | SwapLinks
    | ReloadServer
    | StartServer
    | RestoreLinks
    | Confirm
    | TakeBack
    | LeaveOwed
    | SettleBlame
    | RunAfter
)


# --- accounts ---------------------------------------------------------------------------------------------------


class WriteKey(msgspec.Struct, frozen=True):
    """Make the account key, once (I7)."""


class Register(msgspec.Struct, frozen=True):
    """newAccount. `find_first`: ask with onlyReturnExisting before credentials are spent."""

    find_first: bool


class ProbeAccount(msgspec.Struct, frozen=True):
    """Ask the CA whether it knows the key (onlyReturnExisting)."""


class UpdateContact(msgspec.Struct, frozen=True):
    """Tell the CA the configured contacts (RFC 8555 section 7.3.2)."""

    contact: tuple[str, ...]


AccountAction = Wait | Reanchor | WriteKey | Register | ProbeAccount | UpdateContact
