"""The objects of RFC 8555 section 7.1 parsed from bytes that may be anything.

What is parsed is safe to use: URLs that certd will call are https (RFC 8555 section 6.1; another host is legal),
tokens are base64url, counts and lengths are capped, text is escaped. Unknown fields and unknown statuses are
tolerated, as RFC 8555 lets a CA have them; a wrong type or a missing field is a `ProtocolError`. What certd has no use
for (`expires`, `validated`) is not looked at: its form must not cost an order.
"""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urljoin

import msgspec

from certd.acme.fields import Fields, https_url, is_hostname, is_ip_address
from certd.acme.problem import Problem, problem_from
from certd.errors import ProtocolError
from certd.text import printable

MAX_AUTHORIZATIONS = 1000
MAX_CHALLENGES = 64
MAX_CONTACTS = 100
MAX_IDENTITIES = 100


class Directory(msgspec.Struct, frozen=True):
    """RFC 8555 section 7.1.1; `renewal_info` is RFC 9773 section 3.

    `terms_of_service` is for a person to read: certd never calls it, so it may be plain http.
    """

    new_nonce: str
    new_account: str
    new_order: str
    revoke_cert: str | None = None
    key_change: str | None = None
    renewal_info: str | None = None
    terms_of_service: str | None = None
    external_account_required: bool = False
    caa_identities: tuple[str, ...] = ()


class Account(msgspec.Struct, frozen=True):
    """RFC 8555 section 7.1.2. `contact` holds URLs, as the CA wrote them."""

    status: str
    contact: tuple[str, ...] = ()


class Identifier(msgspec.Struct, frozen=True):
    """RFC 8555 section 9.7.7. A `dns` value is lower case; in orders it may begin with ``*.``."""

    type: str
    value: str


class Order(msgspec.Struct, frozen=True):
    """RFC 8555 section 7.1.3. `retry_after` is that of the answer it came in."""

    status: str
    identifiers: tuple[Identifier, ...]
    authorizations: tuple[str, ...]
    finalize: str
    certificate: str | None = None
    error: Problem | None = None
    retry_after: timedelta | None = None


class Challenge(msgspec.Struct, frozen=True):
    """RFC 8555 section 8. `token` is empty for types that certd does not know."""

    type: str
    url: str
    status: str
    token: str = ""
    error: Problem | None = None
    retry_after: timedelta | None = None


class Authorization(msgspec.Struct, frozen=True):
    """RFC 8555 section 7.1.4. `url` is where it was read; it is not part of the CA's object."""

    identifier: Identifier
    status: str
    challenges: tuple[Challenge, ...]
    url: str
    wildcard: bool = False
    retry_after: timedelta | None = None


TOKEN_TYPES = frozenset({"http-01", "dns-01", "tls-alpn-01"})
"""The challenge types whose `token` RFC 8555 section 8 and RFC 8737 define."""


def parse_directory(body: bytes) -> Directory:
    """The directory object. Raises ProtocolError, InsecureUrl."""
    fields = Fields.from_json(body, "directory")
    meta = fields.object("meta")
    terms = meta.text("termsOfService") if meta else None
    return Directory(
        new_nonce=fields.required_url("newNonce"),
        new_account=fields.required_url("newAccount"),
        new_order=fields.required_url("newOrder"),
        revoke_cert=fields.url("revokeCert"),
        key_change=fields.url("keyChange"),
        renewal_info=fields.url("renewalInfo"),
        terms_of_service=printable(terms) if terms else None,
        external_account_required=meta.boolean("externalAccountRequired") if meta else False,
        caa_identities=_caa_identities(meta.value("caaIdentities") if meta else None),
    )


def _caa_identities(value: object) -> tuple[str, ...]:
    """The host names among whatever is there: they only help to explain a refusal."""
    names = value[:MAX_IDENTITIES] if isinstance(value, list) else []
    return tuple(name.lower() for name in names if isinstance(name, str) and is_hostname(name.lower()))


