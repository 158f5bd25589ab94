"""Opening, listing and forgetting; and every change of the store with every call going wrong in turn."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from authority import NOW
from faultydisk import Explorer
from statedir import NAME, idle, issued, opened

from certd.errors import BrokenRecord, StateError
from certd.model.records import DaemonRecord, Settled
from certd.store import Store
from certd.store.trouble import explained

PEM = b"-----BEGIN PRIVATE KEY-----\n" + b"A" * 500
FULL_OR_BROKEN = (errno.ENOSPC, errno.EIO)


def test_opening_sweeps_what_crashed_writers_left(tmp_path: Path) -> None:
    """In the directories that all share; the lock says that nobody writes there now."""
    with opened(tmp_path) as store:
        store.save_server("web", Settled())
    places = [tmp_path, *(tmp_path / name for name in ("accounts", "servers", "servers/web", "certs", "live"))]
    for place in places:
        (place / ".certd-tmp-1-1").write_bytes(b"left")
    opened(tmp_path).close()
    assert not list(tmp_path.rglob(".certd-tmp-*"))


def test_a_failed_opening_gives_the_lock_up(tmp_path: Path) -> None:
    """A file in the place of a directory is named, and does not leave the directory locked."""
    (tmp_path / "live").write_text("not a directory")
    for _ in range(2):
        with pytest.raises(StateError, match=r"cannot create .*live"):
            opened(tmp_path)


def test_names_lists_what_is_on_the_disk(tmp_path: Path) -> None:
    """Configured or not; nothing that certd does not name so."""
    with opened(tmp_path) as store:
        assert store.names() == []
        for name in ("b.example", "_wildcard.a.example"):
            store.save_certificate(name, idle())
        (tmp_path / "certs" / "lost+FOUND").mkdir()
        (tmp_path / "certs" / ".certd-tmp-1-1").mkdir()
        assert store.names() == ["_wildcard.a.example", "b.example"]


def furnish(root: Path) -> None:
    """A certificate with two versions, the first live, a record, and a pending key."""
    with opened(root) as store:
        for number in (1, 2):
            store.add_version(NAME, issued(number), group=None, combined=True)
        store.switch_live(NAME, 1, now=NOW)
        store.save_certificate(NAME, idle(1))
        store.write_pending_key(NAME, "k1", PEM)


def test_forget_removes_everything(tmp_path: Path) -> None:
    """Link, record, keys, versions; a second time there is nothing to do; others are not touched."""
    furnish(tmp_path)
    with opened(tmp_path) as store:
        store.save_certificate("other.jp", idle())
        for _ in range(2):
            store.forget(NAME)
            assert store.names() == ["other.jp"]
            assert store.live_version(NAME) is None
        assert store.versions(NAME) == []


def test_what_the_system_refuses_is_explained(tmp_path: Path) -> None:
    """Every refusal names the path; the usual ones say what to do."""
    for number, words in {
        errno.ENOSPC: "the file system is full",
        errno.EROFS: "mounted read-only",
        errno.EACCES: "SELinux",
        errno.EXDEV: "docs/STATE.md",
    }.items():
        with pytest.raises(StateError, match=words) as caught, explained("write", tmp_path):
            raise OSError(number, "text")
        assert str(tmp_path) in str(caught.value)


# Each change, and whether it shows as done. What the disk says in between must be the old state or the new.
CHANGES: dict[str, tuple[Callable[[Store], object], Callable[[Store], bool]]] = {
    "save": (lambda s: s.save_certificate(NAME, idle(2)), lambda s: s.load_certificate(NAME) == idle(2)),
    "account key": (lambda s: s.write_account_key("jprs", PEM), lambda s: s.read_account_key("jprs") == PEM),
    "pending key": (lambda s: s.write_pending_key(NAME, "k2", PEM), lambda s: s.read_pending_key(NAME, "k2") == PEM),
    "park": (lambda s: s.park_key(NAME, "k1"), lambda s: "k1" in s.parked_keys(NAME) - s.pending_keys(NAME)),
    "drop": (lambda s: s.drop_key(NAME, "k1"), lambda s: "k1" not in s.pending_keys(NAME)),
    "version": (
        lambda s: s.add_version(NAME, issued(3), group=None, combined=True),
        lambda s: s.versions(NAME) == [1, 2, 3],
    ),
    "switch": (lambda s: s.switch_live(NAME, 2, now=NOW), lambda s: s.live_version(NAME) == 2),
    "prune": (lambda s: s.prune(NAME, keep=1, protected=set()), lambda s: s.versions(NAME) == [1, 2]),
    "forget": (lambda s: s.forget(NAME), lambda s: s.names() == []),
    "daemon": (lambda s: s.save_daemon(DaemonRecord(NOW)), lambda s: s.load_daemon() == DaemonRecord(NOW)),
}


def sound(store: Store, *, forgetting: bool) -> None:
    """What must hold whatever happened: nothing half, nothing lost, nothing readable for others."""
    live = store.live_version(NAME)
    if live is None:
        assert forgetting
    else:
        assert store.version_leaf(NAME, live) == issued(live).leaf
    for version in store.versions(NAME):
        assert store.version_leaf(NAME, version) == issued(version).leaf
    assert store.load_certificate(NAME) in ([None, idle(1)] if forgetting else [idle(1), idle(2)])
    assert store.read_account_key("jprs") in (None, PEM)
    for key_id in store.pending_keys(NAME) | store.parked_keys(NAME):
        assert PEM in (store.read_pending_key(NAME, key_id), store.read_parked_key(NAME, key_id))


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_survives_every_failure(change: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Any call fails, or the power is cut there: the state before or after, sound in any case; the change can then be
    made again, and what returned without an error is there after a power cut.
    """
    act, shows = CHANGES[change]
    stores: list[Store] = []
    furnish(tmp_path / "furnished")

    def attack(root: Path) -> None:
        act(stores[-1])

    def prepare(root: Path) -> None:
        while stores:
            stores.pop().close()
        shutil.copytree(tmp_path / "furnished", root, symlinks=True, dirs_exist_ok=True)
        stores.append(opened(root))

    def check(root: Path, done: bool) -> None:
        reader = Store.open_read_only(root)
        sound(reader, forgetting=change == "forget")
        if done:
            assert shows(reader)
            return
        if change == "park":
            assert "k1" in reader.pending_keys(NAME) | reader.parked_keys(NAME)
        repeat(root)

    def repeat(root: Path) -> None:
        stores.pop().close()
        with opened(root) as store:
            if not (change.endswith("key") or change == "version") or not shows(store):
                act(store)
            assert shows(store)
            sound(store, forgetting=change == "forget")
            store.sweep_keys(NAME, {"k1", "k2"})
            if change != "forget":
                store.prune(NAME, keep=9, protected=set())
        assert not list(root.rglob(".certd-tmp-*"))

    Explorer(monkeypatch, tmp_path).explore(prepare, attack, check, errnos=FULL_OR_BROKEN, failures=StateError)
    for store in stores:
        store.close()


def test_a_broken_record_does_not_stop_the_rest(tmp_path: Path) -> None:
    """One certificate's broken record leaves its versions, its link, and all others alone."""
    furnish(tmp_path)
    (tmp_path / "certs" / NAME / "state.json").write_bytes(b"")
    with opened(tmp_path) as store:
        store.save_certificate("other.jp", idle())
        with pytest.raises(BrokenRecord):
            store.load_certificate(NAME)
        assert store.live_version(NAME) == 1
        assert store.version_leaf(NAME, 1) == issued(1).leaf
