"""The files that acme.sh leaves, as its manual and its source have them (and as a run of it left them)."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

KID, MAC = "kid-of-the-reseller", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"


def base64ed(text: str) -> str:
    """A value that acme.sh keeps encoded."""
    return f"__ACME_BASE64__START_{base64.b64encode(text.encode()).decode()}__ACME_BASE64__END_" if text else ""


def as_openssl_writes(pem: bytes) -> bytes:
    """A private key in the form of before PKCS #8: BEGIN RSA (or EC) PRIVATE KEY."""
    key = serialization.load_pem_private_key(pem, None)
    assert isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def assignments(values: Mapping[str, str]) -> str:
    """A settings file of acme.sh."""
    return "".join(f"{name}='{value}'\n" for name, value in values.items())


class AcmeSh:
    """One home of acme.sh, which grows by calls."""

    def __init__(self, home: Path, directory: str, **settings: str) -> None:
        self.home = home
        self.directory = directory
        home.mkdir()
        values = {"UPGRADE_HASH": "d60c75b", "USER_PATH": "/sbin:/bin"} | settings
        (home / "account.conf").write_text(f'#LOG_FILE="{home}/acme.sh.log"\n#LOG_LEVEL=1\n\n{assignments(values)}')

    def account(self, key: bytes, url: str, *, place: str = "") -> Path:
        """ca/HOST/PATH, which lacks the port."""
        host, _, path = self.directory.removeprefix("https://").partition("/")
        where = self.home / "ca" / (place or f"{host.partition(':')[0]}/{path}")
        where.mkdir(parents=True)
        (where / "account.key").write_bytes(key)
        (where / "account.key").chmod(0o600)
        (where / "account.json").write_text(json.dumps({"status": "valid", "contact": ["mailto:ops@example.jp"]}))
        conf = {"CA_EAB_KEY_ID": KID, "CA_EAB_HMAC_KEY": MAC, "CA_EMAIL": "ops@example.jp", "ACCOUNT_URL": url}
        (where / "ca.conf").write_text(
            assignments(conf | {"CA_KEY_HASH": "ya4T8mFEr8rJC/OUaOOewGJASL4BjBfvCX4PUBHtV8M="})
        )
        return where

    def certificate(
        self,
        domains: Sequence[str],
        webroot: str,
        *,
        key: bytes = b"",
        cert: bytes = b"",
        chain: bytes = b"",
        ecc: bool = False,
        **settings: str,
    ) -> Path:
        """DOMAIN or DOMAIN_ecc, with DOMAIN.{conf,key,cer}, ca.cer and fullchain.cer as far as they are given."""
        first, *more = domains
        where = self.home / (f"{first}_ecc" if ecc else first)
        where.mkdir()
        conf = {
            "Le_Domain": first,
            "Le_Alt": ",".join(more) or "no",
            "Le_Webroot": webroot,
            "Le_PreHook": "",
            "Le_PostHook": "",
            "Le_RenewHook": "",
            "Le_API": self.directory,
            "Le_Keylength": "ec-256" if ecc else "2048",
            "Le_NextRenewTime": "1798205397",
            "Le_ReloadCmd": "",
        }
        (where / f"{first}.conf").write_text(assignments(conf | settings))
        for name, content in (
            (f"{first}.key", key),
            (f"{first}.cer", cert),
            ("ca.cer", chain),
            ("fullchain.cer", cert + chain),
        ):
            if content:
                (where / name).write_bytes(content)
        return where
