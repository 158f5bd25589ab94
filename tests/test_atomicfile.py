"""`certd.atomicfile`: whole or not at all, whatever fails, and never readable for others too early."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from faultydisk import Explorer, FaultyDisk, PowerCut

from certd import atomicfile

GROUP = 4242 if os.geteuid() == 0 else os.getgid()
OLD, NEW = b"old" * 1000, b"new" * 2000
FULL_OR_BROKEN = (errno.ENOSPC, errno.EIO)


@pytest.fixture(params=[0o000, 0o077], ids=["umask 0", "umask 077"])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.fixture
def explorer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Explorer:
    return Explorer(monkeypatch, tmp_path)


def leftovers(directory: Path) -> list[str]:
    return [entry.name for entry in directory.iterdir() if entry.name.startswith(atomicfile.TEMP_PREFIX)]


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def read(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def clean_after_errors(root: Path) -> None:
    """After an error nothing is left over; after a power cut whatever is left over can be removed."""
    atomicfile.remove_leftovers(root)
    assert leftovers(root) == []


@pytest.mark.parametrize("before", [None, OLD], ids=["new", "replacing"])
def test_write_atomic_leaves_old_or_new(explorer: Explorer, before: bytes | None) -> None:
    """Whatever call fails and wherever the power is cut: the old content or the new, and the new once it returned."""

    def prepare(root: Path) -> None:
        if before is not None:
            (root / "file").write_bytes(before)

    def check(root: Path, done: bool) -> None:
        found = read(root / "file")
        assert found == NEW if done else found in (before, NEW)
        clean_after_errors(root)

    def change(root: Path) -> None:
        atomicfile.write_atomic(root / "file", NEW, mode=0o640, group=GROUP)

    assert explorer.explore(prepare, change, check, errnos=FULL_OR_BROKEN) >= 10


def test_write_once_never_replaces(explorer: Explorer, tmp_path: Path) -> None:
    """The file is whole or missing; one that is there is refused and stays as it is."""

    def check(root: Path, done: bool) -> None:
        found = read(root / "key")
        assert found == NEW if done else found in (None, NEW)
        clean_after_errors(root)
        assert read(root / "key") == found

    explorer.explore(
        lambda root: None,
        lambda root: atomicfile.write_once(root / "key", NEW, mode=0o600),
        check,
        errnos=FULL_OR_BROKEN,
    )
    (tmp_path / "key").write_bytes(OLD)
    with pytest.raises(FileExistsError):
        atomicfile.write_once(tmp_path / "key", NEW, mode=0o600)
    assert read(tmp_path / "key") == OLD
    assert leftovers(tmp_path) == []


def test_replace_symlink_leaves_old_or_new(explorer: Explorer) -> None:
    """The link is never missing and never points anywhere else."""

    def check(root: Path, done: bool) -> None:
        assert (root / "link").readlink() in ([Path("new")] if done else [Path("old"), Path("new")])
        clean_after_errors(root)

    explorer.explore(
        lambda root: (root / "link").symlink_to("old"),
        lambda root: atomicfile.replace_symlink(root / "link", "new"),
        check,
        errnos=FULL_OR_BROKEN,
    )


def fill(root: Path) -> None:
    with atomicfile.new_directory(root / "0001", mode=0o711) as temp:
        atomicfile.create_file(temp / "cert", OLD, mode=0o644)
        atomicfile.create_file(temp / "key", NEW, mode=0o640, group=GROUP)


def test_new_directory_appears_complete(explorer: Explorer) -> None:
    """A published directory has all its files, whole and with their modes; otherwise there is none."""

    def check(root: Path, done: bool) -> None:
        final = root / "0001"
        if final.exists() or done:
            assert {entry.name: entry.read_bytes() for entry in final.iterdir()} == {"cert": OLD, "key": NEW}
            assert (mode_of(final), mode_of(final / "cert"), mode_of(final / "key")) == (0o711, 0o644, 0o640)
        clean_after_errors(root)

    assert explorer.explore(lambda root: None, fill, check, errnos=FULL_OR_BROKEN) >= 20


def test_new_directory_does_not_replace(tmp_path: Path) -> None:
    """An existing directory is refused, also an empty one; nothing is left over."""
    (tmp_path / "0001").mkdir()
    with pytest.raises(FileExistsError):
        fill(tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / "0001"]


def test_new_directory_is_removed_when_its_block_fails(tmp_path: Path) -> None:
    """An error of the one who fills it takes the temporary directory away."""
    with pytest.raises(ZeroDivisionError), atomicfile.new_directory(tmp_path / "0001", mode=0o711) as temp:
        atomicfile.create_file(temp / "cert", OLD, mode=0o644)
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_make_directory_is_made_with_its_mode(explorer: Explorer) -> None:
    """The directory has its final mode from the moment it exists."""

    def check(root: Path, done: bool) -> None:
        assert (root / "d").exists() or not done
        if (root / "d").exists():
            assert mode_of(root / "d") == 0o711
        clean_after_errors(root)

    explorer.explore(
        lambda root: None,
        lambda root: atomicfile.make_directory(root / "d", mode=0o711),
        check,
        errnos=FULL_OR_BROKEN,
    )


def test_make_directory_leaves_an_existing_one(tmp_path: Path) -> None:
    """The operator's mode on an existing directory is kept."""
    (tmp_path / "d").mkdir(mode=0o750)
    (tmp_path / "d").chmod(0o750)
    atomicfile.make_directory(tmp_path / "d", mode=0o711)
    assert mode_of(tmp_path / "d") == 0o750


