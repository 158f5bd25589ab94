"""Versions and live links: complete or not there, never changed, never certd's by mistake."""

from __future__ import annotations

import grp
import os
from datetime import timedelta
from pathlib import Path

import pytest
from authority import NOW
from statedir import NAME, issued, opened, placeholder, put_instead

from certd.errors import BrokenRecord, PkiError, StateError
from certd.pki import CertificateSet
from certd.store import Store

GROUP = grp.getgrgid(os.getgid()).gr_name


def add(store: Store, certificates: CertificateSet | None = None, group: str | None = None) -> int:
    return store.add_version(NAME, certificates or issued(), group=group, combined=True)


def test_a_version_has_all_its_files(tmp_path: Path) -> None:
    """The set in PEM, and what Apache includes, with the paths of this version."""
    with opened(tmp_path) as store:
        assert add(store) == 1
        version = tmp_path / "certs" / NAME / "versions" / "0001"
        files = {path.name: path.read_bytes() for path in version.iterdir()}
        made = issued()
        assert files == {
            "cert.pem": made.cert,
            "chain.pem": made.chain,
            "fullchain.pem": made.cert + made.chain,
            "privkey.pem": made.privkey,
            "combined.pem": made.cert + made.chain + made.privkey,
            "apache.conf": (
                f'SSLCertificateFile "{version}/fullchain.pem"\nSSLCertificateKeyFile "{version}/privkey.pem"\n'
            ).encode(),
            "apache-2.4.6.conf": (
                f'SSLCertificateFile "{version}/cert.pem"\nSSLCertificateKeyFile "{version}/privkey.pem"\n'
                f'SSLCertificateChainFile "{version}/chain.pem"\n'
            ).encode(),
        }
        assert store.version_leaf(NAME, 1) == made.leaf
        assert store.read_fullchain(NAME, 1) == made.fullchain
        assert not store.is_placeholder(NAME, 1)


def test_without_a_chain_old_apache_gets_no_chain_file(tmp_path: Path) -> None:
    """It refuses an empty one. The placeholder is such a set, and known as one."""
    with opened(tmp_path) as store:
        add(store, placeholder())
        assert store.is_placeholder(NAME, 1)
    conf = tmp_path / "certs" / NAME / "versions" / "0001" / "apache-2.4.6.conf"
    assert "ChainFile" not in conf.read_text()


def test_combined_can_be_left_out(tmp_path: Path) -> None:
    """`files.combined: false` keeps the key in one file only."""
    with opened(tmp_path) as store:
        store.add_version(NAME, issued(), group=None, combined=False)
        assert store.version_leaf(NAME, 1) == issued().leaf
    assert not (tmp_path / "certs" / NAME / "versions" / "0001" / "combined.pem").exists()


@pytest.mark.parametrize(("group", "key_mode"), [(None, 0o600), (GROUP, 0o640)])
@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_modes_of_a_version(group: str | None, key_mode: int, umask: int, tmp_path: Path) -> None:
    """A group member gets to the keys, everybody to the certificates, nobody sees more. The umask does not count."""
    before = os.umask(umask)
    try:
        with opened(tmp_path / "state") as store:
            add(store, group=group)
    finally:
        os.umask(before)
    version = tmp_path / "state" / "certs" / NAME / "versions" / "0001"
    modes = {path.name: path.stat().st_mode & 0o777 for path in [*version.iterdir(), version, *version.parents[:4]]}
    assert modes == {
        "privkey.pem": key_mode,
        "combined.pem": key_mode,
        "cert.pem": 0o644,
        "chain.pem": 0o644,
        "fullchain.pem": 0o644,
        "apache.conf": 0o644,
        "apache-2.4.6.conf": 0o644,
        "0001": 0o711,
        "versions": 0o711,
        NAME: 0o711,
        "certs": 0o711,
        "state": 0o711,
    }
    assert version.joinpath("privkey.pem").stat().st_gid == os.getgid()


