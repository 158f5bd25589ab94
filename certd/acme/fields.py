"""Typed reading of one JSON object that somebody else wrote: each getter returns a safe value or says what is wrong."""

from __future__ import annotations

import ipaddress
import re
from typing import Any
from urllib.parse import urlsplit

import msgspec

from certd.errors import InsecureUrl, ProtocolError
from certd.text import printable

MAX_URL = 2048
MAX_TEXT = 8192
MAX_WORD = 64

# RFC 8555 section 8.3: base64url without padding, at least 128 bits of entropy. Six bits a character make that 22
# characters. The upper end is certd's own: no file name is longer.
_TOKEN = re.compile(r"[A-Za-z0-9_-]{22,256}", re.ASCII)
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_URL = re.compile(r"[\x21-\x7e]+")


def is_token(text: str) -> bool:
    """Whether `text` may be a challenge token (RFC 8555 section 8.3); only then may it become a file name."""
    return _TOKEN.fullmatch(text) is not None


def is_hostname(text: str) -> bool:
    """Whether `text` is a lower-case DNS name of letters, digits, dashes and underscores, without a last dot."""
    return len(text) <= 253 and all(_LABEL.fullmatch(label) for label in text.split("."))


def is_ip_address(text: str) -> bool:
    """Whether `text` is an IPv4 or IPv6 address in text form (RFC 8738 section 3), without a zone."""
    try:
        return "%" not in text and bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def https_url(text: str, what: str) -> str:
    """`text` if it is an absolute https URL with a host. Raises ProtocolError, InsecureUrl (RFC 8555 section 6.1)."""
    try:
        parts = urlsplit(text)
        usable = bool(parts.scheme and parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or len(text) > MAX_URL or not _URL.fullmatch(text) or "@" in parts.netloc:
        raise ProtocolError(f"{what}: the CA sent something that is no usable URL: {printable(text, 200)}")
    if parts.scheme.lower() != "https":
        raise InsecureUrl(
            f"{what}: the CA sent a URL that is not https, which RFC 8555 forbids: {printable(text, 200)}"
        )
    return text


class Fields:
    """The fields of one JSON object; `what` names the object in errors. JSON null counts as absent."""

    def __init__(self, values: dict[str, Any], what: str) -> None:
        self._values = values
        self.what = what

    @classmethod
    def from_json(cls, body: bytes, what: str) -> Fields:
        """Raises ProtocolError unless `body` is one JSON object."""
        try:
            values = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            start = printable(body[:200].decode("utf-8", "replace"), 80)
            raise ProtocolError(f"{what}: the CA's answer is not JSON; it is {len(body)} bytes: {start}") from error
        if not isinstance(values, dict):
            raise ProtocolError(f"{what}: the CA's answer is JSON, but not an object")
        return cls(values, what)

    def value(self, name: str) -> Any:
        """Whatever is there, unchecked; None where it is absent."""
        return self._values.get(name)

    def text(self, name: str) -> str | None:
        """A string of any content, or None."""
        value = self._values.get(name)
        if value is None:
            return None
        if not isinstance(value, str) or len(value) > MAX_TEXT:
            raise self._wrong(name, f"must be a string of at most {MAX_TEXT} characters")
        return value

    def word(self, name: str, *, limit: int = MAX_WORD) -> str:
        """A required short printable string: a status, a type, a name."""
        value = self.text(name)
        if value is None:
            raise self._wrong(name, "is missing")
        if not 0 < len(value) <= limit or not value.isprintable():
            raise self._wrong(name, f"must be 1 to {limit} printable characters")
        return value

    def url(self, name: str) -> str | None:
        """An https URL, or None. Raises ProtocolError, InsecureUrl."""
        value = self.text(name)
        return None if value is None else https_url(value, f"{self.what}: {name}")

    def required_url(self, name: str) -> str:
        """An https URL. Raises ProtocolError, InsecureUrl."""
        value = self.url(name)
        if value is None:
            raise self._wrong(name, "is missing")
        return value

    def token(self, name: str) -> str:
        """A challenge token (RFC 8555 section 8.3)."""
        value = self.text(name)
        if value is None:
            raise self._wrong(name, "is missing")
        if not is_token(value):
            raise self._wrong(name, "must be 22 to 256 characters of base64url (RFC 8555 section 8.3)")
        return value

    def boolean(self, name: str) -> bool:
        """True or False; absent is False."""
        value = self._values.get(name)
        if value is None:
            return False
        if not isinstance(value, bool):
            raise self._wrong(name, "must be true or false")
        return value

    def texts(self, name: str, limit: int) -> list[str]:
        """A list of strings; absent is empty."""
        values = self._list(name, limit)
        if not all(isinstance(value, str) and len(value) <= MAX_TEXT for value in values):
            raise self._wrong(name, "must hold strings only")
        return values

    def object(self, name: str) -> Fields | None:
        """An object, or None."""
        value = self._values.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self._wrong(name, "must be an object")
        return Fields(value, f"{self.what}: {name}")

    def required_object(self, name: str) -> Fields:
        """An object."""
        value = self.object(name)
        if value is None:
            raise self._wrong(name, "is missing")
        return value

    def objects(self, name: str, limit: int) -> list[Fields]:
        """A required list of objects."""
        if self._values.get(name) is None:
            raise self._wrong(name, "is missing")
        values = self._list(name, limit)
        if not all(isinstance(value, dict) for value in values):
            raise self._wrong(name, "must hold objects only")
        return [Fields(value, f"{self.what}: {name}[{index}]") for index, value in enumerate(values)]

    def _list(self, name: str, limit: int) -> list[Any]:
        value = self._values.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or len(value) > limit:
            raise self._wrong(name, f"must be a list of at most {limit} entries")
        return value

    def _wrong(self, name: str, why: str) -> ProtocolError:
        return ProtocolError(f"{self.what}: the CA's `{name}` {why}")
