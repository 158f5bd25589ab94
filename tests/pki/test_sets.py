"""A set is only built of parts that are proved to belong together."""

from __future__ import annotations

import base64
from datetime import timedelta

import msgspec
import pytest
from authority import NOW, OCSP_SIGNING, SERVER_AUTH, Authority, Identity, cached_key_pem, make_key
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from certd.errors import PkiError
from certd.model.specs import KeyType
from certd.pki import (
    CertificateSet,
    build_set,
    covers,
    is_placeholder,
    make_csr,
    make_placeholder,
    read_leaf,
    read_set,
)
from certd.pki.sets import FUTURE_TOLERANCE

AUTHORITY = Authority()
DOMAINS = ["example.jp", "www.example.jp"]
LEAF = AUTHORITY.leaf(*DOMAINS)


def _build(leaf: Identity, chain: bytes | None = None, key: bytes | None = None) -> CertificateSet:
    chain = AUTHORITY.chain(leaf) if chain is None else chain
    return build_set(key or leaf.key_pem, chain, domains=DOMAINS, key_type=KeyType.P256, now=NOW)


def _code(leaf: Identity, **kwargs: bytes) -> str:
    with pytest.raises(PkiError) as caught:
        _build(leaf, **kwargs)
    return caught.value.code


def test_a_good_set() -> None:
    """The parts are those that were given, in the layout that servers expect, and read back as whole."""
    made = _build(LEAF, chain=AUTHORITY.chain(LEAF).replace(b"\n", b"\r\n"))
    assert made.cert == LEAF.pem
    assert made.chain == AUTHORITY.intermediate.pem
    assert made.fullchain == LEAF.pem + AUTHORITY.intermediate.pem
    assert made.combined == made.fullchain + LEAF.key_pem
    assert made.leaf == read_leaf(LEAF.pem)
    assert read_set(made.fullchain, made.privkey) == made.leaf


def test_a_leaf_alone_is_a_set() -> None:
    """A CA that signs with its root delivers no issuer."""
    made = _build(LEAF, chain=LEAF.pem)
    assert made.chain == b""


def test_half_a_chain_is_none() -> None:
    """A leaf that tells where its issuer is asked does not come from a root: without the issuer few could verify it."""
    leaf = AUTHORITY.leaf(*DOMAINS, ocsp_url="http://ocsp.test/")
    assert _code(leaf, chain=leaf.pem) == "chain-incomplete"
    assert _build(leaf).chain == AUTHORITY.intermediate.pem


def test_the_key_is_not_shown() -> None:
    """A set in a log or a traceback does not give the key away."""
    text = repr(_build(LEAF))
    assert "PRIVATE" not in text
    assert LEAF.key_pem.split(b"\n")[1].decode() not in text


def test_rsa() -> None:
    """The key type is compared, not assumed."""
    key = serialization.load_pem_private_key(cached_key_pem(KeyType.RSA2048), None)
    leaf = AUTHORITY.leaf(*DOMAINS, public_key=key.public_key())
    chain = AUTHORITY.chain(leaf)
    pem = cached_key_pem(KeyType.RSA2048)
    made = build_set(pem, chain, domains=DOMAINS, key_type=KeyType.RSA2048, now=NOW)
    assert made.leaf.key is KeyType.RSA2048
    with pytest.raises(PkiError) as caught:
        build_set(pem, chain, domains=DOMAINS, key_type=KeyType.P256, now=NOW)
    assert caught.value.code == "key-type"


@pytest.mark.parametrize(
    ("leaf", "code"),
    [
        (AUTHORITY.leaf("example.jp"), "names-missing"),
        (AUTHORITY.leaf("*.example.jp", "example.jp"), "names-missing"),
        (AUTHORITY.leaf(*DOMAINS, "evil.example"), "names-extra"),
        (AUTHORITY.leaf(*DOMAINS, not_after=NOW), "expired"),
        (AUTHORITY.leaf(*DOMAINS, not_before=NOW + FUTURE_TOLERANCE + timedelta(seconds=1)), "not-yet-valid"),
        (AUTHORITY.leaf(*DOMAINS, ca=True), "leaf-is-ca"),
        (AUTHORITY.leaf(*DOMAINS, usages=[ExtendedKeyUsageOID.CLIENT_AUTH]), "no-server-auth"),
        (AUTHORITY.leaf(*DOMAINS, "a\nb.jp"), "certificate-unreadable"),
    ],
)
def test_a_leaf_that_is_not_what_was_ordered(leaf: Identity, code: str) -> None:
    """Each check has its code."""
    assert _code(leaf) == code


