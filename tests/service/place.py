"""What is around a machine: a CA, its OCSP responder, and the configuration of a certd that uses them."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from machine import Machine
from parts import FaultProxy, Pebble, PebbleOptions, Responder
from parts.handshake import served_serial
from parts.pebble import ENDPOINTS
from parts.processes import eventually

KID, MAC = "kid-of-the-test", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
CHALLENGES = "/var/lib/certd-challenges"
CLONE_NEWNET = 0x40000000


@contextmanager
def own_network() -> Iterator[None]:
    """A network of this thread and of all that it starts: the loopback alone, with every port free.

    Raises OSError where that is not allowed.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.unshare(CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "no network namespace")
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            yield
        finally:
            libc.setns(before, CLONE_NEWNET)
    finally:
        os.close(before)


class Place:
    """Pebble, which validates on port 80, behind a proxy that a test may tell to spoil answers; and a responder."""

    def __init__(self, root: Path) -> None:
        self.responder = Responder()
        self.responder.start()
        (root / "pebble").mkdir()
        (root / "proxy").mkdir()
        options = PebbleOptions(eab={KID: MAC}, ocsp_url=self.responder.url)
        self.pebble = Pebble(root / "pebble", options, http_port=80)
        self.pebble.start()
        self.responder.issuer = self.pebble
        self.kid, self.mac = KID, MAC
        self.proxy = FaultProxy(root / "proxy", _endpoint)
        self.proxy.to(self.pebble.directory_url, self.pebble.trust_path)
        self.proxy.start()

    def close(self) -> None:
        self.proxy.stop()
        self.pebble.stop()
        self.responder.stop()

    def config(
        self,
        names: Sequence[str],
        *,
        ocsp: Mapping[str, Any] | None = None,
        defaults: Mapping[str, Any] | None = None,
        eab: Mapping[str, Any] | None = None,
        web: Mapping[str, Any] | None = None,
    ) -> str:
        """The text of config.yaml; JSON is YAML."""
        kept = {"kid": KID, "hmac_key_file": "/etc/certd/eab-hmac.key"}
        return json.dumps(
            {
                "cas": {
                    "pebble": {
                        "directory": self.directory,
                        "contact": ["ops@example.jp"],
                        "terms_of_service_agreed": True,
                        "eab": dict(eab or kept),
                    }
                },
                "servers": {"web": {"reload": {"service": "httpd"}, "verify": {"timeout": "20s"}} | dict(web or {})},
                "defaults": {
                    "ca": "pebble",
                    "challenge": {"type": "http-01", "webroot": CHALLENGES, "self_check": "127.0.0.1:80"},
                    "ocsp": {"propagation_delay": "3s"} | dict(ocsp or {}),
                    "deploy": "web",
                }
                | dict(defaults or {}),
                "certificates": [{"domains": [name]} for name in names],
                "limits": {"reload_min_interval": "1s"},
            },
            indent=1,
        )

    def furnish(self, machine: Machine, names: Sequence[str], **settings: Any) -> None:
        """What the administrator writes: the configuration, the secret, one virtual host for each name."""
        self.be_trusted(machine)
        machine.put("/etc/certd/config.yaml", self.config(names, **settings), mode=0o640, owner="root:certd")
        machine.put("/etc/certd/eab-hmac.key", MAC, mode=0o640, owner="root:certd")
        for name in names:
            self.virtual_host(machine, name)

    def be_trusted(self, machine: Machine) -> None:
        """The CA's own https is trusted as any other's: by the system's bundle."""
        machine.put("/etc/pki/tls/certs/ca-bundle.crt", self.proxy.trust_path.read_text())

    @property
    def directory(self) -> str:
        """The URL of the CA's directory."""
        return f"{self.proxy.url}/dir"

    def virtual_host(self, machine: Machine, name: str) -> None:
        lines = ("SSLEngine on", f"Include /var/lib/certd/live/{name}/apache.conf")
        body = "".join(f"    {line}\n" for line in (f"ServerName {name}", *lines))
        machine.put(f"/etc/httpd/conf.d/{name}.conf", f"<VirtualHost *:443>\n{body}</VirtualHost>\n")

    def served(self, name: str) -> str | None:
        """The serial of what the machine serves for a name."""
        return served_serial(443, name)

    def wait_until_served(self, name: str, *, other_than: str | None = None, timeout: float = 60.0) -> str:
        """Until Apache serves a certificate of the CA for the name; its serial."""

        def issued() -> str | None:
            serial = self.served(name)
            return serial if serial != other_than and serial in self.pebble.issued() else None

        serial = eventually(issued, f"Apache serves a certificate of the CA for {name}", timeout)
        assert serial is not None
        print(f"--- openssl s_client: {name} is served with serial {serial}", flush=True)
        return serial


def _endpoint(method: str, path: str) -> str:
    asked = f"{method} {path}"
    return next((name for name, route in ENDPOINTS.items() if asked.startswith(route)), asked)
