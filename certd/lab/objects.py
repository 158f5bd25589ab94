"""The objects of the lab CA and their states (RFC 8555 sections 7.1.2 to 7.1.6)."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from cryptography import x509

from certd.lab.jws import Jwk

OrderStatus = Literal["pending", "ready", "processing", "valid", "invalid"]
AuthorizationStatus = Literal["pending", "valid", "invalid", "deactivated", "expired", "revoked"]
ChallengeStatus = Literal["pending", "processing", "valid", "invalid"]
AccountStatus = Literal["valid", "deactivated", "revoked"]

ORDER_MOVES: dict[str, frozenset[str]] = {
    "pending": frozenset({"ready", "invalid"}),
    "ready": frozenset({"processing", "invalid"}),
    "processing": frozenset({"valid", "invalid"}),
    "valid": frozenset(),
    "invalid": frozenset(),
}
AUTHORIZATION_MOVES: dict[str, frozenset[str]] = {
    "pending": frozenset({"valid", "invalid", "deactivated", "expired"}),
    "valid": frozenset({"deactivated", "expired", "revoked"}),
    "invalid": frozenset(),
    "deactivated": frozenset(),
    "expired": frozenset(),
    "revoked": frozenset(),
}


def new_id() -> str:
    """The last part of an object's URL."""
    return secrets.token_hex(8)


