"""A real OCSP responder on loopback (RFC 6960, RFC 5019) for Pebble's certificates, with settable ways to misbehave."""

from __future__ import annotations

import base64
import binascii
import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol
from urllib.parse import unquote

import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509 import ocsp

from parts.pebble import CertificateStatus
from parts.ports import LOOPBACK, free_port

MAX_REQUEST = 64 * 1024


class Issuer(Protocol):
    """Whose certificates are answered for: `Pebble` is one."""

    @property
    def intermediate(self) -> x509.Certificate: ...

    @property
    def intermediate_key(self) -> CertificateIssuerPrivateKeyTypes: ...

    def status_of(self, serial: int) -> CertificateStatus | None: ...


class Behaviour(Enum):
    """What the responder does with a request."""

    HONEST = "what the CA knows, after the lag"
    UNKNOWN = "unknown for everything"
    REVOKED = "revoked for everything that was issued"
    TRY_LATER = "the error tryLater"
    GARBAGE = "200 with bytes that are no OCSP response"
    FORGED = "what the CA knows, with a signature that does not verify"
    SILENT = "the connection is accepted and nothing is said"
    REFUSING = "nobody listens on the port"


@dataclass(frozen=True)
class Asked:
    """One request: its method, the serial asked for (None: not parseable), and what was answered."""

    method: str
    serial: str | None
    answer: str


