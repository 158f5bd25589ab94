"""The table behind `certd.acme.problems`: which answer of a CA is which failure. Data only.

Rows 1 to 29 are JPRS's list of errors, word for word; the rest is RFC 8555 section 6.7, RFC 9773 section 5 and the
profiles extension. The first entry that matches counts, so the special ones of a type stand before its general one.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from certd.model.codes import Kind


class Judgement(NamedTuple):
    """One kind of answer: what it looks like, and what follows."""

    code: str
    kind: Kind
    type: str
    """Without the prefix of RFC 8555."""
    status: int = 0
    """The HTTP status that goes with it; it decides only with `by_status`."""
    message: str = ""
    """The CA's own words, ``[%s]`` standing for a value; they decide only with `by_message`."""
    row: int = 0
    """The number in JPRS's list; 0: not in it."""
    by_message: bool = False
    by_status: bool = False
    asked: frozenset[str] = frozenset()
    """What was asked for; empty: anything."""
    if_validating: Kind | None = None
    """The kind where it is the reason why an authorization or order failed; None: the same."""


ORDER_VANISHED: Final = "order-vanished"
"""404 for an order or its parts; in the first ten minutes of the order a slow replica (ARCHITECTURE 4d)."""

AUTHORIZATION: Final = frozenset({"authorization", "challenge"})
"""Asked for one of these, a message about an object speaks of the authorization; else of the order."""

_EXPIRED: Final = "Validity period of application has been expired"
_STATUS: Final = "Unable to accept order"
_NO_RIGHT: Final = "The client lacks sufficient authorization"

# Rows 18 and 20 are Kind.POLL: the order is read again first, and dropped only where that keeps leading back here.
TABLE: Final = (
    Judgement(
        "acme:account-does-not-exist",
        Kind.ACCOUNT,
        "accountDoesNotExist",
        400,
        "The request specified an account that does not exist",
        1,
    ),
    Judgement(
        "acme:already-revoked",
        Kind.SUCCESS,
        "alreadyRevoked",
        400,
        "The request specified a certificate to be revoked that has already been revoked: [%s]",
        2,
    ),
    Judgement("acme:bad-csr", Kind.OPERATOR, "badCSR", 400, "The CSR is unacceptable", 3),
    Judgement(
        "acme:bad-nonce", Kind.TRANSIENT, "badNonce", 400, "The client sent an unacceptable anti-replay nonce", 4
    ),
    Judgement(
        "acme:bad-public-key",
        Kind.OPERATOR,
        "badPublicKey",
        400,
        "The JWS was signed by a public key the server does not support",
        5,
    ),
    Judgement(
        "acme:bad-revocation-reason",
        Kind.OPERATOR,
        "badRevocationReason",
        400,
        "The revocation reason provided is not allowed by the server: [%s]",
        6,
    ),
    Judgement(
        "acme:bad-signature-algorithm",
        Kind.OPERATOR,
        "badSignatureAlgorithm",
        400,
        "The JWS was signed with an algorithm the server does not support: [%s]",
        7,
    ),
    Judgement("acme:caa", Kind.OPERATOR, "caa", 403, "CAA records forbid the CA from issuing a certificate", 8),
    Judgement(
        "acme:connection",
        Kind.TRANSIENT,
        "connection",
        400,
        "The server could not connect to validation target : [%s]",
        9,
        if_validating=Kind.VALIDATION,
    ),
    Judgement(
        "acme:external-account-required",
        Kind.OPERATOR,
        "externalAccountRequired",
        400,
        "The request must include a value for the externalAccountBinding field",
        10,
    ),
    Judgement(
        "acme:invalid-contact",
        Kind.OPERATOR,
        "invalidContact",
        400,
        "A contact URL for an account was invalid: [%s]",
        11,
    ),
    Judgement("jprs:eab-invalid", Kind.OPERATOR, "malformed", 400, "Unable to create account", 13, by_message=True),
    Judgement(
        "jprs:contact-invalid",
        Kind.OPERATOR,
        "malformed",
        400,
        "The contact information is invalid:",
        14,
        by_message=True,
    ),
    Judgement(
        "jprs:terms-not-agreed",
        Kind.OPERATOR,
        "malformed",
        400,
        "Please agree to the term of service.",
        15,
        by_message=True,
    ),
    Judgement("jprs:fqdn-invalid", Kind.OPERATOR, "malformed", 400, "The FQDN is invalid: [%s]", 16, by_message=True),
    Judgement(
        "jprs:authorization-expired",
        Kind.NEW_ORDER,
        "malformed",
        400,
        _EXPIRED,
        19,
        by_message=True,
        asked=AUTHORIZATION,
    ),
    Judgement("jprs:order-expired", Kind.NEW_ORDER, "malformed", 400, _EXPIRED, 17, by_message=True),
    Judgement(
        "jprs:authorization-status", Kind.POLL, "malformed", 400, _STATUS, 20, by_message=True, asked=AUTHORIZATION
    ),
    Judgement("jprs:order-status", Kind.POLL, "malformed", 400, _STATUS, 18, by_message=True),
    Judgement(
        "jprs:certificate-unknown",
        Kind.OPERATOR,
        "malformed",
        400,
        "The certificate does not exist: [%s]",
        21,
        by_message=True,
    ),
    Judgement(
        "jprs:method-invalid", Kind.BUG, "malformed", 405, "The HTTP method is invalid: [%s]", 22, by_status=True
    ),
    Judgement(
        "jprs:content-type-invalid",
        Kind.BUG,
        "malformed",
        415,
        "The content-type is invalid: [%s]",
        23,
        by_status=True,
    ),
    Judgement(
        "acme:malformed",
        Kind.BUG,
        "malformed",
        400,
        "The request information is invalid",
        12,
        if_validating=Kind.VALIDATION,
    ),
    Judgement(
        "acme:order-not-ready",
        Kind.POLL,
        "orderNotReady",
        403,
        "The request attempted to finalize an order that is not ready to be finalized",
        24,
    ),
    Judgement(
        "acme:rejected-identifier",
        Kind.OPERATOR,
        "rejectedIdentifier",
        400,
        "The server will not issue certificates for the identifier",
        25,
    ),
    Judgement(
        "acme:server-internal",
        Kind.TRANSIENT,
        "serverInternal",
        500,
        "The server experienced an internal error",
        26,
    ),
    # RFC 8555 section 7.3.6 has 401 for an account that is not valid, as row 27; section 8.3 and the CAs in use have
    # 403 for a validation that did not convince. In between, a refused registration has no account to doubt.
    Judgement("acme:account-status", Kind.ACCOUNT, "unauthorized", 401, _NO_RIGHT, 27, by_status=True),
    Judgement("acme:unauthorized", Kind.VALIDATION, "unauthorized", 403, asked=AUTHORIZATION),
    Judgement("acme:registration-refused", Kind.OPERATOR, "unauthorized", 403, asked=frozenset({"newAccount"})),
    Judgement("acme:account-status", Kind.ACCOUNT, "unauthorized", 403),
    Judgement(
        "acme:unsupported-contact",
        Kind.OPERATOR,
        "unsupportedContact",
        400,
        "A contact URL for an account used an unsupported protocol scheme: [%s]",
        28,
    ),
    Judgement(
        "acme:unsupported-identifier",
        Kind.OPERATOR,
        "unsupportedIdentifier",
        400,
        "An identifier is of an unsupported type",
        29,
    ),
    Judgement("acme:compound", Kind.OPERATOR, "compound", if_validating=Kind.VALIDATION),
    Judgement("acme:dns", Kind.TRANSIENT, "dns", 400, if_validating=Kind.VALIDATION),
    Judgement("acme:tls", Kind.TRANSIENT, "tls", 400, if_validating=Kind.VALIDATION),
    Judgement("acme:incorrect-response", Kind.VALIDATION, "incorrectResponse", 403),
    Judgement("acme:rate-limited", Kind.RATE_LIMITED, "rateLimited", 429),
    Judgement("acme:user-action-required", Kind.OPERATOR, "userActionRequired", 403),
    Judgement("acme:already-replaced", Kind.NEW_ORDER, "alreadyReplaced", 409),
    Judgement("acme:invalid-profile", Kind.OPERATOR, "invalidProfile", 400),
)

