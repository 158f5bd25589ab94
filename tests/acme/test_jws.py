"""certd.acme.jws: account keys, signatures and external account binding, verified without josepy."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from certd.acme.jws import AccountKey, base64url
from certd.errors import PkiError

# The RSA key of RFC 7517 appendix A.2; RFC 7638 section 3.1 gives its thumbprint.
RFC_N = (
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3okn"
    "jhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6q"
    "MQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awap"
    "JzKnqDKgw"
)
RFC_D = (
    "X4cTteJY_gn4FYPsXB8rdXix5vwsg1FLN5E3EaG6RJoVH-HLLKD9M7dx5oo7GURknchnrRweUkC7hT5fJLM0WbFAKNLWY2vv7B6NqXSzUvxT0_Y"
    "Sfqijwp3RTzlBaCxWp4doFk5N2o8Gy_nHNKroADIkJ46pRUohsXywbReAdYaMwFs9tv8d_cPVY3i07a3t8MN6TNwm0dSawm9v47UiCl3Sk5ZiG7"
    "xojPLu4sbg1U2jx4IBTNBznbJSzFHK66jT8bgkuqsk0GjskDJk19Z4qwjwbsnn4j2WBii3RL-Us2lGVkY8fkFzme1z0HbIkfz0Y6mqnOYtqc0X4"
    "jfcKoAC8Q"
)
RFC_THUMBPRINT = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"

URL = "https://ca.example/order"


def unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def as_int(text: str) -> int:
    return int.from_bytes(unpadded(text), "big")


def pem(key: Any, *, password: bytes | None = None) -> bytes:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    data: bytes = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    return data


def rfc_key() -> rsa.RSAPrivateKey:
    n, e, d = as_int(RFC_N), 65537, as_int(RFC_D)
    p, q = rsa.rsa_recover_prime_factors(n, e, d)
    numbers = rsa.RSAPrivateNumbers(
        p, q, d, rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q), rsa.RSAPublicNumbers(e, n)
    )
    return numbers.private_key()


RSA = rfc_key()
P256 = ec.generate_private_key(ec.SECP256R1())
P384 = ec.generate_private_key(ec.SECP384R1())


def test_thumbprint_of_rfc7638() -> None:
    """The example of RFC 7638 section 3.1, and the key authorization made of it (RFC 8555 section 8.1)."""
    key = AccountKey.from_pem(pem(RSA))
    assert key.thumbprint == RFC_THUMBPRINT
    assert key.jwk == {"kty": "RSA", "e": "AQAB", "n": RFC_N}
    assert key.key_authorization("token") == f"token.{RFC_THUMBPRINT}"


@pytest.mark.parametrize(("private", "curve", "size"), [(P256, "P-256", 32), (P384, "P-384", 48)])
def test_thumbprint_of_ec_keys(private: ec.EllipticCurvePrivateKey, curve: str, size: int) -> None:
    """RFC 7638 section 3.2: crv, kty, x and y in this order, with coordinates of full length."""
    numbers = private.public_key().public_numbers()
    x, y = (base64url(value.to_bytes(size, "big")) for value in (numbers.x, numbers.y))
    canonical = f'{{"crv":"{curve}","kty":"EC","x":"{x}","y":"{y}"}}'
    assert AccountKey.from_pem(pem(private)).thumbprint == base64url(hashlib.sha256(canonical.encode()).digest())


def verified(body: bytes, private: Any) -> tuple[dict[str, Any], bytes]:
    """The protected header and the payload, after the signature was verified by cryptography alone."""
    jws = json.loads(body)
    assert set(jws) == {"protected", "payload", "signature"}
    signed = f"{jws['protected']}.{jws['payload']}".encode()
    signature = unpadded(jws["signature"])
    public = private.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        public.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
    else:
        half = public.curve.key_size // 8
        assert len(signature) == 2 * half
        der = encode_dss_signature(int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big"))
        public.verify(der, signed, ec.ECDSA(hashes.SHA256() if half == 32 else hashes.SHA384()))
    return json.loads(unpadded(jws["protected"])), unpadded(jws["payload"])


@pytest.mark.parametrize(("private", "algorithm"), [(RSA, "RS256"), (P256, "ES256"), (P384, "ES384")])
def test_signed_request(private: Any, algorithm: str) -> None:
    """RFC 8555 section 6.2: alg, nonce, url and exactly one of kid and jwk, all protected."""
    key = AccountKey.from_pem(pem(private))
    header, payload = verified(key.sign({"a": 1}, url=URL, nonce="n1", kid="https://ca.example/acct/1"), private)
    assert header == {"alg": algorithm, "nonce": "n1", "url": URL, "kid": "https://ca.example/acct/1"}
    assert json.loads(payload) == {"a": 1}
    header, payload = verified(key.sign({}, url=URL, nonce="n2"), private)
    assert header == {"alg": algorithm, "nonce": "n2", "url": URL, "jwk": key.jwk}
    assert payload == b"{}"


def test_post_as_get_has_an_empty_payload() -> None:
    """RFC 8555 section 6.3: the zero-length string, not an empty object."""
    assert json.loads(AccountKey.from_pem(pem(P256)).sign(None, url=URL, nonce="n", kid="k"))["payload"] == ""


def test_external_account_binding() -> None:
    """RFC 8555 section 7.3.4: HS256 over the public key, with the key identifier and newAccount's URL, no nonce."""
    key, mac_key = AccountKey.from_pem(pem(P256)), b"\x00\xff" * 16
    jws = key.external_account_binding("kid-1", mac_key, "https://ca.example/new-account")
    header = json.loads(unpadded(jws["protected"]))
    assert header == {"alg": "HS256", "kid": "kid-1", "url": "https://ca.example/new-account"}
    assert json.loads(unpadded(jws["payload"])) == key.jwk
    assert "d" not in key.jwk
    expected = hmac.new(mac_key, f"{jws['protected']}.{jws['payload']}".encode(), hashlib.sha256).digest()
    assert unpadded(jws["signature"]) == expected


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a key",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        pem(ec.generate_private_key(ec.SECP521R1())),
        pem(ec.generate_private_key(ec.SECP256K1())),
        pem(rsa.generate_private_key(65537, 1024)),
        pem(P256, password=b"secret"),
        P256.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
    ],
    ids=["empty", "text", "broken", "p521", "k1", "rsa1024", "encrypted", "public"],
)
def test_unusable_account_keys(data: bytes) -> None:
    """Broken, too short, of another curve, encrypted or public: one sentence, never the key."""
    with pytest.raises(PkiError) as caught:
        AccountKey.from_pem(data)
    assert caught.value.code == "account-key"
    assert "PRIVATE" not in str(caught.value)


def test_repr_shows_no_secret() -> None:
    """Only the algorithm and the thumbprint."""
    assert repr(AccountKey.from_pem(pem(RSA))) == f"<AccountKey RS256 {RFC_THUMBPRINT}>"