def test_a_group_that_does_not_exist_changes_nothing(tmp_path: Path) -> None:
    """The error names the group; no version, no directory."""
    with opened(tmp_path) as store, pytest.raises(StateError, match="there is no group 'no-such-group'"):
        add(store, group="no-such-group")
    assert not (tmp_path / "certs" / NAME).exists()


def test_a_group_that_may_not_be_given_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an unprivileged user outside of the group: what is live stays, nothing is left over."""

    def refuse(*args: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    with opened(tmp_path) as store:
        add(store)
        store.switch_live(NAME, 1, now=NOW)
        with monkeypatch.context() as patched:
            patched.setattr(os, "fchown", refuse)
            with pytest.raises(StateError, match=f"may not give files to '{GROUP}'"):
                add(store, issued(2), group=GROUP)
        assert (store.versions(NAME), store.live_version(NAME)) == ([1], 1)
    assert [path.name for path in (tmp_path / "certs" / NAME / "versions").iterdir()] == ["0001"]


def test_the_live_link_is_relative_and_switches(tmp_path: Path) -> None:
    """No link at first; then it names the version, and through it the files are found."""
    with opened(tmp_path) as store:
        assert store.live_version(NAME) is None
        for number in (1, 2):
            add(store, issued(number))
            store.switch_live(NAME, number, now=NOW)
            store.switch_live(NAME, number, now=NOW)
            assert store.live_version(NAME) == number
            assert (tmp_path / "live" / NAME / "privkey.pem").read_bytes() == issued(number).privkey
    assert str((tmp_path / "live" / NAME).readlink()) == f"../certs/{NAME}/versions/0002"


@pytest.mark.parametrize("target", ["/etc/pki", "../certs/other.jp/versions/0001", f"../certs/{NAME}/versions/1", "x"])
def test_a_foreign_link_is_refused(target: str, tmp_path: Path) -> None:
    """A link that certd did not make is neither read as one of its own nor replaced nor removed."""
    with opened(tmp_path) as store:
        add(store)
        (tmp_path / "live" / NAME).symlink_to(target)
        for attempt in (
            lambda: store.live_version(NAME),
            lambda: store.switch_live(NAME, 1, now=NOW),
            lambda: store.forget(NAME),
            lambda: store.prune(NAME, keep=1, protected=set()),
        ):
            with pytest.raises(StateError, match="which certd did not make; move it away"):
                attempt()
        assert store.versions(NAME) == [1]
    assert str((tmp_path / "live" / NAME).readlink()) == target


def test_a_foreign_directory_is_refused(tmp_path: Path) -> None:
    """A directory of somebody else's, in the place of the live link, stays."""
    with opened(tmp_path) as store:
        add(store)
        (tmp_path / "live" / NAME).mkdir()
        with pytest.raises(StateError, match="is not a symbolic link"):
            store.switch_live(NAME, 1, now=NOW)
    assert (tmp_path / "live" / NAME).is_dir()


def test_an_expired_set_does_not_go_live(tmp_path: Path) -> None:
    """I1; the placeholder may, however old."""
    with opened(tmp_path) as store:
        add(store, issued(1, days=1))
        add(store, placeholder())
        store.switch_live(NAME, 1, now=NOW)
        late = NOW + timedelta(days=5000)
        with pytest.raises(PkiError) as caught:
            store.switch_live(NAME, 1, now=NOW + timedelta(days=1))
        assert caught.value.code == "expired"
        store.switch_live(NAME, 2, now=late)
        assert store.live_version(NAME) == 2


@pytest.mark.parametrize("file", ["cert.pem", "chain.pem", "fullchain.pem", "privkey.pem", "apache.conf"])
def test_an_incomplete_version_does_not_go_live(file: str, tmp_path: Path) -> None:
    """A file that is missing is named; the old version stays live."""
    with opened(tmp_path) as store:
        add(store)
        store.switch_live(NAME, 1, now=NOW)
        add(store, issued(2))
        (tmp_path / "certs" / NAME / "versions" / "0002" / file).unlink()
        with pytest.raises(BrokenRecord, match=f"{file} is missing; see 'A broken version'"):
            store.switch_live(NAME, 2, now=NOW)
        assert store.live_version(NAME) == 1


