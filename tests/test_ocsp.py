"""Only an answer that proves something counts; everything else is a delay with a reason."""

from __future__ import annotations

import base64
import socket
from collections.abc import Callable, Iterator
from datetime import timedelta
from urllib.parse import unquote

import pytest
from authority import (
    DAY,
    NOW,
    SERVER_AUTH,
    Authority,
    Identity,
    ocsp_failure,
    ocsp_response,
)
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509 import ocsp
from hypothesis import given
from hypothesis import strategies as st
from peers import answer, peer, read_request, replying

from certd.errors import OcspError, OcspInvalid, OcspUnreachable
from certd.http import Exchanger
from certd.model.records import OcspCheck, OcspWord
from certd.ocsp import LIMIT, MAX_AGE, SKEW, Method, ask, build_request, get_url, read_response

AUTHORITY = Authority()
ISSUER = AUTHORITY.intermediate
LEAF = AUTHORITY.leaf("example.jp")
SECOND = timedelta(seconds=1)
Status, Failure = ocsp.OCSPCertStatus, ocsp.OCSPResponseStatus


def _read(der: bytes, leaf: Identity = LEAF, issuer: Identity = ISSUER) -> OcspCheck:
    return read_response(der, leaf.certificate, issuer.certificate, NOW)


# --- words ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "word"),
    [(Status.GOOD, OcspWord.GOOD), (Status.UNKNOWN, OcspWord.UNKNOWN), (Status.REVOKED, OcspWord.REVOKED)],
)
@pytest.mark.parametrize("by_name", [False, True])
def test_the_issuers_word(status: ocsp.OCSPCertStatus, word: OcspWord, by_name: bool) -> None:
    """Signed by the issuer itself, which names itself by key or by name."""
    check = _read(ocsp_response(LEAF, ISSUER, status=status, by_name=by_name))
    assert check.word is word
    assert check.asked_at == NOW
    assert check.text == f"{word}, as of 2026-11-23T11:00:00Z"


@pytest.mark.parametrize("by_name", [False, True])
def test_a_delegates_word(by_name: bool) -> None:
    """Signed by a responder whose certificate the issuer made for that."""
    delegate = AUTHORITY.delegate()
    der = ocsp_response(LEAF, ISSUER, signer=delegate, certificates=[ISSUER, delegate], by_name=by_name)
    assert _read(der).word is OcspWord.GOOD


@pytest.mark.parametrize("algorithm", [hashes.SHA1(), hashes.SHA256(), hashes.SHA384()])
def test_the_responders_choice_of_hash(algorithm: hashes.HashAlgorithm) -> None:
    """The certificate is recognised by whatever hash the responder names it."""
    assert _read(ocsp_response(LEAF, ISSUER, certid_hash=algorithm)).word is OcspWord.GOOD


def test_an_rsa_issuer() -> None:
    """Both kinds of keys that public CAs use are verified."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    issuer = AUTHORITY.certify("rsa", issuer=AUTHORITY.root, names=(), ca=True, public_key=key.public_key())
    der = ocsp_response(LEAF, Identity(issuer.certificate, key))  # type: ignore[arg-type]
    assert read_response(der, LEAF.certificate, issuer.certificate, NOW).word is OcspWord.GOOD
    torn = bytearray(der)
    torn[-1] ^= 1
    with pytest.raises(OcspInvalid, match="does not verify"):
        read_response(bytes(torn), LEAF.certificate, issuer.certificate, NOW)


# --- forgeries --------------------------------------------------------------------------------------------------


def _delegated(**kwargs: object) -> bytes:
    delegate = AUTHORITY.delegate(**kwargs)
    return ocsp_response(LEAF, ISSUER, signer=delegate, certificates=[delegate])


def _forged() -> bytes:
    impostor = Authority()  # the same names, other keys
    return ocsp_response(LEAF, ISSUER, signer=impostor.intermediate, by_name=True)


def _by_a_stranger() -> bytes:
    stranger = Authority("stranger").intermediate
    return ocsp_response(LEAF, ISSUER, signer=stranger, certificates=[stranger])


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_forged, "does not verify"),
        (_by_a_stranger, "not from the issuer"),
        (lambda: ocsp_response(LEAF, ISSUER, signer=AUTHORITY.delegate()), "somebody else"),
        (lambda: ocsp_response(LEAF, ISSUER, signer=LEAF, certificates=[LEAF]), "not made for OCSP signing"),
        (lambda: _delegated(usages=None), "not made for OCSP signing"),
        (lambda: _delegated(usages=[SERVER_AUTH]), "not made for OCSP signing"),
        (lambda: _delegated(issuer=AUTHORITY.root), "not from the issuer"),
        (lambda: _delegated(issuer=None), "not from the issuer"),
        (lambda: _delegated(not_after=NOW - SECOND), "not valid now"),
        (lambda: _delegated(not_before=NOW + SKEW + SECOND), "not valid now"),
        (lambda: ocsp_response(AUTHORITY.leaf("other.jp"), ISSUER), "another certificate"),
        (lambda: ocsp_response(_twin(), AUTHORITY.root, signer=ISSUER), "another certificate"),
    ],
)
def test_forgeries(make: Callable[[], bytes], reason: str) -> None:
    """Wrong signers, delegates that are none, and answers about something else prove nothing."""
    with pytest.raises(OcspInvalid, match=reason):
        _read(make())


def _twin() -> Identity:
    """The leaf's serial number at another issuer."""
    serial = LEAF.certificate.serial_number
    return AUTHORITY.certify("twin", issuer=AUTHORITY.root, names=("example.jp",), serial=serial)