@pytest.mark.parametrize(
    "leaf",
    [
        AUTHORITY.leaf("WWW.EXAMPLE.JP", "example.jp"),
        AUTHORITY.leaf(*DOMAINS, ca=None),
        AUTHORITY.leaf(*DOMAINS, usages=None),
        AUTHORITY.leaf(*DOMAINS, usages=[OCSP_SIGNING, SERVER_AUTH]),
        AUTHORITY.leaf(*DOMAINS, usages=[ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]),
        AUTHORITY.leaf(*DOMAINS, not_before=NOW + FUTURE_TOLERANCE),
        AUTHORITY.leaf(*DOMAINS, not_after=NOW + timedelta(seconds=1)),
    ],
)
def test_a_leaf_that_is_unusual_but_right(leaf: Identity) -> None:
    """Absent extensions allow, case does not matter, and the limits of time are exact."""
    assert _build(leaf).leaf.names == ("example.jp", "www.example.jp")


def test_another_key() -> None:
    """A certificate for another key never becomes a set: it would take the server down."""
    other = make_key().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    assert _code(LEAF, key=other) == "key-mismatch"
    assert _code(LEAF, key=cached_key_pem(KeyType.RSA2048)) == "key-mismatch"
    with pytest.raises(PkiError):
        read_set(LEAF.pem, other)


def test_a_key_that_is_spoilt() -> None:
    """One that tells the right modulus, but signs wrongly, is found out: a server would serve nobody with it."""
    sound = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_numbers()
    parts = [sound.p, sound.q, sound.d + 2, sound.dmp1 + 2, sound.dmq1 + 2, sound.iqmp, sound.public_numbers]
    spoilt = rsa.RSAPrivateNumbers(*parts).private_key(unsafe_skip_rsa_key_validation=True)
    pem = spoilt.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    leaf = AUTHORITY.leaf(*DOMAINS, public_key=sound.public_numbers.public_key())
    for prove in (lambda: read_set(leaf.pem, pem), lambda: make_csr(pem, DOMAINS)):
        with pytest.raises(PkiError, match="spoilt") as caught:
            prove()
        assert caught.value.code == "key-unreadable"


def test_a_chain_that_does_not_link() -> None:
    """The whole chain is proved, for new sets and for those on disk."""
    chain = LEAF.pem + AUTHORITY.root.pem
    assert _code(LEAF, chain=chain) == "chain-broken"
    with pytest.raises(PkiError):
        read_set(chain, LEAF.key_pem)


def test_the_chains_own_errors_come_through() -> None:
    """A key in the chain is refused, though all else is right."""
    assert _code(LEAF, chain=AUTHORITY.chain(LEAF) + LEAF.key_pem) == "chain-not-pem"


def test_a_long_list_of_names_is_capped() -> None:
    """A hostile certificate cannot flood the log by its names."""
    with pytest.raises(PkiError) as caught:
        _build(AUTHORITY.leaf(*DOMAINS, *(f"n{i}.example" for i in range(200))))
    assert len(str(caught.value)) < 300


def test_a_placeholder() -> None:
    """It is a whole set for its names, recognised as what it is, and lives long."""
    made = make_placeholder(["example.jp", "192.0.2.1"], now=NOW)
    assert read_set(made.fullchain, made.privkey) == made.leaf
    assert covers(made.leaf, ["example.jp", "192.0.2.1"])
    assert made.leaf.key is KeyType.P256
    assert made.leaf.not_before <= NOW
    assert made.leaf.not_after > NOW + timedelta(days=3600)
    assert made.leaf.ocsp_url is None
    assert is_placeholder(made.fullchain)


def test_what_is_no_placeholder() -> None:
    """Neither a real leaf, nor one that a CA issued to that name, nor garbage."""
    named_so = AUTHORITY.certify("certd placeholder", issuer=AUTHORITY.intermediate, names=["example.jp"])
    for pem in (LEAF.pem, AUTHORITY.root.pem, named_so.pem, b"", b"\xff"):
        assert not is_placeholder(pem)


_DER = LEAF.certificate.public_bytes(serialization.Encoding.DER)


@given(st.integers(0, len(_DER) - 1), st.integers(1, 255), st.binary(max_size=4))
@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
def test_no_mutation_is_believed(position: int, flip: int, more: bytes) -> None:
    """A certificate with a byte changed is refused by a PkiError, unless the change is outside what is signed."""
    der = _DER[:position] + bytes([_DER[position] ^ flip]) + more + _DER[position + 1 :]
    body = base64.encodebytes(der)
    pem = b"-----BEGIN CERTIFICATE-----\n" + body + b"-----END CERTIFICATE-----\n" + AUTHORITY.intermediate.pem
    try:
        made = _build(LEAF, chain=pem)
    except PkiError as error:
        assert str(error).isprintable()
    else:
        # The signature is a bit string, which says how many of its last bits do not count; the parser lets it.
        original = read_leaf(LEAF.pem)
        assert msgspec.structs.replace(made.leaf, fingerprint=original.fingerprint) == original