class Responder:
    """An OCSP responder; `start` it, name its `url` to Pebble, set `issuer`.

    `lag`: a certificate is unknown until its notBefore is that long ago, by `now` (which a test may replace by its own
    clock, and which dates the answers). `special` overrides the behaviour for single serials (lower-case hex).
    """

    def __init__(self, *, lag: timedelta = timedelta(0)) -> None:
        self.port = free_port()
        self.url = f"http://{LOOPBACK}:{self.port}"
        self.issuer: Issuer | None = None
        self.lag = lag
        self.validity = timedelta(days=4)
        """Distance of nextUpdate from thisUpdate."""
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.special: dict[str, Behaviour] = {}
        self.asked: list[Asked] = []
        self._behaviour = Behaviour.HONEST
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self._released = threading.Event()

    # --- its life

    def start(self) -> None:
        if self._server is None:
            self._released.clear()
            self._server = ThreadingHTTPServer((LOOPBACK, self.port), self._handler())
            self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Release whoever is kept waiting, and close the port."""
        self._released.set()
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
        self._server = self._thread = None

    @property
    def behaviour(self) -> Behaviour:
        return self._behaviour

    @behaviour.setter
    def behaviour(self, behaviour: Behaviour) -> None:
        """Takes effect at once; whoever was kept waiting by SILENT is disconnected."""
        was, self._behaviour = self._behaviour, behaviour
        if behaviour is Behaviour.REFUSING or was is Behaviour.SILENT:
            self.stop()
        if behaviour is not Behaviour.REFUSING:
            self.start()

    def count(self, serial: str | None = None) -> int:
        """How many requests came, all or those for one serial."""
        return sum(1 for asked in self.asked if serial in (None, asked.serial))

    # --- its answers

    def respond(self, method: str, der: bytes) -> bytes | None:
        """The answer to an encoded request, or None for silence."""
        try:
            request = ocsp.load_der_ocsp_request(der)
        except ValueError:
            return self._note(method, None, "malformed", _error(ocsp.OCSPResponseStatus.MALFORMED_REQUEST))
        serial = f"{request.serial_number:x}"
        behaviour = self.special.get(serial, self._behaviour)
        if behaviour is Behaviour.SILENT:
            return self._note(method, serial, "silence", None)
        if behaviour is Behaviour.GARBAGE:
            return self._note(method, serial, "garbage", b"<html>It works!</html>")
        if behaviour is Behaviour.TRY_LATER or self.issuer is None:
            return self._note(method, serial, "tryLater", _error(ocsp.OCSPResponseStatus.TRY_LATER))
        try:
            word, answer = self._signed(self.issuer, request, behaviour)
        except requests.RequestException:
            return self._note(method, serial, "internalError", _error(ocsp.OCSPResponseStatus.INTERNAL_ERROR))
        return self._note(method, serial, word, answer)

    def _signed(self, issuer: Issuer, request: ocsp.OCSPRequest, behaviour: Behaviour) -> tuple[str, bytes]:
        authority = issuer.intermediate
        if request.issuer_key_hash != _key_hash(authority, request.hash_algorithm):
            return "unauthorized", _error(ocsp.OCSPResponseStatus.UNAUTHORIZED)
        status = self._status(issuer.status_of(request.serial_number), behaviour)
        revoked = status is ocsp.OCSPCertStatus.REVOKED
        now = self.now()
        builder = ocsp.OCSPResponseBuilder().add_response_by_hash(
            issuer_name_hash=request.issuer_name_hash,
            issuer_key_hash=request.issuer_key_hash,
            serial_number=request.serial_number,
            algorithm=request.hash_algorithm,
            cert_status=status,
            this_update=now - timedelta(minutes=1),
            next_update=now + self.validity,
            revocation_time=now - timedelta(minutes=5) if revoked else None,
            revocation_reason=x509.ReasonFlags.key_compromise if revoked else None,
        )
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, authority)
        for extension in request.extensions:
            if isinstance(extension.value, x509.OCSPNonce):
                builder = builder.add_extension(extension.value, critical=False)
        response = builder.sign(issuer.intermediate_key, hashes.SHA256())
        der = response.public_bytes(serialization.Encoding.DER)
        if behaviour is Behaviour.FORGED:
            # Without certificates in the response its last byte is the signature's.
            der = der[:-1] + bytes([der[-1] ^ 1])
        return status.name.lower(), der

    def _status(self, known: CertificateStatus | None, behaviour: Behaviour) -> ocsp.OCSPCertStatus:
        if known is None or behaviour is Behaviour.UNKNOWN:
            return ocsp.OCSPCertStatus.UNKNOWN
        if behaviour is Behaviour.REVOKED:
            return ocsp.OCSPCertStatus.REVOKED
        if self.now() < known.certificate.not_valid_before_utc + self.lag:
            return ocsp.OCSPCertStatus.UNKNOWN
        return ocsp.OCSPCertStatus.REVOKED if known.revoked else ocsp.OCSPCertStatus.GOOD

    def _note(self, method: str, serial: str | None, word: str, answer: bytes | None) -> bytes | None:
        self.asked.append(Asked(method, serial, word))
        return answer

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        responder, released = self, self._released

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_GET(self) -> None:
                # RFC 6960 appendix A.1: the request is base64, then URL-encoded, in the path.
                try:
                    self._answer(base64.b64decode(unquote(self.path.lstrip("/"))))
                except binascii.Error:
                    self.send_error(400)

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                if length > MAX_REQUEST or self.headers.get("Content-Type") != "application/ocsp-request":
                    self.send_error(400)
                else:
                    self._answer(self.rfile.read(length))

            def _answer(self, der: bytes) -> None:
                answer = responder.respond(self.command, der)
                if answer is None:
                    released.wait()
                    return
                # Whoever asked may have been killed meanwhile.
                with contextlib.suppress(ConnectionError):
                    self.send_response(200)
                    self.send_header("Content-Type", "application/ocsp-response")
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:
                """The requests are in `asked`."""

        return Handler


def _error(status: ocsp.OCSPResponseStatus) -> bytes:
    return ocsp.OCSPResponseBuilder.build_unsuccessful(status).public_bytes(serialization.Encoding.DER)


def _key_hash(certificate: x509.Certificate, algorithm: hashes.HashAlgorithm) -> bytes:
    """issuerKeyHash (RFC 6960 section 4.1.1): over the key's bits, without their algorithm and length."""
    if isinstance(algorithm, hashes.SHA1):
        return x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest
    probe = ocsp.OCSPRequestBuilder().add_certificate(certificate, certificate, algorithm).build()
    return probe.issuer_key_hash
