"""What the operator wants, resolved: the configuration after defaults, merging and validation."""

from __future__ import annotations

from datetime import date, timedelta
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec


class KeyType(StrEnum):
    """The key of a certificate, or of an account."""

    RSA2048 = "rsa2048"
    RSA3072 = "rsa3072"
    RSA4096 = "rsa4096"
    P256 = "p256"
    P384 = "p384"


class EabSpec(msgspec.Struct, frozen=True):
    """External account binding (RFC 8555 section 7.3.4). Exactly one of the two sources of the MAC key is set."""

    kid: str
    hmac_key_file: Path | None = None
    hmac_key_credential: str | None = None
    issued: date | None = None
    """The day the reseller issued them; with JPRS they live 14 days."""


class CaLimits(msgspec.Struct, frozen=True):
    """What this CA is asked for at most."""

    in_flight: int = 32
    new_orders: int = 300
    new_orders_per: timedelta = timedelta(hours=3)


class CaSpec(msgspec.Struct, frozen=True):
    """A CA and the account on it."""

    name: str
    directory: str
    contact: tuple[str, ...] = ()
    """E-mail addresses without the scheme."""
    terms_of_service_agreed: bool = False
    eab: EabSpec | None = None
    trust: Path | None = None
    account_key: KeyType = KeyType.P256
    limits: CaLimits = CaLimits()


class SolverSpec(msgspec.Struct, frozen=True):
    """How to answer one kind of challenge: the type and the options that its module knows."""

    type: str
    options: dict[str, Any] = {}


class FirstIssue(StrEnum):
    IMMEDIATE = "immediate"
    WAIT = "wait"


class OcspPolicy(msgspec.Struct, frozen=True):
    """The gate between issuance and activation (ARCHITECTURE 4d)."""

    propagation_delay: timedelta = timedelta(minutes=10)
    confirm: bool = True
    early: bool = False
    max_wait: timedelta = timedelta(hours=1)
    first_issue: FirstIssue = FirstIssue.IMMEDIATE


class Address(msgspec.Struct, frozen=True):
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class VerifySpec(msgspec.Struct, frozen=True):
    """Where to look, by a TLS handshake, at what is served."""

    connect: tuple[Address, ...] = (Address("127.0.0.1", 443),)
    names: tuple[str, ...] = ()
    """SNI names to ask for; empty: the certificate's own first name (a wildcard's `*` becomes `certd-probe`)."""
    timeout: timedelta = timedelta(seconds=30)
    """How long a reload may take until the new certificate is seen."""
    proxy_protocol: str | None = None
    """`v1` or None."""


class ServiceReload(msgspec.Struct, frozen=True):
    """Reload through systemd: the unit's name, with or without `.service`."""

    service: str


class CommandReload(msgspec.Struct, frozen=True):
    """Reload by argv. `active` answers with LSB status codes: 0 runs, 3 stopped on purpose, anything else failed."""

    command: tuple[str, ...]
    active: tuple[str, ...] = ()
    start: tuple[str, ...] = ()


class AfterCommand(msgspec.Struct, frozen=True):
    """An argv to run once the new certificate is confirmed."""

    command: tuple[str, ...]
    timeout: timedelta = timedelta(seconds=60)


class ServerSpec(msgspec.Struct, frozen=True):
    """One reload target. `reload` None: files only, nothing to reload."""

    id: str
    reload: ServiceReload | CommandReload | None
    reload_min_interval: timedelta = timedelta(seconds=10)


class Deployment(msgspec.Struct, frozen=True):
    """One server that a certificate is deployed to, and how its success is seen there."""

    server: str
    verify: VerifySpec | None = VerifySpec()
    after: tuple[AfterCommand, ...] = ()


class FilesSpec(msgspec.Struct, frozen=True):
    group: str | None = None
    combined: bool = True


class CertificateSpec(msgspec.Struct, frozen=True):
    """One certificate that is wanted. `domains` are lower-case A-labels, unique, in the operator's order."""

    name: str
    domains: tuple[str, ...]
    ca: str
    key: KeyType = KeyType.RSA2048
    challenges: tuple[tuple[str, SolverSpec], ...] = ()
    """Domain pattern (exact, `*.example.jp`, or `*` for all) and solver; the first that matches counts."""
    renew_before: Fraction | timedelta | None = None
    """Of the lifetime, or a duration; None: a third, or half for a lifetime below ten days."""
    ocsp: OcspPolicy = OcspPolicy()
    deploy: tuple[Deployment, ...] = ()
    """Never empty: without a server the first is the built-in one that only keeps files."""
    files: FilesSpec = FilesSpec()
    orders_per_day: int = 10


class NotifySpec(msgspec.Struct, frozen=True):
    """One way to tell the operator of changes in health: a `command` (argv) or a `webhook`, never both."""

    command: tuple[str, ...] = ()
    webhook: str = ""
    """https, or http on the loopback. It may hold a token: neither logged nor shown, see `place`."""
    timeout: timedelta = timedelta(seconds=30)
    minimum: str = "warning"
    """`warning` or `critical`: less is not told."""
    lang: str = "en"

    @property
    def place(self) -> str:
        """What may be shown of it: the program, or the webhook's scheme, host and port."""
        if self.command:
            return self.command[0]
        parts = urlsplit(self.webhook)
        return f"{parts.scheme}://{parts.netloc}"

    def __repr__(self) -> str:
        return f"NotifySpec({self.place})"


class HealthPolicy(msgspec.Struct, frozen=True):
    """Fractions of the lifetime left at which health warns and turns critical."""

    warn: Fraction = Fraction(1, 4)
    critical: Fraction = Fraction(1, 8)


class Config(msgspec.Struct, frozen=True):
    """The whole configuration, resolved. `warnings` are lines like those of ConfigError."""

    path: Path
    state_dir: Path
    runtime_dir: Path
    cas: dict[str, CaSpec]
    servers: dict[str, ServerSpec]
    certificates: dict[str, CertificateSpec]
    health: HealthPolicy = HealthPolicy()
    notify: tuple[NotifySpec, ...] = ()
    workers: int = 32
    proxy: str | None = None
    http_timeout: timedelta = timedelta(seconds=30)
    log_level: str = "info"
    socket_group: str | None = None
    keep_versions: int = 5
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Config({self.path})"  # the proxy may hold a password
