"""Ask an OCSP responder about one certificate and believe only what verifies (RFC 6960)."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Literal
from urllib.parse import quote

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from certd.errors import ExchangeError, OcspInvalid, OcspUnreachable
from certd.http import Answer, Exchanger
from certd.model.records import OcspCheck, OcspWord
from certd.pki.chain import parse_chain
from certd.pki.leaf import MALFORMED
from certd.text import printable

Method = Literal["POST", "GET"]

DEADLINE = timedelta(seconds=10)
LIMIT = 64 * 1024
"""Bytes of an answer; real ones have a few kilobytes at most."""
SKEW = timedelta(minutes=5)
"""How far the responder's clock may be ahead of this one."""
MAX_AGE = timedelta(days=7)
"""Of an answer without nextUpdate. RFC 6960 section 4.2.2.1 leaves it to the client."""
_SOUND_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
"""SHA-1 signatures can be forged, and no public CA may make them any more."""
_WORDS = {
    ocsp.OCSPCertStatus.GOOD: OcspWord.GOOD,
    ocsp.OCSPCertStatus.UNKNOWN: OcspWord.UNKNOWN,
    ocsp.OCSPCertStatus.REVOKED: OcspWord.REVOKED,
}


def ask(
    exchanger: Exchanger,
    *,
    leaf_pem: bytes,
    issuer_pem: bytes,
    url: str,
    method: Method,
    now: datetime,
    deadline: timedelta = DEADLINE,
) -> OcspCheck:
    """What the responder at `url` says of a leaf: good, unknown or revoked, asked at `now`.

    The exchanger must allow http: answers carry their own signature. Raises OcspUnreachable where there is no
    answer, OcspInvalid for one that proves nothing, PkiError for a PEM of ours that does not parse.
    """
    leaf, issuer = parse_chain(leaf_pem)[0], parse_chain(issuer_pem)[0]
    request = build_request(leaf, issuer)
    try:
        answer = _exchange(exchanger, url, request, method, deadline)
    except ExchangeError as error:
        raise OcspUnreachable(f"the OCSP responder cannot be reached: {error}") from error
    if answer.status != 200:
        raise OcspUnreachable(f"the OCSP responder at {printable(url, 100)} answered with HTTP status {answer.status}")
    return read_response(answer.body, leaf, issuer, now)


def build_request(leaf: x509.Certificate, issuer: x509.Certificate) -> bytes:
    """The request in DER, for one certificate, unsigned and without a nonce, so that GET answers can be cached.

    The certID is made with SHA-1: RFC 5019 section 2.1.1 demands it, every responder knows it, and some know nothing
    else. Nothing rests on its strength here: the hashes only name the issuer, which the signature then proves.
    """
    return _request(leaf, issuer, hashes.SHA1()).public_bytes(serialization.Encoding.DER)  # noqa: S303


def get_url(base: str, request: bytes) -> str:
    """The URL that carries a request by GET (RFC 6960 appendix A.1)."""
    return f"{base.removesuffix('/')}/{quote(base64.b64encode(request), safe='')}"


def read_response(der: bytes, leaf: x509.Certificate, issuer: x509.Certificate, now: datetime) -> OcspCheck:
    """Verify an answer as RFC 6960 section 3.2 demands and return its word; raises OcspInvalid or OcspUnreachable.

    The signature is the issuer's or that of a responder to which the issuer delegated, the answer is about this
    certificate, and `now` lies within its time.
    """
    try:
        response = ocsp.load_der_ocsp_response(der)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            return _unsuccessful(response.response_status, now)
        _check_signature(response, issuer, now)
        single = _select(response, leaf, issuer)
        _check_time(single, now)
        word = _WORDS[single.certificate_status]
        return OcspCheck(word, asked_at=now, text=f"{word}, as of {_stamp(single.this_update_utc)}")
    except MALFORMED:
        raise OcspInvalid("the responder's answer does not parse as an OCSP response") from None


def _exchange(exchanger: Exchanger, url: str, request: bytes, method: Method, deadline: timedelta) -> Answer:
    headers = {"Accept": "application/ocsp-response"}
    if method == "GET":
        return exchanger.send("GET", get_url(url, request), headers=headers, deadline=deadline, limit=LIMIT)
    headers["Content-Type"] = "application/ocsp-request"
    return exchanger.send("POST", url, headers=headers, body=request, deadline=deadline, limit=LIMIT)


def _request(leaf: x509.Certificate, issuer: x509.Certificate, algorithm: hashes.HashAlgorithm) -> ocsp.OCSPRequest:
    return ocsp.OCSPRequestBuilder().add_certificate(leaf, issuer, algorithm).build()


