"""Pebble, the ACME test server, and pebble-challtestsrv, its DNS: real processes on loopback."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import requests
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from parts.authority import TestAuthority, pem_of
from parts.ports import LOOPBACK, free_port
from parts.processes import Process, find, require

ENDPOINTS = {
    "directory": "GET /dir",
    "newNonce": "HEAD /nonce-plz",
    "newAccount": "POST /sign-me-up",
    "newOrder": "POST /order-plz",
    "account": "POST /my-account/",
    "order": "POST /my-order/",
    "finalize": "POST /finalize-order/",
    "authorization": "POST /authZ/",
    "challenge": "POST /chalZ/",
    "certificate": "POST /certZ/",
    "revokeCert": "POST /revoke-cert",
    "keyChange": "POST /rollover-account-key",
    "orders": "POST /list-orderz/",
}
"""RFC 8555's names for what is asked, and how Pebble's log writes each. It logs the route, not the whole path."""

_REQUEST = re.compile(r"(GET|HEAD|POST) (\S+) -> calling handler\(\)")
_ORDER = re.compile(r'Added order "([^"]+)" to the db')
_ISSUED = re.compile(r"Issued certificate serial ([0-9a-f]+) for order")


@dataclass(frozen=True)
class PebbleOptions:
    """What can be chosen. The defaults make a fast, strict and exact CA; chances are percentages."""

    strict: bool = True
    nonce_reject: int = 0
    authz_reuse: int = 0
    eab: dict[str, str] = field(default_factory=dict)
    """Key identifier -> MAC key (base64url); where any is given, a binding is demanded."""
    ocsp_url: str = ""
    lifetime: timedelta = timedelta(days=90)
    blocked: tuple[str, ...] = ()
    """Domains (and all below them) for which orders are refused."""
    always_valid: bool = False
    """Validate nothing: every challenge succeeds."""
    alternate_roots: int = 0
    chain_length: int = 1


@dataclass(frozen=True)
class CertificateStatus:
    """What Pebble knows of a certificate that it issued."""

    certificate: x509.Certificate
    revoked: bool


class Pebble:
    """A CA of one's own. Every name resolves to 127.0.0.1, where it validates on `http_port`.

    `restart` keeps the ports and the https certificate, and forgets accounts, orders and the issuing keys: that is
    how Pebble is. Orders live 24 hours and pending authorizations one hour; the packaged version cannot change it.
    """

    def __init__(self, root: Path, options: PebbleOptions | None = None, *, http_port: int | None = None) -> None:
        """`root` is an empty directory; `http_port` is where validation connects (a free one if None)."""
        self.root = root
        self.options = options or PebbleOptions()
        self.http_port = http_port or free_port()
        self.tls_port = free_port()
        self.port = free_port()
        self.management_port = free_port()
        self.dns_port = free_port()
        self.dns_management_port = free_port()
        self.directory_url = f"https://{LOOPBACK}:{self.port}/dir"
        self.management_url = f"https://{LOOPBACK}:{self.management_port}"
        self.trust_path = root / "endpoint-ca.pem"
        self._write_files()
        self._process = Process("pebble", self._argv(), root / "pebble.log", self._environment())
        self._dns = Process("pebble-challtestsrv", self._dns_argv(), root / "challtestsrv.log")

    # --- its life

    def start(self) -> None:
        """Start both programs and return once they answer. Skips the test where they are not installed."""
        require("pebble", "pebble-challtestsrv")
        if not self._dns.is_running():
            self._dns.start()
        seen = self.mark()
        self._process.start()
        self._process.wait_for(lambda: "ACME directory available at" in self.log(seen), "its first words")
        self._process.wait_for(self._answers, "an answer to a request for the directory")
        self._dns.wait_for(lambda: "Starting management server" in self._dns.log.read_text(), "its first words")

    def stop(self) -> None:
        """Stop both programs, for good or until `start`."""
        self.stop_ca()
        self._dns.stop()

    def stop_ca(self) -> None:
        """Stop the CA alone, as an outage does; `start` brings a new one up on the same ports."""
        self._process.stop()

    def restart(self) -> None:
        self.stop_ca()
        self.start()

    def is_running(self) -> bool:
        return self._process.is_running()

    # --- its keys and certificates

    @property
    def root_certificate(self) -> x509.Certificate:
        """The root that issued certificates chain to (not the https endpoint's)."""
        return x509.load_pem_x509_certificate(self._manage("/roots/0").content)

    @property
    def intermediate(self) -> x509.Certificate:
        """The certificate of the issuer of leaves."""
        return x509.load_pem_x509_certificate(self._manage("/intermediates/0").content)

    @property
    def intermediate_key(self) -> CertificateIssuerPrivateKeyTypes:
        """The issuer's own key: with it the test bench answers OCSP requests in its name."""
        key = load_pem_private_key(self._manage("/intermediate-keys/0").content, password=None)
        assert isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
        return key

    def status_of(self, serial: int) -> CertificateStatus | None:
        """What the CA knows of `serial`, or None."""
        answer = self._manage(f"/cert-status-by-serial/{serial:x}", ok=(200, 404))
        if answer.status_code == 404:
            return None
        body = answer.json()
        return CertificateStatus(
            certificate=x509.load_pem_x509_certificate(body["Certificate"].encode()),
            revoked=body["Status"] == "Revoked",
        )

    # --- what it was asked for

    def mark(self) -> int:
        """The present end of the log, for the `since` of the counters below."""
        try:
            return self._process.log.stat().st_size
        except FileNotFoundError:
            return 0

    def log(self, since: int = 0) -> str:
        return self._process.log.read_bytes()[since:].decode(errors="replace")

    def asked(self, since: int = 0) -> list[str]:
        """Every request as `"METHOD /route"`, in order; those refused for their nonce are among them."""
        return [f"{method} {route}" for method, route in _REQUEST.findall(self.log(since))]

    def count(self, endpoint: str, since: int = 0) -> int:
        """How many requests went to `endpoint`, one of ENDPOINTS."""
        return self.asked(since).count(ENDPOINTS[endpoint])

    def orders(self, since: int = 0) -> list[str]:
        """The identifiers of the orders that were really created."""
        return _ORDER.findall(self.log(since))

    def issued(self, since: int = 0) -> list[str]:
        """The serials of the certificates issued, lower-case hex without leading zeros."""
        return [serial.lstrip("0") for serial in _ISSUED.findall(self.log(since))]

    # --- its DNS

    def dns(self, command: str, **payload: Any) -> None:
        """Tell challtestsrv: `set-txt` (host, value), `clear-txt` (host), `add-a` (host, addresses) and so on."""
        url = f"http://{LOOPBACK}:{self.dns_management_port}/{command}"
        requests.post(url, json=payload, timeout=10).raise_for_status()

    # --- how it is set up

    def _manage(self, path: str, ok: tuple[int, ...] = (200,)) -> requests.Response:
        answer = requests.get(f"{self.management_url}{path}", verify=str(self.trust_path), timeout=10)
        assert answer.status_code in ok, f"{path}: {answer.status_code} {answer.text[:200]}"
        return answer

    def _answers(self) -> bool:
        try:
            self._manage("/roots/0")
            return requests.get(self.directory_url, verify=str(self.trust_path), timeout=10).ok
        except requests.ConnectionError:
            return False

    def _write_files(self) -> None:
        authority = TestAuthority("pebble endpoint root")
        self.trust_path.write_bytes(pem_of(authority.certificate))
        certificate, key = authority.issue("localhost", LOOPBACK)
        (self.root / "endpoint.pem").write_bytes(pem_of(certificate))
        (self.root / "endpoint.key").write_bytes(key)
        (self.root / "pebble.json").write_text(json.dumps({"pebble": self._configuration()}, indent=2))

    def _configuration(self) -> dict[str, Any]:
        return {
            "listenAddress": f"{LOOPBACK}:{self.port}",
            "managementListenAddress": f"{LOOPBACK}:{self.management_port}",
            "certificate": str(self.root / "endpoint.pem"),
            "privateKey": str(self.root / "endpoint.key"),
            "httpPort": self.http_port,
            "tlsPort": self.tls_port,
            "ocspResponderURL": self.options.ocsp_url,
            "externalAccountBindingRequired": bool(self.options.eab),
            "externalAccountMACKeys": self.options.eab,
            "domainBlocklist": list(self.options.blocked),
            "certificateValidityPeriod": int(self.options.lifetime.total_seconds()),
        }

    def _argv(self) -> list[str]:
        argv = [find("pebble") or "pebble", "-config", str(self.root / "pebble.json")]
        argv += ["-dnsserver", f"{LOOPBACK}:{self.dns_port}"]
        return [*argv, "-strict"] if self.options.strict else argv

    def _dns_argv(self) -> list[str]:
        # No challenges of its own (the client under test has to answer them), and no IPv6 addresses: nobody listens.
        return [
            find("pebble-challtestsrv") or "pebble-challtestsrv",
            *("-http01", "", "-https01", "", "-tlsalpn01", ""),
            *("-defaultIPv4", LOOPBACK, "-defaultIPv6", ""),
            *("-dns01", f"{LOOPBACK}:{self.dns_port}"),
            *("-management", f"{LOOPBACK}:{self.dns_management_port}"),
        ]

    def _environment(self) -> dict[str, str]:
        environment = {
            "PEBBLE_VA_NOSLEEP": "1",
            "PEBBLE_WFE_NONCEREJECT": str(self.options.nonce_reject),
            "PEBBLE_AUTHZREUSE": str(self.options.authz_reuse),
            "PEBBLE_ALTERNATE_ROOTS": str(self.options.alternate_roots),
            "PEBBLE_CHAIN_LENGTH": str(self.options.chain_length),
        }
        if self.options.always_valid:
            environment["PEBBLE_VA_ALWAYS_VALID"] = "1"
        return environment
