"""The least ACME client that can get a certificate from Pebble: independent of certd, for the test bench's own tests.

Flattened JWS with ES256 (RFC 7515, RFC 8555 section 6.2). It trusts the CA and retries nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from parts import Pebble, eventually


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class HandClient:
    """One account key on one Pebble."""

    def __init__(self, pebble: Pebble) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.kid = ""
        self._session = requests.Session()
        self._session.verify = str(pebble.trust_path)
        self.directory: dict[str, Any] = self._session.get(pebble.directory_url, timeout=10).json()

    def __enter__(self) -> HandClient:
        return self

    def __exit__(self, *failure: object) -> None:
        self._session.close()

    @property
    def jwk(self) -> dict[str, str]:
        numbers = self.key.public_key().public_numbers()
        return {"crv": "P-256", "kty": "EC", "x": b64(numbers.x.to_bytes(32)), "y": b64(numbers.y.to_bytes(32))}

    def post(self, url: str, payload: Any, nonce: str | None = None) -> requests.Response:
        """A signed POST; `payload` None makes it POST-as-GET (RFC 8555 section 6.3)."""
        header: dict[str, Any] = {"alg": "ES256", "url": url, "nonce": nonce or self.nonce()}
        header |= {"kid": self.kid} if self.kid else {"jwk": self.jwk}
        protected = b64(json.dumps(header).encode())
        body = "" if payload is None else b64(json.dumps(payload).encode())
        r, s = decode_dss_signature(self.key.sign(f"{protected}.{body}".encode(), ec.ECDSA(hashes.SHA256())))
        jws = {"protected": protected, "payload": body, "signature": b64(r.to_bytes(32) + s.to_bytes(32))}
        headers = {"Content-Type": "application/jose+json"}
        return self._session.post(url, data=json.dumps(jws), headers=headers, timeout=10)

    def nonce(self) -> str:
        return self._session.head(self.directory["newNonce"], timeout=10).headers["Replay-Nonce"]

    def register(self, eab: tuple[str, str] | None = None) -> requests.Response:
        """newAccount, with an external account binding (RFC 8555 section 7.3.4) where its kid and key are given."""
        payload: dict[str, Any] = {"termsOfServiceAgreed": True}
        if eab is not None:
            kid, mac_key = eab
            header = {"alg": "HS256", "kid": kid, "url": self.directory["newAccount"]}
            protected, body = b64(json.dumps(header).encode()), b64(json.dumps(self.jwk).encode())
            key = base64.urlsafe_b64decode(mac_key + "=" * (-len(mac_key) % 4))
            mac = hmac.digest(key, f"{protected}.{body}".encode(), "sha256")
            payload["externalAccountBinding"] = {"protected": protected, "payload": body, "signature": b64(mac)}
        answer = self.post(self.directory["newAccount"], payload)
        self.kid = answer.headers.get("Location", "")
        return answer

    def issue(self, webroot: Path, *names: str) -> x509.Certificate:
        """Order, answer http-01 below `webroot`, finalize, download: the leaf."""
        wanted = {"identifiers": [{"type": "dns", "value": name} for name in names]}
        order = self.post(self.directory["newOrder"], wanted)
        assert order.status_code == 201, order.text
        url = order.headers["Location"]
        for authorization in order.json()["authorizations"]:
            self._answer(webroot, self.post(authorization, None).json())
        eventually(lambda: self._status(url) in ("ready", "invalid"), "the authorizations")
        assert self._status(url) == "ready", self.post(url, None).text
        self.post(order.json()["finalize"], {"csr": b64(_request(names))})
        eventually(lambda: self._status(url) in ("valid", "invalid"), "the certificate")
        done = self.post(url, None).json()
        return x509.load_pem_x509_certificates(self.post(done["certificate"], None).content)[0]

    def revoke(self, certificate: x509.Certificate) -> None:
        der = certificate.public_bytes(serialization.Encoding.DER)
        answer = self.post(self.directory["revokeCert"], {"certificate": b64(der), "reason": 4})
        assert answer.status_code == 200, answer.text

    def _answer(self, webroot: Path, authorization: dict[str, Any]) -> None:
        challenge = next(c for c in authorization["challenges"] if c["type"] == "http-01")
        canonical = json.dumps(self.jwk, sort_keys=True, separators=(",", ":")).encode()
        place = webroot / ".well-known/acme-challenge"
        place.mkdir(parents=True, exist_ok=True)
        (place / challenge["token"]).write_text(f"{challenge['token']}.{b64(hashlib.sha256(canonical).digest())}")
        self.post(challenge["url"], {})

    def _status(self, url: str) -> str:
        return str(self.post(url, None).json()["status"])


def _request(names: tuple[str, ...]) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    alternative = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    request = builder.add_extension(alternative, critical=False).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.DER)
