"""Root writes as the owner of the state directory."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from certd.migrate.owner import acting_as_owner

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
