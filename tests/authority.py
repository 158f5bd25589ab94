"""A small CA for tests: root, intermediate, leaves, and OCSP answers signed by the issuer or by a delegate.

Unlike `parts.authority` it can also make what an honest CA never would.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from certd.model.specs import KeyType
from certd.pki import generate_key

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
"""The moment at which everything made here is valid unless a test says otherwise."""
DAY = timedelta(days=1)
SERVER_AUTH, OCSP_SIGNING = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.OCSP_SIGNING


@dataclass(frozen=True)
class Identity:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def make_key() -> ec.EllipticCurvePrivateKey:
    """A P-256 key: quick to make."""
    return ec.generate_private_key(ec.SECP256R1())


@cache
def cached_key_pem(key_type: KeyType) -> bytes:
    """One key of each type per test run: RSA keys take long."""
    return generate_key(key_type)


class Authority:
    """A root and one intermediate; leaves are signed by the intermediate."""

    def __init__(self, name: str = "test", *, now: datetime = NOW) -> None:
        self.now = now
        self.root = self._ca(f"{name} root", None)
        self.intermediate = self._ca(f"{name} intermediate", self.root)

    def _ca(self, name: str, issuer: Identity | None) -> Identity:
        return self.certify(name, issuer=issuer, ca=True, usages=None, names=())

    def certify(
        self,
        common_name: str,
        *,
        issuer: Identity | None,
        names: Sequence[str],
        key: ec.EllipticCurvePrivateKey | None = None,
        public_key: CertificatePublicKeyTypes | None = None,
        ca: bool | None = False,
        usages: Sequence[x509.ObjectIdentifier] | None = (SERVER_AUTH,),
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        serial: int | None = None,
        ocsp_url: str | None = None,
    ) -> Identity:
        """Any certificate; without an issuer it signs itself. `ca` None leaves basicConstraints out."""
        key = key or make_key()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.certificate.subject if issuer else subject)
            .public_key(public_key or key.public_key())
            .serial_number(x509.random_serial_number() if serial is None else serial)
            .not_valid_before(not_before or self.now - DAY)
            .not_valid_after(not_after or self.now + 90 * DAY)
        )
        if ca is not None:
            builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        if usages is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([_name(n) for n in names]), critical=False)
        if ocsp_url is not None:
            place = x509.UniformResourceIdentifier(ocsp_url)
            access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, place)
            builder = builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
        return Identity(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)

    def leaf(self, *names: str, **kwargs: object) -> Identity:
        """A server certificate for `names`; the keywords are those of `certify`."""
        return self.certify(names[0] if names else "leaf", issuer=self.intermediate, names=names, **kwargs)  # type: ignore[arg-type]

    def delegate(self, **kwargs: object) -> Identity:
        """An OCSP responder's certificate, by default one that RFC 6960 section 4.2.2.2 accepts."""
        merged = {"issuer": self.intermediate, "names": (), "usages": (OCSP_SIGNING,), **kwargs}
        return self.certify("responder", **merged)  # type: ignore[arg-type]

    def chain(self, leaf: Identity) -> bytes:
        """Leaf and intermediate, as RFC 8555 section 9.1 has them."""
        return leaf.pem + self.intermediate.pem


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def ocsp_response(
    leaf: Identity,
    issuer: Identity,
    *,
    signer: Identity | None = None,
    status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD,
    this_update: datetime = NOW - timedelta(hours=1),
    next_update: datetime | None = NOW + DAY,
    certificates: Sequence[Identity] = (),
    certid_hash: hashes.HashAlgorithm | None = None,
    signature_hash: hashes.SHA256 | hashes.SHA384 | None = None,
    by_name: bool = False,
) -> bytes:
    """A signed OCSP answer in DER; without a signer the issuer signs."""
    signer = signer or issuer
    revoked = status is ocsp.OCSPCertStatus.REVOKED
    encoding = ocsp.OCSPResponderEncoding.NAME if by_name else ocsp.OCSPResponderEncoding.HASH
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            cert=leaf.certificate,
            issuer=issuer.certificate,
            algorithm=certid_hash or hashes.SHA1(),
            cert_status=status,
            this_update=this_update,
            next_update=next_update,
            revocation_time=this_update if revoked else None,
            revocation_reason=None,
        )
        .responder_id(encoding, signer.certificate)
    )
    if certificates:
        builder = builder.certificates([identity.certificate for identity in certificates])
    response = builder.sign(signer.key, signature_hash or hashes.SHA256())
    return response.public_bytes(serialization.Encoding.DER)


def ocsp_failure(status: ocsp.OCSPResponseStatus) -> bytes:
    """An unsuccessful OCSP answer, which carries no signature."""
    return ocsp.OCSPResponseBuilder.build_unsuccessful(status).public_bytes(serialization.Encoding.DER)
