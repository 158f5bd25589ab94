"""Where another client issued its certificates, and certd goes on: Pebble behind a proxy that notes every request."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from migrate.acmesh_layout import KID, MAC, AcmeSh, as_openssl_writes
from parts import Certd, FaultProxy, Pebble, Webroot, require
from parts.pebble import ENDPOINTS


def endpoint_of(method: str, path: str) -> str:
    """RFC 8555's name for a request to Pebble."""
    asked = f"{method} {path}"
    return next((name for name, start in ENDPOINTS.items() if asked.startswith(start)), asked)


class OldSite:
    """One account, bound to EAB credentials; the CA gives out no other without them."""

    def __init__(self, start_pebble: Callable[..., Pebble], webroot: Webroot, root: Path) -> None:
        self.webroot = webroot
        self.root = root
        self.pebble = start_pebble(http_port=webroot.port, eab={KID: MAC})
        (root / "proxy").mkdir()
        self.proxy = FaultProxy(root / "proxy", endpoint_of)
        self.proxy.to(self.pebble.directory_url, self.pebble.trust_path)
        self.proxy.start()
        self.directory = f"{self.proxy.url}/dir"
        self.trust = self.proxy.trust_path

    def close(self) -> None:
        self.proxy.stop()

    def run(self, program: str, *arguments: str | Path, env: Mapping[str, str] | None = None) -> str:
        """The real client, to its end; its output. Skips the test where it is not installed."""
        require(program)
        argv = [program, *map(str, arguments)]
        done = subprocess.run(
            argv, capture_output=True, text=True, check=False, timeout=120, env={**os.environ, **(env or {})}
        )
        assert done.returncode == 0, f"{argv}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def certbot(self, *domains: str) -> Path:
        """certbot's configuration directory, with an account and a certificate for `domains`."""
        home = self.root / "letsencrypt"
        places = ("--config-dir", home, "--work-dir", self.root / "work", "--logs-dir", self.root / "logs")
        names = [word for domain in domains for word in ("-d", domain)]
        self.run(
            *("certbot", "certonly", "--non-interactive", "--agree-tos", "-m", "ops@example.jp", *places),
            *("--server", self.directory, "--eab-kid", KID, "--eab-hmac-key", MAC, "--key-type", "rsa"),
            *("--webroot", "-w", self.webroot.path, *names),
            env={"REQUESTS_CA_BUNDLE": str(self.trust)},
        )
        return home

    def dehydrated(self, *domains: str) -> Path:
        """dehydrated's directory, with an account and a certificate for `domains`."""
        home = self.root / "dehydrated"
        challenges = self.webroot.path / ".well-known" / "acme-challenge"
        challenges.mkdir(parents=True)
        home.mkdir()
        (home / "config").write_text(
            f'CA="{self.directory}"\nWELLKNOWN={challenges}\nCONTACT_EMAIL=ops@example.jp\nKEY_ALGO=rsa\nKEYSIZE="2048"\n'
            f"EAB_KID='{KID}'\nEAB_HMAC_KEY='{MAC}'\nCURL_OPTS=\"--cacert {self.trust}\"\n"
        )
        (home / "domains.txt").write_text(f"{' '.join(domains)}\n")
        self.run("dehydrated", "-f", home / "config", "--register", "--accept-terms")
        self.run("dehydrated", "-f", home / "config", "-c")
        return home

    def acme_sh(self, *domains: str) -> Path:
        """acme.sh's home, as it leaves it; account and certificate come from a certd, since it is no Debian package."""
        (self.root / "issuer").mkdir()
        secret = self.root / "eab.key"
        secret.touch(0o600)
        secret.write_text(MAC)
        issuer = Certd(
            self.root / "issuer",
            {
                "cas": {
                    "old": {
                        "directory": self.directory,
                        "contact": ["ops@example.jp"],
                        "terms_of_service_agreed": True,
                        "eab": {"kid": KID, "hmac_key_file": str(secret)},
                        "trust": str(self.trust),
                    }
                },
                "defaults": {
                    "challenge": {"type": "http-01", "webroot": str(self.webroot.path), "self_check": False},
                },
                "certificates": [{"domains": list(domains)}],
            },
        )
        issuer.command("once")
        account = issuer.state_dir / "accounts" / "old"
        live = issuer.live_dir / domains[0]
        home = AcmeSh(self.root / "acme.sh", self.directory, CA_BUNDLE=str(self.trust))
        url = json.loads((account / "account.json").read_text())["url"]
        home.account(as_openssl_writes((account / "account.key").read_bytes()), url)
        home.certificate(
            domains,
            str(self.webroot.path),
            key=as_openssl_writes((live / "privkey.pem").read_bytes()),
            cert=(live / "cert.pem").read_bytes(),
            chain=(live / "chain.pem").read_bytes(),
        )
        return home.home

    def account_requests(self) -> list[Any]:
        """What was sent to newAccount since `proxy.forget()`."""
        return [ask.payload for ask in self.proxy.asked if ask.endpoint == "newAccount"]


def changed(certd: Certd, change: Callable[[dict[str, Any]], None]) -> None:
    """Edit the configuration as an operator would."""
    config = yaml.safe_load(certd.config_path.read_text())
    change(config)
    certd.config_path.write_text(yaml.safe_dump(config, sort_keys=False))


def state_of(root: Path) -> dict[str, tuple[int, int, bytes]]:
    """Every file below, with mode, time and content: what must not change when somebody only reads."""
    return {
        str(path.relative_to(root)): (path.lstat().st_mode, path.lstat().st_mtime_ns, path.read_bytes())
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def lines_with(text: str, words: Sequence[str]) -> list[str]:
    """The lines that hold all the words."""
    return [line for line in text.splitlines() if all(word in line for word in words)]
