"""HTTP/1.1 as far as a Unix socket for operators needs it (RFC 9112): one request, one answer, then the end.

Bytes in, requests out: nothing here touches a socket.
"""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

HEAD_LIMIT = 8 * 1024
BODY_LIMIT = 4 * 1024

_REQUEST_LINE = re.compile(rb"([A-Z]{1,16}) ([!-~]{1,2048}) HTTP/1\.[01]")


class Request(msgspec.Struct, frozen=True):
    """`path` is decoded, `query` holds the last value of each name."""

    method: str
    path: str
    query: dict[str, str] = {}


class Response(msgspec.Struct, frozen=True):
    status: int
    body: bytes
    content_type: str = "application/json"
    allow: str = ""
    """For 405: the methods that the path knows."""


class Rejected(Exception):
    """A request that cannot be answered otherwise; `response` is what to send."""

    def __init__(self, status: int, code: str, text: str, allow: str = "") -> None:
        super().__init__(text)
        self.response = error(status, code, text, allow)


def error(status: int, code: str, text: str, allow: str = "") -> Response:
    """The one form of all errors."""
    body = json.dumps({"error": {"code": code, "text": text}}, ensure_ascii=False).encode() + b"\n"
    return Response(status, body, allow=allow)


def parse_head(head: bytes) -> tuple[Request, int]:
    """The request of a complete head (without its empty line), and the length of the body to come.

    Raises:
        Rejected: it is no request that this server answers.
    """
    first, *lines = head.split(b"\r\n")
    match = _REQUEST_LINE.fullmatch(first)
    if match is None:
        raise Rejected(400, "bad-request", "This is no HTTP/1.1 request.")
    length = 0
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip():
            raise Rejected(400, "bad-request", "A header line is malformed.")
        match name.lower():
            case b"content-length":
                length = _length(value.strip())
            case b"transfer-encoding":
                raise Rejected(501, "not-implemented", "A body in chunks is not accepted; no body is needed.")
    return _request(match[1].decode("ascii"), match[2].decode("ascii")), length


def render(response: Response, *, body: bool = True) -> bytes:
    """The bytes to send. The connection ends with each answer, and says so."""
    phrase = HTTPStatus(response.status).phrase
    head = [
        f"HTTP/1.1 {response.status} {phrase}",
        f"Content-Type: {response.content_type}",
        f"Content-Length: {len(response.body)}",
        "Cache-Control: no-store",
        "Connection: close",
    ]
    if response.allow:
        head.append(f"Allow: {response.allow}")
    return "\r\n".join([*head, "", ""]).encode("ascii") + (response.body if body else b"")


def _length(value: bytes) -> int:
    # Digits only: int() would accept signs, blanks and underscores (RFC 9112 section 6.2).
    if not value.isdigit() or len(value) > 12:
        raise Rejected(400, "bad-request", "Content-Length is not a number.")
    if int(value) > BODY_LIMIT:
        raise Rejected(413, "too-large", "The body is too large; no body is needed.")
    return int(value)


def _request(method: str, target: str) -> Request:
    # A proxy may send the absolute form (RFC 9112 section 3.2.2); only path and query matter here.
    try:
        parts = urlsplit(target)
        path = unquote(parts.path, errors="strict")
        query = parse_qs(parts.query, keep_blank_values=True, max_num_fields=16)
    except ValueError:
        raise Rejected(400, "bad-request", "The request target is malformed.") from None
    if not path.startswith("/") or not path.isprintable():
        raise Rejected(400, "bad-request", "The request target is malformed.")
    return Request(method, path, {name: values[-1] for name, values in query.items()})
