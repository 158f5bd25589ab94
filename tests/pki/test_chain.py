"""A chain from a CA is taken apart block by block, and nothing but certificates survives."""

from __future__ import annotations

import pytest
from authority import Authority, cached_key_pem
from hypothesis import given
from hypothesis import strategies as st

from certd.errors import PkiError
from certd.model.specs import KeyType
from certd.pki import issuer_pem
from certd.pki.chain import MAX_BYTES, MAX_CERTIFICATES, check_links, parse_chain, to_pem

AUTHORITY = Authority()
LEAF = AUTHORITY.leaf("example.jp")
CHAIN = AUTHORITY.chain(LEAF)


def _code(pem: bytes) -> str:
    with pytest.raises(PkiError) as caught:
        parse_chain(pem)
    return caught.value.code


@pytest.mark.parametrize(
    "pem",
    [CHAIN, CHAIN.replace(b"\n", b"\r\n"), b"\n" + CHAIN.replace(b"-----\n", b"-----\n\n"), CHAIN.rstrip()],
)
def test_legal_layouts(pem: bytes) -> None:
    """Line ends, blank lines and a missing last line end do not matter, and do not survive."""
    assert to_pem(parse_chain(pem)) == CHAIN


@pytest.mark.parametrize(
    "pem",
    [
        CHAIN + cached_key_pem(KeyType.P256),
        b"subject=example\n" + CHAIN,
        CHAIN + b"-----BEGIN DH PARAMETERS-----\nAAAA\n-----END DH PARAMETERS-----\n",
        CHAIN[:-40],
        CHAIN.replace(b"-----END CERTIFICATE-----", b"", 1),
        CHAIN.replace(b"MII", b"M!I", 1),
        b"\x00" + CHAIN,
    ],
)
def test_anything_but_certificates_is_refused(pem: bytes) -> None:
    """RFC 8555 section 11.4: a key, parameters, text or a torn block in the chain."""
    assert _code(pem) == "chain-not-pem"


def test_an_empty_chain() -> None:
    """No certificate at all."""
    assert _code(b" \n\n") == "chain-empty"


def test_a_block_that_is_no_certificate() -> None:
    """Base64 is not enough."""
    assert _code(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n") == "certificate-unreadable"


def test_too_many_certificates() -> None:
    """The count is capped."""
    assert len(parse_chain(LEAF.pem * MAX_CERTIFICATES)) == MAX_CERTIFICATES
    assert _code(LEAF.pem * (MAX_CERTIFICATES + 1)) == "chain-too-large"


def test_too_many_bytes() -> None:
    """The size is capped before anything is parsed."""
    assert _code(b"\n" * (MAX_BYTES + 1)) == "chain-too-large"


def test_links() -> None:
    """Leaf, intermediate, root in this order link; the root may be missing, and so may the intermediate."""
    whole = [LEAF.certificate, AUTHORITY.intermediate.certificate, AUTHORITY.root.certificate]
    for length in (1, 2, 3):
        check_links(whole[:length])


def test_broken_links() -> None:
    """A wrong issuer, a wrong order, an issuer of the same name, and an issuer that is no CA are refused."""
    other = Authority()  # the same names, other keys
    impostor = AUTHORITY.leaf("example.jp")
    signed_by_leaf = AUTHORITY.certify("below", issuer=impostor, names=["example.jp"])
    chains = [
        [LEAF, AUTHORITY.root],
        [LEAF, AUTHORITY.root, AUTHORITY.intermediate],
        [LEAF, other.intermediate],
        [signed_by_leaf, impostor],
        [signed_by_leaf, AUTHORITY.certify("plain", issuer=AUTHORITY.root, names=(), ca=None)],
    ]
    for chain in chains:
        with pytest.raises(PkiError) as caught:
            check_links([identity.certificate for identity in chain])
        assert caught.value.code == "chain-broken"


def test_issuer() -> None:
    """The second certificate of a full chain, or None."""
    assert issuer_pem(CHAIN) == AUTHORITY.intermediate.pem
    assert issuer_pem(LEAF.pem) is None


@given(st.integers(0, len(CHAIN) - 1), st.binary(max_size=40), st.integers(0, 200))
def test_no_bytes_bring_anything_but_a_pki_error(start: int, replacement: bytes, length: int) -> None:
    """Whatever is put in the place of any part of a chain, only PkiError comes out."""
    try:
        check_links(parse_chain(CHAIN[:start] + replacement + CHAIN[start + length :]))
    except PkiError as error:
        assert str(error).isprintable()
