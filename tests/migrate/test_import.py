"""`certd import` on installations made up for the purpose: what is carried over, and what is told instead."""

from __future__ import annotations

import base64
import json
import os
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from authority import Authority
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from migrate.acmesh_layout import KID, MAC, AcmeSh, as_openssl_writes, base64ed
from migrate.oldsite import lines_with, state_of

from certd import pki
from certd.__main__ import main
from certd.model.specs import KeyType
from certd.pki import generate_key
from certd.store import Store

JPRS = "https://acme.amecert.jprs.jp/DV/getDirectory"
ACCOUNT = "https://acme.amecert.jprs.jp/DV/acct/12345"
Capture = pytest.CaptureFixture[str]


class Import:
    """One acme.sh, one certd without a configuration."""

    def __init__(self, root: Path, capture: Capture) -> None:
        self.root = root
        self.authority = Authority(now=datetime.now(UTC))
        self.acme = AcmeSh(root / "acme.sh", JPRS)
        self.key = generate_key(KeyType.P256)
        self.account = self.acme.account(as_openssl_writes(self.key), ACCOUNT)
        self.config = root / "etc" / "config.yaml"
        self.state = root / "state"
        self._capture = capture

    def certificate(self, *domains: str, webroot: str = "/var/www/html", ecc: bool = False, **settings: str) -> Path:
        leaf = self.authority.leaf(*domains)
        issuer = self.authority.intermediate.pem
        return self.acme.certificate(
            domains, webroot, key=leaf.key_pem, cert=leaf.pem, chain=issuer, ecc=ecc, **settings
        )

    def run(self, *words: str, code: int = 0, client: str = "acme.sh", directory: Path | None = None) -> str:
        """`certd import`; its report. Errors are one sentence, and no run shows a secret."""
        place = [] if self.config.exists() else ["--state-dir", str(self.state)]
        home = str(directory or self.acme.home)
        assert main(["-c", str(self.config), "import", client, home, *place, *words]) == code
        captured = self._capture.readouterr()
        assert MAC not in captured.out + captured.err
        assert (captured.err == "") == (code == 0)
        return captured.out if code == 0 else captured.err

    def written(self) -> dict[str, object]:
        """The entries of the configuration, by name."""
        data = yaml.safe_load(self.config.read_text())
        return {entry["name"]: entry for entry in data["certificates"]}


@pytest.fixture
def old(tmp_path: Path, capsys: Capture) -> Import:
    return Import(tmp_path, capsys)


def test_account_certificate_and_settings_come_along(old: Import, capsys: Capture) -> None:
    """The account by its URL, in PKCS #8; no EAB in the configuration, since it is spent; the old files untouched."""
    old.certificate("www.example.jp", "example.jp", Le_ReloadCmd=base64ed("service httpd reload"))
    before = state_of(old.acme.home)
    report = old.run()
    assert state_of(old.acme.home) == before
    record = json.loads((old.state / "accounts/jprs/account.json").read_text())
    assert (record["phase"], record["url"], record["directory"]) == ("registered", ACCOUNT, JPRS)
    assert record["contact"] == ["ops@example.jp"]
    key = old.state / "accounts/jprs/account.key"
    assert key.read_bytes() == old.key and key.stat().st_mode & 0o777 == 0o600
    assert yaml.safe_load(old.config.read_text()) == {
        "state_dir": str(old.state),
        "cas": {"jprs": {"directory": JPRS, "contact": ["ops@example.jp"], "terms_of_service_agreed": True}},
        "servers": {"httpd": {"reload": {"service": "httpd"}}},
        "certificates": [
            {
                "name": "www.example.jp",
                "domains": ["www.example.jp", "example.jp"],
                "ca": "jprs",
                "key": "p256",
                "challenge": {"type": "http-01", "webroot": "/var/www/html"},
                "deploy": "httpd",
            }
        ],
    }
    assert (old.config.stat().st_mode & 0o777, old.config.parent.stat().st_mode & 0o777) == (0o640, 0o755)
    with Store.open_read_only(old.state) as store:
        assert store.live_version("www.example.jp") == 1
        assert store.version_leaf("www.example.jp", 1).names == ("example.jp", "www.example.jp")
    assert lines_with(report, ["EAB credentials", KID, "not needed and not taken along"])
    assert lines_with(report, ["cas.jprs.eab", "the account is registered, so nothing is to be done"])
    assert main(["-c", str(old.config), "check"]) == 0


