"""Root writes as the owner of the state directory."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from authority import Authority

from certd import pki
from certd.__main__ import main
from certd.errors import Refused, StateError
from certd.migrate import links, sources
from certd.migrate.found import Account, Installation
from certd.migrate.owner import acting_as_owner, read_as_owner
from certd.migrate.proposal import propose
from certd.migrate.takeover import Served, adopt
from certd.model.specs import CertificateSpec, KeyType
from certd.store import Store

AUTHORITY = Authority()
DAEMON = 1
"""A user that every system has, and who is not root."""


@pytest.fixture
def passable() -> Iterator[Path]:
    """A directory that other users get through to."""
    with tempfile.TemporaryDirectory(prefix="certd-test-owner-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may write as another user")


@needs_root
def test_files_are_born_the_owners(passable: Path) -> None:
    """What is made belongs to the directory's owner and group, and afterwards root is root again."""
    state = passable / "state"
    state.mkdir(mode=0o700)
    os.chown(state, DAEMON, DAEMON)
    before = os.getgroups(), os.getegid()
    with acting_as_owner(state):
        (state / "file").write_text("x")
        assert os.geteuid() == DAEMON
    assert (os.geteuid(), os.getegid(), os.getgroups()) == (0, before[1], before[0])
    found = (state / "file").stat()
    assert (found.st_uid, found.st_gid) == (DAEMON, DAEMON)


@needs_root
def test_root_is_root_again_after_an_error(tmp_path: Path) -> None:
    """Whatever the block raises."""
    os.chown(tmp_path, DAEMON, DAEMON)
    with pytest.raises(KeyError), acting_as_owner(tmp_path):
        raise KeyError
    assert os.geteuid() == 0


def test_nothing_changes_where_it_is_ones_own(tmp_path: Path) -> None:
    """One's own directory, or none yet."""
    for path in (tmp_path, tmp_path / "missing"):
        with acting_as_owner(path):
            assert os.geteuid() == os.getuid()


@pytest.fixture
def secret(passable: Path) -> Path:
    """What only root may read, and, in `state`, a directory of the daemon's whose `live/www/cert.pem` leads there."""
    found = passable / "secret"
    found.write_text("root's own\n")
    found.chmod(0o600)
    version = passable / "state" / "live" / "www"
    version.mkdir(parents=True)
    (version / "cert.pem").symlink_to(found)
    for path in (version, version.parent, version.parent.parent):
        path.chmod(0o711)
        os.chown(path, DAEMON, DAEMON)
    return found


@needs_root
@pytest.mark.parametrize("way", ["live/www/cert.pem", "link", "over/www/cert.pem", "over/../live/www/cert.pem"])
def test_the_owners_links_lead_root_nowhere(secret: Path, way: str) -> None:
    """Root would hand a file of its own over to a daemon that was taken over; the owner may not read it."""
    state = secret.parent / "state"
    names = secret.parent / "pki"
    names.mkdir()
    (names / "link").symlink_to("../state/live/www/cert.pem")
    (names / "over").symlink_to(state / "live")
    path = (state if way.startswith("live") else names) / way
    with pytest.raises(Refused, match="Permission denied"):
        read_as_owner(path, state)
    assert os.geteuid() == 0


@needs_root
def test_other_files_are_roots_to_read(secret: Path) -> None:
    """Those of a server lie where the daemon may not look."""
    link = secret.with_name("link")
    link.symlink_to(secret.name)
    assert read_as_owner(link, secret.parent / "state") == b"root's own\n"


@needs_root
def test_undo_copies_nothing_that_only_root_may_read(secret: Path) -> None:
    """The path would become a file with it, readable for all as the certificate was."""
    path = secret.with_name("www.cer")
    live = secret.parent / "state" / "live" / "www"
    path.symlink_to(live / "cert.pem")
    path.with_name(path.name + links.SUFFIX).write_text("the certificate\n")
    with pytest.raises(Refused, match="Permission denied"):
        links.undo([path], live)
    assert path.is_symlink()


@pytest.fixture
def site(passable: Path) -> Path:
    """A set that root may read, live in a state directory of the daemon's."""
    leaf = AUTHORITY.leaf("www.example.jp")
    (passable / "www.cer").write_bytes(leaf.pem)
    (passable / "www.key").touch(0o600)
    (passable / "www.key").write_bytes(leaf.key_pem)
    state = passable / "state"
    state.mkdir(mode=0o711)
    os.chown(state, DAEMON, DAEMON)
    with acting_as_owner(state), Store.open(state, purpose="test", now=AUTHORITY.now) as store:
        found = pki.gather_set(leaf.key_pem, [leaf.pem])
        store.switch_live("www", store.add_version("www", found, group=None, combined=False), now=AUTHORITY.now)
        store.write_account_key("jprs", leaf.key_pem)
    return passable