def test_move_file_never_loses_it(explorer: Explorer, tmp_path: Path) -> None:
    """The file is in one of the two places, or in both, and in the new one when the call returned."""

    def prepare(root: Path) -> None:
        (root / "a").mkdir()
        (root / "b").mkdir()
        (root / "a" / "key").write_bytes(OLD)

    def check(root: Path, done: bool) -> None:
        places = {read(root / "a" / "key"), read(root / "b" / "key")}
        assert OLD in places
        if done:
            assert read(root / "b" / "key") == OLD
            assert read(root / "a" / "key") is None

    explorer.explore(
        prepare,
        lambda root: atomicfile.move_file(root / "a" / "key", root / "b" / "key"),
        check,
        errnos=FULL_OR_BROKEN,
    )
    prepare(tmp_path)
    (tmp_path / "b" / "key").write_bytes(NEW)
    with pytest.raises(FileExistsError):
        atomicfile.move_file(tmp_path / "a" / "key", tmp_path / "b" / "key")
    assert read(tmp_path / "b" / "key") == NEW


def test_remove_directory_vanishes_at_once(explorer: Explorer) -> None:
    """Nobody finds the directory with a part of its files."""

    def check(root: Path, done: bool) -> None:
        found = sorted(entry.name for entry in (root / "0001").iterdir()) if (root / "0001").exists() else None
        assert found is None if done else found in (None, ["cert", "key"])
        clean_after_errors(root)

    explorer.explore(fill, lambda root: atomicfile.remove_directory(root / "0001"), check, errnos=FULL_OR_BROKEN)


def test_remove_file_is_durable(explorer: Explorer) -> None:
    """A removed file does not come back; removing one that is missing is no error."""

    def check(root: Path, done: bool) -> None:
        found = read(root / "file")
        assert found is None if done else found in (None, OLD)

    def remove(root: Path) -> None:
        atomicfile.remove_file(root / "file")

    explorer.explore(lambda root: (root / "file").write_bytes(OLD), remove, check, errnos=FULL_OR_BROKEN)
    explorer.explore(lambda root: None, remove, check, errnos=FULL_OR_BROKEN)


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 200_000])
def test_a_file_is_read_up_to_its_limit(size: int, tmp_path: Path) -> None:
    """The whole content, or an error: never a part."""
    path, content = tmp_path / "file", os.urandom(size)
    path.write_bytes(content)
    assert atomicfile.read_file(path, limit=size) == content
    path.write_bytes(content + b"!")
    with pytest.raises(atomicfile.UnfitFile, match="larger than"):
        atomicfile.read_file(path, limit=size)