def test_a_dry_run_writes_nothing_and_shows_it_all(old: Import) -> None:
    """The same lines as the run itself, with the whole configuration."""
    old.certificate("www.example.jp")
    before = state_of(old.root)
    dry = old.run("--dry-run")
    assert state_of(old.root) == before
    assert not old.state.exists()
    assert lines_with(dry, ["  + ", 'name: "www.example.jp"'])
    assert lines_with(dry, ["+ live/www.example.jp: serial"])
    done = old.run()
    assert dry.splitlines()[:-1] == done.splitlines()[:-2]


def test_a_second_run_finds_all_of_it_there(old: Import) -> None:
    """Nothing is written twice, and a configuration is never overwritten."""
    old.certificate("www.example.jp")
    old.run()
    before = state_of(old.state / "accounts") | state_of(old.state / "certs") | {"config": old.config.read_bytes()}
    report = old.run()
    after = state_of(old.state / "accounts") | state_of(old.state / "certs") | {"config": old.config.read_bytes()}
    assert before == after
    assert lines_with(report, ["= accounts/jprs/account.key"]) and lines_with(report, ["= live/www.example.jp"])
    assert "already has all of it" in report and "There is nothing to be written." in report


def test_lines_for_a_configuration_that_exists_are_shown(old: Import) -> None:
    """It stays to the byte; what is missing in it is printed, under the CA's name that it has."""
    old.config.parent.mkdir()
    old.config.write_text(
        f"state_dir: {old.state}\ncas: {{my-jprs: {{directory: '{JPRS}', contact: [a@b.jp], "
        "terms_of_service_agreed: true}}\n"
        "defaults: {challenge: {type: http-01, webroot: /srv}}\ncertificates: [{domains: [here.jp]}]\n"
    )
    text = old.config.read_bytes()
    old.certificate("here.jp")
    old.certificate("new.jp", Le_ReloadCmd=base64ed("systemctl reload httpd"))
    report = old.run()
    assert old.config.read_bytes() == text
    added = "\n".join(line.removeprefix("  + ") for line in lines_with(report, []) if line.startswith("  + "))
    added = added[added.index("certificates:") :]
    assert yaml.safe_load(added) == {
        "certificates": [
            {
                "name": "new.jp",
                "domains": ["new.jp"],
                "ca": "my-jprs",
                "key": "p256",
                "challenge": {"type": "http-01", "webroot": "/var/www/html"},
                "deploy": {"reload": {"service": "httpd"}},
            }
        ]
    }
    assert (old.state / "accounts/my-jprs/account.key").read_bytes() == old.key
    assert {path.name for path in (old.state / "live").iterdir()} == {"here.jp", "new.jp"}


def test_an_account_key_is_never_replaced(old: Import) -> None:
    """certd has another one there: it stays, and the report says so (I7)."""
    old.certificate("www.example.jp")
    with Store.open(old.state, purpose="test", now=datetime.now(UTC)) as store:
        store.write_account_key("jprs", other := generate_key(KeyType.P256))
    report = old.run()
    assert (old.state / "accounts/jprs/account.key").read_bytes() == other
    assert not (old.state / "accounts/jprs/account.json").exists()
    assert lines_with(report, ["CA jprs", "has another account key there, which stays"])


