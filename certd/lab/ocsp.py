"""The lab's OCSP responder (RFC 6960): it knows a certificate only some time after its issuance, as at JPRS."""

from __future__ import annotations

import base64
import binascii
import threading
from datetime import datetime, timedelta
from urllib.parse import unquote

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from certd.lab.authority import Authority
from certd.lab.faults import Faults
from certd.lab.objects import Issued, Records
from certd.lab.options import Clock, LabOptions
from certd.lab.web import Reply, Request

PATH = "/ocsp"
VALID_FOR = timedelta(days=7)
RESPONSE_TYPE = "application/ocsp-response"


class Responder:
    """Answers GET and POST below `PATH`: `unknown` until the lag is over, then `good` or `revoked`."""

    def __init__(
        self, records: Records, authority: Authority, options: LabOptions, faults: Faults, clock: Clock
    ) -> None:
        self._records = records
        self._authority = authority
        self._options = options
        self._faults = faults
        self._clock = clock
        self.leaving = threading.Event()
        """Set: delayed requests are dropped."""

    def handle(self, request: Request) -> Reply | None:
        """RFC 6960 appendix A.1."""
        der = _request_der(request)
        asked = _load(der)
        issued = self._records.by_serial.get(f"{asked.serial_number:x}") if asked is not None else None
        fault = self._faults.take("ocsp", issued.names if issued is not None else ())
        if fault is not None:
            if self.leaving.wait(fault.delay) or fault.lose:
                return None
            if fault.answer is not None:
                return fault.answer
            if fault.problem is not None:
                return Reply(fault.problem.status, fault.problem.detail.encode(), "text/plain", fault.problem.headers)
        if der is None:
            return Reply(404)
        return Reply(200, self._respond(asked, issued), RESPONSE_TYPE)

    def _respond(self, asked: ocsp.OCSPRequest | None, issued: Issued | None) -> bytes:
        if asked is None:
            return _unsuccessful(ocsp.OCSPResponseStatus.MALFORMED_REQUEST)
        if issued is None or not self._is_issuer(asked, issued):
            return _unsuccessful(ocsp.OCSPResponseStatus.UNAUTHORIZED)
        now = self._clock()
        status = self._status(issued, now)
        revoked = status is ocsp.OCSPCertStatus.REVOKED
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=issued.certificate,
            issuer=self._authority.issuer,
            algorithm=asked.hash_algorithm,
            cert_status=status,
            this_update=now.replace(microsecond=0),
            next_update=now.replace(microsecond=0) + VALID_FOR,
            revocation_time=issued.revoked_at if revoked else None,
            revocation_reason=issued.reason if revoked else None,
        )
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, self._authority.responder)
        builder = builder.certificates([self._authority.responder])
        for extension in asked.extensions:
            if isinstance(extension.value, x509.OCSPNonce):
                builder = builder.add_extension(extension.value, critical=False)
        return builder.sign(self._authority.responder_key, hashes.SHA256()).public_bytes(Encoding.DER)

    def _status(self, issued: Issued, now: datetime) -> ocsp.OCSPCertStatus:
        if issued.revoked_at is not None:
            return ocsp.OCSPCertStatus.REVOKED
        if now < issued.at + self._options.ocsp_lag:
            return ocsp.OCSPCertStatus.UNKNOWN
        return ocsp.OCSPCertStatus.GOOD

    def _is_issuer(self, asked: ocsp.OCSPRequest, issued: Issued) -> bool:
        """RFC 6960 section 4.1.1: a certificate is named by its issuer's name and key besides its serial."""
        builder = ocsp.OCSPRequestBuilder()
        right = builder.add_certificate(issued.certificate, self._authority.issuer, asked.hash_algorithm).build()
        return (right.issuer_name_hash, right.issuer_key_hash) == (asked.issuer_name_hash, asked.issuer_key_hash)


def _request_der(request: Request) -> bytes | None:
    """The request's DER, or None when the path or the method is not the responder's."""
    if request.method == "POST" and request.path.rstrip("/") == PATH:
        return request.body
    if request.method == "GET" and request.path.startswith(f"{PATH}/"):
        try:
            return base64.b64decode(unquote(request.path.removeprefix(f"{PATH}/")), validate=True)
        except (binascii.Error, ValueError):
            return b""
    return None


def _load(der: bytes | None) -> ocsp.OCSPRequest | None:
    try:
        return ocsp.load_der_ocsp_request(der) if der is not None else None
    except (ValueError, NotImplementedError):
        return None


def _unsuccessful(status: ocsp.OCSPResponseStatus) -> bytes:
    return ocsp.OCSPResponseBuilder.build_unsuccessful(status).public_bytes(Encoding.DER)
