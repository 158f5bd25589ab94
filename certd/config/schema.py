"""The file as it may be written: types, patterns, defaults and meanings, of which the JSON Schema is made.

The class and field names are the keys of the file. Fields that must be given are UNSET by default and listed in
REQUIRED: so a file with one wrong value still becomes an object whose other values can be looked at.
Descriptions complete the sentence "must be ...".
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Meta, Struct, UnsetType, field

from certd.config.names import NAME, NAME_RULE
from certd.config.values import DURATION, FRACTION, RATE
from certd.model.specs import FirstIssue, KeyType

SECRET = {"secret": True}
"""Marks values that may hold a secret if the operator erred: never repeated in a message."""

Duration = Annotated[str, Meta(pattern=DURATION, description="a duration such as 90s, 10m, 1h or 30d")]
Fraction = Annotated[str, Meta(pattern=FRACTION, description="a fraction such as 1/3")]
RenewBefore = Annotated[
    str,
    Meta(
        pattern=f"{FRACTION}|{DURATION}",
        description="a fraction of the lifetime such as 1/3, or a duration such as 30d",
    ),
]
Rate = Annotated[str, Meta(pattern=RATE, description="a number per time such as 300/3h")]
AbsolutePath = Annotated[str, Meta(pattern=r"^/", description="an absolute path")]
SecretPath = Annotated[str, Meta(pattern=r"^/", description="the absolute path of a file", extra=SECRET)]
Name = Annotated[str, Meta(pattern=NAME, description=f"a name ({NAME_RULE})")]
CredentialName = Annotated[
    str,
    Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,254}$", description="the name of a systemd credential", extra=SECRET),
]
Text = Annotated[str, Meta(min_length=1, max_length=1024, description="text that is not empty")]
Argv = Annotated[
    list[Annotated[str, Meta(description="text; put numbers and words such as yes and no in quotes")]],
    Meta(min_length=1, description="a list of words such as [/usr/sbin/apachectl, graceful] (there is never a shell)"),
]
Webhook = Annotated[
    str,
    Meta(min_length=1, max_length=2048, description="an https URL, or an http URL on the loopback", extra=SECRET),
]
Unit = Annotated[
    str,
    Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9:_.@\\-]{0,254}$", description="the name of a systemd service such as httpd"),
]
Group = Annotated[
    str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,31}\$?$", description="the name of a group of this system, or null")
]
Domains = Annotated[list[Text], Meta(min_length=1, max_length=100, description="a list of 1 to 100 domains")]


class ProxyProtocol(StrEnum):
    """The header sent before the handshake."""

    V1 = "v1"


class LogLevel(StrEnum):
    """The least severe kind of log line that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Eab(Struct, forbid_unknown_fields=True):
    """External account binding (RFC 8555 section 7.3.4): what the reseller gave. One of the two sources of the key."""

    REQUIRED: ClassVar = ("kid",)
    kid: Annotated[str, Meta(min_length=1, max_length=512, description="the key identifier")] | UnsetType = UNSET
    hmac_key_file: SecretPath | None = None
    hmac_key_credential: CredentialName | None = None
    issued: Annotated[date, Meta(description="a date such as 2026-11-20")] | None = None


class CaLimits(Struct, forbid_unknown_fields=True):
    """What this CA is asked for at most."""

    in_flight: Annotated[int, Meta(ge=1, le=1000, description="a whole number from 1 to 1000")] = 32
    new_orders: Rate = "300/3h"


class Ca(Struct, forbid_unknown_fields=True):
    """A CA, and the account on it."""

    REQUIRED: ClassVar = ("directory",)
    directory: Annotated[str, Meta(description="the https URL of the CA's directory")] | UnsetType = UNSET
    contact: Annotated[list[Text], Meta(description="a list of e-mail addresses")] = field(default_factory=list)
    terms_of_service_agreed: bool = False
    eab: Eab | None = None
    trust: AbsolutePath | None = None
    account_key: KeyType = KeyType.P256
    limits: CaLimits = field(default_factory=CaLimits)


class Reload(Struct, forbid_unknown_fields=True):
    """How a server takes up new files: a systemd service, or an argv with its own ways to ask and to start."""

    service: Unit | None = None
    command: Argv | None = None
    active: Argv | None = None
    start: Argv | None = None


class Verify(Struct, forbid_unknown_fields=True):
    """Where to look, by a TLS handshake, at what is served."""

    connect: Annotated[list[Text], Meta(min_length=1, description="a list of addresses such as 127.0.0.1:443")] = field(
        default_factory=lambda: ["127.0.0.1:443"]
    )
    names: Annotated[list[Text], Meta(description="a list of host names to ask for")] = field(default_factory=list)
    timeout: Duration = "30s"
    proxy_protocol: ProxyProtocol | None = None


class After(Struct, forbid_unknown_fields=True):
    """A command to run once the new certificate is confirmed."""

    REQUIRED: ClassVar = ("command",)
    command: Argv | UnsetType = UNSET
    timeout: Duration = "60s"