def test_a_placeholder_gives_way_and_a_certificate_does_not(old: Import) -> None:
    """Never something worse over something better."""
    old.certificate("a.jp")
    old.certificate("b.jp")
    own = old.authority.leaf("b.jp")
    now = datetime.now(UTC)
    with Store.open(old.state, purpose="test", now=now) as store:
        sets = {
            "a.jp": pki.make_placeholder(["a.jp"], now=now),
            "b.jp": pki.gather_set(own.key_pem, [own.pem, old.authority.intermediate.pem]),
        }
        for name, made in sets.items():
            store.switch_live(name, store.add_version(name, made, group=None, combined=True), now=now)
    report = old.run()
    assert (old.state / "live/a.jp").readlink().name == "0002"
    assert (old.state / "live/b.jp").readlink().name == "0001"
    assert lines_with(report, ["b.jp", "certd has another certificate live, which stays"])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"webroot": "dns_cf"}, ["dns-01 (dns_cf)", "stays with acme.sh"]),
        ({"webroot": "dns"}, ["dns-01 (dns)"]),
        ({"webroot": "alpn"}, ["a way that certd does not have (alpn)"]),
        ({"Le_API": "https://other.example.jp/dir"}, ["its account (https://other.example.jp/dir) is not taken along"]),
    ],
)
def test_what_certd_cannot_renew_is_left_out_and_told(old: Import, settings: dict[str, str], words: list[str]) -> None:
    """Neither in the configuration nor live; the others are carried over."""
    old.certificate("left.jp", **settings)
    old.certificate("fine.jp")
    report = old.run()
    assert lines_with(report, ["  * left.jp: ", *words])
    assert set(old.written()) == {"fine.jp"}
    assert [path.name for path in (old.state / "live").iterdir()] == ["fine.jp"]


def test_wildcards_are_left_out(old: Import) -> None:
    """http-01 cannot validate them, whatever the old client had."""
    old.certificate("*.wild.jp", webroot="dns_x")
    old.certificate("half.jp", "*.half.jp", webroot="/var/www/html")
    report = old.run()
    assert lines_with(report, ["*.wild.jp", "dns-01 (dns_x)"])
    assert lines_with(report, ["half.jp", "wildcards need dns-01"])
    assert old.written() == {}
    assert lines_with(report, ["2 certificates stay with acme.sh"])
    old.certificate("fine.jp")
    old.config.unlink()
    assert lines_with(old.run(), ["Take the others out of it", "acme.sh --remove -d NAME"])


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("Le_PreHook", base64ed("rm -rf /tmp/secret-token"), "Le_PreHook (a command that runs before each renewal)"),
        ("Le_PostHook", base64ed("true"), "Le_PostHook"),
        ("Le_RenewHook", base64ed("true"), "Le_RenewHook"),
        ("Le_DeployHook", "haproxy,", "acme.sh's deploy hooks"),
        ("Le_ReloadCmd", base64ed("curl -d secret-token x; true"), "Le_ReloadCmd is not taken over"),
        ("Le_OCSP_Staple", "1", "must-staple"),
        ("Le_Preferred_Chain", base64ed("ISRG"), "preferred chain"),
        ("Le_Certificate_Profile", "shortlived", "profile"),
        ("Le_RealCertPath", "/etc/pki/tls/certs/www.cer", "/etc/pki/tls/certs/www.cer"),
        ("Le_Webroot", "no", "put packaging/apache/certd-challenge.conf"),
        ("Le_Webroot", "apache", "acme.sh's apache mode"),
        ("Le_Keylength", "ec-521", "key type ec-521 is none"),
    ],
)
def test_what_is_not_carried_over_is_told(old: Import, setting: str, value: str, words: str) -> None:
    """The certificate is, and the report names the setting; a command is not repeated, it may hold a secret."""
    old.certificate("www.example.jp", **{setting: value})
    report = old.run()
    assert lines_with(report, ["  * www.example.jp: ", words])
    assert "secret-token" not in report
    assert set(old.written()) == {"www.example.jp"}


