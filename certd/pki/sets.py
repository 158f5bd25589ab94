"""Complete sets: a leaf, its chain and its key, proved to belong together before anything is written (I1)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certd.errors import PkiError
from certd.model.records import Leaf
from certd.model.specs import KeyType
from certd.pki.chain import check_links, is_ca, parse_chain, to_pem
from certd.pki.keys import general_name, generate_key, load_key, signature_hash, works_for
from certd.pki.leaf import MALFORMED, canonical, leaf_of
from certd.text import printable

FUTURE_TOLERANCE = timedelta(hours=24)
"""How far notBefore may lie ahead. The usual wrong clock is local time taken for UTC; the gate waits for notBefore."""
PLACEHOLDER_NAME = "certd placeholder"
_PLACEHOLDER_LIFE = timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class CertificateSet:
    """What becomes one version on disk, all in PEM.

    `chain` is empty for a placeholder, and where a small CA signs with its root and delivers the leaf alone.
    """

    leaf: Leaf
    cert: bytes
    chain: bytes
    privkey: bytes = field(repr=False)

    @property
    def fullchain(self) -> bytes:
        """The leaf, then its issuers."""
        return self.cert + self.chain

    @property
    def combined(self) -> bytes:
        """The full chain, then the key, for servers that want one file."""
        return self.fullchain + self.privkey


def build_set(
    key_pem: bytes, chain_pem: bytes, *, domains: Sequence[str], key_type: KeyType, now: datetime
) -> CertificateSet:
    """Prove that what a CA delivered is what was ordered, and make the set of it.

    `chain_pem` is hostile until every check has passed; what goes into the set is written afresh from what was
    parsed. Raises PkiError; its codes are listed at `certd.pki`.
    """
    certificates, leaf = _prove(key_pem, chain_pem)
    _check_complete(certificates)
    if leaf.key != key_type:
        raise PkiError("key-type", f"the certificate's key is {leaf.key or 'of a foreign type'}, wanted is {key_type}")
    _check_names(leaf, domains)
    _check_validity(leaf, now)
    _check_usage(certificates[0])
    return CertificateSet(leaf, to_pem(certificates[:1]), to_pem(certificates[1:]), key_pem)


def read_set(fullchain: bytes, key_pem: bytes) -> Leaf:
    """Prove that a set read from disk is whole: the chain parses and links, the key is the leaf's (I1).

    Names and validity are the caller's to compare; a placeholder passes. Raises PkiError.
    """
    return _prove(key_pem, fullchain)[1]


def make_placeholder(domains: Sequence[str], *, now: datetime) -> CertificateSet:
    """A self-signed set that lets a server load its configuration before the first certificate exists.

    It names itself in its subject, so that nobody takes it for the real one, and lives ten years, so that it
    need not be renewed. Raises PkiError ``name-invalid``.
    """
    key_pem = generate_key(KeyType.P256)
    key = load_key(key_pem)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, PLACEHOLDER_NAME)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _PLACEHOLDER_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([general_name(domain) for domain in domains]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, signature_hash(key))
    )
    pem = to_pem([certificate])
    return CertificateSet(leaf_of(certificate), pem, b"", key_pem)


def is_placeholder(leaf_pem: bytes) -> bool:
    """Whether the first certificate of `leaf_pem` is one of `make_placeholder`; False for what does not parse."""
    try:
        certificate = x509.load_pem_x509_certificate(leaf_pem)
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return certificate.issuer == certificate.subject and [name.value for name in names] == [PLACEHOLDER_NAME]
    except MALFORMED:
        return False


def _prove(key_pem: bytes, chain_pem: bytes) -> tuple[list[x509.Certificate], Leaf]:
    key = load_key(key_pem)
    certificates = parse_chain(chain_pem)
    first = certificates[0]
    leaf = leaf_of(first)
    if is_ca(first):
        raise PkiError("leaf-is-ca", "the first certificate of the chain is a CA certificate, not the server's")
    public_key = first.public_key()
    if not isinstance(public_key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey) or public_key != key.public_key():
        raise PkiError("key-mismatch", "the certificate was issued for another key than the one kept for this order")
    if not works_for(key, public_key):
        raise PkiError("key-unreadable", "the private key is spoilt: what it signs does not verify")
    check_links(certificates)
    return certificates, leaf


def _check_complete(certificates: Sequence[x509.Certificate]) -> None:
    """A leaf may stand alone only where a trust anchor signed it (RFC 8555 section 9.1): a small CA of one's own.

    One that tells where its issuer is to be found or asked (RFC 5280 section 4.2.2.1) comes from below an intermediate;
    without it most clients cannot verify the site, and nobody can verify the responder's answers.
    """
    if len(certificates) > 1:
        return
    with contextlib.suppress(x509.ExtensionNotFound):
        certificates[0].extensions.get_extension_for_class(x509.AuthorityInformationAccess)
        raise PkiError("chain-incomplete", "the chain holds the certificate alone, without that of its issuer")


def _check_names(leaf: Leaf, domains: Iterable[str]) -> None:
    wanted, present = canonical(domains), set(leaf.names)
    if missing := wanted - present:
        raise PkiError("names-missing", f"the certificate lacks {_listing(missing)}")
    if extra := present - wanted:
        raise PkiError("names-extra", f"the certificate has names that were not ordered: {_listing(extra)}")


def _listing(names: Iterable[str]) -> str:
    return printable(", ".join(sorted(names)))


def _check_validity(leaf: Leaf, now: datetime) -> None:
    if leaf.not_after <= now:
        raise PkiError("expired", f"the certificate expired at {leaf.not_after:%Y-%m-%dT%H:%M:%SZ}")
    if leaf.not_before > now + FUTURE_TOLERANCE:
        text = f"the certificate is valid from {leaf.not_before:%Y-%m-%dT%H:%M:%SZ} on; is this machine's clock right?"
        raise PkiError("not-yet-valid", text)


def _check_usage(certificate: x509.Certificate) -> None:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    # RFC 5280 section 4.2.1.12: absent means any use.
    if not {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & set(usage):
        raise PkiError("no-server-auth", "the certificate's extended key usage does not allow a TLS server")
