"""A whole site: certd, Pebble with EAB, an OCSP responder, and a real Apache that serves webroot and TLS."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from parts.apache import Apache
from parts.daemon import Certd
from parts.pebble import Pebble, PebbleOptions
from parts.responder import Responder

KID, MAC = "kid-of-the-test", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"


class Site:
    """Everything on this machine for one certd. `close` ends it all.

    `names` are certificates (each with the domain of its name), or a mapping of names to domains. `defaults` and
    `certificates` go into the configuration as they are, over what the site needs.
    """

    def __init__(
        self,
        root: Path,
        names: Sequence[str] | Mapping[str, Sequence[str]],
        *,
        pebble: Mapping[str, Any] | None = None,
        defaults: Mapping[str, Any] | None = None,
        top: Mapping[str, Any] | None = None,
        ocsp: Mapping[str, Any] | None = None,
        plain_paths: bool = False,
        verify: Mapping[str, Any] | None = None,
        with_apache: Sequence[str] | None = None,
    ) -> None:
        self.domains = dict(names) if isinstance(names, Mapping) else {name: [name] for name in names}
        self.responder = Responder()
        self.certd = Certd(root, {})
        self.apache = Apache(
            root / "apache",
            {name: self.domains[name] for name in (with_apache if with_apache is not None else self.domains)},
            self.certd.live_dir,
            plain_paths=plain_paths,
        )
        self.responder.start()
        options: dict[str, Any] = {"eab": {KID: MAC}, "nonce_reject": 50, "ocsp_url": self.responder.url}
        options |= pebble or {}
        (root / "pebble").mkdir()
        self.pebble = Pebble(root / "pebble", PebbleOptions(**options), http_port=self.apache.http_port)
        self.responder.issuer = self.pebble
        self._root = root
        self._defaults, self._top = dict(defaults or {}), dict(top or {})
        self._ocsp = {"propagation_delay": "3s", "max_wait": "60s"} | dict(ocsp or {})
        self._verify = dict(verify or {})

    def start(self) -> None:
        """Pebble, the placeholders, Apache with them, then certd."""
        self.start_around()
        self.certd.start()

    def start_around(self) -> None:
        """All but the daemon."""
        self.pebble.start()
        self.certd.configure(self.config())
        self.prepare()
        self.apache.start()

    def prepare(self) -> None:
        """`certd prepare`, as the unit before Apache's does."""

        done = subprocess.run(self.certd.argv("prepare"), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def config(self, **top: Any) -> dict[str, Any]:
        key_file = self._root / "eab.key"
        key_file.touch(0o600)
        key_file.write_text(MAC)
        apache = self.apache
        return (
            {
                "cas": {
                    "pebble": {
                        "directory": self.pebble.directory_url,
                        "contact": ["ops@example.jp"],
                        "terms_of_service_agreed": True,
                        "eab": {"kid": KID, "hmac_key_file": str(key_file)},
                        "trust": str(self.pebble.trust_path),
                    }
                },
                "servers": {
                    "web": {
                        "reload": {
                            "command": list(apache.command("graceful")),
                            "active": list(apache.command("status")),
                            "start": list(apache.command("start")),
                        },
                        "verify": {"connect": [f"127.0.0.1:{apache.tls_port}"], "timeout": "20s"} | self._verify,
                    }
                },
                "defaults": {
                    "ca": "pebble",
                    "challenge": {
                        "type": "http-01",
                        "webroot": str(apache.webroot),
                        "self_check": f"127.0.0.1:{apache.http_port}",
                    },
                    "ocsp": self._ocsp,
                    "deploy": "web",
                }
                | self._defaults,
                "certificates": [{"name": name, "domains": list(domains)} for name, domains in self.domains.items()],
                "limits": {"reload_min_interval": "1s"},
            }
            | self._top
            | top
        )

    def served(self) -> dict[str, str | None]:
        """Name to the serial that Apache serves."""
        return {name: self.apache.served(domains[0]) for name, domains in self.domains.items()}

    def close(self) -> None:
        self.certd.stop()
        self.apache.close()
        self.pebble.stop()
        self.responder.stop()