def test_an_unsound_signature_hash() -> None:
    """A signature by a hash that is too short proves nothing, whoever made it."""
    der = ocsp_response(LEAF, ISSUER)
    # Its algorithm identifier, inside and out: SEQUENCE {ecdsa-with-SHA256} becomes one of the same length.
    rewritten = der.replace(bytes.fromhex("06082a8648ce3d040302"), bytes.fromhex("06082a8648ce3d040301"))
    assert rewritten != der
    with pytest.raises(OcspInvalid, match="not accepted"):
        _read(rewritten)


# --- time -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("this_update", "next_update"),
    [
        (NOW + SKEW, NOW + DAY),
        (NOW - DAY, NOW),
        (NOW - MAX_AGE, None),
        (NOW, None),
        (NOW - 30 * DAY, NOW + SECOND),
    ],
)
def test_within_its_time(this_update: object, next_update: object) -> None:
    """The limits are inclusive; without nextUpdate an age is allowed."""
    der = ocsp_response(LEAF, ISSUER, this_update=this_update, next_update=next_update)  # type: ignore[arg-type]
    assert _read(der).word is OcspWord.GOOD


@pytest.mark.parametrize(
    ("this_update", "next_update", "reason"),
    [
        (NOW + SKEW + SECOND, NOW + DAY, "future"),
        (NOW - DAY, NOW - SECOND, "out of date since 2026-11-23T11:59:59Z"),
        (NOW - MAX_AGE - SECOND, None, "out of date"),
    ],
)
def test_outside_its_time(this_update: object, next_update: object, reason: str) -> None:
    """An answer from the past or the future proves nothing about now."""
    der = ocsp_response(LEAF, ISSUER, this_update=this_update, next_update=next_update)  # type: ignore[arg-type]
    with pytest.raises(OcspInvalid, match=reason):
        _read(der)


# --- errors of the responder ------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [Failure.TRY_LATER, Failure.INTERNAL_ERROR])
def test_a_responder_that_cannot_answer_now(status: ocsp.OCSPResponseStatus) -> None:
    """It may answer later."""
    with pytest.raises(OcspUnreachable):
        _read(ocsp_failure(status))


@pytest.mark.parametrize("status", [Failure.MALFORMED_REQUEST, Failure.SIG_REQUIRED])
def test_a_responder_that_refuses(status: ocsp.OCSPResponseStatus) -> None:
    """It will not answer this request, ever."""
    with pytest.raises(OcspInvalid):
        _read(ocsp_failure(status))


def test_unauthorized_is_unknown() -> None:
    """RFC 5019 section 2.2.3: how a lightweight responder says that it has no record yet."""
    check = _read(ocsp_failure(Failure.UNAUTHORIZED))
    assert check.word is OcspWord.UNKNOWN
    assert "no record" in check.text


# --- requests ---------------------------------------------------------------------------------------------------


