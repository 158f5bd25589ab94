"""Keys and certificates as other programs keep them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from authority import Authority, Identity, cached_key_pem
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from certd.errors import PkiError
from certd.model.specs import KeyType
from certd.pki import (
    demands_stapling,
    gather_set,
    names_an_issuer,
    pkcs8_from_jwk,
    pkcs8_from_pem,
    read_set,
    same_key,
)

AUTHORITY = Authority()
LEAF = AUTHORITY.leaf("example.jp", "www.example.jp", ocsp_url="http://ocsp.example.jp")
ISSUER = AUTHORITY.intermediate.pem


def code_of(key: bytes, *parts: bytes) -> str:
    with pytest.raises(PkiError) as caught:
        gather_set(key, parts)
    return caught.value.code


def traditional(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def jwk_of(pem: bytes) -> dict[str, str]:
    """The key as RFC 7517 and 7518 have it."""

    def text(number: int, size: int | None = None) -> str:
        raw = number.to_bytes(size or (number.bit_length() + 7) // 8)
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")

    key = serialization.load_pem_private_key(pem, None)
    if isinstance(key, rsa.RSAPrivateKey):
        n = key.private_numbers()
        names = {"n": n.public_numbers.n, "e": n.public_numbers.e, "d": n.d, "p": n.p, "q": n.q}
        fields = names | {"dp": n.dmp1, "dq": n.dmq1, "qi": n.iqmp}
        return {"kty": "RSA"} | {name: text(number) for name, number in fields.items()}
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    numbers = key.private_numbers()
    size = (key.key_size + 7) // 8
    point = {"x": numbers.public_numbers.x, "y": numbers.public_numbers.y, "d": numbers.private_value}
    curve = {"secp256r1": "P-256", "secp384r1": "P-384"}[key.curve.name]
    return {"kty": "EC", "crv": curve} | {name: text(number, size) for name, number in point.items()}


@pytest.mark.parametrize("kind", [KeyType.RSA2048, KeyType.P256, KeyType.P384])
def test_a_key_in_json_is_the_same_key(kind: KeyType) -> None:
    """RSA and ECDSA, as certbot keeps the key of its account."""
    pem = cached_key_pem(kind)
    assert pkcs8_from_jwk(json.dumps(jwk_of(pem)).encode()) == pem


@pytest.mark.parametrize(
    "change",
    [
        {"kty": "oct"},
        {"kty": "OKP"},
        {"crv": "P-999"},
        {"d": "!"},
        {"d": 7},
        {"d": None},
        {"x": "AAAA"},
        {"d": "A" * 5000},
    ],
)
def test_a_key_in_json_that_is_none_is_refused_without_a_word_of_it(change: dict[str, Any]) -> None:
    """Another kind, another curve, a point that is not on it, numbers that are none or endless."""
    fields = jwk_of(cached_key_pem(KeyType.P256)) | change
    with pytest.raises(PkiError) as caught:
        pkcs8_from_jwk(json.dumps(fields).encode())
    assert caught.value.code == "key-unreadable"
    assert fields["y"] not in str(caught.value)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_key_are_an_error_of_ours(data: bytes) -> None:
    """Whatever lies there."""
    for read in (pkcs8_from_jwk, pkcs8_from_pem):
        with pytest.raises(PkiError):
            read(data)


@pytest.mark.parametrize(
    "hostile",
    [
        b"-----BEGIN CERTIFICATE-----\n",
        b"-----BEGIN PRIVATE KEY-----\n",
        b"-----BEGIN A PRIVATE KEY-----\n-----END B PRIVATE KEY-----\n",
        b"-----BEGIN " + b"PRIVATE KEY " * 8,
    ],
    ids=["certificates", "keys", "labels", "one label"],
)
def test_the_work_grows_with_the_file_only(hostile: bytes) -> None:
    """Many beginnings without an end: looking for the end from each of them would take minutes for each file."""
    file = hostile * (1024 * 1024 // len(hostile))
    for _ in range(10):
        assert code_of(LEAF.key_pem, file) == "chain-empty"
        assert code_of(file, LEAF.pem) == "key-unreadable"


def test_a_beginning_without_an_end_hides_no_block() -> None:
    """Neither one of another kind nor one of the same: the block begins where its own BEGIN is, and ends at its END."""
    old = traditional(LEAF.key)
    torn = (
        b"-----BEGIN PRIVATE KEY-----\nMIG\n"
        + b"-----END ENCRYPTED PRIVATE KEY-----\n-----BEGIN RSA PRIVATE KEY-----\n"
    )
    assert pkcs8_from_pem(torn + old) == LEAF.key_pem
    glued = b"-----BEGIN CERTIFICATE-----=" + LEAF.pem
    assert gather_set(LEAF.key_pem, [glued + ISSUER]).fullchain == LEAF.pem + ISSUER


def test_a_key_between_other_blocks_is_found() -> None:
    """`openssl ecparam -genkey` writes the parameters first, and a person text around it all."""
    old = traditional(LEAF.key)
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    assert pkcs8_from_pem(b"# mine\n" + parameters + old + ISSUER) == LEAF.key_pem
    assert same_key(old, LEAF.key_pem)
    assert not same_key(old, cached_key_pem(KeyType.P256))


def test_a_key_with_a_passphrase_is_refused() -> None:
    """Nobody could type it in."""
    locked = LEAF.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
    )
    with pytest.raises(PkiError, match="unencrypted"):
        pkcs8_from_pem(locked)


@pytest.mark.parametrize(
    "parts",
    [
        (LEAF.pem, ISSUER),
        (LEAF.pem + ISSUER,),
        (LEAF.pem + b"\n" + ISSUER,),
        (LEAF.pem, b"\n" + ISSUER),
        (LEAF.pem.replace(b"\n", b"\r\n"), ISSUER),
    ],
)
def test_files_that_will_do_keep_every_byte(parts: tuple[bytes, ...]) -> None:
    """So that a path can become a link to its copy; the set is whole by the store's own measure."""
    old = traditional(LEAF.key)
    found = gather_set(old, parts)
    assert found.fullchain == b"".join(parts)
    assert found.privkey == old
    assert len(parts) == 1 or (found.cert, found.chain) == parts
    assert read_set(found.fullchain, found.privkey) == found.leaf


