"""JSON Web Signatures as a CA reads them (RFC 7515, RFC 8555 section 6.2).

Written with cryptography alone and apart from the client's own signing, so that no mistake of the client is mirrored.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from certd.lab.faults import malformed, row

ALGORITHMS = ("RS256", "ES256", "ES384")
"""What the lab CA accepts of account keys."""

_BASE64URL = re.compile(r"[A-Za-z0-9_-]*\Z")
_REQUIRED = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y")}
_CURVES: dict[str, tuple[Callable[[], ec.EllipticCurve], str, int]] = {
    "P-256": (ec.SECP256R1, "ES256", 32),
    "P-384": (ec.SECP384R1, "ES384", 48),
}


def encode(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: object, what: str) -> bytes:
    """Strict base64url: no padding, nothing foreign, the one canonical spelling. Raises `LabProblem`, row 12."""
    if not isinstance(text, str) or not _BASE64URL.match(text) or len(text) % 4 == 1:
        raise malformed(f"{what} is not base64url")
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if encode(data) != text:
        raise malformed(f"{what} is not canonical base64url")
    return data


def parse_object(data: bytes | str, what: str) -> dict[str, Any]:
    """A JSON object. Raises `LabProblem`, row 12."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise malformed(f"{what} is not JSON") from error
    if not isinstance(value, dict):
        raise malformed(f"{what} is not a JSON object")
    return value


@dataclass(frozen=True)
class Jws:
    """A flattened JWS, taken apart and not yet verified."""

    header: dict[str, Any]
    payload: bytes
    signed: bytes
    signature: bytes


def parse(value: object) -> Jws:
    """Take a flattened JWS apart (RFC 8555 section 6.2). Raises `LabProblem`, row 12."""
    document = value if isinstance(value, dict) else parse_object(_bytes(value), "the body")
    if set(document) != {"protected", "payload", "signature"}:
        raise malformed(f"a flattened JWS has protected, payload and signature, not {sorted(document)}")
    header = parse_object(decode(document["protected"], "protected"), "the protected header")
    if not isinstance(header.get("alg"), str):
        raise malformed("no alg in the protected header")
    return Jws(
        header=header,
        payload=decode(document["payload"], "payload"),
        signed=f"{document['protected']}.{document['payload']}".encode("ascii"),
        signature=decode(document["signature"], "signature"),
    )


def _bytes(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise malformed("a JWS is a JSON object")
    return value


@dataclass(frozen=True)
class Jwk:
    """A public key with its thumbprint (RFC 7638) and the one algorithm it signs with."""

    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey
    thumbprint: str
    algorithm: str

    @property
    def der(self) -> bytes:
        """SubjectPublicKeyInfo: to compare with other keys."""
        return self.key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def parse_jwk(value: object) -> Jwk:
    """Raises `LabProblem`: row 12 for a wrong form, row 5 for a key that the CA does not support."""
    if not isinstance(value, dict):
        raise malformed("jwk is not an object")
    if "d" in value:
        raise malformed("the jwk holds a private key")
    kind = value.get("kty")
    if not isinstance(kind, str) or kind not in _REQUIRED:
        raise row(5).problem(why=f"kty {kind!r}")
    members = {name: value.get(name) for name in _REQUIRED[kind]}
    if not all(isinstance(member, str) for member in members.values()):
        raise malformed(f"a {kind} jwk needs {_REQUIRED[kind]}")
    # RFC 7638 section 3: the required members only, in lexicographic order, without white space.
    canonical = json.dumps(members, separators=(",", ":"), sort_keys=True)
    thumbprint = encode(hashlib.sha256(canonical.encode()).digest())
    if kind == "RSA":
        return Jwk(_rsa_key(members), thumbprint, "RS256")
    return Jwk(_ec_key(members), thumbprint, _CURVES[str(members["crv"])][1])


def _rsa_key(members: dict[str, Any]) -> rsa.RSAPublicKey:
    n, e = (decode(members[name], f"jwk.{name}") for name in ("n", "e"))
    if n[:1] == b"\0" or e[:1] == b"\0":
        raise malformed("RFC 7518 section 6.3.1.1: no leading zero octets in n and e")
    modulus = int.from_bytes(n)
    if not 2048 <= modulus.bit_length() <= 4096:
        raise row(5).problem(why=f"RSA of {modulus.bit_length()} bits")
    try:
        return rsa.RSAPublicNumbers(int.from_bytes(e), modulus).public_key()
    except ValueError as error:
        raise row(5).problem(why="not an RSA key") from error


def _ec_key(members: dict[str, Any]) -> ec.EllipticCurvePublicKey:
    if members["crv"] not in _CURVES:
        raise row(5).problem(why=f"curve {members['crv']!r}")
    curve, _, size = _CURVES[members["crv"]]
    x, y = (decode(members[name], f"jwk.{name}") for name in ("x", "y"))
    if len(x) != size or len(y) != size:
        raise malformed("RFC 7518 section 6.2.1.2: x and y have the full size of the field")
    try:
        return ec.EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), curve()).public_key()
    except ValueError as error:
        raise row(5).problem(why="not a point on the curve") from error


def check_algorithm(jws: Jws) -> None:
    """Raises `LabProblem`, row 7, with the list that RFC 8555 section 6.2 asks for."""
    if jws.header["alg"] not in ALGORITHMS:
        raise row(7).problem(jws.header["alg"], algorithms=list(ALGORITHMS))


def verify(jws: Jws, jwk: Jwk) -> None:
    """Raises `LabProblem`: row 7 for the algorithm, row 12 for a signature that is not this key's."""
    check_algorithm(jws)
    if jws.header["alg"] != jwk.algorithm:
        raise malformed(f"{jws.header['alg']} with a key for {jwk.algorithm}")
    try:
        if isinstance(jwk.key, rsa.RSAPublicKey):
            jwk.key.verify(jws.signature, jws.signed, padding.PKCS1v15(), hashes.SHA256())
        else:
            _verify_ecdsa(jwk.key, jws)
    except InvalidSignature as error:
        raise malformed("the signature does not verify") from error


def _verify_ecdsa(key: ec.EllipticCurvePublicKey, jws: Jws) -> None:
    # RFC 7518 section 3.4: r and s side by side at their full size, not DER.
    size = (key.curve.key_size + 7) // 8
    if len(jws.signature) != 2 * size:
        raise malformed(f"an ECDSA signature of {len(jws.signature)} bytes, not {2 * size}")
    r, s = int.from_bytes(jws.signature[:size]), int.from_bytes(jws.signature[size:])
    digest = hashes.SHA256() if size == 32 else hashes.SHA384()
    key.verify(encode_dss_signature(r, s), jws.signed, ec.ECDSA(digest))


def mac_matches(jws: Jws, key: bytes) -> bool:
    """Is it an HS256 JWS under this MAC key (RFC 8555 section 7.3.4)?"""
    expected = hmac.digest(key, jws.signed, "sha256")
    return jws.header["alg"] == "HS256" and hmac.compare_digest(expected, jws.signature)
