"""The knobs of the lab CA."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from certd.errors import Refused
from certd.model.specs import KeyType

LOOPBACK = "127.0.0.1"

Clock = Callable[[], datetime]
"""Answers the present as an aware UTC datetime."""


def wall_clock() -> datetime:
    """The machine's own time."""
    return datetime.now(UTC)


def refuse_other_than_loopback(address: str) -> None:
    """The fence: the lab listens on 127.0.0.1 and nowhere else. Raises `Refused`."""
    if address != LOOPBACK:
        raise Refused(f"the lab CA listens on {LOOPBACK} only, not on {address!r}: it proves nothing to anyone else")


@dataclass
class LabOptions:
    """How the lab CA behaves; the defaults are the ways of JPRS.

    All but the addresses are read at each use, so a test may turn them while the CA runs.
    """

    address: str = LOOPBACK
    port: int = 0
    """Of the ACME endpoint (https); 0: any free one."""
    ocsp_port: int = 0
    """Of the OCSP responder (http); 0: any free one."""

    eab_required: bool = True
    eab_valid_for: timedelta = timedelta(days=14)
    max_contacts: int = 6

    order_valid_for: timedelta = timedelta(days=7)
    authorization_valid_for: timedelta = timedelta(days=7)
    registered: frozenset[str] | None = None
    """The only names that may be ordered, as if registered with the reseller; None: any."""

    reuse_orders: bool = False
    """Whether newOrder answers with the pending or ready order that the account has for these names, if there is one,
    as some CAs do."""
    processing_polls: int = 3
    """How many reads of a finalized order answer `processing` before it turns `valid`."""
    retry_after: int | None = None
    """Seconds in the Retry-After of unfinished orders and authorizations; None: no such header."""
    nonce_reject_every: int = 0
    """Every n-th signed request is answered with badNonce; 0: none."""

    lifetime: timedelta = timedelta(days=199)
    """Of the certificates issued."""
    accepted_keys: frozenset[KeyType] = frozenset(KeyType)
    """Of certificates; JPRS itself takes RSA 2048."""
    ocsp_lag: timedelta = timedelta(minutes=10)
    """How long after issuance the responder still answers `unknown`."""

    http_port: int = 80
    """Where http-01 is validated."""
    resolve: Mapping[str, str] = field(default_factory=dict)
    """Name to loopback address; names not listed are at 127.0.0.1. DNS is never asked."""
    validation_timeout: float = 5.0
    """Seconds for one validation in all."""
    txt: Callable[[str], Iterable[str]] | None = None
    """The TXT records of a name. Given, dns-01 is offered and wildcards are accepted."""
