"""The test bench's OCSP responder, asked as a relying party would ask it."""

from __future__ import annotations

import base64
from datetime import timedelta

import pytest
import requests
from acme_by_hand import HandClient
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509 import ocsp
from parts import Behaviour

GOOD, REVOKED, UNKNOWN = ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.REVOKED, ocsp.OCSPCertStatus.UNKNOWN


@pytest.fixture
def issued(webroot, responder, start_pebble):
    """A Pebble with its responder, a client and a certificate."""
    pebble = start_pebble(http_port=webroot.port, responder=responder)
    with HandClient(pebble) as client:
        client.register()
        yield pebble, client, client.issue(webroot.path, "example.jp")


def request_for(leaf, issuer, algorithm=None):
    builder = ocsp.OCSPRequestBuilder().add_certificate(leaf, issuer, algorithm or hashes.SHA1())
    return builder.build().public_bytes(serialization.Encoding.DER)


def ask(url, der, timeout=10.0):
    answer = requests.post(url, data=der, headers={"Content-Type": "application/ocsp-request"}, timeout=timeout)
    return ocsp.load_der_ocsp_response(answer.content)


def verify(answer, issuer):
    key = issuer.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(answer.signature, answer.tbs_response_bytes, padding.PKCS1v15(), answer.signature_hash_algorithm)
    else:
        key.verify(answer.signature, answer.tbs_response_bytes, ec.ECDSA(answer.signature_hash_algorithm))


def test_it_answers_good_by_get_and_post_as_the_certificate_says(issued, responder):
    """The certificate names the responder; GET and POST answer good, signed by the issuer, for SHA-1 and SHA-256."""
    pebble, _, leaf = issued
    issuer = pebble.intermediate
    access = leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    assert access[0].access_location.value == responder.url
    der = request_for(leaf, issuer)
    by_get = requests.get(f"{responder.url}/{base64.b64encode(der).decode().replace('/', '%2F')}", timeout=10)
    by_sha256 = ask(responder.url, request_for(leaf, issuer, hashes.SHA256()))
    for answer in (ocsp.load_der_ocsp_response(by_get.content), ask(responder.url, der), by_sha256):
        assert answer.certificate_status is GOOD
        assert answer.serial_number == leaf.serial_number
        verify(answer, issuer)
    assert [asked.method for asked in responder.asked] == ["GET", "POST", "POST"]
    assert responder.count(f"{leaf.serial_number:x}") == responder.count() == 3


def test_it_is_unknown_until_the_lag_is_over(issued, responder):
    """With a lag, a certificate is unknown before and good after notBefore + lag, by the clock it was given."""
    pebble, _, leaf = issued
    responder.lag = timedelta(minutes=10)
    der = request_for(leaf, pebble.intermediate)
    responder.now = lambda: leaf.not_valid_before_utc + timedelta(minutes=9, seconds=59)
    assert ask(responder.url, der).certificate_status is UNKNOWN
    responder.now = lambda: leaf.not_valid_before_utc + timedelta(minutes=10)
    assert ask(responder.url, der).certificate_status is GOOD


def test_it_knows_what_the_ca_revoked(issued, responder):
    """Revoked at the CA is revoked here."""
    pebble, client, leaf = issued
    client.revoke(leaf)
    assert ask(responder.url, request_for(leaf, pebble.intermediate)).certificate_status is REVOKED


def test_its_behaviour_can_be_set_for_all_and_for_one(issued, responder):
    """unknown, revoked, tryLater and garbage on demand; a serial can be an exception."""
    pebble, _, leaf = issued
    der = request_for(leaf, pebble.intermediate)
    responder.behaviour = Behaviour.UNKNOWN
    assert ask(responder.url, der).certificate_status is UNKNOWN
    responder.behaviour = Behaviour.REVOKED
    assert ask(responder.url, der).certificate_status is REVOKED
    responder.behaviour = Behaviour.TRY_LATER
    assert ask(responder.url, der).response_status is ocsp.OCSPResponseStatus.TRY_LATER
    responder.behaviour = Behaviour.GARBAGE
    with pytest.raises(ValueError, match="parsing"):
        ask(responder.url, der)
    responder.special[f"{leaf.serial_number:x}"] = Behaviour.HONEST
    assert ask(responder.url, der).certificate_status is GOOD


def test_a_forged_answer_does_not_verify(issued, responder):
    """FORGED says good and names the issuer, but its signature is wrong."""
    pebble, _, leaf = issued
    responder.behaviour = Behaviour.FORGED
    answer = ask(responder.url, request_for(leaf, pebble.intermediate))
    assert answer.certificate_status is GOOD
    with pytest.raises(InvalidSignature):
        verify(answer, pebble.intermediate)


def test_it_can_be_silent_and_refuse_and_come_back(issued, responder):
    """SILENT lets a client run into its timeout, REFUSING closes the port, HONEST answers again there."""
    pebble, _, leaf = issued
    der = request_for(leaf, pebble.intermediate)
    responder.behaviour = Behaviour.SILENT
    with pytest.raises(requests.ReadTimeout):
        ask(responder.url, der, timeout=0.2)
    responder.behaviour = Behaviour.REFUSING
    with pytest.raises(requests.ConnectionError):
        ask(responder.url, der)
    responder.behaviour = Behaviour.HONEST
    assert ask(responder.url, der).certificate_status is GOOD
