"""Durations, fractions, rates, addresses and URLs: text to values. Pure; every function raises ValueError only."""

from __future__ import annotations

import ipaddress
import re
from datetime import timedelta
from fractions import Fraction
from urllib.parse import SplitResult, urlsplit

from certd.config.names import normal_domain
from certd.config.problems import shown
from certd.model.specs import Address

DURATION = r"^[0-9]{1,6}[smhd]$"
FRACTION = r"^[0-9]{1,4}/[0-9]{1,4}$"
RATE = r"^[0-9]{1,6}/[0-9]{1,6}[smhd]$"

_UNITS = {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


def parse_duration(text: str) -> timedelta:
    """A whole number and one unit: ``90s``, ``10m``, ``1h``, ``30d``."""
    if re.fullmatch(DURATION, text, re.ASCII) is None:
        raise ValueError(f"{shown(text)} is not a duration such as 90s, 10m, 1h or 30d")
    return int(text[:-1]) * _UNITS[text[-1]]


def format_duration(duration: timedelta) -> str:
    """The shortest text that `parse_duration` reads as this duration of whole seconds."""
    for unit in "dhm":
        if duration and duration % _UNITS[unit] == timedelta(0):
            return f"{duration // _UNITS[unit]}{unit}"
    return f"{duration // _UNITS['s']}s"


def duration_within(text: str, low: timedelta, high: timedelta) -> timedelta:
    """The duration, if it lies between `low` and `high`, both included."""
    duration = parse_duration(text)
    if not low <= duration <= high:
        raise ValueError(f"{text} is out of range; {format_duration(low)} to {format_duration(high)} is allowed")
    return duration


def parse_fraction(text: str) -> Fraction:
    """A fraction such as ``1/3``, above 0 and below 1."""
    if re.fullmatch(FRACTION, text, re.ASCII) is None:
        raise ValueError(f"{shown(text)} is not a fraction such as 1/3")
    numerator, denominator = map(int, text.split("/"))
    if not 0 < numerator < denominator:
        raise ValueError(f"{text} is out of range; a fraction above 0 and below 1 is allowed, such as 1/3")
    return Fraction(numerator, denominator)


def parse_rate(text: str) -> tuple[int, timedelta]:
    """So many per so long: ``300/3h``; at least one, and a time above zero."""
    if re.fullmatch(RATE, text, re.ASCII) is None:
        raise ValueError(f"{shown(text)} is not a rate such as 300/3h")
    count, per = text.split("/")
    if int(count) == 0:
        raise ValueError(f"{text} would allow nothing; at least 1 is needed")
    return int(count), duration_within(per, timedelta(seconds=1), timedelta(days=365))


def parse_address(text: str) -> Address:
    """``host:port``; an IPv6 address is in brackets: ``[::1]:443``."""
    host, colon, port = text.rpartition(":")
    if not colon or re.fullmatch(r"[0-9]{1,5}", port, re.ASCII) is None or not 1 <= int(port) <= 65535:
        raise ValueError(f"{shown(text)} is not an address such as 127.0.0.1:443 or [::1]:443")
    if host.startswith("[") and host.endswith("]"):
        return Address(str(ipaddress.IPv6Address(host[1:-1])), int(port))
    if ":" in host:
        raise ValueError(f"{shown(text)}: an IPv6 address goes into brackets, such as [::1]:443")
    try:
        return Address(str(ipaddress.IPv4Address(host)), int(port))
    except ValueError:
        return Address(normal_domain(host), int(port))


def https_url(text: str) -> str:
    """The URL as it is, if it is https with a host and nothing that does not belong into a directory's URL."""
    parts = urlsplit(text)
    if parts.scheme != "https":
        raise ValueError(f"{shown(text)} is not an https URL; certd speaks to CAs by https only")
    _check_host(text)
    if parts.fragment or " " in text or not text.isascii():
        raise ValueError(f"{shown(text)} is not a URL: no spaces, no fragment, ASCII only")
    return text


def webhook_url(text: str) -> str:
    """The URL as it is, if it is https, or http on the loopback. The text is not repeated: it may hold a token."""
    parts = _split_unseen(text)
    if parts.scheme not in ("https", "http"):
        raise ValueError("not an https URL such as https://hooks.example.jp/certd")
    if not parts.hostname or "@" in parts.netloc or parts.fragment:
        raise ValueError("not a URL for a webhook: it names a host, no user and no fragment")
    _port(text)
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise ValueError("http is allowed on the loopback only (127.0.0.1, ::1, localhost); use https")
    return text


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def proxy_url(text: str) -> str:
    """The proxy as it is, if it is http with a host. The text is not repeated: it may hold a password."""
    parts = _split_unseen(text)
    if parts.scheme == "https":
        raise ValueError("proxies are spoken to by http only, such as http://proxy.example.jp:3128")
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError("not a proxy such as http://proxy.example.jp:3128")
    _port(text)
    return text


def _split_unseen(text: str) -> SplitResult:
    """The parts of a URL that may hold a secret: what urlsplit says of a wrong one would repeat it."""
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("not a URL: no spaces, ASCII only")
    try:
        return urlsplit(text)
    except ValueError:
        raise ValueError("not a URL") from None


def email(text: str) -> str:
    """The address without ``mailto:`` (RFC 8555 section 7.3: one plain address, no header fields)."""
    address = text.removeprefix("mailto:")
    local, at, domain = address.rpartition("@")
    if not at or not re.fullmatch(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}", local) or _undotted(local):
        raise ValueError(f"{shown(text)} is not an e-mail address such as ops@example.jp")
    try:
        return f"{local}@{normal_domain(domain)}"
    except ValueError as error:
        raise ValueError(f"{shown(text)} is not an e-mail address such as ops@example.jp: {error}") from None


def _undotted(local: str) -> bool:
    return local.startswith(".") or local.endswith(".") or ".." in local


def _check_host(text: str) -> None:
    parts = urlsplit(text)
    if not parts.hostname:
        raise ValueError(f"{shown(text)} names no host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("user name and password do not belong into this URL")
    _port(text)


def _port(text: str) -> None:
    try:
        port = urlsplit(text).port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError("the port of the URL is not a number from 1 to 65535")
