"""certd.config.values"""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certd.config import values
from certd.model.specs import Address

_SECONDS = st.integers(min_value=0, max_value=999_999)


@given(_SECONDS, st.sampled_from([1, 60, 3600, 86400]))
def test_a_duration_survives_being_written_and_read(number: int, unit: int) -> None:
    """Whatever a whole number and a unit can say is written so that it reads as the same duration."""
    duration = timedelta(seconds=number * unit)
    assert values.parse_duration(values.format_duration(duration)) == duration


@given(st.text(max_size=8))
def test_text_is_a_duration_or_a_value_error(text: str) -> None:
    """No text gives another exception, and what is accepted is a number and one unit."""
    try:
        values.parse_duration(text)
    except ValueError:
        return
    assert text[:-1].isascii()
    assert text[:-1].isdigit()
    assert text[-1] in "smhd"


@pytest.mark.parametrize(
    ("text", "duration"),
    [("90s", timedelta(seconds=90)), ("10m", timedelta(minutes=10)), ("1h", timedelta(hours=1)), ("0s", timedelta(0))],
)
def test_durations(text: str, duration: timedelta) -> None:
    """The forms of the contract."""
    assert values.parse_duration(text) == duration


@pytest.mark.parametrize(
    "text", ["", "10", "m", "1.5h", "-1h", "1h30m", "10 m", "10M", "1w", "1234567s", "10m\n", "١٠m"]
)
def test_what_is_no_duration(text: str) -> None:
    """One ASCII number and one unit, nothing else."""
    with pytest.raises(ValueError, match="is not a duration such as"):
        values.parse_duration(text)


def test_a_duration_out_of_range_names_the_range() -> None:
    """The operator reads what is allowed."""
    with pytest.raises(ValueError, match="2d is out of range; 0s to 1d is allowed"):
        values.duration_within("2d", timedelta(0), timedelta(days=1))


@given(st.fractions(min_value=Fraction(1, 9999), max_value=Fraction(9998, 9999), max_denominator=9999))
def test_a_fraction_survives_being_written_and_read(fraction: Fraction) -> None:
    """``1/3`` is exactly a third."""
    assert values.parse_fraction(str(fraction)) == fraction


@pytest.mark.parametrize("text", ["", "1", "0.5", "0/3", "3/3", "4/3", "1/0", "-1/3", "1/3 ", "1//3", "1/99999"])
def test_what_is_no_fraction(text: str) -> None:
    """Above 0 and below 1, in whole numbers."""
    with pytest.raises(ValueError, match="fraction"):
        values.parse_fraction(text)


def test_rates() -> None:
    """So many per so long."""
    assert values.parse_rate("300/3h") == (300, timedelta(hours=3))
    for text in ("300", "300/h", "0/3h", "300/0s", "/3h", "1/3"):
        with pytest.raises(ValueError):
            values.parse_rate(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:443", Address("127.0.0.1", 443)),
        ("[::1]:8443", Address("::1", 8443)),
        ("WWW.example.jp:65535", Address("www.example.jp", 65535)),
        ("localhost:1", Address("localhost", 1)),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    """Host and port, and the text of the address reads as the same address."""
    assert values.parse_address(text) == address
    assert values.parse_address(str(address)) == address


@pytest.mark.parametrize("text", ["", "443", "127.0.0.1", "host:", "host:0", "host:65536", "::1:443", "[::1]", "a b:1"])
def test_what_is_no_address(text: str) -> None:
    """A port is always said, and IPv6 is in brackets."""
    with pytest.raises(ValueError):
        values.parse_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "http://ca.example/dir",
        "ca.example/dir",
        "https://",
        "https:///dir",
        "https://user:pw@ca.example/dir",
        "https://ca.example/dir#x",
        "https://ca.example/a b",
        "https://ca.example:99999/",
        "ftp://ca.example/",
        "https://[::1/",
    ],
)
def test_a_directory_is_an_https_url(text: str) -> None:
    """Plain http is never allowed, nor what does not belong into such a URL."""
    with pytest.raises(ValueError) as caught:
        values.https_url(text)
    assert "pw" not in str(caught.value)


def test_https_urls_are_kept_as_they_are() -> None:
    """The CA's papers decide about the spelling."""
    assert values.https_url("https://CA.example:8443/DV/getDirectory?x=1").startswith("https://CA.example")


@pytest.mark.parametrize(
    "text",
    [
        "socks5://u:pw@p:1",
        "proxy:3128",
        "http://",
        "http://user:pw@",
        "http://user:pw\u2100@proxy:3128",
        "http://user:pw@[proxy:3128",
        "http://user:pw@proxy:0",
        "http://user:pw x@proxy:3128",
    ],
)
def test_a_wrong_proxy_is_not_repeated(text: str) -> None:
    """It may hold a password."""
    with pytest.raises(ValueError) as caught:
        values.proxy_url(text)
    assert "pw" not in str(caught.value)


def test_a_proxy_over_tls_is_refused_at_once() -> None:
    """The exchanger cannot use one; the configuration must not promise it."""
    assert values.proxy_url("http://user:pw@proxy.example.jp:3128") == "http://user:pw@proxy.example.jp:3128"
    with pytest.raises(ValueError, match="by http only") as caught:
        values.proxy_url("https://user:pw@proxy.example.jp:3128")
    assert "pw" not in str(caught.value)


def test_email_addresses() -> None:
    """``mailto:`` is stripped; header fields, lists and names are no address."""
    assert values.email("mailto:Ops+acme@Example.JP") == "Ops+acme@example.jp"
    for text in ("ops", "@example.jp", "ops@", "a@b@c.jp", "Ops <ops@example.jp>", "ops@example.jp?cc=x", "a..b@c.jp"):
        with pytest.raises(ValueError, match="is not an e-mail address"):
            values.email(text)
