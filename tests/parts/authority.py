"""A small certificate authority for the test bench itself: the https endpoint of Pebble, and leaves for Apache."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


class TestAuthority:
    """A self-signed P-256 root that signs server certificates, all made afresh."""

    __test__ = False

    def __init__(self, common_name: str = "test bench root") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        name = _name(common_name)
        identifier = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        self.certificate = (
            _builder(name, name, self._key.public_key(), timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .add_extension(identifier, critical=False)
            .sign(self._key, hashes.SHA256())
        )

    def issue(self, *names: str, lifetime: timedelta = timedelta(days=7)) -> tuple[x509.Certificate, bytes]:
        """A server certificate for DNS names and IP addresses, and its key as PKCS#8 PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            _builder(_name(names[0]), self.certificate.subject, key.public_key(), lifetime)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(issuer, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return certificate, pem

    def write(self, directory: Path, *names: str) -> x509.Certificate:
        """Issue into `directory`: `fullchain.pem`, `privkey.pem`, and `apache.conf` naming both, as certd does."""
        directory.mkdir(parents=True, exist_ok=True)
        certificate, key = self.issue(*names)
        (directory / "fullchain.pem").write_bytes(pem_of(certificate) + pem_of(self.certificate))
        (directory / "privkey.pem").write_bytes(key)
        (directory / "apache.conf").write_text(
            f"SSLCertificateFile {directory}/fullchain.pem\nSSLCertificateKeyFile {directory}/privkey.pem\n"
        )
        return certificate


def pem_of(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def serial_of(certificate: x509.Certificate) -> str:
    """The serial as certd writes it: lower-case hex without leading zeros."""
    return f"{certificate.serial_number:x}"


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, lifetime: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + lifetime)
    )


def _name(common_name: str) -> x509.Name:
    # RFC 5280 allows 64 characters; the names that count are in the subjectAltName.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
