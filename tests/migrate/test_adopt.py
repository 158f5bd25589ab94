"""`certd adopt` on a real Apache: the certificate that is served becomes the first live version."""

from __future__ import annotations

import grp
import os
import pwd
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from migrate.oldsite import changed
from parts import Apache, Certd, Pebble, TestAuthority, pem_of, serial_of

from certd.cli import takeover
from certd.errors import LockHeld
from certd.model.codes import Because
from certd.model.records import Ledger, Ordering, Timer
from certd.model.specs import KeyType
from certd.store import Store

NAME = "www.example.jp"
RELOAD = {"command": "graceful", "active": "status", "start": "start"}
CHAIN_FILE, FULL_CHAIN = "2.4.6", "2.4.8"


class FixedPaths(Apache):
    """An Apache whose virtual hosts name files of somebody else's, in the layout of its version."""

    layout = CHAIN_FILE
    pki = Path("/")

    def _certificate(self, live: Path) -> list[str]:
        key = f'SSLCertificateKeyFile "{self.pki}/{live.name}.key"'
        if self.layout == FULL_CHAIN:
            return [f"SSLCertificateFile {self.pki}/fullchain.cer", key]
        return [f"SSLCertificateFile {self.pki}/{live.name}.cer", key, f"SSLCertificateChainFile {self.pki}/ca.cer"]


