"""Real certbot and dehydrated, and the files of acme.sh: certd takes over, and goes on with their accounts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from migrate.acmesh_layout import MAC
from migrate.oldsite import OldSite, changed, lines_with, state_of
from parts import Certd


def importing(site: OldSite, client: str, home: Path) -> Certd:
    """A certd without a configuration; `certd import` writes it. What it prints is checked for secrets."""
    (site.root / "certd").mkdir()
    certd = Certd(site.root / "certd", {})
    certd.config_path.unlink()
    before = state_of(home)
    words = ("import", client, str(home), "--state-dir", str(certd.state_dir))
    dry = certd.command(*words, "--dry-run")
    assert not certd.state_dir.exists() and not certd.config_path.exists()
    done = certd.command(*words)
    assert lines_with(dry.stdout, ["Dry run: nothing was written"])
    assert dry.stdout.splitlines()[:10] == done.stdout.splitlines()[:10]
    assert state_of(home) == before, "the old client's files were touched"
    assert MAC not in dry.stdout + done.stdout + done.stderr
    return certd


def goes_on(site: OldSite, certd: Certd, name: str, url: str) -> None:
    """certd orders with the old account, asks for it with onlyReturnExisting and nothing else, and swaps."""
    certd.command("check")
    first = (certd.live_dir / name / "cert.pem").read_bytes()
    changed(certd, lambda config: config["certificates"][0].update({"key": "p256"}))
    site.proxy.forget()
    certd.command("once")
    assert (certd.live_dir / name / "cert.pem").read_bytes() != first
    assert (certd.live_dir / name).readlink().name == "0002"
    assert site.account_requests() and all(asked == {"onlyReturnExisting": True} for asked in site.account_requests())
    record = json.loads(next(certd.state_dir.glob("accounts/*/account.json")).read_text())
    assert (record["phase"], record["url"]) == ("registered", url)


@pytest.fixture(params=["acme_sh", "certbot", "dehydrated"])
def installed(request: pytest.FixtureRequest, old_site: OldSite) -> tuple[str, Path, str]:
    """The client, its directory, and the URL of its account by its own word."""
    make: Callable[..., Path] = getattr(old_site, request.param)
    home = make("www.example.jp", "example.jp")
    match request.param:
        case "acme_sh":
            url: Any = next(home.glob("ca/**/ca.conf")).read_text().partition("ACCOUNT_URL='")[2].partition("'")[0]
        case "certbot":
            url = json.loads(next(home.glob("accounts/**/regr.json")).read_text())["uri"]
        case _:
            url = json.loads(next(home.glob("accounts/*/account_id.json")).read_text())["url"]
    return request.param.replace("_", "."), home, url


def test_certd_goes_on_where_a_real_client_stopped(old_site: OldSite, installed: tuple[str, Path, str]) -> None:
    """Account, certificate and settings come along; no EAB is needed; the next certificate is ordered with them."""
    client, home, url = installed
    certd = importing(old_site, client, home)
    name = "www.example.jp"
    live = certd.live_dir / name
    files = {file: f"{file}.pem" for file in ("cert", "chain", "fullchain", "privkey")}
    if client == "acme.sh":
        files = {"cert": f"{name}.cer", "chain": "ca.cer", "fullchain": "fullchain.cer", "privkey": f"{name}.key"}
    theirs = home / {"certbot": "live", "dehydrated": "certs", "acme.sh": ""}[client] / name
    assert live.readlink().name == "0001"
    for file, their_name in files.items():
        assert (live / f"{file}.pem").read_bytes() == (theirs / their_name).read_bytes(), file
    if client == "certbot":  # it is told by its environment, which nobody keeps
        changed(certd, lambda config: next(iter(config["cas"].values())).update({"trust": str(old_site.trust)}))
    goes_on(old_site, certd, name, url)
    again = certd.command("import", client, str(home))
    assert lines_with(again.stdout, ["= accounts/"])
    assert lines_with(again.stdout, [name, "certd has another certificate live, which stays"])