def parse_account(body: bytes) -> Account:
    """An account object. Raises ProtocolError.

    A missing status counts as valid: the answer's success and its Location already say that the account exists, and
    a registration that spent credentials must not be lost for a field.
    """
    fields = Fields.from_json(body, "account")
    status = "valid" if fields.value("status") is None else fields.word("status")
    return Account(status=status, contact=tuple(printable(url) for url in fields.texts("contact", MAX_CONTACTS)))


def parse_order(body: bytes, *, retry_after: timedelta | None = None) -> Order:
    """An order object. Raises ProtocolError, InsecureUrl."""
    fields = Fields.from_json(body, "order")
    return Order(
        status=fields.word("status"),
        identifiers=tuple(_identifier(one) for one in fields.objects("identifiers", MAX_AUTHORIZATIONS)),
        authorizations=tuple(
            https_url(url, "order: authorizations") for url in fields.texts("authorizations", MAX_AUTHORIZATIONS)
        ),
        finalize=fields.required_url("finalize"),
        certificate=fields.url("certificate"),
        error=_error(fields),
        retry_after=retry_after,
    )


def parse_authorization(body: bytes, *, url: str, retry_after: timedelta | None = None) -> Authorization:
    """An authorization object with its challenges. Raises ProtocolError, InsecureUrl."""
    fields = Fields.from_json(body, "authorization")
    identifier = _identifier(fields.required_object("identifier"))
    wildcard = fields.boolean("wildcard")
    if identifier.type == "dns" and identifier.value.startswith("*."):
        # RFC 8555 section 7.1.4 wants the name without the prefix; a CA that leaves it there means the same.
        identifier, wildcard = Identifier("dns", identifier.value[2:]), True
    return Authorization(
        identifier=identifier,
        status=fields.word("status"),
        challenges=tuple(_challenge(one) for one in fields.objects("challenges", MAX_CHALLENGES)),
        url=url,
        wildcard=wildcard,
        retry_after=retry_after,
    )


def parse_challenge(body: bytes, *, retry_after: timedelta | None = None) -> Challenge:
    """A challenge object. Raises ProtocolError, InsecureUrl."""
    return _challenge(Fields.from_json(body, "challenge"), retry_after)


def parse_location(location: str | None, base: str, asked: str) -> str:
    """The absolute https URL of a Location header (RFC 9110 section 10.2.2 lets it be relative to `base`).

    Raises ProtocolError where it is missing or no URL, InsecureUrl where it is not https.
    """
    if not location:
        raise ProtocolError(f"{asked}: the CA's answer has no Location header, so there is no URL to go on with")
    try:
        absolute = urljoin(base, location)
    except ValueError as error:
        raise ProtocolError(f"{asked}: the Location header is not a URL: {printable(location)}") from error
    return https_url(absolute, f"{asked}: Location")


def _challenge(fields: Fields, retry_after: timedelta | None = None) -> Challenge:
    challenge_type = fields.word("type")
    return Challenge(
        type=challenge_type,
        url=fields.required_url("url"),
        status=fields.word("status"),
        token=fields.token("token") if challenge_type in TOKEN_TYPES else "",
        error=_error(fields),
        retry_after=retry_after,
    )


def _error(fields: Fields) -> Problem | None:
    # Prose about a failure, never a reason to refuse the object that carries it: any shape is taken.
    value = fields.value("error")
    return None if value is None else problem_from(value)


def _identifier(fields: Fields) -> Identifier:
    kind, value = fields.word("type"), fields.word("value", limit=255)
    if kind == "dns":
        value = value.lower()
        if not is_hostname(value.removeprefix("*.")):
            raise ProtocolError(f"{fields.what}: `value` is not a host name: {value}")
    elif kind == "ip" and not is_ip_address(value):
        raise ProtocolError(f"{fields.what}: `value` is not an IP address: {value}")
    return Identifier(kind, value)
