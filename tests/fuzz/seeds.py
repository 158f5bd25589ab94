"""Honest input for every target: what changes begin with, be they guided by coverage or random."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from authority import NOW, Authority, ocsp_failure, ocsp_response
from cryptography.x509 import ocsp
from statedir import NAME, idle, issued, staged

from certd.model.alarms import AlarmRecord
from certd.model.records import AccountLedger as Ledger
from certd.model.records import DaemonRecord, KeyWritten, NoKey, Registered, Settled
from certd.store import recordfile

AUTHORITY = Authority()
LEAF = AUTHORITY.leaf(NAME, serial=4711, ocsp_url="http://ocsp.test/")
EXAMPLE = Path(__file__).parents[2] / "config.example.yaml"
_BASE = "https://ca.test/acme"
_URN = "urn:ietf:params:acme:error:"
_ERROR = {"type": f"{_URN}compound", "detail": "two", "subproblems": [{"type": f"{_URN}dns", "detail": "no A"}]}
_CHALLENGE = {"type": "http-01", "url": f"{_BASE}/c/1", "status": "invalid", "token": "t" * 43, "error": _ERROR}

OBJECTS: tuple[Any, ...] = (
    {
        **{name: f"{_BASE}/{name}" for name in ("newNonce", "newAccount", "newOrder", "revokeCert", "keyChange")},
        "meta": {"termsOfService": "https://ca.test/tos", "externalAccountRequired": True},
    },
    {"status": "valid", "contact": ["mailto:ops@example.jp"], "orders": f"{_BASE}/orders"},
    {
        "status": "valid",
        "expires": "2026-11-24T00:00:00.5+09:00",
        "identifiers": [{"type": "dns", "value": NAME}, {"type": "ip", "value": "2001:db8::1"}],
        "authorizations": [f"{_BASE}/a/1"],
        "finalize": f"{_BASE}/f/1",
        "certificate": f"{_BASE}/crt/1",
        "error": _ERROR,
    },
    {"identifier": {"type": "dns", "value": NAME}, "status": "pending", "challenges": [_CHALLENGE], "wildcard": False},
    _CHALLENGE,
    _ERROR,
    {"type": f"{_URN}rateLimited", "detail": "slow", "status": 429, "instance": "https://ca.test/why"},
    {"type": f"{_URN}badSignatureAlgorithm", "algorithms": ["RS256"], "title": "x"},
)

_JSON = b'{"status":"valid"}'
_ANSWERS = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 18\r\nRetry-After: 120\r\nReplay-Nonce: bm9uY2U\r\n\r\n" + _JSON,
    b"HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 12:00:00 GMT\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"9;a=b\r\n" + _JSON[:9] + b"\r\n9\r\n" + _JSON[9:] + b"\r\n0\r\nX-Trailer: y\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 429 Slow\r\nRetry-After: Mon, 23 Nov 2026 13:00:00 GMT\r\n\r\nlater",
    b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 204 None\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n",
)
_LINES = (
    b"rateLimited",
    b"order: the CA answered 400 malformed: Unable to accept order. certificate=a.jp step=poll",
    "失効 The FQDN is invalid: [www.example.jp]".encode(),
)
_HEADS = (
    b"GET /status HTTP/1.1\r\nHost: x",
    b"GET http://localhost/status/a.jp?lang=ja&x= HTTP/1.1\r\nAccept: */*",
    b"POST /renew/%65xample.jp?now=1 HTTP/1.0\r\nContent-Length: 3\r\nContent-Type: text/plain",
    b"HEAD /healthz HTTP/1.1\r\nTransfer-Encoding: chunked",
)
_YAML = (
    b"certificates:\n- &a {domains: [a.jp]}\n- <<: *a\n  name: b\n",
    b'state_dir: !!str "/x"\ninclude: conf.d/*.yaml\ncas: {}\n',
)


def _certificates() -> tuple[bytes, ...]:
    alone = AUTHORITY.leaf(NAME)
    return (
        AUTHORITY.chain(LEAF),
        alone.pem,
        LEAF.pem + AUTHORITY.intermediate.pem + AUTHORITY.root.pem,
        AUTHORITY.chain(LEAF).replace(b"\n", b"\r\n") + AUTHORITY.root.key_pem,
    )


def _statuses() -> tuple[bytes, ...]:
    issuer, delegate = AUTHORITY.intermediate, AUTHORITY.delegate()
    return (
        ocsp_response(LEAF, issuer),
        ocsp_response(LEAF, issuer, signer=delegate, certificates=[delegate], by_name=True, next_update=None),
        ocsp_response(LEAF, issuer, status=ocsp.OCSPCertStatus.REVOKED),
        ocsp_failure(ocsp.OCSPResponseStatus.TRY_LATER),
    )


def _records() -> tuple[bytes, ...]:
    account = "https://ca.test/account/1"
    records = (
        idle(3),
        staged(7, issued().leaf),
        Settled(wanted=3, confirmed=2),
        NoKey(),
        KeyWritten(_BASE, Ledger()),
        Registered(_BASE, account, NOW - timedelta(days=1), Ledger(limited=(("a.jp", NOW),))),
        DaemonRecord(NOW),
        AlarmRecord(),
    )
    return tuple(recordfile.encode(record) for record in records)


def seeds() -> dict[str, tuple[bytes, ...]]:
    """By target. The first byte of `messages` and `records` says which reader gets the rest."""
    objects = [json.dumps(value).encode() for value in OBJECTS]
    return {
        "messages": tuple(bytes([index % 256]) + text for index, text in enumerate(objects)),
        "queries": (*objects, *_LINES),
        "ocsp": _statuses(),
        "chain": _certificates(),
        "answers": _ANSWERS,
        "heads": _HEADS,
        "config": (*_YAML, EXAMPLE.read_bytes()),
        "records": tuple(bytes([kind]) + text for kind, text in zip((0, 0, 1, 2, 2, 2, 3, 4), _records(), strict=True)),
    }