@pytest.mark.parametrize("file", ["cert.pem", "privkey.pem", "apache.conf"])
@pytest.mark.parametrize("how", ["fifo", "huge"])
def test_something_else_in_a_files_place(how: str, file: str, tmp_path: Path) -> None:
    """A FIFO or a file without end is neither waited for nor read to its end; the version is broken."""
    with opened(tmp_path) as store:
        add(store)
        path = tmp_path / "certs" / NAME / "versions" / "0001" / file
        put_instead(path, how)
        with pytest.raises(BrokenRecord, match=f"{file} cannot be used: it is .*see 'A broken version'"):
            store.version_leaf(NAME, 1)


def test_a_version_that_is_not_there_does_not_go_live(tmp_path: Path) -> None:
    """The link never names what does not exist."""
    with opened(tmp_path) as store, pytest.raises(BrokenRecord):
        store.switch_live(NAME, 1, now=NOW)
    assert not os.path.lexists(tmp_path / "live" / NAME)


def test_files_that_do_not_belong_together_are_noticed(tmp_path: Path) -> None:
    """A foreign key, a fullchain of other certificates, an empty file: each is refused, with the path."""
    version = tmp_path / "certs" / NAME / "versions" / "0001"
    with opened(tmp_path) as store:
        add(store)
        (version / "privkey.pem").write_bytes(issued(2).privkey)
        with pytest.raises(PkiError, match=str(version)) as caught:
            store.version_leaf(NAME, 1)
        assert caught.value.code == "key-mismatch"
        (version / "fullchain.pem").write_bytes(issued(2).fullchain)
        with pytest.raises(BrokenRecord, match=r"not cert\.pem followed by chain\.pem"):
            store.version_leaf(NAME, 1)
        (version / "fullchain.pem").write_bytes(issued(1).fullchain)
        (version / "privkey.pem").write_bytes(b"")
        with pytest.raises(PkiError, match=str(version)):
            store.version_leaf(NAME, 1)


def test_pruning_keeps_what_may_be_needed(tmp_path: Path) -> None:
    """The newest, the live and the protected ones stay; leftovers of crashed writers go."""
    with opened(tmp_path) as store:
        for number in range(1, 8):
            add(store, issued(number))
        store.switch_live(NAME, 2, now=NOW)
        (tmp_path / "certs" / NAME / "versions" / ".certd-tmp-1-1").mkdir()
        assert store.prune(NAME, keep=2, protected={4}) == [1, 3, 5]
        assert store.versions(NAME) == [2, 4, 6, 7]
    names = sorted(path.name for path in (tmp_path / "certs" / NAME / "versions").iterdir())
    assert names == ["0002", "0004", "0006", "0007"]


def test_numbers_are_never_used_again(tmp_path: Path) -> None:
    """Also when all is pruned that can be, with gaps, and when only the live link remembers a number."""
    with opened(tmp_path) as store:
        for number in (1, 2, 3):
            add(store, issued(number))
        store.switch_live(NAME, 1, now=NOW)
        assert store.prune(NAME, keep=0, protected=set()) == [2]
        assert add(store) == 4
        (tmp_path / "live" / NAME).unlink()
        (tmp_path / "live" / NAME).symlink_to(f"../certs/{NAME}/versions/0041")
        assert add(store) == 42


def test_more_than_four_digits(tmp_path: Path) -> None:
    """The ten thousandth version is one like every other."""
    with opened(tmp_path) as store:
        add(store)
        versions = tmp_path / "certs" / NAME / "versions"
        (versions / "0001").rename(versions / "9999")
        assert add(store) == 10000
        store.switch_live(NAME, 10000, now=NOW)
        assert (store.versions(NAME), store.live_version(NAME)) == ([9999, 10000], 10000)


def test_nothing_is_there_at_first(tmp_path: Path) -> None:
    """A certificate that is not known yet has no versions, and nothing to prune."""
    with opened(tmp_path) as store:
        assert store.versions(NAME) == []
        assert store.prune(NAME, keep=5, protected=set()) == []
        with pytest.raises(BrokenRecord):
            store.read_fullchain(NAME, 1)
