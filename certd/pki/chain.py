"""A certificate chain as a CA delivers it: hostile bytes until every block is understood."""

from __future__ import annotations

import base64
import binascii
import itertools
from collections.abc import Iterator, Sequence

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from certd.errors import PkiError
from certd.pki.leaf import MALFORMED

MAX_BYTES = 256 * 1024
MAX_CERTIFICATES = 10
_BEGIN, _END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"


def parse_chain(pem: bytes) -> list[x509.Certificate]:
    """The certificates of a chain, leaf first.

    RFC 8555 section 11.4: a client must make sure that the chain holds CERTIFICATE blocks and nothing else, since a
    server that loads the file would also take a key or parameters from it. Raises PkiError ``chain-too-large``,
    ``chain-not-pem``, ``chain-empty`` or ``certificate-unreadable``.
    """
    if len(pem) > MAX_BYTES:
        raise PkiError("chain-too-large", f"the certificate chain has {len(pem)} bytes; {MAX_BYTES} are allowed")
    certificates: list[x509.Certificate] = []
    for der in _blocks(pem):
        if len(certificates) == MAX_CERTIFICATES:
            raise PkiError("chain-too-large", f"the chain has more than {MAX_CERTIFICATES} certificates")
        certificates.append(_parse(der, position=len(certificates) + 1))
    if not certificates:
        raise PkiError("chain-empty", "the chain holds no certificate")
    return certificates


def check_links(certificates: Sequence[x509.Certificate]) -> None:
    """Each certificate is signed by the one after it, which is a CA (RFC 8555 section 9.1); raises PkiError.

    The validity of issuers is not looked at: an expired cross-signed root in a chain is legal and does no harm.
    """
    for position, (subject, issuer) in enumerate(itertools.pairwise(certificates), 1):
        if not is_ca(issuer):
            raise PkiError("chain-broken", f"certificate {position + 1} of the chain is not a CA certificate")
        try:
            subject.verify_directly_issued_by(issuer)
        except MALFORMED:
            text = f"certificate {position} of the chain is not signed by the one after it"
            raise PkiError("chain-broken", text) from None


def is_ca(certificate: x509.Certificate) -> bool:
    """Whether basicConstraints say so (RFC 5280 section 4.2.1.9); raises PkiError ``certificate-unreadable``."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False
    except MALFORMED:
        raise PkiError("certificate-unreadable", "the extensions of a certificate do not parse") from None


def issuer_pem(fullchain: bytes) -> bytes | None:
    """The issuer's certificate out of a full chain, as PEM; None where the leaf stands alone. Raises PkiError."""
    certificates = parse_chain(fullchain)
    return to_pem(certificates[1:2]) or None


def to_pem(certificates: Sequence[x509.Certificate]) -> bytes:
    """PEM made afresh from what was parsed, so that not one byte of the original layout survives."""
    return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in certificates)


def _blocks(pem: bytes) -> Iterator[bytes]:
    """The DER of each CERTIFICATE block; anything else but blank lines is refused."""
    block: list[bytes] | None = None
    for number, line in enumerate(pem.split(b"\n"), 1):
        text = line.strip()
        if block is None and text == _BEGIN:
            block = []
        elif block is not None and text == _END:
            yield _decode(b"".join(block), number)
            block = None
        elif block is not None and text != _BEGIN:
            block.append(text)
        elif text:
            raise PkiError("chain-not-pem", f"line {number} of the chain is not part of a CERTIFICATE block")
    if block is not None:
        raise PkiError("chain-not-pem", "the chain ends inside a CERTIFICATE block")


def _decode(text: bytes, number: int) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise PkiError("chain-not-pem", f"the block that ends in line {number} of the chain is not base64") from None


def _parse(der: bytes, position: int) -> x509.Certificate:
    try:
        certificate = x509.load_der_x509_certificate(der)
        # The parser is lazy: these make it look at what would otherwise fail later.
        _ = certificate.extensions, certificate.public_key()
    except MALFORMED:
        raise PkiError("certificate-unreadable", f"certificate {position} of the chain does not parse") from None
    return certificate