def test_a_request() -> None:
    """It names the certificate by SHA-1, and carries neither nonce nor signature."""
    request = ocsp.load_der_ocsp_request(build_request(LEAF.certificate, ISSUER.certificate))
    assert request.serial_number == LEAF.certificate.serial_number
    assert isinstance(request.hash_algorithm, hashes.SHA1)
    assert list(request.extensions) == []


@given(st.binary(min_size=1, max_size=100), st.sampled_from(["http://ocsp.example", "http://ocsp.example/a/"]))
def test_a_get_url_carries_the_request(request: bytes, base: str) -> None:
    """One path segment below the responder's URL, which decodes to the request."""
    url = get_url(base, request)
    prefix, _, segment = url.rpartition("/")
    assert prefix == base.rstrip("/")
    assert base64.b64decode(unquote(segment)) == request


# --- the exchange -----------------------------------------------------------------------------------------------


@pytest.fixture
def exchanger(monkeypatch: pytest.MonkeyPatch) -> Iterator[Exchanger]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    made = Exchanger(require_https=False)
    yield made
    made.close()


def _ask(exchanger: Exchanger, url: str, method: Method = "POST") -> OcspCheck:
    return ask(exchanger, leaf_pem=LEAF.pem, issuer_pem=ISSUER.pem, url=url, method=method, now=NOW)


def test_ask_by_post_and_get(exchanger: Exchanger) -> None:
    """Both methods carry the same request and bring the same word."""
    seen: list[bytes] = []

    def handle(sock: socket.socket) -> None:
        while request := read_request(sock):
            seen.append(request)
            sock.sendall(answer(ocsp_response(LEAF, ISSUER)))

    with peer(handle) as server:
        assert _ask(exchanger, server.url("/ocsp/"), "POST").word is OcspWord.GOOD
        assert _ask(exchanger, server.url("/ocsp/"), "GET").word is OcspWord.GOOD
    wanted = build_request(LEAF.certificate, ISSUER.certificate)
    head, _, body = seen[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /ocsp/ HTTP/1.1")
    assert b"Content-Type: application/ocsp-request" in head
    assert body == wanted
    path = seen[1].split(b" ")[1].decode()
    assert path.startswith("/ocsp/")
    assert base64.b64decode(unquote(path.removeprefix("/ocsp/"))) == wanted


@pytest.mark.parametrize("status", ["404 Not Found", "503 Busy", "302 Found"])
def test_other_statuses(exchanger: Exchanger, status: str) -> None:
    """Anything but 200 is no answer."""
    with peer(replying(answer(b"x", status=status))) as server, pytest.raises(OcspUnreachable, match=status[:3]):
        _ask(exchanger, server.url())


def test_nobody_there(exchanger: Exchanger) -> None:
    """The exchange's own error is kept as the cause."""
    with pytest.raises(OcspUnreachable, match="cannot connect") as caught:
        _ask(exchanger, "http://127.0.0.1:1/")
    assert caught.value.__cause__ is not None


def test_too_long_an_answer(exchanger: Exchanger) -> None:
    """The cap is small."""
    with peer(replying(answer(b"x" * (LIMIT + 1)))) as server, pytest.raises(OcspUnreachable, match="bytes"):
        _ask(exchanger, server.url())


# --- hostile bytes ----------------------------------------------------------------------------------------------

_DELEGATE = AUTHORITY.delegate()
_GOOD = ocsp_response(LEAF, ISSUER, signer=_DELEGATE, certificates=[_DELEGATE])


@given(st.binary(max_size=200))
def test_garbage(der: bytes) -> None:
    """Bytes that are no response are OcspInvalid, and nothing else."""
    with pytest.raises(OcspError):
        _read(der)


@given(st.integers(0, len(_GOOD) - 1), st.integers(1, 255), st.binary(max_size=3))
@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
def test_no_mutation_is_believed(position: int, flip: int, more: bytes) -> None:
    """An answer with a byte changed is refused, or the change cannot matter: it never says more than before."""
    der = _GOOD[:position] + bytes([_GOOD[position] ^ flip]) + more + _GOOD[position + 1 :]
    try:
        check = _read(der)
    except OcspError as error:
        assert str(error).isprintable()
    else:
        # The bytes of the delegate's certificate outside its own signature, or an unsigned "unauthorized".
        assert check.word in (OcspWord.GOOD, OcspWord.UNKNOWN)
