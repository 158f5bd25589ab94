"""The facts of an end-entity certificate."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterable

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import AuthorityInformationAccessOID

from certd.errors import PkiError
from certd.model.records import Leaf
from certd.pki.keys import key_type_of_public

MALFORMED = (
    ValueError,
    TypeError,
    OverflowError,
    UnsupportedAlgorithm,
    InvalidSignature,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What the parser raises for hostile bytes; much of it only when a field is looked at."""


def read_leaf(pem: bytes) -> Leaf:
    """The facts of the first certificate of `pem`; raises PkiError ``certificate-unreadable``.

    Text around the blocks is passed over, as in files that people and other clients have made.
    """
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except MALFORMED:
        raise PkiError("certificate-unreadable", "there is no readable PEM certificate") from None
    return leaf_of(certificate)


def leaf_of(certificate: x509.Certificate) -> Leaf:
    """The facts of a parsed certificate; raises PkiError ``certificate-unreadable``."""
    try:
        serial = certificate.serial_number
        if serial <= 0:
            raise ValueError("RFC 5280 section 4.1.2.2: the serial number is positive")
        return Leaf(
            serial=f"{serial:x}",
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            names=_names(certificate),
            key=key_type_of_public(certificate.public_key()),
            ocsp_url=_ocsp_url(certificate),
            fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        )
    except MALFORMED:
        raise PkiError("certificate-unreadable", "the certificate does not parse as RFC 5280 demands") from None


def covers(leaf: Leaf, domains: Iterable[str]) -> bool:
    """Whether every wanted name stands in the certificate, literally: a wildcard covers itself and nothing else."""
    return canonical(domains) <= set(leaf.names)


def canonical(names: Iterable[str]) -> set[str]:
    """Names as they compare: lower case, IP addresses in their shortest form."""
    return {_canonical(name) for name in names}


def _canonical(name: str) -> str:
    with contextlib.suppress(ValueError):
        return str(ipaddress.ip_address(name))
    return name.lower()


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    names = alternatives.get_values_for_type(x509.DNSName)
    if not all(name.isascii() and name.isprintable() for name in names):
        raise ValueError("a dNSName with control characters")
    addresses = alternatives.get_values_for_type(x509.IPAddress)
    return tuple(sorted(canonical([*names, *(str(address) for address in addresses)])))


def _ocsp_url(certificate: x509.Certificate) -> str | None:
    """The first http(s) responder of the authorityInfoAccess (RFC 5280 section 4.2.2.1)."""
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return None
    places = (
        entry.access_location.value
        for entry in access
        if entry.access_method == AuthorityInformationAccessOID.OCSP
        and isinstance(entry.access_location, x509.UniformResourceIdentifier)
    )
    return next((url for url in places if url.startswith(("http://", "https://")) and url.isprintable()), None)
