"""Keys and certificates as other programs keep them: made into what certd keeps, without believing any of it.

Bytes stay as they are where they will do, so that a file and its copy can be compared to the byte.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Sequence
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from certd.errors import PkiError
from certd.pki.chain import MAX_CERTIFICATES, check_links, parse_chain, to_pem
from certd.pki.keys import PrivateKey, load_key
from certd.pki.leaf import MALFORMED, leaf_of
from certd.pki.sets import CertificateSet, read_set

MAX_BYTES = 1024 * 1024
"""More than any file with certificates and keys of one host has."""

# The lines around a block, not the block: an expression for the whole would look for its end from each beginning anew.
_CERTIFICATE = re.compile(rb"-----(BEGIN|END) (CERTIFICATE)-----")
_KEY = re.compile(rb"-----(BEGIN|END) ([A-Z0-9 ]{0,20}PRIVATE KEY)-----")
_JWK_CURVES: dict[str, type[ec.EllipticCurve]] = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}
_LONGEST_NUMBER = 4096
"""Letters of base64url: 24,576 bits."""
_RSA_FIELDS = ("n", "e", "d", "p", "q", "dp", "dq", "qi")


def pkcs8_from_pem(pem: bytes) -> bytes:
    """The one private key of a file, whatever blocks lie around it; raises PkiError ``key-unreadable``."""
    blocks = _blocks(_KEY, pem)
    return _pkcs8(load_key(pem[blocks[0]] + b"\n" if blocks else pem[:MAX_BYTES]))


def pkcs8_from_jwk(text: bytes) -> bytes:
    """A private key in the form of RFC 7517, as certbot keeps its account's; raises PkiError ``key-unreadable``.

    No part of the key gets into the error.
    """
    try:
        fields = json.loads(text[:MAX_BYTES])
        key = _key_of_jwk(fields) if isinstance(fields, dict) else None
    except (ValueError, TypeError, KeyError, RecursionError):
        key = None
    if key is None:
        raise PkiError("key-unreadable", "the private key is not an RSA or ECDSA key in JSON form (RFC 7517)")
    return _pkcs8(key)


def same_key(one: bytes, other: bytes) -> bool:
    """Whether two PEM keys are the same key; raises PkiError ``key-unreadable``."""
    return load_key(one).public_key() == load_key(other).public_key()


def gather_set(key: bytes, parts: Sequence[bytes]) -> CertificateSet:
    """The set that the files of a server make: the key's file, and those with certificates, in the order of reading.

    The leaf is the certificate for the key; its issuers are found by their signatures, in whatever order they lie, and
    what belongs to nothing is left out. The bytes of the files are kept where they are all that a set needs. Names,
    validity and completeness of the chain are the caller's to judge. Raises PkiError.
    """
    key_pem, public = _fitting_key(key)
    certificates: dict[bytes, x509.Certificate] = {}
    for part in parts:
        for block in _blocks(_CERTIFICATE, part):
            try:
                certificate = x509.load_pem_x509_certificate(part[block])
            except MALFORMED:
                raise PkiError("certificate-unreadable", "a certificate of the file does not parse") from None
            certificates[certificate.public_bytes(serialization.Encoding.DER)] = certificate
    leaf = next((one for one in certificates.values() if _public_key(one) == public), None)
    if leaf is None:
        if not certificates:
            raise PkiError("chain-empty", "there is no PEM certificate")
        raise PkiError("key-mismatch", "none of the certificates is for this private key")
    chain = _issuers(leaf, list(certificates.values()))
    cert, issuers = _as_written(parts, [leaf, *chain])
    found = CertificateSet(leaf_of(leaf), cert, issuers, key_pem)
    read_set(found.fullchain, found.privkey)
    return found


def demands_stapling(leaf_pem: bytes) -> bool:
    """Whether the certificate has the TLS feature status_request (RFC 7633): must-staple. False if it is unreadable."""
    try:
        certificate = x509.load_pem_x509_certificate(leaf_pem)
        features = certificate.extensions.get_extension_for_class(x509.TLSFeature).value
    except (*MALFORMED, x509.ExtensionNotFound):
        return False
    return x509.TLSFeatureType.status_request in features


def names_an_issuer(leaf_pem: bytes) -> bool:
    """Whether the certificate tells where its issuer is to be found (RFC 5280 section 4.2.2.1), so that a leaf that
    stands alone lacks its chain. False if it is unreadable.
    """
    try:
        certificate = x509.load_pem_x509_certificate(leaf_pem)
        certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess)
    except (*MALFORMED, x509.ExtensionNotFound):
        return False
    return True


def _fitting_key(key: bytes) -> tuple[bytes, object]:
    """The key's PEM, as it was written if nothing else is in the file, and its public key."""
    blocks = _blocks(_KEY, key)
    pem = key if len(blocks) == 1 and key.strip().startswith(b"-----BEGIN ") and key.count(b"-----BEGIN ") == 1 else b""
    if pem:
        try:
            return pem, load_key(pem).public_key()
        except PkiError:
            pass  # as a block of its own it may still parse
    parsed = pkcs8_from_pem(key)
    return parsed, load_key(parsed).public_key()


