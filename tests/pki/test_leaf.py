"""The facts of a leaf are read as records keep them."""

from __future__ import annotations

import hashlib

import pytest
from authority import NOW, Authority
from cryptography.hazmat.primitives import serialization

from certd.errors import PkiError
from certd.model.specs import KeyType
from certd.pki import covers, read_leaf

AUTHORITY = Authority()


def test_the_facts() -> None:
    """Serial without leading zeros, times in UTC, names lower case and sorted, the responder, the fingerprint."""
    made = AUTHORITY.leaf("WWW.example.jp", "example.jp", "192.0.2.1", serial=0x0ABC, ocsp_url="http://ocsp.example/x")
    leaf = read_leaf(made.pem)
    assert leaf.serial == "abc"
    assert leaf.not_before == made.certificate.not_valid_before_utc
    assert leaf.not_after > NOW
    assert leaf.not_after.utcoffset() is not None
    assert leaf.names == ("192.0.2.1", "example.jp", "www.example.jp")
    assert leaf.key is KeyType.P256
    assert leaf.ocsp_url == "http://ocsp.example/x"
    assert leaf.fingerprint == hashlib.sha256(made.certificate.public_bytes(serialization.Encoding.DER)).hexdigest()


def test_the_first_certificate_counts() -> None:
    """Text before it, as other clients write it, and certificates after it do not matter."""
    made = AUTHORITY.leaf("example.jp")
    assert read_leaf(b"subject=example\n" + AUTHORITY.chain(made)) == read_leaf(made.pem)


def test_a_certificate_without_names_or_responder() -> None:
    """Both may be missing."""
    leaf = read_leaf(AUTHORITY.leaf().pem)
    assert leaf.names == ()
    assert leaf.ocsp_url is None


@pytest.mark.parametrize("url", ["ldap://ocsp.example/", "file:///etc/passwd"])
def test_a_responder_that_is_not_http(url: str) -> None:
    """Only http and https responders can be asked."""
    assert read_leaf(AUTHORITY.leaf("example.jp", ocsp_url=url).pem).ocsp_url is None


def test_names_with_control_characters() -> None:
    """Names go into logs and the status: a certificate that hides control characters in them is not read."""
    with pytest.raises(PkiError) as caught:
        read_leaf(AUTHORITY.leaf("example.jp", "a\x1b[2Jb.jp").pem)
    assert caught.value.code == "certificate-unreadable"


@pytest.mark.parametrize("pem", [b"", b"\xff\xfe", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_no_certificate(pem: bytes) -> None:
    """What does not parse is a PkiError."""
    with pytest.raises(PkiError) as caught:
        read_leaf(pem)
    assert caught.value.code == "certificate-unreadable"


@pytest.mark.parametrize(
    ("domains", "covered"),
    [
        (["example.jp"], True),
        (["EXAMPLE.jp", "*.example.jp"], True),
        (["2001:0db8:0::1"], True),
        (["www.example.jp"], False),
        (["example.jp", "other.jp"], False),
        ([], True),
    ],
)
def test_covers_is_literal(domains: list[str], covered: bool) -> None:
    """Case and the spelling of addresses do not matter; a wildcard stands for itself only."""
    leaf = read_leaf(AUTHORITY.leaf("example.jp", "*.example.jp", "2001:db8::1").pem)
    assert covers(leaf, domains) is covered
