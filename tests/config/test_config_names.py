"""certd.config.names"""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certd.config import names


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("example.jp", "example.jp"),
        ("WWW.Example.JP", "www.example.jp"),
        ("日本語.jp", "xn--wgv71a119e.jp"),
        ("日本語。ｊｐ", "xn--wgv71a119e.jp"),
        ("xn--wgv71a119e.jp", "xn--wgv71a119e.jp"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("*.example.jp", "*.example.jp"),
        ("*.日本語.jp", "*.xn--wgv71a119e.jp"),
        ("a-1.b--c.jp", "a-1.b--c.jp"),
        ("intranet", "intranet"),
    ],
)
def test_domains_become_lower_case_a_labels(text: str, domain: str) -> None:
    """As certificates carry them."""
    assert names.normal_domain(text, wildcard=True) == domain


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        ".example.jp",
        "example.jp.",
        "a..jp",
        "-a.jp",
        "a-.jp",
        "a_b.jp",
        "a b.jp",
        "a/b.jp",
        "xn--a.jp",
        "xn--.jp",
        "a.*.jp",
        "*",
        "*.*.jp",
        "w*.jp",
        "192.0.2.1",
        "::1",
        "[::1]",
        "example.123",
        "a" * 64 + ".jp",
        ".".join(["a" * 60] * 5),
        "exam\u200bple\u0301.\ud7ff",
        "example.jp\n",
    ],
)
def test_what_is_no_domain(text: str) -> None:
    """Bad labels, addresses, stars in the wrong place."""
    with pytest.raises(ValueError):
        names.normal_domain(text, wildcard=True)


def test_a_star_is_for_those_who_allow_it() -> None:
    """A host name to connect to has none."""
    with pytest.raises(ValueError, match="star"):
        names.normal_domain("*.example.jp")


@given(st.text(max_size=30))
def test_any_text_is_a_domain_or_a_value_error(text: str) -> None:
    """What is accepted is a host name of DNS, and normal already."""
    try:
        domain = names.normal_domain(text, wildcard=True)
    except ValueError:
        return
    assert re.fullmatch(r"(\*\.)?[a-z0-9.-]{1,253}", domain)
    assert names.normal_domain(domain, wildcard=True) == domain


def test_default_names() -> None:
    """``*.x`` has no file name of its own."""
    assert names.default_name("example.jp") == "example.jp"
    assert names.default_name("*.example.jp") == "_wildcard.example.jp"


@pytest.mark.parametrize("name", ["", ".", "..", ".a", "-a", "a/b", "A", "a b", "é", "a" * 101, "a\n", "*.a"])
def test_what_cannot_be_a_name(name: str) -> None:
    """A name is one path component: never hidden, an option, or a way upwards."""
    with pytest.raises(ValueError, match="cannot be a name"):
        names.check_name(name)


@given(st.from_regex(names.NAME, fullmatch=True).filter(lambda name: not name.endswith("\n")))
def test_names_are_safe_path_components(name: str) -> None:
    """Whatever matches stays in its directory."""
    assert names.check_name(name) == name
    assert "/" not in name
    assert name not in (".", "..")
