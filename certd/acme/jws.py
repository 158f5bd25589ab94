"""Account keys and what is signed with them: requests, thumbprints, external account binding (josepy lives here)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from josepy.errors import Error as JoseError
from josepy.json_util import encode_b64jose
from josepy.jwa import ES256, ES384, HS256, RS256
from josepy.jwk import JWK, JWKEC, JWKRSA

from certd.errors import PkiError

if TYPE_CHECKING:
    from collections.abc import Mapping

MIN_RSA_BITS: Final = 2048

_EC_ALGORITHMS: Final = {"secp256r1": ES256, "secp384r1": ES384}


class AccountKey:
    """The private key of an ACME account. Neither its repr nor its errors show anything secret."""

    __slots__ = ("_algorithm", "_key", "jwk", "thumbprint")

    jwk: dict[str, str]
    """The public key (RFC 7517)."""
    thumbprint: str
    """RFC 7638 with SHA-256, base64url."""

    def __init__(self, key: JWK) -> None:
        """Raises PkiError `account-key` unless it is private, and RSA of 2048 bits or more, or on P-256 or P-384."""
        self._algorithm = _algorithm_for(key)
        if not hasattr(key.key, "sign"):
            raise PkiError("account-key", "the account key is a public key; the private one is needed")
        public = key.public_key()
        self._key = key
        self.jwk = dict(public.to_json())
        self.thumbprint = encode_b64jose(public.thumbprint())

    @classmethod
    def from_pem(cls, pem: bytes) -> AccountKey:
        """The key in an unencrypted PEM file. Raises PkiError `account-key`."""
        if b"-----BEGIN " not in pem:
            raise PkiError("account-key", "the account key is not PEM: no BEGIN line")
        try:
            return cls(JWK.load(pem))
        except JoseError:
            raise PkiError("account-key", "the account key is of a kind that ACME does not use") from None

    @property
    def algorithm(self) -> str:
        """The JWS algorithm: RS256, ES256 or ES384."""
        return str(self._algorithm.name)

    @property
    def kind(self) -> str:
        """In words, as `rsa2048 (RS256)`; of the configuration's key types where it is one of them."""
        size = self._key.key.key_size
        return f"{'rsa' if isinstance(self._key, JWKRSA) else 'p'}{size} ({self.algorithm})"

    def __repr__(self) -> str:
        return f"<AccountKey {self.algorithm} {self.thumbprint}>"

    def sign(self, payload: Mapping[str, Any] | None, *, url: str, nonce: str, kid: str | None = None) -> bytes:
        """The body of a request (RFC 8555 section 6.2). A payload of None makes it a POST-as-GET (section 6.3).

        Without `kid` (the account's URL) the public key itself goes along, as newAccount needs it.
        """
        header: dict[str, Any] = {"alg": self.algorithm, "nonce": nonce, "url": url}
        header |= {"jwk": self.jwk} if kid is None else {"kid": kid}
        flattened = _flattened(header, payload, self._algorithm, self._key.key)
        return json.dumps(flattened, separators=(",", ":")).encode("ascii")

    def key_authorization(self, token: str) -> str:
        """What answers a challenge (RFC 8555 section 8.1)."""
        return f"{token}.{self.thumbprint}"

    def external_account_binding(self, kid: str, mac_key: bytes, new_account_url: str) -> dict[str, str]:
        """The `externalAccountBinding` of newAccount (RFC 8555 section 7.3.4): this public key under the CA's MAC."""
        header = {"alg": HS256.name, "kid": kid, "url": new_account_url}
        return _flattened(header, self.jwk, HS256, mac_key)


def base64url(data: bytes) -> str:
    """Base64url without padding (RFC 8555 section 6.1), for the CSR in finalize."""
    return str(encode_b64jose(data))


def _algorithm_for(key: JWK) -> Any:
    if isinstance(key, JWKRSA):
        if key.key.key_size < MIN_RSA_BITS:
            raise PkiError(
                "account-key", f"the account key has {key.key.key_size} bits; RSA needs at least {MIN_RSA_BITS}"
            )
        return RS256
    curve = key.key.curve.name if isinstance(key, JWKEC) else None
    if curve not in _EC_ALGORITHMS:
        raise PkiError(
            "account-key", "the account key cannot be read as an RSA key or one on P-256 or P-384 without passphrase"
        )
    return _EC_ALGORITHMS[curve]


def _flattened(
    header: Mapping[str, Any], payload: Mapping[str, Any] | None, algorithm: Any, key: Any
) -> dict[str, str]:
    # Flattened JWS JSON serialization (RFC 7515 section 7.2.2), the only form RFC 8555 section 6.2 allows.
    protected = encode_b64jose(_json(header))
    body = "" if payload is None else encode_b64jose(_json(payload))
    signature = algorithm.sign(key, f"{protected}.{body}".encode("ascii"))
    return {"protected": protected, "payload": body, "signature": encode_b64jose(signature)}


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")
