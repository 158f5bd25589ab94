"""What happened: the answers of effects, and the operator's words. advance() makes a new record of them."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from certd.model.codes import Because, Kind
from certd.model.records import BatchSet, Blame, Leaf, OcspCheck, OcspWord, Owed, Served, Step


class Failed(msgspec.Struct, frozen=True):
    """An effect failed. `limits_account`: the CA refuses the whole account for a while, not just this one."""

    step: Step
    kind: Kind
    code: str
    text: str
    retry_after: timedelta | None = None


class Reanchored(msgspec.Struct, frozen=True):
    """The recorded waits begin anew, as long as they were."""


# --- certificates -----------------------------------------------------------------------------------------------


class JitterDrawn(msgspec.Struct, frozen=True):
    serial: str


class OrderPlaced(msgspec.Struct, frozen=True):
    url: str
    retry_after: timedelta | None = None


class ChallengesPresented(msgspec.Struct, frozen=True):
    tokens: tuple[str, ...]


class OrderPending(msgspec.Struct, frozen=True):
    """The CA is at work: poll again. `settling`: it is the responses that are not published yet."""

    retry_after: timedelta | None = None
    settling: bool = False
    responded: tuple[str, ...] = ()


class Issued(msgspec.Struct, frozen=True):
    version: int
    leaf: Leaf


class OrderEnded(msgspec.Struct, frozen=True):
    """The order is gone: invalid, dropped, or of no more use."""

    failed: Failed


class OrderParked(msgspec.Struct, frozen=True):
    pass


class ParkedAsked(msgspec.Struct, frozen=True):
    """A parked order was read. `gone`: nothing will ever come of it."""

    order_url: str
    gone: bool


class ParkedIssued(msgspec.Struct, frozen=True):
    """A parked order turned valid; its set lies in versions/."""

    order_url: str
    version: int
    leaf: Leaf


class CleanedUp(msgspec.Struct, frozen=True):
    """These tokens are gone from where they were; others must be tried again."""

    tokens: tuple[str, ...]


class StatusChecked(msgspec.Struct, frozen=True):
    check: OcspCheck


class RevocationChecked(msgspec.Struct, frozen=True):
    serial: str
    word: OcspWord


class Probed(msgspec.Struct, frozen=True):
    served: Served


class Abandoned(msgspec.Struct, frozen=True):
    code: str
    text: str
    step: Step = Step.OCSP


class ServersNoted(msgspec.Struct, frozen=True):
    servers: tuple[str, ...]


class Swapped(msgspec.Struct, frozen=True):
    owed: tuple[Owed, ...]


class Confirmed(msgspec.Struct, frozen=True):
    pass


class GivenBack(msgspec.Struct, frozen=True):
    pass


class RenewRequested(msgspec.Struct, frozen=True):
    now: bool = False


class RollbackRequested(msgspec.Struct, frozen=True):
    """Go back to `version`; `abandoned` must not go live again. `until`: the end of the hold."""

    version: int
    leaf: Leaf
    abandoned: int
    until: datetime
    because: Because = Because.ROLLBACK


CertificateEvent = (
    Failed
    | Reanchored
    | JitterDrawn
    | OrderPlaced
    | ChallengesPresented
    | OrderPending
    | Issued
    | OrderEnded
    | OrderParked
    | ParkedAsked
    | ParkedIssued
    | CleanedUp
    | StatusChecked
    | RevocationChecked
    | Probed
    | Abandoned
    | ServersNoted
    | Swapped
    | Confirmed
    | GivenBack
    | RenewRequested
    | RollbackRequested
)


# --- servers ----------------------------------------------------------------------------------------------------


class LinksSwapped(msgspec.Struct, frozen=True):
    """These sets are live now. `refused`: name, version and reason of sets that were not fit to go live (I1)."""

    batch: tuple[BatchSet, ...]
    refused: tuple[tuple[str, int, str], ...] = ()


class LinksRestored(msgspec.Struct, frozen=True):
    """These sets went back to their previous versions."""

    batch: tuple[BatchSet, ...]


class ReloadReturned(msgspec.Struct, frozen=True):
    """The command returned without an error; that proves little (ARCHITECTURE 4b)."""


class ServerStarted(msgspec.Struct, frozen=True):
    pass


class CommandRefused(msgspec.Struct, frozen=True):
    """The reload or start command failed. `denied`: it was not even tried, for certd's user may not."""

    text: str
    denied: bool = False


class SectionConfirmed(msgspec.Struct, frozen=True):
    """The batch is served."""

    not_served: tuple[str, ...] = ()


class SectionLeft(msgspec.Struct, frozen=True):
    """The critical section ends with the reload owed."""

    code: str
    text: str


class TakenBack(msgspec.Struct, frozen=True):
    """The roll-back begins."""

    blame: Blame
    text: str


class BlameSettled(msgspec.Struct, frozen=True):
    """The old sets serve again."""


class AfterRun(msgspec.Struct, frozen=True):
    """A certificate's `after` commands ran. `failure`: why they are to be tried again, if they are."""

    name: str
    failure: str | None = None


class ReloadOwed(msgspec.Struct, frozen=True):
    """Another server's section moved links that this one loads as well."""


class RetryRequested(msgspec.Struct, frozen=True):
    """The operator asks for this certificate again: what kept the server from it is taken to be mended."""

    name: str


ServerEvent = (
    Failed
    | Reanchored
    | LinksSwapped
    | LinksRestored
    | ReloadReturned
    | ServerStarted
    | CommandRefused
    | SectionConfirmed
    | SectionLeft
    | TakenBack
    | BlameSettled
    | AfterRun
    | ReloadOwed
    | RetryRequested
)


# --- accounts ---------------------------------------------------------------------------------------------------


class KeyMade(msgspec.Struct, frozen=True):
    pass


class AccountKnown(msgspec.Struct, frozen=True):
    """The CA knows the key by this account URL."""

    url: str
    contact: tuple[str, ...] | None = None
    """The contacts that were sent, if any were."""


class AccountUnknown(msgspec.Struct, frozen=True):
    """accountDoesNotExist, unauthorized, or a status but valid: the CA does not accept the account."""

    code: str
    text: str


class CaLimited(msgspec.Struct, frozen=True):
    """The CA holds the whole account off."""

    delay: timedelta
    text: str


class CertificateLimited(msgspec.Struct, frozen=True):
    """One certificate met a 429."""

    name: str


class AccountDoubted(msgspec.Struct, frozen=True):
    """The CA calls a request that names the account malformed: the URL that is kept of it may be wrong."""


AccountEvent = (
    Failed | Reanchored | KeyMade | AccountKnown | AccountUnknown | AccountDoubted | CaLimited | CertificateLimited
)
