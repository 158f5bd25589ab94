"""Root writes as the owner of the state directory."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from certd.errors import Refused
from certd.migrate import links
from certd.migrate.owner import acting_as_owner, read_as_owner

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