# Kinds of the codes that come from certd's own errors and from plain HTTP.
_OTHER_KINDS: Final[dict[str, Kind]] = {
    ORDER_VANISHED: Kind.NEW_ORDER,
    "acme:unknown": Kind.OPERATOR,
    "http:not-found": Kind.TRANSIENT,
    "http:too-many-requests": Kind.RATE_LIMITED,
    "http:unavailable": Kind.TRANSIENT,
    "http:proxy-authentication": Kind.OPERATOR,
    "http:refused": Kind.TRANSIENT,
    "transport:connect-failed": Kind.TRANSIENT,
    "transport:deadline-exceeded": Kind.TRANSIENT,
    "transport:tls-failed": Kind.TRANSIENT,
    "transport:body-too-large": Kind.TRANSIENT,
    "transport:insecure-url": Kind.OPERATOR,
    "transport:exchange": Kind.TRANSIENT,
    # A maintenance page with status 200 looks like this, so it must pass by itself.
    "protocol:broken-answer": Kind.TRANSIENT,
    "pki:account-key": Kind.OPERATOR,
    "pki:key-mismatch": Kind.OPERATOR,
    "pki:names-missing": Kind.OPERATOR,
    "pki:names-extra": Kind.OPERATOR,
    "pki:expired": Kind.OPERATOR,
    "pki:key-unreadable": Kind.OPERATOR,
    "pki:other": Kind.OPERATOR,
    "challenge:not-presented": Kind.OPERATOR,
    "challenge:no-resources": Kind.TRANSIENT,
    "os:no-resources": Kind.TRANSIENT,
    "os:permission": Kind.OPERATOR,
    "os:error": Kind.TRANSIENT,
    "order:no-challenge": Kind.OPERATOR,
    "order:authorization-gone": Kind.NEW_ORDER,
    "order:validation-failed": Kind.VALIDATION,
    "order:invalid": Kind.NEW_ORDER,
    "state:lock-held": Kind.OPERATOR,
    "state:unknown-schema": Kind.OPERATOR,
    "state:broken-record": Kind.OPERATOR,
    "state:state": Kind.OPERATOR,
    "config:config": Kind.OPERATOR,
    "ocsp:ocsp": Kind.TRANSIENT,
    "ocsp:ocsp-unreachable": Kind.TRANSIENT,
    "ocsp:ocsp-invalid": Kind.TRANSIENT,
    "command:command-failed": Kind.TRANSIENT,
    "refused:refused": Kind.OPERATOR,
    "bug:illegal-transition": Kind.BUG,
    "bug:error": Kind.BUG,
}

KINDS: Final[dict[str, Kind]] = {entry.code: entry.kind for entry in TABLE} | _OTHER_KINDS
"""Every code and its usual kind. Codes are append-only."""
