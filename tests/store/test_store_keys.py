"""Keys of accounts and orders: never overwritten, never lost, never left for ever."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from statedir import NAME, opened

from certd.errors import StateError

PEM, OTHER = b"-----BEGIN PRIVATE KEY-----\none\n", b"-----BEGIN PRIVATE KEY-----\ntwo\n"


def test_an_account_key_is_never_overwritten(tmp_path: Path) -> None:
    """I7: the first key stays, and the refusal shows no key."""
    with opened(tmp_path) as store:
        assert store.read_account_key("jprs") is None
        store.write_account_key("jprs", PEM)
        with pytest.raises(StateError, match="never overwritten") as caught:
            store.write_account_key("jprs", OTHER)
        assert "BEGIN" not in str(caught.value)
        assert store.read_account_key("jprs") == PEM
    path = tmp_path / "accounts" / "jprs" / "account.key"
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_pending_key_goes_its_way(tmp_path: Path) -> None:
    """Written, parked (as often as one likes), dropped."""
    with opened(tmp_path) as store:
        store.write_pending_key(NAME, "k1", PEM)
        with pytest.raises(StateError, match="never overwritten"):
            store.write_pending_key(NAME, "k1", OTHER)
        assert store.read_pending_key(NAME, "k1") == PEM
        for _ in range(2):
            store.park_key(NAME, "k1")
            assert (store.read_pending_key(NAME, "k1"), store.read_parked_key(NAME, "k1")) == (None, PEM)
        assert (store.pending_keys(NAME), store.parked_keys(NAME)) == (set(), {"k1"})
        for _ in range(2):
            store.drop_key(NAME, "k1")
            assert store.read_parked_key(NAME, "k1") is None
    for directory in ("pending", "parked"):
        assert (tmp_path / "certs" / NAME / directory).stat().st_mode & 0o777 == 0o700


def test_parking_settles_what_a_power_cut_left(tmp_path: Path) -> None:
    """The same key in both places becomes one; two different keys are not touched."""
    with opened(tmp_path) as store:
        store.write_pending_key(NAME, "k1", PEM)
        store.park_key(NAME, "k1")
        store.write_pending_key(NAME, "k1", PEM)
        store.park_key(NAME, "k1")
        assert (store.pending_keys(NAME), store.parked_keys(NAME)) == (set(), {"k1"})
        store.write_pending_key(NAME, "k1", OTHER)
        with pytest.raises(StateError, match="with another key"):
            store.park_key(NAME, "k1")
        assert (store.read_pending_key(NAME, "k1"), store.read_parked_key(NAME, "k1")) == (OTHER, PEM)


def test_something_else_in_a_keys_place(tmp_path: Path) -> None:
    """A FIFO or a file without end is neither waited for nor read to its end, and left where it is."""
    with opened(tmp_path) as store:
        store.write_account_key("jprs", PEM)
        store.write_pending_key(NAME, "k1", PEM)
        store.write_pending_key(NAME, "k2", PEM)
        store.park_key(NAME, "k2")
        account = tmp_path / "accounts" / "jprs" / "account.key"
        pending, parked = (tmp_path / "certs" / NAME / part for part in ("pending/k1.pem", "parked/k1.pem"))
        account.unlink()
        os.mkfifo(account)
        os.truncate(pending, 1 << 40)
        os.mkfifo(parked)
        for read in (
            lambda: store.read_account_key("jprs"),
            lambda: store.read_pending_key(NAME, "k1"),
            lambda: store.read_parked_key(NAME, "k1"),
            lambda: store.park_key(NAME, "k1"),
        ):
            with pytest.raises(StateError, match=r"cannot (read|park) .*: it is (not a regular file|larger than)"):
                read()
        assert account.is_fifo()
        assert parked.is_fifo()
        assert pending.stat().st_size == 1 << 40


def test_parking_a_key_that_is_nowhere_is_an_error(tmp_path: Path) -> None:
    """A lost key is not passed over in silence (I5)."""
    with opened(tmp_path) as store, pytest.raises(StateError, match=r"cannot park .*k1\.pem"):
        store.park_key(NAME, "k1")


def test_orphans_are_swept(tmp_path: Path) -> None:
    """Keys that no record names go, with what crashed writers left; the rest stays."""
    with opened(tmp_path) as store:
        assert store.sweep_keys(NAME, set()) == set()
        for key_id in ("k1", "k2", "k3"):
            store.write_pending_key(NAME, key_id, PEM)
        store.park_key(NAME, "k2")
        pending = tmp_path / "certs" / NAME / "pending"
        (pending / ".certd-tmp-1-1").write_bytes(PEM)
        (pending / "Note.pem").write_bytes(b"the operator's")
        assert store.sweep_keys(NAME, {"k1"}) == {"k2", "k3"}
        assert sorted(path.name for path in pending.iterdir()) == ["Note.pem", "k1.pem"]
        assert store.parked_keys(NAME) == set()