def rfc3339(at: datetime) -> str:
    """To the second, in UTC, with a Z."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class EabCredentials:
    """One pair handed out by the reseller: good for one registration, for a limited time."""

    kid: str
    key: bytes
    issued_at: datetime
    spent: bool = False

    def usable(self, now: datetime, valid_for: timedelta) -> bool:
        """Neither spent nor expired."""
        return not self.spent and now < self.issued_at + valid_for


@dataclass
class Account:
    """RFC 8555 section 7.1.2."""

    id: str
    jwk: Jwk
    contact: list[str]
    created_at: datetime
    eab_kid: str | None = None
    status: AccountStatus = "valid"

    def document(self, base: str) -> dict[str, Any]:
        """The JSON form."""
        return {"status": self.status, "contact": self.contact, "orders": f"{base}/orders/{self.id}"}


@dataclass
class Challenge:
    """RFC 8555 section 7.1.5."""

    id: str
    type: Literal["http-01", "dns-01"]
    token: str
    authorization: Authorization = field(repr=False)
    status: ChallengeStatus = "pending"
    validated_at: datetime | None = None
    error: dict[str, Any] | None = None

    def document(self, base: str) -> dict[str, Any]:
        """The JSON form."""
        document: dict[str, Any] = {
            "type": self.type,
            "url": f"{base}/challenge/{self.id}",
            "status": self.status,
            "token": self.token,
        }
        if self.validated_at is not None:
            document["validated"] = rfc3339(self.validated_at)
        if self.error is not None:
            document["error"] = self.error
        return document


@dataclass
class Authorization:
    """RFC 8555 section 7.1.4. Made for one order and never used for another. `name` is without `*.`."""

    id: str
    account: Account
    name: str
    wildcard: bool
    expires: datetime
    status: AuthorizationStatus = "pending"
    challenges: list[Challenge] = field(default_factory=list)
    order: Order | None = field(default=None, repr=False)

    def move(self, status: AuthorizationStatus) -> None:
        """RFC 8555 section 7.1.6."""
        assert status in AUTHORIZATION_MOVES[self.status], f"authorization {self.status} -> {status}"
        self.status = status

    def expire(self, now: datetime) -> None:
        """RFC 8555 section 7.1.6: past its time it is `expired`, and its unfinished order is lost with it."""
        if self.status in ("pending", "valid") and now >= self.expires:
            self.move("expired")
            if self.order is not None:
                self.order.review()

    def settle(self, challenge: Challenge, error: dict[str, Any] | None, now: datetime) -> None:
        """The outcome of a validation: of the challenge, this authorization and its order (RFC 8555 section 7.1.6)."""
        challenge.error = error
        challenge.status = "valid" if error is None else "invalid"
        if error is None:
            challenge.validated_at = now
        if self.status == "pending":
            self.move("valid" if error is None else "invalid")
        if self.order is not None:
            self.order.review()

    def document(self, base: str) -> dict[str, Any]:
        """The JSON form. Once it is decided, only the challenge that decided it is shown."""
        decided = [one for one in self.challenges if one.status in ("valid", "invalid")]
        shown = self.challenges if self.status == "pending" else decided or self.challenges
        document: dict[str, Any] = {
            "identifier": {"type": "dns", "value": self.name},
            "status": self.status,
            "expires": rfc3339(self.expires),
            "challenges": [challenge.document(base) for challenge in shown],
        }
        if self.wildcard:
            document["wildcard"] = True
        return document


@dataclass
class Issued:
    """A certificate that the CA issued. `serial` is lower-case hex without leading zeros."""

    serial: str
    names: tuple[str, ...]
    at: datetime
    certificate: x509.Certificate
    account: Account
    id: str = field(default_factory=new_id)
    revoked_at: datetime | None = None
    reason: x509.ReasonFlags | None = None


@dataclass
class Order:
    """RFC 8555 section 7.1.3. `names` keep the order in which they came."""

    id: str
    account: Account
    names: tuple[str, ...]
    expires: datetime
    created_at: datetime
    authorizations: list[Authorization] = field(default_factory=list)
    status: OrderStatus = "pending"
    csr: x509.CertificateSigningRequest | None = None
    polls: int = 0
    """Reads answered with `processing` so far."""
    issued: Issued | None = None
    error: dict[str, Any] | None = None

    def move(self, status: OrderStatus) -> None:
        """RFC 8555 section 7.1.6."""
        assert status in ORDER_MOVES[self.status], f"order {self.status} -> {status}"
        self.status = status

    def expire(self, now: datetime) -> None:
        """Past its time an unfinished order is invalid; a finalized one is seen through."""
        if self.status in ("pending", "ready"):
            for authorization in self.authorizations:
                authorization.expire(now)
        if self.status in ("pending", "ready") and now >= self.expires:
            self.move("invalid")

    def review(self) -> None:
        """RFC 8555 section 7.1.6: all authorizations valid make it ready, one that is lost makes it invalid."""
        statuses = {authorization.status for authorization in self.authorizations}
        if self.status == "pending" and statuses == {"valid"}:
            self.move("ready")
        elif self.status in ("pending", "ready") and statuses - {"pending", "valid"}:
            self.move("invalid")

    def document(self, base: str) -> dict[str, Any]:
        """The JSON form."""
        document: dict[str, Any] = {
            "status": self.status,
            "expires": rfc3339(self.expires),
            "identifiers": [{"type": "dns", "value": name} for name in self.names],
            "authorizations": [f"{base}/authorization/{one.id}" for one in self.authorizations],
            "finalize": f"{base}/order/{self.id}/finalize",
        }
        if self.issued is not None:
            document["certificate"] = f"{base}/certificate/{self.issued.id}"
        if self.error is not None:
            document["error"] = self.error
        return document


class Records:
    """Everything the CA knows, in memory. Hold `lock` while reading or changing more than one thing."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.eab: dict[str, EabCredentials] = {}
        self.accounts: dict[str, Account] = {}
        self.by_key: dict[str, Account] = {}
        """Thumbprint to account."""
        self.orders: dict[str, Order] = {}
        self.authorizations: dict[str, Authorization] = {}
        self.challenges: dict[str, Challenge] = {}
        self.certificates: dict[str, Issued] = {}
        """By the last part of their URL, in the order of issuance."""
        self.by_serial: dict[str, Issued] = {}

    def add_account(self, account: Account) -> None:
        self.accounts[account.id] = account
        self.by_key[account.jwk.thumbprint] = account

    def add_order(self, order: Order, authorizations: Iterable[Authorization]) -> None:
        self.orders[order.id] = order
        for authorization in authorizations:
            authorization.order = order
            order.authorizations.append(authorization)
            self.authorizations[authorization.id] = authorization
            self.challenges.update({challenge.id: challenge for challenge in authorization.challenges})

    def add_issued(self, issued: Issued) -> None:
        self.certificates[issued.id] = issued
        self.by_serial[issued.serial] = issued

    def names_of(self, endpoint: str, ident: str) -> tuple[str, ...]:
        """The domains that a request for this object is about."""
        order: Order | None = None
        if endpoint in ("order", "finalize"):
            order = self.orders.get(ident)
        elif endpoint == "authorization" and ident in self.authorizations:
            return (self.authorizations[ident].name,)
        elif endpoint == "challenge" and ident in self.challenges:
            return (self.challenges[ident].authorization.name,)
        elif endpoint == "certificate" and ident in self.certificates:
            return self.certificates[ident].names
        return order.names if order is not None else ()
