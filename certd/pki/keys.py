"""Private keys of certificates, and the requests signed with them."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

from certd.errors import PkiError
from certd.model.specs import KeyType
from certd.text import printable

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

_RSA_BITS = {KeyType.RSA2048: 2048, KeyType.RSA3072: 3072, KeyType.RSA4096: 4096}
_CURVES: dict[KeyType, type[ec.EllipticCurve]] = {KeyType.P256: ec.SECP256R1, KeyType.P384: ec.SECP384R1}

MAX_COMMON_NAME = 64
"""ub-common-name of RFC 5280 appendix A.1."""


def generate_key(key_type: KeyType) -> bytes:
    """A new private key as unencrypted PKCS#8 PEM, from the system's randomness."""
    key: PrivateKey
    if key_type in _RSA_BITS:
        key = rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS[key_type])
    else:
        key = ec.generate_private_key(_CURVES[key_type]())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def load_key(key_pem: bytes) -> PrivateKey:
    """Parse a private key; raises PkiError ``key-unreadable``. No part of the key gets into the error.

    That the parts of an RSA key belong together is not looked at: OpenSSL looks for primes again each time, which costs
    36 ms, and ten thousand sets are read at a start. `works_for` proves more, and costs half a millisecond.
    """
    try:
        key = serialization.load_pem_private_key(key_pem, password=None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # Without the cause: what the parser says may quote the input.
        raise PkiError("key-unreadable", "the private key is not an unencrypted PEM key") from None
    if not isinstance(key, PrivateKey):
        raise PkiError("key-unreadable", "the private key is neither RSA nor ECDSA")
    return key


def works_for(key: PrivateKey, public_key: PublicKey) -> bool:
    """Whether a signature made with the one verifies with the other: a spoilt key may still tell the right modulus."""
    trial = b"certd"
    try:
        if isinstance(key, rsa.RSAPrivateKey) and isinstance(public_key, rsa.RSAPublicKey):
            signed = key.sign(trial, padding.PKCS1v15(), hashes.SHA256())
            public_key.verify(signed, trial, padding.PKCS1v15(), hashes.SHA256())
            return True
        if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(public_key, ec.EllipticCurvePublicKey):
            public_key.verify(key.sign(trial, ec.ECDSA(hashes.SHA256())), trial, ec.ECDSA(hashes.SHA256()))
            return True
    except (InvalidSignature, ValueError, InternalError):
        pass
    return False


def key_type_of(key_pem: bytes) -> KeyType | None:
    """The type of a private key; None for one that certd does not make. Raises PkiError ``key-unreadable``."""
    return key_type_of_public(load_key(key_pem).public_key())


def key_type_of_public(key: object) -> KeyType | None:
    """The type of a public key; None for one that certd does not make."""
    if isinstance(key, rsa.RSAPublicKey):
        return next((name for name, bits in _RSA_BITS.items() if bits == key.key_size), None)
    if isinstance(key, ec.EllipticCurvePublicKey):
        return next((name for name, curve in _CURVES.items() if isinstance(key.curve, curve)), None)
    return None


def make_csr(key_pem: bytes, domains: Sequence[str]) -> bytes:
    """A PKCS#10 request in DER for all `domains` (RFC 8555 section 7.4), signed with the key.

    The names stand in the subjectAltName. The first is the common name as well, where it is a host name and short
    enough: RFC 8555 allows it, and older CAs and tools still look there. Without a subject the subjectAltName is
    critical, as RFC 5280 section 4.2.1.6 demands; with one it is not, as that section advises. Nothing else is asked
    for: key usage and the rest are the CA's to set. Raises PkiError ``key-unreadable`` or ``name-invalid``.
    """
    key = load_key(key_pem)
    if not works_for(key, key.public_key()):
        raise PkiError("key-unreadable", "the private key is spoilt: its parts do not belong together")
    names = [general_name(name) for name in domains]
    subject = []
    if names and isinstance(names[0], x509.DNSName) and len(names[0].value) <= MAX_COMMON_NAME:
        subject.append(x509.NameAttribute(NameOID.COMMON_NAME, names[0].value))
    return (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name(subject))
        .add_extension(x509.SubjectAlternativeName(names), critical=not subject)
        .sign(key, signature_hash(key))
        .public_bytes(serialization.Encoding.DER)
    )


def signature_hash(key: PrivateKey) -> hashes.SHA256 | hashes.SHA384:
    """The hash that fits the key's strength."""
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP384R1):
        return hashes.SHA384()
    return hashes.SHA256()


def general_name(name: str) -> x509.GeneralName:
    """A domain or an IP address as it stands in a subjectAltName; raises PkiError ``name-invalid``."""
    if _is_ip(name):
        return x509.IPAddress(ipaddress.ip_address(name))
    if not name or not name.isascii() or not name.isprintable():
        raise PkiError("name-invalid", f"{printable(name)!r} cannot stand in a certificate: it is no ASCII host name")
    return x509.DNSName(name)


def _is_ip(name: str) -> bool:
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(name)
        return True
    return False
