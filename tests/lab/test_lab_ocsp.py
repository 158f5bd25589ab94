"""The lab's OCSP responder: unknown until its lag is over, then good, or revoked."""

from __future__ import annotations

import base64
import urllib.error
import urllib.request
from datetime import timedelta
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from certd.lab import LabProblem, Reply

UNKNOWN, GOOD, REVOKED = ocsp.OCSPCertStatus.UNKNOWN, ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.REVOKED


@pytest.fixture
def issued(ca, steps):
    steps.issued("example.jp")
    return ca.issued[0]


def _request(certificate, issuer, algorithm=None, nonce=None) -> bytes:
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, algorithm or hashes.SHA1())
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


def _ask(url: str, data: bytes, method: str = "POST"):
    if method == "GET":
        request = urllib.request.Request(f"{url}/{quote(base64.b64encode(data).decode(), safe='')}")
    else:
        request = urllib.request.Request(url, data, {"Content-Type": "application/ocsp-request"})
    with urllib.request.urlopen(request, timeout=10) as response:
        assert response.headers["content-type"] == "application/ocsp-response"
        return ocsp.load_der_ocsp_response(response.read())


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("algorithm", [hashes.SHA1(), hashes.SHA256()])
def test_unknown_until_the_lag_is_over(ca, issued, moment, method, algorithm):
    """To the second; the answer is signed by a responder that the issuer delegated."""
    data = _request(issued.certificate, ca.authority.issuer, algorithm)
    moment.pass_(minutes=10, seconds=-1)
    assert _ask(ca.ocsp_url, data, method).certificate_status is UNKNOWN
    moment.pass_(seconds=1)
    answer = _ask(ca.ocsp_url, data, method)
    assert answer.certificate_status is GOOD
    assert f"{answer.serial_number:x}" == issued.serial
    assert (answer.this_update_utc, answer.next_update_utc) == (moment.now, moment.now + timedelta(days=7))
    (responder,) = answer.certificates
    responder.verify_directly_issued_by(ca.authority.issuer)
    usages = responder.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usages) == [x509.ExtendedKeyUsageOID.OCSP_SIGNING]
    key = responder.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(answer.signature, answer.tbs_response_bytes, ec.ECDSA(answer.signature_hash_algorithm))


def test_the_lag_is_configurable_while_it_runs(ca, issued):
    """No lag: good at once."""
    ca.options.ocsp_lag = timedelta(0)
    assert _ask(ca.ocsp_url, _request(issued.certificate, ca.authority.issuer)).certificate_status is GOOD


def test_a_revocation_shows_at_once(ca, issued, moment):
    """With its time and its reason."""
    ca.revoke(issued.serial, x509.ReasonFlags.key_compromise)
    answer = _ask(ca.ocsp_url, _request(issued.certificate, ca.authority.issuer))
    assert answer.certificate_status is REVOKED
    assert (answer.revocation_time_utc, answer.revocation_reason) == (moment.now, x509.ReasonFlags.key_compromise)


def test_the_nonce_comes_back(ca, issued):
    """RFC 9654."""
    answer = _ask(ca.ocsp_url, _request(issued.certificate, ca.authority.issuer, nonce=b"0123456789abcdef"))
    assert answer.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == b"0123456789abcdef"


def test_foreign_certificates_are_not_answered_for(ca, issued, start_ca):
    """Of another CA, or never issued: unauthorized (RFC 6960 section 2.3)."""
    other = start_ca().authority
    for certificate, issuer in ((issued.certificate, other.issuer), (ca.authority.issuer, ca.authority.root)):
        answer = _ask(ca.ocsp_url, _request(certificate, issuer))
        assert answer.response_status is ocsp.OCSPResponseStatus.UNAUTHORIZED


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nonsense_is_malformed(ca, method):
    """Answered as OCSP, not by an HTTP error."""
    assert _ask(ca.ocsp_url, b"nonsense", method).response_status is ocsp.OCSPResponseStatus.MALFORMED_REQUEST


def test_other_paths_are_not_found(ca):
    """The responder answers below its own path only."""
    with pytest.raises(urllib.error.HTTPError) as caught:
        _ask(ca.ocsp_url.replace("/ocsp", "/other"), b"")
    with caught.value as answer:
        assert answer.code == 404


def test_outages_can_be_injected(ca, issued, moment):
    """An HTTP error, bytes that are no answer, no answer at all; for one name or for all."""
    moment.pass_(hours=1)
    data = _request(issued.certificate, ca.authority.issuer)
    ca.faults.inject(LabProblem("serverInternal", 503, "away"), "ocsp", name="example.jp")
    with pytest.raises(urllib.error.HTTPError) as caught:
        _ask(ca.ocsp_url, data)
    with caught.value as answer:
        assert answer.code == 503
    ca.faults.answer(Reply(200, b"junk", "application/ocsp-response"), "ocsp")
    with pytest.raises(ValueError, match="parsing"):
        _ask(ca.ocsp_url, data)
    ca.faults.lose("ocsp")
    with pytest.raises(OSError):
        _ask(ca.ocsp_url, data)
    assert _ask(ca.ocsp_url, data).certificate_status is GOOD
