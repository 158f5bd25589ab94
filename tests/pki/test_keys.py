"""Keys are made as asked, and requests ask for what is wanted and nothing else."""

from __future__ import annotations

import ipaddress

import pytest
from authority import cached_key_pem
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtensionOID, NameOID

from certd.errors import PkiError
from certd.model.specs import KeyType
from certd.pki import generate_key, key_type_of, make_csr


@pytest.mark.parametrize("key_type", [KeyType.RSA2048, KeyType.P256, KeyType.P384])
def test_a_key_is_of_the_type_asked_for(key_type: KeyType) -> None:
    """PKCS#8, not encrypted, and recognised again."""
    pem = cached_key_pem(key_type)
    assert pem.startswith(b"-----BEGIN PRIVATE KEY-----\n")
    assert key_type_of(pem) is key_type


def test_two_keys_differ() -> None:
    """A key is never made twice."""
    assert generate_key(KeyType.P256) != generate_key(KeyType.P256)


def test_a_foreign_key_has_no_type() -> None:
    """A size that certd does not make has no name."""
    key = ec.generate_private_key(ec.SECP521R1())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    assert key_type_of(pem) is None


def _encrypted() -> bytes:
    key = serialization.load_pem_private_key(cached_key_pem(KeyType.P256), None)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    )


def _ed25519() -> bytes:
    return ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.mark.parametrize(
    "pem",
    [b"", b"no key", _encrypted(), _ed25519(), cached_key_pem(KeyType.P256)[:100]],
    # Without fixed names the random bytes would name the tests, and parallel workers would collect different ones.
    ids=["empty", "text", "encrypted", "ed25519", "cut off"],
)
def test_an_unusable_key_is_named_and_not_shown(pem: bytes) -> None:
    """The error has its code, no cause that could quote the input, and no part of the key."""
    with pytest.raises(PkiError) as caught:
        key_type_of(pem)
    assert caught.value.code == "key-unreadable"
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert "BEGIN" not in str(caught.value)


def _read(der: bytes) -> tuple[x509.CertificateSigningRequest, x509.Extension[x509.SubjectAlternativeName]]:
    request = x509.load_der_x509_csr(der)
    return request, request.extensions.get_extension_for_class(x509.SubjectAlternativeName)


@pytest.mark.parametrize("key_type", [KeyType.RSA2048, KeyType.P256, KeyType.P384])
def test_a_request_names_all_domains(key_type: KeyType) -> None:
    """The request is signed by the key, lists every name, and asks for no other extension."""
    request, names = _read(
        make_csr(cached_key_pem(key_type), ["example.jp", "*.example.jp", "192.0.2.1", "2001:db8::1"])
    )
    assert request.is_signature_valid
    assert names.value.get_values_for_type(x509.DNSName) == ["example.jp", "*.example.jp"]
    addresses = names.value.get_values_for_type(x509.IPAddress)
    assert addresses == [ipaddress.ip_address("192.0.2.1"), ipaddress.ip_address("2001:db8::1")]
    assert [extension.oid for extension in request.extensions] == [ExtensionOID.SUBJECT_ALTERNATIVE_NAME]
    assert [a.value for a in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["example.jp"]
    assert not names.critical


def test_a_p384_request_is_signed_with_sha384() -> None:
    """The hash is as strong as the curve."""
    request, _ = _read(make_csr(cached_key_pem(KeyType.P384), ["example.jp"]))
    assert isinstance(request.signature_hash_algorithm, hashes.SHA384)


@pytest.mark.parametrize("first", ["a" * 60 + "." + "b" * 20 + ".jp", "192.0.2.1"])
def test_without_a_common_name_the_names_are_critical(first: str) -> None:
    """RFC 5280 section 4.2.1.6: an empty subject makes the subjectAltName critical."""
    request, names = _read(make_csr(cached_key_pem(KeyType.P256), [first, "example.jp"]))
    assert not list(request.subject)
    assert names.critical


def test_a_name_of_64_bytes_is_still_a_common_name() -> None:
    """The limit is inclusive."""
    name = "a" * 61 + ".jp"
    request, _ = _read(make_csr(cached_key_pem(KeyType.P256), [name]))
    assert request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == name


@pytest.mark.parametrize("name", ["日本.jp", "a\nb.jp", ""])
def test_a_name_that_cannot_stand_in_a_request(name: str) -> None:
    """Names arrive as A-labels; anything else is refused, and shown escaped."""
    with pytest.raises(PkiError) as caught:
        make_csr(cached_key_pem(KeyType.P256), ["example.jp", name])
    assert caught.value.code == "name-invalid"
    assert "\n" not in str(caught.value)
