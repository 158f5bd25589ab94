"""What docs/INSTALL.md shows is tried: the configuration, the unit of one's own, the backup and what comes of it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from documents import blocks
from parts import Certd, LabSite, eventually, find, served_serial

from certd.challenges import OPTIONS
from certd.config import load

DOCUMENT = "docs/INSTALL.md"
NAME = "example.test"


def block(language: str, beginning: str) -> str:
    (found,) = [b.text for b in blocks(DOCUMENT) if b.language == language and b.text.startswith(beginning)]
    return found


def test_the_configuration_can_be_used(tmp_path: Path) -> None:
    """Word for word, but for the place of the MAC key."""
    key = tmp_path / "eab-hmac.key"
    key.touch(0o600)
    key.write_text("c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA\n")
    path = tmp_path / "config.yaml"
    path.write_text(block("yaml", "cas:").replace("/etc/certd/eab-hmac.key", str(key)))
    config = load(path, solvers=OPTIONS)
    assert list(config.certificates) == ["www.example.jp"]
    assert [server.reload.service for server in config.servers.values()] == ["httpd"]  # type: ignore[union-attr]


def test_the_unit_is_understood(tmp_path: Path) -> None:
    """systemd finds no mistake in the unit for hosts without the package."""
    systemd = find("systemd-analyze")
    if systemd is None:
        pytest.skip("systemd-analyze is not installed (apt-get install systemd)")
    path = tmp_path / "certd.service"
    path.write_text(block("ini", "[Unit]").replace("/usr/lib/certd/bin/certd run", "/bin/true"))
    done = subprocess.run([systemd, "verify", str(path)], capture_output=True, text=True, check=False, timeout=60)
    said = [line for line in done.stderr.splitlines() if "certd.service" in line]
    assert not said, done.stderr


def test_a_backup_is_enough_for_another_host(make_labsite: Callable[..., LabSite], tmp_path: Path) -> None:
    """By the lines of the document: made while certd runs, a renewal in the midst of it; unpacked where nothing is.

    No link names what is not there, the certificate that was live at the beginning is served, nothing is ordered, and
    the account works without new credentials.
    """
    site = make_labsite([NAME])
    certd = site.daemon(defaults={"key": "p256"})
    host = _laid_out(certd, tmp_path / "host")
    certd.command("prepare")
    site.apache.start()
    certd.start()
    certd.wait_settled()
    before = certd.live_serials()
    tar = {line.split()[3]: line for b in blocks(DOCUMENT) for line in b.text.splitlines() if line.startswith("tar ")}
    archive = tmp_path / "certd-backup.tar"

    def run(kind: str) -> None:
        line = tar[kind].replace("-C / ", f"-C {host} ").replace("/root/certd-backup.tar", str(archive))
        done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, check=False, timeout=60)
        # 1: "Some files differ", as the document says; tar has a word for each of them.
        assert done.returncode in (0, 1), done.stderr
        assert all("as we read it" in word or "before we read it" in word for word in done.stderr.splitlines())

    run("-cf")
    certd.renew(NAME, now=True)
    eventually(lambda: certd.settled() and certd.live_serials() != before, "it is renewed while the backup is made")
    run("-rf")
    certd.stop()
    for directory in ("etc/certd", "var/lib/certd"):
        shutil.rmtree(host / directory)
    run("-xf")
    assert [path.resolve().exists() for path in (host / "var/lib/certd/live").iterdir()] == [True]
    assert (host / "etc/certd/config.yaml").is_file()
    site.apache.reload()  # there, it starts with what was unpacked
    orders = site.ca.orders
    certd.start()
    certd.wait_settled()
    assert certd.live_serials() == before
    assert served_serial(site.apache.tls_port, NAME) == before[NAME]
    assert site.ca.orders == orders
    certd.renew(NAME, now=True)
    eventually(lambda: certd.settled() and certd.live_serials() != before, "it is renewed with the old account")


def _laid_out(certd: Certd, host: Path) -> Path:
    """A host's root, with certd's own directories where the document has them."""
    (host / "var/lib/certd").mkdir(parents=True)
    (host / "etc/certd").mkdir(parents=True)
    shutil.copy(certd.config_path, host / "etc/certd")
    certd.state_dir.symlink_to(host / "var/lib/certd")
    return host
