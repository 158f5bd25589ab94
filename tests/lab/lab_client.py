"""A tiny ACME client for the tests of the lab CA: http.client and cryptography, nothing of certd's own."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

JOSE = {"Content-Type": "application/jose+json"}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jwk_of(key) -> dict[str, str]:
    numbers = key.public_key().public_numbers()
    if isinstance(key, rsa.RSAPrivateKey):
        return {
            "kty": "RSA",
            "n": b64(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8)),
            "e": b64(numbers.e.to_bytes(3)),
        }
    size = (key.key_size + 7) // 8
    return {
        "kty": "EC",
        "crv": f"P-{key.key_size}",
        "x": b64(numbers.x.to_bytes(size)),
        "y": b64(numbers.y.to_bytes(size)),
    }


def thumbprint(key) -> str:
    return b64(hashlib.sha256(json.dumps(jwk_of(key), separators=(",", ":"), sort_keys=True).encode()).digest())


def algorithm_of(key) -> str:
    if isinstance(key, bytes):
        return "HS256"
    if isinstance(key, rsa.RSAPrivateKey):
        return "RS256"
    return "ES256" if key.key_size == 256 else "ES384"


def sign(key, data: bytes) -> bytes:
    if isinstance(key, bytes):
        return hmac.digest(key, data, "sha256")
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), hashes.SHA256())
    digest = hashes.SHA256() if key.key_size == 256 else hashes.SHA384()
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(digest)))
    size = (key.key_size + 7) // 8
    return r.to_bytes(size) + s.to_bytes(size)


def jws(key, header: dict[str, Any], payload: Any) -> dict[str, str]:
    """A flattened JWS; `payload` None is the empty payload of a POST-as-GET."""
    protected = b64(json.dumps({"alg": algorithm_of(key), **header}).encode())
    body = "" if payload is None else b64(json.dumps(payload).encode())
    return {"protected": protected, "payload": body, "signature": b64(sign(key, f"{protected}.{body}".encode()))}


def make_csr(key, *names: str) -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    names_extension = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    return b64(
        builder.add_extension(names_extension, critical=False).sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
    )


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def problem(self) -> tuple[int, str, str]:
        """HTTP status, type without its URN, detail."""
        assert self.headers["content-type"] == "application/problem+json", self.body
        assert self.json["status"] == self.status
        return self.status, self.json["type"].removeprefix("urn:ietf:params:acme:error:"), self.json["detail"]


class Client:
    """One account key on one kept connection."""

    def __init__(self, ca, key=None) -> None:
        self.ca = ca
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.kid: str | None = None
        parts = urlsplit(ca.directory_url)
        context = ssl.create_default_context(cafile=str(ca.trust_path))
        self.connection = http.client.HTTPSConnection(parts.hostname, parts.port, context=context, timeout=20)
        self.directory = self.ask("GET", ca.directory_url).json

    def close(self) -> None:
        self.connection.close()

    def ask(self, method: str, url: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
        self.connection.request(method, urlsplit(url).path, body, headers or {})
        response = self.connection.getresponse()
        return Answer(response.status, response.headers, response.read())

    def nonce(self) -> str:
        return self.ask("HEAD", self.directory["newNonce"]).headers["replay-nonce"]

    def post(self, url: str, payload: Any = None, /, *, key=None, use_jwk: bool = False, **header: Any) -> Answer:
        """`header` replaces members of the protected header; None leaves one out."""
        key = key or self.key
        signer = {"jwk": jwk_of(key)} if use_jwk else {"kid": self.kid}
        nonce = header.pop("nonce", None) or self.nonce()
        full = {**signer, "nonce": nonce, "url": url, **header}
        full = {name: value for name, value in full.items() if value is not None}
        return self.ask("POST", url, json.dumps(jws(key, full, payload)).encode(), JOSE)

    def binding(self, credentials: tuple[str, str], **header: Any) -> dict[str, str]:
        kid, key = credentials
        raw = base64.urlsafe_b64decode(key + "=" * (-len(key) % 4))
        return jws(raw, {"kid": kid, "url": self.directory["newAccount"], **header}, jwk_of(self.key))

    def register(self, credentials: tuple[str, str] | None = None, **fields: Any) -> Answer:
        payload: dict[str, Any] = {"contact": ["mailto:ops@example.jp"], "termsOfServiceAgreed": True}
        if credentials is not None:
            payload["externalAccountBinding"] = self.binding(credentials)
        payload = {name: value for name, value in {**payload, **fields}.items() if value is not None}
        answer = self.post(self.directory["newAccount"], payload, use_jwk=True)
        if answer.status in (200, 201):
            self.kid = answer.headers["location"]
        return answer

    def order(self, *names: str, kind: str = "dns") -> Answer:
        identifiers = [{"type": kind, "value": name} for name in names]
        return self.post(self.directory["newOrder"], {"identifiers": identifiers})

    def challenges(self, order: Answer) -> list[dict[str, Any]]:
        """The http-01 challenges of an order."""
        found = []
        for url in order.json["authorizations"]:
            found += [one for one in self.post(url).json["challenges"] if one["type"] == "http-01"]
        return found

    def present(self, webroot: Path, token: str) -> None:
        place = webroot / ".well-known" / "acme-challenge"
        place.mkdir(parents=True, exist_ok=True)
        (place / token).write_text(f"{token}.{thumbprint(self.key)}\n")
