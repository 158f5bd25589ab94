"""A site whose CA is the lab's: in the test's process, by the test's clock, with an account of every order."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography import x509

from certd import pki
from certd.lab import LabCa, LabOptions
from certd.lab.options import Clock, wall_clock
from certd.model.specs import KeyType
from certd.store import Store
from parts.apache import Apache
from parts.daemon import Certd
from parts.forwarded import ForwardClock, ForwardedCertd
from parts.ports import LOOPBACK


class LabSite:
    """A lab CA, one or more Apaches, and a certd that is given by `daemon` or `forwarded`. `close` ends it all.

    Every name is a certificate with that one domain. `ca.orders` tells how many orders were placed. The first Apache
    serves the challenges; each is a server of certd's configuration: `web`, `web2` and so on.
    """

    def __init__(
        self,
        root: Path,
        names: Sequence[str],
        *,
        apaches: int = 1,
        with_apache: Sequence[str] | None = None,
        plain_paths: bool = False,
        extra: Mapping[str, Sequence[str]] | None = None,
        modules: Sequence[str] = (),
        clock: Clock = wall_clock,
    ) -> None:
        """`with_apache`: the names that have a virtual host (all); `extra`: more lines for a name's virtual host."""
        self.root = root
        self.names = tuple(names)
        self.live_dir = root / "certd" / "state" / "live"
        self.apaches = [
            Apache(
                root / f"apache{number}",
                self.names if with_apache is None else with_apache,
                self.live_dir,
                plain_paths=plain_paths,
                extra=extra,
                modules=modules,
            )
            for number in range(1, apaches + 1)
        ]
        options = LabOptions(http_port=self.apache.http_port, ocsp_lag=timedelta(0), processing_polls=0)
        self.ca = LabCa(options, clock=clock)
        self._clock = clock
        self.servers = {
            f"web{number if number > 1 else ''}": self.server(apache) for number, apache in enumerate(self.apaches, 1)
        }
        """The configuration's `servers`: a test may change them before certd is made."""
        self._certd: Certd | None = None

    @property
    def apache(self) -> Apache:
        return self.apaches[0]

    @property
    def certd(self) -> Certd:
        assert self._certd is not None, "no certd was made"
        return self._certd

    def server(self, apache: Apache) -> dict[str, Any]:
        """The entry of the configuration for this Apache."""
        words = {"command": "graceful", "active": "status", "start": "start"}
        return {
            "reload": {key: list(apache.command(word)) for key, word in words.items()},
            "verify": {"connect": [f"{LOOPBACK}:{apache.tls_port}"], "timeout": "10s"},
        }

    def daemon(self, **settings: Any) -> Certd:
        """certd as a process of its own, not started yet; `settings` as for `config`."""
        self.ca.start()
        self._certd = Certd(self._certd_root(), self.config(**settings))
        return self._certd

    def forwarded(
        self, clock: ForwardClock, *, command_timeout: timedelta | None = None, **settings: Any
    ) -> ForwardedCertd:
        """certd in this process, by a clock that is put forward; not started yet."""
        self.ca.start()
        certd = ForwardedCertd(self._certd_root(), self.config(**settings), clock, command_timeout=command_timeout)
        self._certd = certd
        return certd

    def config(
        self,
        *,
        defaults: Mapping[str, Any] | None = None,
        certificates: Mapping[str, Mapping[str, Any]] | None = None,
        limits: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """`certificates`: name to settings of its own."""
        kid, mac = self.ca.new_eab()
        key_file = self.root / "eab.key"
        key_file.touch(0o600)
        key_file.write_text(mac)
        own = certificates or {}
        return {
            "cas": {
                "lab": {
                    "directory": self.ca.directory_url,
                    "contact": ["ops@example.jp"],
                    "terms_of_service_agreed": True,
                    "eab": {"kid": kid, "hmac_key_file": str(key_file)},
                    "trust": str(self.ca.trust_path),
                    "limits": {"new_orders": "10000/1h"},
                }
            },
            "servers": self.servers,
            "defaults": {
                "ca": "lab",
                "key": "p256",
                "challenge": {
                    "type": "http-01",
                    "webroot": str(self.apache.webroot),
                    "self_check": f"{LOOPBACK}:{self.apache.http_port}",
                },
                "ocsp": {"propagation_delay": "10m"},
                "deploy": list(self.servers),
            }
            | dict(defaults or {}),
            "certificates": [{"domains": [name], **own.get(name, {})} for name in self.names],
            "limits": {"reload_min_interval": "1s"} | dict(limits or {}),
        }

    def put_live(self, names: Sequence[str] | None = None) -> None:
        """A first set for these names (all), as an earlier run has left it; nothing is due for them then."""
        now = self._clock()
        with Store.open(self.live_dir.parent, purpose="the test", now=now) as store:
            for name in self.names if names is None else names:
                key = pki.generate_key(KeyType.P256)
                public = x509.load_der_x509_csr(pki.make_csr(key, (name,))).public_key()
                leaf = self.ca.authority.issue(
                    public, (name,), now=now, lifetime=self.ca.options.lifetime, ocsp_url=self.ca.ocsp_url
                )
                chain = self.ca.authority.chain_pem(leaf)
                complete = pki.build_set(key, chain, domains=(name,), key_type=KeyType.P256, now=now)
                store.switch_live(name, store.add_version(name, complete, group=None, combined=True), now=now)

    def prepare(self) -> None:
        """`certd prepare`: placeholders for the names without a set, so that Apache starts."""
        done = subprocess.run(self.certd.argv("prepare"), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def served(self, apache: Apache | None = None) -> dict[str, str | None]:
        """Name to the serial that an Apache serves."""
        return {name: (apache or self.apache).served(name) for name in self.names}

    def issued(self) -> dict[str, str]:
        """Name to the serial of its newest certificate."""
        return {one.names[0]: one.serial for one in self.ca.issued}

    def close(self) -> None:
        try:
            if self._certd is not None:
                self._certd.stop()
        finally:
            for apache in self.apaches:
                apache.close()
            self.ca.stop()

    def _certd_root(self) -> Path:
        root = self.live_dir.parent.parent
        root.mkdir(exist_ok=True)
        return root