def leads_to_roots(path: Path, secret: Path) -> None:
    """The daemon's user puts a link there."""
    path.unlink()
    path.symlink_to(secret)


@needs_root
@pytest.mark.parametrize("exact", [True, False])
def test_adopt_reads_the_live_set_as_the_owner(site: Path, exact: bool) -> None:
    """Its key leads to root's: whether it is the same must not be answered for somebody who may not read it."""
    state = site / "state"
    leads_to_roots(state / "certs/www/versions/0001/privkey.pem", site / "www.key")
    served = Served(site / "www.cer", site / "www.key")
    spec = CertificateSpec(name="www", domains=("www.example.jp",), ca="x", key=KeyType.P256)
    with Store.open_read_only(state) as store, pytest.raises(StateError, match="permission denied"):
        adopt(spec, served, store, state_dir=state, now=AUTHORITY.now, dry=True, exact=exact)
    assert os.geteuid() == 0


@needs_root
@pytest.mark.parametrize("name", ["account.key", "account.json"])
def test_import_reads_the_state_directory_as_the_owner(site: Path, name: str) -> None:
    """An account key, or a record without one, that leads to root's file."""
    state = site / "state"
    key = state / "accounts/jprs/account.key"
    leads_to_roots(key, site / "www.key")
    key.rename(key.with_name(name))
    found = Installation("acme.sh", site)
    api = "https://acme.amecert.jprs.jp/DV/getDirectory"
    found.accounts.append(Account(api, api, None, (site / "www.key").read_bytes()))
    with Store.open_read_only(state) as store, pytest.raises(StateError, match=f"{name}: permission denied"):
        propose(found, config_path=site / "c.yaml", state_dir=state, existing=None, store=store, now=AUTHORITY.now)


@needs_root
def test_links_compare_with_what_the_owner_may_read(site: Path) -> None:
    """A live key that leads to root's is not the same as root's, whatever is in it."""
    live = site / "state/live/www"
    leads_to_roots(live / "privkey.pem", site / "www.key")
    with pytest.raises(Refused, match=r"www\.key is not the same to the byte"):
        links.link([site / "www.cer", site / "www.key"], live)


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    """Nobody writes to it: whoever opens it as a file would wait for ever."""
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path, tmp_path / "missing", Path("/dev/zero"), Path("/a\0b")):
        with pytest.raises(Refused, match="is no regular file"):
            sources.read(path)


@needs_root
@pytest.mark.parametrize(
    "words",
    [
        ["adopt", "www", "--dry-run"],
        ["adopt", "www", "--links", "--dry-run"],
        ["adopt", "www", "--undo"],
        ["adopt", "www"],
        ["import", "acme.sh", "{root}/acme.sh", "--dry-run"],
    ],
)
def test_who_may_not_look_is_told_in_one_sentence(
    passable: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    """Not root, and the way to the state directory, or to the server's files, is closed."""
    leaf = AUTHORITY.leaf("www.example.jp")
    for name, content in (("www.cer", leaf.pem), ("www.key", leaf.key_pem)):
        (passable / name).write_bytes(content)
    (passable / "closed").mkdir(mode=0o700)
    (passable / "acme.sh" / "ca").mkdir(parents=True)
    config = passable / "config.yaml"
    config.write_text(
        f"state_dir: {passable}/closed/state\nruntime_dir: {passable}/run\n"
        "cas: {ca: {directory: 'https://ca.test/dir', terms_of_service_agreed: true, contact: [a@b.jp]}}\n"
        f"defaults: {{challenge: {{type: http-01, webroot: {passable}}}}}\n"
        "certificates: [{name: www, domains: [www.example.jp]}]\n"
    )
    mine = passable / "mine"
    mine.mkdir()
    os.chown(mine, DAEMON, DAEMON)
    where = passable / "closed" if "--undo" in words else passable
    files = ["--cert", f"{where}/www.cer", "--key", f"{where}/www.key"] if words[0] == "adopt" else []
    with acting_as_owner(mine):
        assert main(["-c", str(config), *(word.format(root=passable) for word in words), *files]) == 1
    said = capsys.readouterr().err
    assert said.startswith("certd: cannot ") and said.count("\n") == 1, said
    assert "ermission denied" in said