class Server(Struct, forbid_unknown_fields=True):
    """A reload target that several certificates share; `verify` and `after` are defaults of the deployments to it."""

    REQUIRED: ClassVar = ("reload",)
    reload: Reload | UnsetType = UNSET
    verify: Verify | bool = True
    after: Annotated[list[After], Meta(description="a list of commands")] = field(default_factory=list)


class Deploy(Struct, forbid_unknown_fields=True):
    """Where a certificate goes: a named `server`, or a `reload` of its own."""

    server: Name | None = None
    reload: Reload | None = None
    verify: Verify | bool = True
    after: Annotated[list[After], Meta(description="a list of commands")] = field(default_factory=list)


class Ocsp(Struct, forbid_unknown_fields=True):
    """The gate between issuance and activation."""

    propagation_delay: Duration = "10m"
    confirm: bool = True
    early: bool = False
    max_wait: Duration = "1h"
    first_issue: FirstIssue = FirstIssue.IMMEDIATE


class Files(Struct, forbid_unknown_fields=True):
    """The files of a set. With `group`, keys are readable by that group."""

    group: Group | None = None
    combined: bool = True


class Settings(Struct, forbid_unknown_fields=True):
    """What `defaults` and every certificate may set."""

    ca: Annotated[str | list[str], Meta(description="the name of a CA below cas")] | UnsetType = UNSET
    key: KeyType = KeyType.RSA2048
    challenge: Annotated[
        dict[str, Any], Meta(description="a mapping with type and its options, or of domain patterns to such mappings")
    ] = field(default_factory=dict)
    renew_before: RenewBefore | None = None
    ocsp: Ocsp = field(default_factory=Ocsp)
    deploy: (
        Annotated[
            str | Deploy | list[str | Deploy],
            Meta(description="the name of a server, a mapping with server or reload, or a list of either"),
        ]
        | None
    ) = None
    files: Files = field(default_factory=Files)


class Certificate(Settings, forbid_unknown_fields=True):
    """One certificate that is wanted."""

    REQUIRED: ClassVar = ("domains",)
    name: Name | UnsetType = UNSET
    domains: Domains | UnsetType = UNSET


class Limits(Struct, forbid_unknown_fields=True):
    """What certd does at most."""

    workers: Annotated[int, Meta(ge=1, le=256, description="a whole number from 1 to 256")] = 32
    orders_per_day: Annotated[int, Meta(ge=1, le=50, description="a whole number from 1 to 50")] = 10
    reload_min_interval: Duration = "10s"


class Http(Struct, forbid_unknown_fields=True):
    """Exchanges with CAs and OCSP responders."""

    proxy: Annotated[str, Meta(description="the URL of a proxy, or null", extra=SECRET)] | None = None
    timeout: Duration = "30s"


class Health(Struct, forbid_unknown_fields=True):
    """Fractions of the lifetime left at which health warns and turns critical."""

    warn: Fraction = "1/4"
    critical: Fraction = "1/8"


class Minimum(StrEnum):
    """The least severity that is told."""

    WARNING = "warning"
    CRITICAL = "critical"


class Language(StrEnum):
    """The language of what is told."""

    EN = "en"
    JA = "ja"


class Notify(Struct, forbid_unknown_fields=True):
    """Whom to tell when health changes: a program that gets JSON on its standard input, a webhook, or both."""

    command: Argv | None = None
    webhook: Webhook | None = None
    timeout: Duration = "30s"
    minimum: Minimum = Minimum.WARNING
    lang: Language = Language.EN


class Log(Struct, forbid_unknown_fields=True):
    """Logging."""

    level: LogLevel = LogLevel.INFO


Certificates = Annotated[list[Certificate], Meta(description="a list of certificates")]
Globs = Annotated[
    str | list[str], Meta(description="a path with or without stars such as conf.d/*.yaml, or a list of them")
]


class File(Struct, forbid_unknown_fields=True):
    """The configuration of certd."""

    REQUIRED: ClassVar = ("cas",)
    state_dir: AbsolutePath = "/var/lib/certd"
    runtime_dir: AbsolutePath = "/run/certd"
    status_group: Group | None = None
    keep_versions: Annotated[int, Meta(ge=2, le=1000, description="a whole number from 2 to 1000")] = 5
    cas: Annotated[dict[Name, Ca], Meta(min_length=1, description="a mapping of names to CAs")] | UnsetType = UNSET
    servers: Annotated[dict[Name, Server], Meta(description="a mapping of names to servers")] = field(
        default_factory=dict
    )
    defaults: Settings = field(default_factory=Settings)
    certificates: Certificates | None = None
    limits: Limits = field(default_factory=Limits)
    http: Http = field(default_factory=Http)
    health: Health = field(default_factory=Health)
    notify: (
        Annotated[
            Notify | Annotated[list[Notify], Meta(max_length=10)],
            Meta(description="a mapping with command or webhook, or a list of up to 10 of them"),
        ]
        | None
    ) = None
    log: Log = field(default_factory=Log)
    include: Globs | None = None


class Included(Struct, forbid_unknown_fields=True):
    """A file named by `include`: certificates only."""

    certificates: Certificates | None = None