def _unsuccessful(status: ocsp.OCSPResponseStatus, now: datetime) -> OcspCheck:
    """What an unsigned error means (RFC 6960 section 2.3)."""
    if status is ocsp.OCSPResponseStatus.UNAUTHORIZED:
        # RFC 5019 section 2.2.3: the responder has no record of the certificate. Right after issuance this is how
        # responders that answer from prepared records say "unknown"; being unsigned, it can only delay.
        return OcspCheck(OcspWord.UNKNOWN, asked_at=now, text="the responder has no record of it yet (unauthorized)")
    if status in (ocsp.OCSPResponseStatus.TRY_LATER, ocsp.OCSPResponseStatus.INTERNAL_ERROR):
        raise OcspUnreachable(f"the OCSP responder cannot answer now ({status.name.lower().replace('_', ' ')})")
    raise OcspInvalid(f"the OCSP responder refuses the request ({status.name.lower().replace('_', ' ')})")


def _check_signature(response: ocsp.OCSPResponse, issuer: x509.Certificate, now: datetime) -> None:
    if not isinstance(response.signature_hash_algorithm, _SOUND_HASHES):
        raise OcspInvalid("the OCSP answer is signed with an algorithm that is not accepted")
    faults: list[str] = []
    for signer in _signers(response, issuer, now, faults):
        if _signed_by(response, signer):
            return
        faults.append("the signature does not verify")
    raise OcspInvalid(f"the OCSP answer is not signed by the issuer: {faults[0] if faults else 'by somebody else'}")


def _signers(
    response: ocsp.OCSPResponse, issuer: x509.Certificate, now: datetime, faults: list[str]
) -> Iterator[x509.Certificate]:
    """Who may have signed, out of those that the responder ID names (RFC 6960 section 4.2.2.2)."""
    if _is_responder(response, issuer):
        yield issuer
    for delegate in response.certificates:
        if not _is_responder(response, delegate):
            continue
        fault = _delegation_fault(delegate, issuer, now)
        if fault is None:
            yield delegate
        else:
            faults.append(fault)


def _is_responder(response: ocsp.OCSPResponse, certificate: x509.Certificate) -> bool:
    if response.responder_name is not None:
        return response.responder_name == certificate.subject
    # KeyHash of RFC 6960 section 4.2.1 is made as the usual key identifier of RFC 5280 section 4.2.1.2 is.
    return x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest == response.responder_key_hash


def _delegation_fault(delegate: x509.Certificate, issuer: x509.Certificate, now: datetime) -> str | None:
    """Why this certificate may not sign for the issuer (RFC 6960 section 4.2.2.2); None if it may.

    Its own revocation is not looked into, which section 4.2.2.2.1 leaves to the client: to ask the same responder
    about itself proves little.
    """
    try:
        delegate.verify_directly_issued_by(issuer)
    except MALFORMED:
        return "the responder's certificate is not from the issuer"
    try:
        usage = delegate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        usage = x509.ExtendedKeyUsage([])
    if ExtendedKeyUsageOID.OCSP_SIGNING not in usage:
        return "the responder's certificate is not made for OCSP signing"
    if not delegate.not_valid_before_utc - SKEW <= now <= delegate.not_valid_after_utc:
        return "the responder's certificate is not valid now"
    return None


def _signed_by(response: ocsp.OCSPResponse, signer: x509.Certificate) -> bool:
    key, algorithm = signer.public_key(), response.signature_hash_algorithm
    assert algorithm is not None  # _check_signature has looked
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(response.signature, response.tbs_response_bytes, padding.PKCS1v15(), algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(response.signature, response.tbs_response_bytes, ec.ECDSA(algorithm))
        else:
            return False
    except InvalidSignature:
        return False
    return True


def _select(response: ocsp.OCSPResponse, leaf: x509.Certificate, issuer: x509.Certificate) -> ocsp.OCSPSingleResponse:
    """The latest statement about this certificate, out of all that the answer holds."""
    matching = [single for single in response.responses if _is_about(single, leaf, issuer)]
    if not matching:
        raise OcspInvalid("the OCSP answer is about another certificate")
    return max(matching, key=lambda single: single.this_update_utc)


def _is_about(single: ocsp.OCSPSingleResponse, leaf: x509.Certificate, issuer: x509.Certificate) -> bool:
    if single.serial_number != leaf.serial_number:
        return False
    # The responder may have hashed otherwise than the request did.
    wanted = _request(leaf, issuer, single.hash_algorithm)
    return (single.issuer_name_hash, single.issuer_key_hash) == (wanted.issuer_name_hash, wanted.issuer_key_hash)


def _check_time(single: ocsp.OCSPSingleResponse, now: datetime) -> None:
    """RFC 6960 section 4.2.2.1, with some room for clocks that differ."""
    if single.this_update_utc > now + SKEW:
        raise OcspInvalid(f"the OCSP answer is from the future ({_stamp(single.this_update_utc)}): is the clock right?")
    end = single.next_update_utc or single.this_update_utc + MAX_AGE
    if end < now:
        raise OcspInvalid(f"the OCSP answer is out of date since {_stamp(end)}")


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