def test_nothing_of_it_is_executed(old: Import, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings files are shell scripts for acme.sh, and text for certd."""
    monkeypatch.chdir(tmp_path)
    path = old.certificate("www.example.jp")
    for file in (path / "www.example.jp.conf", old.acme.home / "account.conf", old.account / "ca.conf"):
        with file.open("a") as conf:
            conf.write("touch RAN\nX=$(touch RAN)\n")
    report = old.run()
    assert not (tmp_path / "RAN").exists()
    assert lines_with(report, ["www.example.jp.conf", "is no plain assignment"])
    assert set(old.written()) == {"www.example.jp"}


def test_rsa_and_ecdsa_of_one_name_are_two_certificates(old: Import) -> None:
    """By the names of their directories; one that is alone has no suffix."""
    old.certificate("both.jp")
    old.certificate("both.jp", ecc=True, webroot="/srv")
    old.certificate("alone.jp", ecc=True)
    report = old.run()
    assert lines_with(report, ["both.jp_ecc", "the same domains with the same key type"]), "both have P-256 keys here"
    assert set(old.written()) == {"both.jp", "alone.jp"}


def test_each_domain_has_its_web_root(old: Import) -> None:
    """As in Le_Webroot: by position, and the last one goes on."""
    old.certificate("a.jp", "b.jp", "c.jp", webroot="/srv/a,/srv/b")
    old.run()
    entry = old.written()["a.jp"]
    assert isinstance(entry, dict)
    assert {domain: solver["webroot"] for domain, solver in entry["challenge"].items()} == {
        "a.jp": "/srv/a",
        "b.jp": "/srv/b",
        "c.jp": "/srv/b",
    }


def test_sets_that_will_not_do_are_ordered_anew(old: Import) -> None:
    """Expired, of another key, without a key: the entry is carried over, and the report says what follows."""
    past = datetime.now(UTC) - timedelta(days=1)
    expired = old.authority.leaf("expired.jp", not_before=past - timedelta(days=9), not_after=past)
    issuer = old.authority.intermediate.pem
    old.acme.certificate(["expired.jp"], "/srv", key=expired.key_pem, cert=expired.pem, chain=issuer)
    other = generate_key(KeyType.P256)
    old.acme.certificate(["other.jp"], "/srv", key=other, cert=old.authority.leaf("other.jp").pem, chain=issuer)
    csr = old.acme.certificate(["csr.jp"], "/srv", cert=old.authority.leaf("csr.jp").pem)
    (csr / "csr.jp.csr").write_text("-----BEGIN CERTIFICATE REQUEST-----\n")
    report = old.run()
    assert lines_with(report, ["expired.jp: expired", "certd orders a certificate at its first start"])
    assert lines_with(report, ["other.jp: its files make no set"])
    assert lines_with(report, ["csr.jp: it was issued for a request (CSR) whose key is elsewhere"])
    assert set(old.written()) == {"expired.jp", "other.jp", "csr.jp"}
    assert list((old.state / "live").iterdir()) == []


def test_an_account_without_certificates_comes_along(old: Import) -> None:
    """It may have cost EAB credentials."""
    report = old.run()
    assert (old.state / "accounts/jprs/account.key").exists()
    assert lines_with(report, ["1 account, 0 certificates"])


def test_accounts_that_nobody_needs_stay_behind(old: Import) -> None:
    """A rehearsal's; a second one at the same CA, as certbot leaves them. One that may have cost something does not."""
    old.certificate("www.example.jp")
    for place in ("acme-staging-v02.api.letsencrypt.org/directory", "acme.zerossl.com/v2/DV90"):
        old.acme.account(generate_key(KeyType.P256), "https://ca.example.jp/acct/9", place=place)
    report = old.run()
    assert {path.name for path in (old.state / "accounts").iterdir()} == {"jprs", "zerossl"}
    assert lines_with(report, ["letsencrypt", "no certificate uses the account in", "acme-staging"])
    params = "authenticator = webroot\nwebroot_path = /srv,\n"
    home = certbot_home(old.root, old.authority, params, "b.jp")
    first = next(home.glob("accounts/*/*/76cdacb0"))
    second = first.with_name("00000000")
    second.mkdir()
    for file in first.iterdir():
        (second / file.name).write_bytes(file.read_bytes())
    report = old.run("--dry-run", client="certbot", directory=home)
    assert lines_with(report, ["no certificate uses the account in", "00000000"])
    assert lines_with(report, ["+ accounts/letsencrypt/account.key"]) and not lines_with(report, ["letsencrypt-2"])


def test_one_account_key_for_all_cas(old: Import) -> None:
    """acme.sh's --accountkey: account.conf names it. Files that end their lines as Windows does are read as well."""
    old.certificate("www.example.jp")
    key = old.root / "my.key"
    (old.account / "account.key").rename(key)
    with (old.acme.home / "account.conf").open("a", newline="") as conf:
        conf.write(f"ACCOUNT_KEY_PATH={key}\r\n")
    old.run()
    assert (old.state / "accounts/jprs/account.key").read_bytes() == old.key


def test_an_account_without_a_url_is_asked_for_first(old: Import) -> None:
    """certd has its key and looks for it with onlyReturnExisting, before anything is registered."""
    old.certificate("www.example.jp")
    conf = old.account / "ca.conf"
    conf.write_text("\n".join(line for line in conf.read_text().splitlines() if "ACCOUNT_URL" not in line))
    report = old.run()
    record = json.loads((old.state / "accounts/jprs/account.json").read_text())
    assert (record["phase"], record["fresh"]) == ("key-written", False)
    assert lines_with(report, ["no account URL is noted", "copy the MAC key"])


def test_an_account_key_of_a_foreign_kind_stays_behind(old: Import) -> None:
    """P-521 is none that certd signs with; without an account there is no configuration."""
    old.certificate("www.example.jp")
    key = ec.generate_private_key(ec.SECP521R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (old.account / "account.key").write_bytes(key)
    report = old.run()
    assert lines_with(report, [JPRS, "the account is not taken along"])
    assert lines_with(report, ["no account was found that can be taken along"])
    assert not old.config.exists()


@pytest.mark.parametrize(
    "url", ["https://[", "https://[x]/dir", "https://ca.example.jp:99999/dir", "https://\u2100.jp/dir"]
)
def test_what_is_no_url_is_told(old: Import, url: str) -> None:
    """Of a CA in a damaged file, and of a directory below ca/ that stands for one; the others come along."""
    old.certificate("www.example.jp")
    old.certificate("bad.example.jp", Le_API=url)
    old.acme.account(old.key, ACCOUNT, place=url.removeprefix("https://"))
    report = old.run()
    assert list(old.written()) == ["www.example.jp"]
    assert "the account is not taken along" in report
    assert "bad.example.jp: not carried over" in report


def test_a_bundle_without_end_is_not_read(old: Import) -> None:
    """CA_BUNDLE of acme.sh may name anything."""
    old.certificate("www.example.jp")
    fifo = old.root / "fifo"
    os.mkfifo(fifo)
    with (old.acme.home / "account.conf").open("a") as file:
        file.write(f"CA_BUNDLE='{fifo}'\n")
    assert "its CA bundle" in old.run("--dry-run")


@pytest.mark.parametrize("setting", ["CERT_HOME", "CA_HOME", "ACCOUNT_KEY_PATH", "CA_BUNDLE"])
def test_what_is_no_path_is_one_sentence(old: Import, setting: str) -> None:
    """A damaged account.conf, with NUL in it."""
    old.certificate("www.example.jp")
    with (old.acme.home / "account.conf").open("a") as file:
        file.write(f"{setting}='/root/\0'\n")
    said = old.run("--dry-run", code=1 if setting == "CERT_HOME" else 0)
    if setting == "CERT_HOME":
        assert said.startswith("certd: cannot list /root/") and said.count("\n") == 1


def test_the_packages_sample_gives_way(old: Import) -> None:
    """What the package puts in place is not filled in: it says how import comes to write a file of its own."""
    old.certificate("www.example.jp")
    old.config.parent.mkdir()
    sample = (Path(__file__).parents[2] / "packaging/config.yaml").read_bytes()
    old.config.write_bytes(sample)
    assert f"do: mv {old.config} {old.config}.sample" in old.run(code=2)
    assert old.config.read_bytes() == sample
    assert not old.state.exists()
    old.config.rename(old.config.with_name("config.yaml.sample"))
    old.run()
    assert list(old.written()) == ["www.example.jp"]


def test_a_daemon_at_work_is_named(old: Import) -> None:
    """The lock is needed for writing, not for a dry run."""
    old.certificate("www.example.jp")
    with Store.open(old.state, purpose="certd run", now=datetime.now(UTC)):
        assert f"is held by certd run (pid {os.getpid()}" in old.run(code=1)
        old.run("--dry-run")
    assert not old.config.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may write as another user")
def test_what_root_imports_belongs_to_the_daemons_user(old: Import) -> None:
    """Lock, accounts, keys and links, so that the daemon can go on with them; the configuration is root's."""
    old.certificate("www.example.jp")
    with tempfile.TemporaryDirectory(prefix="certd-test-import-") as name:
        Path(name).chmod(0o711)
        old.state = Path(name) / "state"
        old.state.mkdir(mode=0o711)
        os.chown(old.state, 1, 1)
        old.run()
        assert {(path.lstat().st_uid, path.lstat().st_gid) for path in old.state.rglob("*")} == {(1, 1)}
        assert len(list(old.state.rglob("*"))) > 15
        assert old.config.stat().st_uid == 0


@pytest.mark.parametrize("client", ["acme.sh", "certbot", "dehydrated"])
def test_a_directory_that_holds_something_else_is_refused(old: Import, client: str) -> None:
    """One sentence; nothing is written."""
    empty = old.root / "empty"
    empty.mkdir()
    assert f"holds nothing of {client}" in old.run(client=client, directory=empty, code=1)
    assert "there is no directory" in old.run(client=client, directory=old.root / "none", code=1)
    assert not old.state.exists()


def test_another_state_directory_than_the_configurations_is_refused(old: Import, capsys: Capture) -> None:
    """It would never be used."""
    old.certificate("www.example.jp")
    old.run()
    words = ["-c", str(old.config), "import", "acme.sh", str(old.acme.home), "--state-dir", "/elsewhere"]
    assert main(words) == 2
    assert "leave the option out" in capsys.readouterr().err


def certbot_home(root: Path, authority: Authority, params: str, *domains: str) -> Path:
    """What certbot leaves for one certificate, as its release 2.1 writes it."""
    home = root / "letsencrypt"
    live, account = home / "live" / domains[0], home / "accounts/acme-v02.api.letsencrypt.org/directory/76cdacb0"
    for directory in (live, account, home / "renewal", home / "renewal-hooks/deploy"):
        directory.mkdir(parents=True)
    leaf = authority.leaf(*domains)
    (live / "fullchain.pem").write_bytes(authority.chain(leaf))
    (live / "privkey.pem").write_bytes(leaf.key_pem)
    key = serialization.load_pem_private_key(generate_key(KeyType.P256), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    numbers = key.private_numbers()
    point = {"x": numbers.public_numbers.x, "y": numbers.public_numbers.y, "d": numbers.private_value}
    fields = {name: base64.urlsafe_b64encode(number.to_bytes(32)).decode() for name, number in point.items()}
    (account / "private_key.json").write_text(json.dumps({"kty": "EC", "crv": "P-256"} | fields))
    (account / "regr.json").write_text('{"body": {}, "uri": "https://acme-v02.api.letsencrypt.org/acme/acct/7"}')
    (home / "renewal" / f"{domains[0]}.conf").write_text(
        f"renew_before_expiry = 20 days\nfullchain = {live}/fullchain.pem\n"
        f"[renewalparams]\naccount = 76cdacb0\n{params}"
    )
    (home / "renewal-hooks/deploy/tell.sh").write_text("#!/bin/sh\n")
    return home


@pytest.mark.parametrize(
    ("params", "webroot", "words"),
    [
        ("authenticator = webroot\nwebroot_path = /srv/www,\nkey_type = ecdsa\n", "/srv/www", []),
        ("authenticator = apache\ninstaller = apache\n", "/var/lib/certd-challenges", ["certbot's apache plug-in"]),
        ("authenticator = standalone\n", "/var/lib/certd-challenges", ["certbot's own listener"]),
        ("authenticator = dns-rfc2136\n", None, ["validated by dns-rfc2136", "stays with certbot"]),
    ],
)
def test_certbots_ways_of_validation(old: Import, params: str, webroot: str | None, words: list[str]) -> None:
    """Web roots are carried over, what answers over HTTP gets the shipped snippet, the rest stays."""
    home = certbot_home(old.root, old.authority, params, "www.example.jp")
    report = old.run(client="certbot", directory=home)
    assert not words or lines_with(report, words)
    assert lines_with(report, ["tell.sh", "a hook for all certificates is not carried over"])
    if webroot is None:
        assert old.written() == {}
        return
    entry = old.written()["www.example.jp"]
    assert isinstance(entry, dict)
    assert (entry["challenge"]["webroot"], entry["renew_before"], entry["ca"]) == (webroot, "20d", "letsencrypt")
    assert entry["deploy"] == ("httpd" if "installer" in params else None)


def test_two_accounts_at_one_ca_keep_their_names(old: Import) -> None:
    """A second import finds each under the name that has its key, in whatever order the configuration has them, and
    invents no third CA.
    """
    params = "authenticator = webroot\nwebroot_path = /srv,\n"
    home = certbot_home(old.root, old.authority, params, "a.jp")
    directory = home / "accounts/acme-v02.api.letsencrypt.org/directory"
    (old.root / "more").mkdir()
    more = certbot_home(old.root / "more", old.authority, params, "b.jp")
    (more / directory.relative_to(home) / "76cdacb0").rename(directory / "beef")
    (home / "renewal/b.jp.conf").write_text(f"[renewalparams]\naccount = beef\n{params}")
    old.run(client="certbot", directory=home)
    assert sorted(path.name for path in (old.state / "accounts").iterdir()) == ["letsencrypt", "letsencrypt-2"]
    keys = {path: path.read_bytes() for path in old.state.glob("accounts/*/account.key")}
    config = yaml.safe_load(old.config.read_text())
    config["cas"] = dict(reversed(config["cas"].items()))
    old.config.write_text(yaml.safe_dump(config, sort_keys=False))
    report = old.run(client="certbot", directory=home)
    assert lines_with(report, ["= accounts/letsencrypt/account.key"])
    assert lines_with(report, ["= accounts/letsencrypt-2/account.key"])
    assert "already has all of it" in report and "letsencrypt-3" not in report
    assert {path: path.read_bytes() for path in old.state.glob("accounts/*/account.key")} == keys
    # One of them is gone: it comes back under its name, since the other name has the other's key.
    for file in ("account.key", "account.json"):
        (old.state / "accounts/letsencrypt" / file).unlink()
    old.run(client="certbot", directory=home)
    assert {path: path.read_bytes() for path in old.state.glob("accounts/*/account.key")} == keys


@pytest.mark.parametrize(
    ("hook", "deploy"),
    [("systemctl reload httpd", "httpd"), ('"/usr/bin/x y"', "server-1"), ("a; b", None)],
)
def test_certbots_deploy_hook(old: Import, hook: str, deploy: str | None) -> None:
    """renew_hook of one certificate reloads a service, runs a program, or needs a shell."""
    params = f"authenticator = webroot\nwebroot_path = /srv,\nrenew_hook = {hook}\n"
    report = old.run(client="certbot", directory=certbot_home(old.root, old.authority, params, "a.jp"))
    entry = old.written()["a.jp"]
    assert isinstance(entry, dict)
    assert entry["deploy"] == deploy
    assert bool(lines_with(report, ["renew_hook is not taken over"])) == (deploy is None)


@pytest.fixture
def dehydrated_home(old: Import) -> Callable[[str, str], Path]:
    """Makes dehydrated's directory from its config and domains.txt, with a set for a.jp."""

    def make(config: str, domains: str) -> Path:
        home = old.root / "dehydrated"
        account = home / "accounts" / "aHR0cHM6Ly9hY21lLXYwMi5hcGkubGV0c2VuY3J5cHQub3JnL2RpcmVjdG9yeQo"
        for directory in (account, home / "certs/a.jp"):
            directory.mkdir(parents=True)
        leaf = old.authority.leaf("a.jp")
        (home / "certs/a.jp/fullchain.pem").write_bytes(old.authority.chain(leaf))
        (home / "certs/a.jp/privkey.pem").write_bytes(leaf.key_pem)
        (account / "account_key.pem").write_bytes(old.key)
        (account / "account_id.json").write_text('{"url":"https://acme-v02.api.letsencrypt.org/acme/acct/7"}')
        (home / "config").write_text(config)
        (home / "domains.txt").write_text(domains)
        return home

    return make


def test_dehydrateds_settings(old: Import, dehydrated_home: Callable[[str, str], Path]) -> None:
    """conf.d over config, a certificate's own over both; aliases, comments, an Alias of Apache, a hook, dns-01."""
    home = dehydrated_home(
        'CONFIG_D="${BASEDIR}/conf.d"\nWELLKNOWN=/srv/a/.well-known/acme-challenge/\nRENEW_DAYS=25\n',
        "# mine\nA.jp\nb.jp www.b.jp > two\nd.jp\n",
    )
    (home / "conf.d").mkdir()
    (home / "conf.d/10.sh").write_text("HOOK=/usr/local/bin/hook.sh\n")
    (home / "certs/two").mkdir()
    (home / "certs/two/config").write_text("WELLKNOWN=/var/lib/dehydrated/acme-challenges\nOCSP_MUST_STAPLE=yes\n")
    (home / "certs/d.jp").mkdir()
    (home / "certs/d.jp/config").write_text("CHALLENGETYPE=dns-01\n")
    report = old.run(client="dehydrated", directory=home)
    entries = old.written()
    assert set(entries) == {"a.jp", "two"}
    first, second = entries["a.jp"], entries["two"]
    assert isinstance(first, dict) and isinstance(second, dict)
    assert (first["challenge"]["webroot"], first["renew_before"], first["key"]) == ("/srv/a", "25d", "p256")
    assert (second["domains"], second["challenge"]["webroot"]) == (["b.jp", "www.b.jp"], "/var/lib/certd-challenges")
    assert second["key"] == "p384", "dehydrated's default"
    assert lines_with(report, ["a.jp: HOOK /usr/local/bin/hook.sh is not carried over"])
    assert lines_with(report, ["a.jp: HOOK is not taken over", "set `deploy` by hand"])
    assert lines_with(report, ["two: OCSP must-staple"])
    assert lines_with(report, ["two: an Alias of the web server leads to dehydrated's"])
    assert lines_with(report, ["d.jp: it is validated by dns-01"])
    assert lines_with(report, ["two: it has no complete set of files"])