def _public_key(certificate: x509.Certificate) -> object:
    try:
        return certificate.public_key()
    except MALFORMED:
        return None


def _issuers(leaf: x509.Certificate, pool: list[x509.Certificate]) -> list[x509.Certificate]:
    chain = [leaf]
    while len(chain) < MAX_CERTIFICATES:
        above = next((one for one in pool if one not in chain and _links([chain[-1], one])), None)
        if above is None:
            break
        chain.append(above)
    return chain[1:]


def _links(pair: list[x509.Certificate]) -> bool:
    try:
        check_links(pair)
    except PkiError:
        return False
    return True


def _as_written(parts: Sequence[bytes], wanted: list[x509.Certificate]) -> tuple[bytes, bytes]:
    """Leaf and chain: the files' own bytes if they hold just these, in this order; else PEM made afresh."""
    afresh = to_pem(wanted[:1]), to_pem(wanted[1:])
    if not all(part.endswith(b"\n") for part in parts):
        return afresh
    try:
        if parse_chain(b"".join(parts)) != wanted:
            return afresh
    except PkiError:
        return afresh
    blocks = _blocks(_CERTIFICATE, parts[0])
    if not blocks:
        return afresh
    end = parts[0].index(b"\n", blocks[0].stop) + 1
    return parts[0][:end], parts[0][end:] + b"".join(parts[1:])


def _blocks(marks: re.Pattern[bytes], pem: bytes) -> list[slice]:
    """Where the blocks between such marks lie, in order: each from a BEGIN to the next END of the same label.

    A BEGIN without one is passed over, as is what lies within a block. The work grows with the size of the file, not
    with its square.
    """
    ends: dict[bytes, int] = {}
    pairs: list[slice] = []
    for mark in reversed(list(marks.finditer(pem[:MAX_BYTES]))):
        kind, label = mark.groups()
        if kind == b"END":
            ends[label] = mark.end()
        elif label in ends and pem[mark.end() : mark.end() + 1].isspace():
            pairs.append(slice(mark.start(), ends[label]))
    found: list[slice] = []
    for pair in reversed(pairs):
        if not found or pair.start >= found[-1].stop:
            found.append(pair)
    return found


def _pkcs8(key: PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _key_of_jwk(fields: dict[str, Any]) -> PrivateKey | None:
    if fields.get("kty") == "RSA":
        n, e, d, p, q, dp, dq, qi = (_number(fields[name]) for name in _RSA_FIELDS)
        return rsa.RSAPrivateNumbers(p, q, d, dp, dq, qi, rsa.RSAPublicNumbers(e, n)).private_key()
    if fields.get("kty") == "EC" and fields.get("crv") in _JWK_CURVES:
        x, y, d = (_number(fields[name]) for name in ("x", "y", "d"))
        curve = _JWK_CURVES[fields["crv"]]()
        return ec.EllipticCurvePrivateNumbers(d, ec.EllipticCurvePublicNumbers(x, y, curve)).private_key()
    return None


def _number(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError("too long")
    try:
        return int.from_bytes(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except binascii.Error:
        raise ValueError("not base64url") from None
