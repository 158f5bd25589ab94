"""certd.acme.fields: typed reading of hostile JSON."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certd.acme.fields import https_url, is_hostname, is_ip_address, is_token
from certd.errors import InsecureUrl, ProtocolError


@pytest.mark.parametrize(
    ("text", "legal"),
    [
        ("A" * 22, True),
        ("evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA", True),
        ("_" * 256, True),
        ("A" * 21, False),
        ("A" * 257, False),
        ("A" * 21 + "=", False),
        ("A" * 22 + "\n", False),
        ("../" * 10, False),
        ("A" * 21 + "/", False),
        ("A" * 21 + ".", False),
        ("Ａ" * 22, False),
        ("", False),
    ],
)
def test_token_is_base64url_with_128_bits(text: str, legal: bool) -> None:
    """RFC 8555 section 8.3: base64url without padding, at least 128 bits; nothing that means something in a path."""
    assert is_token(text) is legal


@pytest.mark.parametrize(
    "text",
    ["https://ca.example/a?b=c", "https://[::1]:14000/dir", "HTTPS://CA.example/x", "https://other.example:444/"],
)
def test_https_urls_of_any_host_are_taken(text: str) -> None:
    """Another host than the directory's is legal."""
    assert https_url(text, "order: finalize") == text


@pytest.mark.parametrize("text", ["http://ca.example/", "ftp://ca.example/x", "file://host/etc/passwd"])
def test_other_schemes_are_insecure(text: str) -> None:
    """RFC 8555 section 6.1: https only."""
    with pytest.raises(InsecureUrl, match="order: finalize"):
        https_url(text, "order: finalize")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/relative",
        "https://",
        "https://a b/",
        "https://user:pw@ca.example/",
        "https://ca.example/\r\nX: y",
        "https://ca.example:99999/",
        "https://[::1/",
        "https://ca.example/" + "a" * 3000,
        "https://例え.jp/",
    ],
)
def test_what_is_no_url_is_a_protocol_error(text: str) -> None:
    """Nothing that could smuggle a header, a credential or another host gets through."""
    with pytest.raises(ProtocolError, match="no usable URL"):
        https_url(text, "order")


@given(st.text())
def test_no_text_crashes_a_check(text: str) -> None:
    """Whatever the text, each check has an answer."""
    assert is_token(text) in (True, False)
    assert is_hostname(text) in (True, False)
    assert is_ip_address(text) in (True, False)


@pytest.mark.parametrize("name", ["example.jp", "xn--wgv71a.jp", "_acme-challenge.example.jp", "a", "1.2"])
def test_hostnames(name: str) -> None:
    """Letters, digits, dashes and underscores."""
    assert is_hostname(name)


@pytest.mark.parametrize(
    "name", ["", "a..b", "-a.jp", "a-.jp", "a/b", "A.jp", "a.jp.", "x" * 64 + ".jp", "é.jp", "a b"]
)
def test_not_hostnames(name: str) -> None:
    """What could not be a DNS name is none, and what could leave a URL or a path is none."""
    assert not is_hostname(name)