def test_only_a_file_is_read(tmp_path: Path) -> None:
    """A FIFO is not waited for, a device not read; a link is followed; no descriptor is left open."""
    (tmp_path / "file").write_bytes(OLD)
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "fifo")
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert atomicfile.read_file(tmp_path / "link", limit=len(OLD)) == OLD
    for other in (tmp_path, tmp_path / "fifo", Path("/dev/zero")):
        with pytest.raises(atomicfile.UnfitFile, match="not a regular file"):
            atomicfile.read_file(other, limit=1)
    with pytest.raises(FileNotFoundError):
        atomicfile.read_file(tmp_path / "nothing", limit=1)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("writer", [atomicfile.write_atomic, atomicfile.write_once, atomicfile.create_file])
def test_modes_are_final_before_the_first_byte(
    writer: Callable[..., None], umask: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Under any umask: at birth nobody but the owner, and mode and group are final when the first byte is written."""
    disk = FaultyDisk(tmp_path)
    (tmp_path / "d").mkdir()
    with disk.in_use(monkeypatch):
        writer(tmp_path / "d" / "file", NEW, mode=0o640, group=GROUP)
    disk.dispose()
    assert list(disk.asked.values()) == [0o600]
    assert list(disk.born.values()) == [(0o640, GROUP)]
    assert (mode_of(tmp_path / "d" / "file"), (tmp_path / "d" / "file").stat().st_gid) == (0o640, GROUP)


def test_directories_have_their_mode_under_any_umask(umask: int, tmp_path: Path) -> None:
    """Neither a wide nor a narrow umask changes the mode of a directory or of what is in it."""
    atomicfile.make_directory(tmp_path / "made", mode=0o711)
    fill(tmp_path)
    found = [mode_of(tmp_path / name) for name in ("made", "0001", "0001/cert", "0001/key")]
    assert found == [0o711, 0o711, 0o644, 0o640]


def test_a_refused_group_leaves_the_old_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where the group may not be given, the old file stays and no temporary one is left."""
    (tmp_path / "file").write_bytes(OLD)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fchown", lambda *args: (_ for _ in ()).throw(PermissionError(errno.EPERM, "no")))
        with pytest.raises(PermissionError):
            atomicfile.write_atomic(tmp_path / "file", NEW, mode=0o640, group=GROUP)
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]
    assert read(tmp_path / "file") == OLD


def test_leftovers_are_recognised_and_removed(tmp_path: Path) -> None:
    """Files, links and directories of crashed writers go; everything else, also where links point to, stays."""
    (tmp_path / "other").write_bytes(OLD)
    (tmp_path / ".certd-tmp-1-1").write_bytes(NEW)
    (tmp_path / ".certd-tmp-1-2").symlink_to(tmp_path / "other")
    (tmp_path / ".certd-tmp-1-3").mkdir()
    (tmp_path / ".certd-tmp-1-3" / "key").write_bytes(NEW)
    assert atomicfile.remove_leftovers(tmp_path) == 3
    assert list(tmp_path.iterdir()) == [tmp_path / "other"]
    assert atomicfile.remove_leftovers(tmp_path / "missing") == 0


def test_a_leftover_of_the_same_process_number_is_no_obstacle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In a container the process number is the same after every restart."""
    monkeypatch.setattr(atomicfile, "_numbers", iter([0, 1]))
    (tmp_path / f".certd-tmp-{os.getpid()}-0").write_bytes(OLD)
    atomicfile.write_atomic(tmp_path / "file", NEW, mode=0o600)
    assert read(tmp_path / "file") == NEW


def test_the_explorer_notices_a_missing_sync(explorer: Explorer) -> None:
    """Guards the guard: a writer that renames without syncing is caught."""

    def careless(root: Path) -> None:
        (root / "temp").touch()
        descriptor = os.open(root / "temp", os.O_WRONLY)
        os.write(descriptor, NEW)
        os.close(descriptor)
        (root / "temp").replace(root / "file")

    def check(root: Path, done: bool) -> None:
        assert read(root / "file") in ([NEW] if done else [OLD, NEW])

    with pytest.raises(AssertionError):
        explorer.explore(lambda root: (root / "file").write_bytes(OLD), careless, check, errnos=())


def test_the_power_cut_is_final(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """After the cut no call succeeds, so that no clean-up hides what a crash leaves."""
    disk = FaultyDisk(tmp_path, cut_at=1)
    with disk.in_use(monkeypatch):
        with pytest.raises(PowerCut):
            (tmp_path / "a").mkdir()
        with pytest.raises(PowerCut):
            (tmp_path / "b").mkdir()
    disk.dispose()