@pytest.mark.parametrize(
    "parts",
    [
        (b"Certificate:\n    Data:\n" + LEAF.pem, ISSUER),
        (LEAF.pem.rstrip(), ISSUER),
        (ISSUER + LEAF.pem,),
        (LEAF.pem + LEAF.pem, ISSUER),
        (LEAF.pem, Authority("another").root.pem + ISSUER),
        (LEAF.pem + LEAF.key_pem, ISSUER),
    ],
)
def test_files_in_disorder_are_written_afresh(parts: tuple[bytes, ...]) -> None:
    """Text around a block, no last line's end, the wrong order, something twice, strangers, the key among them."""
    found = gather_set(LEAF.key_pem, parts)
    assert (found.cert, found.chain) == (LEAF.pem, ISSUER)


def test_one_file_may_hold_it_all() -> None:
    """As Apache allows: no SSLCertificateKeyFile at all."""
    whole = LEAF.key_pem + LEAF.pem + ISSUER
    found = gather_set(whole, [whole])
    assert (found.cert, found.chain, found.privkey) == (LEAF.pem, ISSUER, LEAF.key_pem)


def test_what_makes_no_set_says_why() -> None:
    """No certificate, one for another key, a CA's own, a key that is none, a certificate that does not parse."""
    assert code_of(LEAF.key_pem, b"") == "chain-empty"
    assert code_of(cached_key_pem(KeyType.P256), LEAF.pem, ISSUER) == "key-mismatch"
    assert code_of(AUTHORITY.root.key_pem, AUTHORITY.root.pem) == "leaf-is-ca"
    assert code_of(b"nothing", LEAF.pem) == "key-unreadable"
    broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    assert code_of(LEAF.key_pem, broken) == "certificate-unreadable"
    pem = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    assert code_of(pem, LEAF.pem) == "key-unreadable"


def stapled() -> Identity:
    """A certificate with the extension of RFC 7633."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(LEAF.certificate.subject)
        .issuer_name(LEAF.certificate.issuer)
        .public_key(LEAF.key.public_key())
        .serial_number(7)
        .not_valid_before(LEAF.certificate.not_valid_before_utc)
        .not_valid_after(LEAF.certificate.not_valid_after_utc)
        .add_extension(x509.TLSFeature([x509.TLSFeatureType.status_request]), critical=False)
    )
    return Identity(builder.sign(AUTHORITY.intermediate.key, LEAF.certificate.signature_hash_algorithm), LEAF.key)  # type: ignore[arg-type]


def test_facts_that_a_person_should_know() -> None:
    """Must-staple, and whether a certificate that stands alone says that it has an issuer somewhere."""
    assert demands_stapling(stapled().pem)
    assert not demands_stapling(LEAF.pem)
    assert not demands_stapling(b"nothing")
    assert names_an_issuer(LEAF.pem)
    assert not names_an_issuer(AUTHORITY.leaf("a.jp").pem)
    assert not names_an_issuer(b"nothing")
