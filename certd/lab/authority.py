"""The lab's certification authority: keys and certificates made fresh for every instance, and named as untrusted."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

ROOT_NAME = "certd lab UNTRUSTED root"
ISSUER_NAME = "certd lab UNTRUSTED issuing CA"
RESPONDER_NAME = "certd lab UNTRUSTED OCSP responder"
HTTPS_ROOT_NAME = "certd lab UNTRUSTED https root"

_AUTHORITY_LIFE = timedelta(days=30 * 365)
_EARLIER = timedelta(days=1)
_DOMAIN_VALIDATED = x509.ObjectIdentifier("2.23.140.1.2.1")


class Authority:
    """A root, an issuing CA below it and a delegated OCSP responder. Nothing of it is ever written to disk."""

    def __init__(self, now: datetime) -> None:
        self._root_key = _new_key()
        self._issuer_key = _new_key()
        self.responder_key = _new_key()
        self.root = _authority_certificate(ROOT_NAME, self._root_key.public_key(), ROOT_NAME, self._root_key, now)
        self.issuer = _authority_certificate(
            ISSUER_NAME, self._issuer_key.public_key(), ROOT_NAME, self._root_key, now, path_length=0
        )
        self.responder = self._responder_certificate(now)

    def issue(
        self,
        public_key: CertificatePublicKeyTypes,
        names: Sequence[str],
        *,
        now: datetime,
        lifetime: timedelta,
        ocsp_url: str,
    ) -> x509.Certificate:
        """An end-entity certificate for these DNS names, valid from `now`."""
        common = _name(names[0]) if len(names[0]) <= 64 else x509.Name([])
        usage = _key_usage(digital_signature=True, key_encipherment=isinstance(public_key, rsa.RSAPublicKey))
        # RFC 5280 section 4.2.1.6: the alternative name is critical when the subject is empty.
        alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        location = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(ocsp_url))
        builder = (
            _builder(common, public_key, ISSUER_NAME, self._issuer_key, now, now + lifetime)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(alternatives, critical=not list(common))
            .add_extension(x509.AuthorityInformationAccess([location]), critical=False)
            .add_extension(x509.CertificatePolicies([x509.PolicyInformation(_DOMAIN_VALIDATED, None)]), critical=False)
        )
        return builder.sign(self._issuer_key, hashes.SHA256())

    def chain_pem(self, leaf: x509.Certificate) -> bytes:
        """The leaf and the issuing CA, without the root (RFC 8555 section 7.4.2)."""
        return leaf.public_bytes(Encoding.PEM) + self.issuer.public_bytes(Encoding.PEM)

    def root_pem(self) -> bytes:
        """The root below which the issued certificates verify."""
        return self.root.public_bytes(Encoding.PEM)

    def _responder_certificate(self, now: datetime) -> x509.Certificate:
        # RFC 6960 sections 4.2.2.2 and 4.2.2.2.1: delegated by the issuer itself, its own revocation not checked.
        return (
            _builder(
                _name(RESPONDER_NAME),
                self.responder_key.public_key(),
                ISSUER_NAME,
                self._issuer_key,
                now - _EARLIER,
                now + _AUTHORITY_LIFE,
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), critical=False)
            .add_extension(x509.OCSPNoCheck(), critical=False)
            .sign(self._issuer_key, hashes.SHA256())
        )


class HttpsIdentity:
    """What the ACME endpoint shows by TLS: a certificate for 127.0.0.1 and localhost below a root of its own.

    Valid by the machine's own time whatever clock the lab runs by: TLS libraries know no other.
    """

    def __init__(self) -> None:
        now = datetime.now(UTC)
        root_key, key = _new_key(), _new_key()
        root = _authority_certificate(HTTPS_ROOT_NAME, root_key.public_key(), HTTPS_ROOT_NAME, root_key, now)
        alternatives = x509.SubjectAlternativeName(
            [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
        )
        certificate = (
            _builder(
                _name("localhost"), key.public_key(), HTTPS_ROOT_NAME, root_key, now - _EARLIER, now + _AUTHORITY_LIFE
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(alternatives, critical=False)
            .sign(root_key, hashes.SHA256())
        )
        self.root_pem = root.public_bytes(Encoding.PEM)
        self.certificate_pem = certificate.public_bytes(Encoding.PEM)
        self.key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name,
    public_key: CertificatePublicKeyTypes,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    not_before: datetime,
    not_after: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(_name(issuer))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before.replace(microsecond=0))
        .not_valid_after(not_after.replace(microsecond=0))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )


def _authority_certificate(
    subject: str,
    public_key: ec.EllipticCurvePublicKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    now: datetime,
    path_length: int | None = None,
) -> x509.Certificate:
    return (
        _builder(_name(subject), public_key, issuer, issuer_key, now - _EARLIER, now + _AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_key_usage(digital_signature=True, key_cert_sign=True, crl_sign=True), critical=True)
        .sign(issuer_key, hashes.SHA256())
    )


def _key_usage(
    *,
    digital_signature: bool = False,
    key_encipherment: bool = False,
    key_cert_sign: bool = False,
    crl_sign: bool = False,
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=key_encipherment,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )
