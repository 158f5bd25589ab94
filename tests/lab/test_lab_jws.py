"""Signatures as the lab CA reads them: what RFC 8555 section 6 demands is demanded."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from lab_client import JOSE, b64, jwk_of, jws

from certd.lab.faults import LabProblem
from certd.lab.jws import decode, parse_jwk

RSA_2048 = rsa.generate_private_key(65537, 2048)


def test_the_thumbprint_of_the_rfc():
    """RFC 7638 section 3.1, the example."""
    modulus = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3"
        "oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdA"
        "ZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-"
        "kEgU8awapJzKnqDKgw"
    )
    jwk = parse_jwk({"kty": "RSA", "n": modulus, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"})
    assert jwk.thumbprint == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


@pytest.mark.parametrize("text", ["AA=", "A", "A+/A", "AB", "AA\n", "é", 7, None])
def test_base64url_is_strict(text):
    """Padding, foreign letters, impossible lengths and stray bits are malformed."""
    with pytest.raises(LabProblem, match="base64url"):
        decode(text, "it")
    assert decode("AA", "it") == b"\0"


@pytest.mark.parametrize(
    "key", [RSA_2048, ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1())]
)
def test_the_algorithms_of_accounts(new_client, key):
    """RS256, ES256 and ES384 register and order."""
    client = new_client(key=key)
    assert client.register().status == 201
    assert client.order("example.jp").status == 201


def test_other_algorithms_are_refused_with_the_list(client):
    """Row 7, with the algorithms that RFC 8555 section 6.2 asks for."""
    answer = client.post(client.directory["newOrder"], {}, key=b"secret" * 6, use_jwk=False)
    assert answer.problem == (
        400,
        "badSignatureAlgorithm",
        "The JWS was signed with an algorithm the server does not support: [HS256]",
    )
    assert answer.json["algorithms"] == ["RS256", "ES256", "ES384"]
    assert client.post(client.directory["newOrder"], {}, alg="none").problem[1] == "badSignatureAlgorithm"


@pytest.mark.parametrize("key", [rsa.generate_private_key(65537, 1024), ec.generate_private_key(ec.SECP521R1())])
def test_unsupported_keys_are_refused(new_client, key):
    """Row 5: too short, or a curve that the CA does not know."""
    client = new_client()
    header = {"alg": "RS256", "jwk": jwk_of(key), "nonce": client.nonce(), "url": client.directory["newAccount"]}
    body = jws(client.key, header, {})
    answer = client.ask("POST", client.directory["newAccount"], json.dumps(body).encode(), JOSE)
    assert answer.problem == (400, "badPublicKey", "The JWS was signed by a public key the server does not support")


BROKEN_KEYS = [
    ({"kty": "oct", "k": "AA"}, "badPublicKey"),
    ({"kty": "EC", "crv": "P-256", "x": b64(b"\1" * 32), "y": b64(b"\1" * 32)}, "badPublicKey"),
    ({"kty": "EC", "crv": "P-256", "x": b64(b"\1" * 31), "y": b64(b"\1" * 32)}, "malformed"),
    ({"kty": "EC", "crv": "P-256", "x": "AA"}, "malformed"),
    ({"kty": "RSA", "n": b64(b"\0" + b"\1" * 256), "e": "AQAB"}, "malformed"),
    ({**jwk_of(RSA_2048), "e": "Ag"}, "badPublicKey"),
    ({**jwk_of(RSA_2048), "d": "AA"}, "malformed"),
    ("key", "malformed"),
]


@pytest.mark.parametrize(("jwk", "type_"), BROKEN_KEYS)
def test_broken_keys(jwk, type_):
    """A wrong form is malformed; a key of the right form that is none is a bad public key."""
    with pytest.raises(LabProblem) as caught:
        parse_jwk(jwk)
    assert caught.value.type.endswith(type_)


def _post_raw(client, document) -> tuple[int, str, str]:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return client.ask("POST", client.directory["newOrder"], body, JOSE).problem


MALFORMED = (400, "malformed", "The request information is invalid")


def _good(client, payload=None, key=None, **header):
    full = {"kid": client.kid, "nonce": client.nonce(), "url": client.directory["newOrder"], **header}
    return jws(key or client.key, full, payload or {"identifiers": [{"type": "dns", "value": "example.jp"}]})


def test_the_body_must_be_a_flattened_jws(client):
    """Anything else is row 12, and the connection goes on."""
    good = _good(client)
    for document in (b"", b"{", b"[]", b"\xff", b"[" * 100_000, {}, {**good, "header": {}}, {**good, "protected": "!"}):
        assert _post_raw(client, document) == MALFORMED
    assert client.ask("POST", client.directory["newOrder"], json.dumps(good).encode(), JOSE).status == 201


def test_a_signature_must_be_the_keys(client):
    """Another key, a changed payload, the DER form of ECDSA, and an algorithm of another key are all refused."""
    der = _good(client)
    signed = f"{der['protected']}.{der['payload']}".encode()
    der["signature"] = b64(client.key.sign(signed, ec.ECDSA(hashes.SHA256())))
    changed = {**_good(client), "payload": b64(b'{"identifiers": []}')}
    other = _good(client, key=ec.generate_private_key(ec.SECP256R1()))
    wrong = _good(client, key=RSA_2048)
    for document in (der, changed, other, wrong):
        assert _post_raw(client, document) == MALFORMED


def test_nonces_work_once(client):
    """RFC 8555 section 6.5: a used or invented nonce is refused, and the refusal brings a new one."""
    nonce = client.nonce()
    assert client.post(client.directory["newOrder"], {"identifiers": []}, nonce=nonce).problem == MALFORMED
    for bad in (nonce, "invented", 7):
        answer = client.post(client.directory["newOrder"], {}, nonce=bad)
        assert answer.problem == (400, "badNonce", "The client sent an unacceptable anti-replay nonce")
    url = client.directory["newOrder"]
    payload = {"identifiers": [{"type": "dns", "value": "example.jp"}]}
    assert client.post(url, payload, nonce=answer.headers["replay-nonce"]).status == 201


def test_every_nth_nonce_can_be_rejected(ca, client):
    """A client that cannot repeat a request does not get far."""
    ca.options.nonce_reject_every = 3
    statuses = [client.order("example.jp").status for _ in range(9)]
    assert statuses.count(400) == 3
    assert statuses.count(201) == 6


def test_the_url_must_be_that_of_the_request(client):
    """RFC 8555 section 6.4: row 27; the host may be spelled localhost."""
    url = client.directory["newOrder"]
    assert client.post(url, {}, url=client.directory["newAccount"]).problem[:2] == (401, "unauthorized")
    assert client.post(url, {}, url=url.replace("127.0.0.1", "localhost")).problem == MALFORMED


def test_key_and_account_url_exclude_each_other(client):
    """RFC 8555 section 6.2: a jwk for newAccount, a kid for all else, never both, never none."""
    url = client.directory["newOrder"]
    assert client.post(url, {}, jwk=jwk_of(client.key)).problem == MALFORMED
    assert client.post(url, {}, use_jwk=True).problem == MALFORMED
    assert client.post(url, {}, kid=None).problem == MALFORMED
    assert client.post(client.directory["newAccount"], {}).problem == MALFORMED


def test_an_unknown_account_is_told(ca, client):
    """Row 1 for a kid that names nobody, or an account that the CA has forgotten."""
    unknown = (400, "accountDoesNotExist", "The request specified an account that does not exist")
    url = client.directory["newOrder"]
    assert client.post(url, {}, kid=f"{client.kid}0").problem == unknown
    assert client.post(url, {}, kid=client.kid.rpartition("/")[2]).problem == unknown
    ca.forget_account(ca.accounts[0])
    assert client.order("example.jp").problem == unknown
    assert client.register(onlyReturnExisting=True).problem == unknown


def test_methods_and_content_types_of_the_list(client):
    """Rows 22 and 23 come of themselves."""
    url = client.directory["newOrder"]
    answer = client.ask("GET", url)
    assert answer.problem == (405, "malformed", "The HTTP method is invalid: [GET]")
    assert answer.headers["allow"] == "POST"
    assert client.ask("PUT", client.ca.directory_url).status == 405
    answer = client.ask("POST", url, b"{}", {"Content-Type": "application/json"})
    assert answer.problem == (415, "malformed", "The content-type is invalid: [application/json]")


def test_reading_is_done_by_post_as_get(client):
    """RFC 8555 section 6.3: a payload, be it `{}`, is malformed for an order."""
    order = client.order("example.jp").headers["location"]
    assert client.post(order, {}).problem == MALFORMED
    assert client.post(order).status == 200