class Running:
    """A site that works without certd: NAME.cer, NAME.key and ca.cer, as the JPRS manual has them."""

    def __init__(self, root: Path) -> None:
        self.authority = TestAuthority()
        self.pki = root / "pki"
        self.pki.mkdir()
        self.certificate, key = self.authority.issue(NAME, "example.jp")
        self.cert, self.chain = pem_of(self.certificate), pem_of(self.authority.certificate)
        (self.pki / f"{NAME}.cer").write_bytes(self.cert)
        (self.pki / f"{NAME}.key").touch(0o600)
        (self.pki / f"{NAME}.key").write_bytes(key)
        (self.pki / "ca.cer").write_bytes(self.chain)
        (self.pki / "fullchain.cer").write_bytes(self.cert + b"\n" + self.chain)
        self.certd = Certd(
            root,
            {
                "cas": {"old": {"directory": "https://127.0.0.1:1/dir", "terms_of_service_agreed": True}},
                "defaults": {"key": "p256", "challenge": {"type": "http-01", "webroot": str(root)}},
                "certificates": [{"domains": [NAME, "example.jp"]}],
            },
        )
        self.apache = FixedPaths(root / "apache", {NAME: [NAME, "example.jp"]}, self.certd.live_dir)
        self.apache.pki = self.pki

    def start(self, layout: str) -> None:
        self.apache.layout = layout
        self.apache.write()
        self.apache.start()

    def adopt(self, *options: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Apache's own file is not where this host has its."""
        conf = str(self.apache.httpd.configuration)
        return self.certd.command("adopt", NAME, "--apache-config", conf, *options, code=code)

    def paths(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted(self.pki.iterdir())}


@pytest.fixture
def running_apache(part_dir: Callable[[str], Path]) -> Iterator[Running]:
    site = Running(part_dir("running"))
    yield site
    site.apache.close()


@pytest.mark.parametrize("layout", [CHAIN_FILE, FULL_CHAIN])
def test_the_include_line_serves_the_same_certificate(running_apache: Running, layout: str) -> None:
    """A placeholder gives way to what is served, never the other way; Apache serves it by the line that is shown."""
    running_apache.start(layout)
    running_apache.certd.command("prepare")
    before = running_apache.paths()
    shown = running_apache.adopt().stdout
    live = running_apache.certd.live_dir / NAME
    assert (live / "cert.pem").read_bytes() == running_apache.cert
    assert live.readlink().name == "0002", "the first is the placeholder"
    assert running_apache.paths() == before, "the files of today were touched"
    lines = shown.splitlines()
    include = f"Include {live}/apache.conf"
    assert f"    {include}" in lines
    files = 2 if layout == FULL_CHAIN else 3
    assert sum("httpd.conf, line" in line and "SSLCertificate" in line for line in lines) == files
    text = running_apache.apache.httpd.configuration.read_text()
    kept = [line for line in text.splitlines() if not line.strip().startswith("SSLCertificate")]
    at = next(number for number, line in enumerate(kept) if "SSLEngine on" in line)
    for line in (include, include.replace("apache.conf", "apache-2.4.6.conf")):
        running_apache.apache.httpd.configuration.write_text("\n".join([*kept[: at + 1], line, *kept[at + 1 :]]) + "\n")
        running_apache.apache.reload()
        assert running_apache.apache.served(NAME) == serial_of(running_apache.certificate)
    assert "there is nothing to do" in running_apache.adopt().stdout


@pytest.mark.parametrize("layout", [CHAIN_FILE, FULL_CHAIN])
def test_links_serve_the_same_and_are_undone(running_apache: Running, layout: str) -> None:
    """To the byte: Apache's configuration stays, and undo leaves the directory as it was."""
    running_apache.start(layout)
    before = running_apache.paths()
    dry = running_apache.adopt("--links", "--dry-run").stdout
    assert "Dry run" in dry and running_apache.paths() == before and not running_apache.certd.state_dir.exists()
    running_apache.adopt("--links")
    links = [path for path in running_apache.pki.iterdir() if path.is_symlink()]
    assert len(links) == (2 if layout == FULL_CHAIN else 3)
    assert all(path.readlink().parent == running_apache.certd.live_dir / NAME for path in links)
    assert {name: content for name, content in running_apache.paths().items() if name in before} == before
    running_apache.apache.reload()
    assert running_apache.apache.served(NAME) == serial_of(running_apache.certificate)
    running_apache.adopt("--links")
    running_apache.adopt("--undo")
    assert running_apache.paths() == before and not any(path.is_symlink() for path in running_apache.pki.iterdir())
    running_apache.apache.reload()
    assert running_apache.apache.served(NAME) == serial_of(running_apache.certificate)
    assert "is a link through" in running_apache.adopt("--undo", code=1).stderr


def test_links_are_made_under_the_lock(running_apache: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that starts meanwhile would renew between the look at the files and their links."""
    real, held = takeover.links.link, []

    def watched(paths: Sequence[Path], live: Path) -> list[str]:
        with pytest.raises(LockHeld), Store.open(live.parents[1], purpose="certd run", now=datetime.now(UTC)):
            pass
        held.append(live)
        return real(paths, live)

    monkeypatch.setattr(takeover.links, "link", watched)
    pki = running_apache.pki
    words = takeover.Wanted(NAME, pki / f"{NAME}.cer", pki / f"{NAME}.key", links=True)
    assert takeover.adopt(running_apache.certd.config_path, words) == 0
    assert held == [running_apache.certd.live_dir / NAME]


def test_paths_through_live_are_not_linked_again(running_apache: Running, tmp_path: Path) -> None:
    """The virtual host names certd's files themselves, by another name of its directory: they stay what they are."""
    running_apache.start(CHAIN_FILE)
    running_apache.adopt()
    files = running_apache.certd.live_dir / NAME
    (tmp_path / "other").symlink_to(running_apache.certd.state_dir)
    other = tmp_path / "other" / "live" / NAME
    for path, name in ((f"{NAME}.cer", "cert.pem"), (f"{NAME}.key", "privkey.pem"), ("ca.cer", "chain.pem")):
        text = running_apache.apache.httpd.configuration.read_text()
        running_apache.apache.httpd.configuration.write_text(
            text.replace(f"{running_apache.pki}/{path}", f"{other}/{name}")
        )
    assert "takes its files from certd already" in running_apache.adopt("--links").stdout
    words = ("--cert", f"{other}/fullchain.pem", "--key", f"{other}/privkey.pem")
    assert "in certd's own directory" in running_apache.adopt("--links", *words, code=1).stderr
    assert not any(path.is_symlink() for path in files.iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_key_that_a_group_reads_is_linked_once_the_group_is_configured(running_apache: Running) -> None:
    """Before that nothing is written; the live version of before, without the group, is made again."""
    key, group = running_apache.pki / f"{NAME}.key", grp.getgrgid(1)
    os.chown(key, 0, group.gr_gid)
    key.chmod(0o640)
    words = ("adopt", NAME, "--cert", str(running_apache.pki / f"{NAME}.cer"), "--key", str(key))
    said = f"set `files.group: {group.gr_name}` for {NAME} first"
    for how in (("--links", "--dry-run"), ("--links",)):
        assert said in running_apache.certd.command(*words, *how, code=1).stderr
    assert not running_apache.certd.live_dir.exists()
    running_apache.certd.command(*words)
    assert said in running_apache.certd.command(*words, "--links", code=1).stderr
    changed(running_apache.certd, lambda config: config["defaults"].update(files={"group": group.gr_name}))
    running_apache.certd.command(*words, "--links")
    found = key.stat()
    assert (key.is_symlink(), found.st_gid, found.st_mode & 0o777) == (True, group.gr_gid, 0o640)


def test_what_is_live_already_is_not_replaced(running_apache: Running) -> None:
    """Adopting twice makes one version; another certificate under the same name is refused, and nothing moves."""
    running_apache.start(CHAIN_FILE)
    running_apache.adopt()
    assert "is live already, as version 1" in running_apache.adopt().stdout
    other, key = running_apache.authority.issue(NAME)
    (running_apache.pki / "other.cer").write_bytes(pem_of(other))
    (running_apache.pki / "other.key").write_bytes(key)
    refused = running_apache.adopt(
        "--cert", str(running_apache.pki / "other.cer"), "--key", str(running_apache.pki / "other.key"), code=1
    )
    assert "certd has another certificate" in refused.stderr
    assert [path.name for path in (running_apache.certd.state_dir / "certs" / NAME / "versions").iterdir()] == ["0001"]


@pytest.mark.parametrize("links", [True, False])
def test_the_renewal_after_it_is_served(
    running_apache: Running, start_pebble: Callable[..., Pebble], links: bool
) -> None:
    """By links or by the Include line, the next certificate reaches Apache; undo does not bring the old one back."""
    site = running_apache
    site.start(CHAIN_FILE)
    pebble = start_pebble(http_port=site.apache.http_port)
    site.certd.configure(
        {
            "cas": {
                "ca": {
                    "directory": pebble.directory_url,
                    "terms_of_service_agreed": True,
                    "trust": str(pebble.trust_path),
                }
            },
            "servers": {
                "web": {
                    "reload": {word: list(site.apache.command(how)) for word, how in RELOAD.items()},
                    "verify": {"connect": [f"127.0.0.1:{site.apache.tls_port}"], "timeout": "20s"},
                }
            },
            "defaults": {
                "challenge": {"type": "http-01", "webroot": str(site.apache.webroot), "self_check": False},
                "deploy": "web",
            },
            # Another key type than the certificate of today has, so that certd orders at once.
            "certificates": [{"domains": [NAME, "example.jp"], "key": "rsa2048"}],
        }
    )
    assert "certd orders a new certificate at its first start" in site.adopt(*(["--links"] if links else [])).stdout
    if not links:
        include = f"Include {site.certd.live_dir}/{NAME}/apache.conf"
        conf = site.apache.httpd.configuration
        lines = conf.read_text().splitlines()
        at = next(number for number, line in enumerate(lines) if "SSLCertificateFile" in line)
        kept = [line for line in lines if "SSLCertificate" not in line]
        conf.write_text("\n".join([*kept[:at], include, *kept[at:]]) + "\n")
    site.apache.reload()
    site.certd.command("once")
    serial = pebble.issued()[-1]
    assert site.apache.served(NAME) == serial != serial_of(site.certificate)
    if links:
        assert (site.pki / f"{NAME}.cer").read_bytes() != site.cert
        assert "older" in site.adopt("--undo").stdout
        assert not (site.pki / f"{NAME}.cer").is_symlink()
        site.apache.reload()
        assert site.apache.served(NAME) == serial


def test_an_order_that_is_under_way_is_left_alone(running_apache: Running) -> None:
    """certd has an order, and the placeholder is live: no link moves before the order has ended."""
    running_apache.certd.command("prepare")
    now = datetime.now(UTC)
    with Store.open(running_apache.certd.state_dir, purpose="test", now=now) as store:
        record = Ordering(
            ledger=Ledger(),
            because=Because.NO_LIVE_CERTIFICATE,
            ca="old",
            directory="https://127.0.0.1:1/dir",
            order_url=None,
            key_id="k",
            domains=(NAME,),
            key=KeyType.P256,
            placed_at=now,
            poll=Timer(now, now),
        )
        store.save_certificate(NAME, record)
    pki = running_apache.pki
    words = ("--cert", str(pki / "fullchain.cer"), "--key", str(pki / f"{NAME}.key"))
    refused = running_apache.certd.command("adopt", NAME, *words, code=1)
    assert "in the middle of an order" in refused.stderr
    assert (running_apache.certd.live_dir / NAME).readlink().name == "0001"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nobody.jp"], 1, "nobody.jp is no certificate of"),
        ([NAME, "--cert", "/nope"], 2, "--cert and --key are given together"),
        ([NAME, "--chain", "/nope"], 2, "--chain is given together with"),
        ([NAME, "--cert", "/nope", "--key", "/nope"], 1, "/nope is not there"),
        (
            [NAME, "--cert", "{pki}/ca.cer", "--key", "{pki}/" + NAME + ".key"],
            1,
            "none of the certificates is for this",
        ),
        ([NAME, "--cert", "{pki}/" + NAME + ".cer", "--key", "{pki}/ca.cer"], 1, "unencrypted PEM key"),
        ([NAME, "--apache-config", "/nope"], 1, "Apache does not say which files it serves"),
    ],
)
def test_mistakes_are_one_sentence(running_apache: Running, words: list[str], code: int, said: str) -> None:
    """What, where, what to do; no traceback, and nothing is written."""
    done = running_apache.certd.command("adopt", *(word.format(pki=running_apache.pki) for word in words), code=code)
    assert said in done.stderr and done.stderr.count("\n") == 1 and done.stdout == ""
    assert not any((running_apache.certd.state_dir / "live").glob("*"))


def test_an_expired_certificate_is_not_taken_over(running_apache: Running) -> None:
    """It would be no live certificate; nor is certd's own placeholder."""
    old, key = running_apache.authority.issue(NAME, lifetime=timedelta(seconds=-1))
    (running_apache.pki / "old.cer").write_bytes(pem_of(old))
    (running_apache.pki / "old.key").write_bytes(key)
    words = ("adopt", NAME, "--cert", str(running_apache.pki / "old.cer"), "--key", str(running_apache.pki / "old.key"))
    assert "expired at" in running_apache.certd.command(*words, code=1).stderr
    running_apache.certd.command("prepare")
    live = running_apache.certd.live_dir / NAME
    words = ("adopt", NAME, "--cert", str(live / "cert.pem"), "--key", str(live / "privkey.pem"))
    assert "placeholder" in running_apache.certd.command(*words, code=1).stderr
    assert live.readlink().name == "0001"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may write as another user")
def test_what_root_adopts_belongs_to_the_daemons_user(running_apache: Running) -> None:
    """The state directory's owner can read and replace all of it; the source was readable for root only."""
    user = pwd.getpwuid(1)
    with tempfile.TemporaryDirectory(prefix="certd-test-adopt-") as name:
        Path(name).chmod(0o711)
        state = Path(name) / "state"
        state.mkdir(mode=0o711)
        os.chown(state, user.pw_uid, user.pw_gid)
        config: dict[str, Any] = {
            "cas": {"old": {"directory": "https://127.0.0.1:1/dir", "terms_of_service_agreed": True}},
            "defaults": {"key": "p256", "challenge": {"type": "http-01", "webroot": "/tmp"}},
            "certificates": [{"domains": [NAME, "example.jp"]}],
        }
        running_apache.certd.state_dir = state
        running_apache.certd.configure(config)
        paths = (f"{running_apache.pki}/{NAME}.cer", f"{running_apache.pki}/{NAME}.key")
        running_apache.certd.command(
            "adopt", NAME, "--cert", paths[0], "--key", paths[1], "--chain", f"{running_apache.pki}/ca.cer"
        )
        found = [state, *state.rglob("*")]
        assert {(path.lstat().st_uid, path.lstat().st_gid) for path in found} == {(user.pw_uid, user.pw_gid)}
        assert (state / "live" / NAME / "privkey.pem").stat().st_mode & 0o777 == 0o600
