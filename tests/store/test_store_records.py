"""Records on disk: what is written is read again, and what does not parse is left alone."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec
import pytest
from authority import NOW
from hypothesis import given
from hypothesis import strategies as st
from statedir import NAME, idle, issued, opened, staged

from certd.errors import BrokenRecord, StateError, UnknownSchema
from certd.model.records import (
    AccountLedger,
    BatchSet,
    CertificateRecord,
    DaemonRecord,
    Deploying,
    DeployStage,
    Idle,
    KeyWritten,
    NoKey,
    Ordering,
    Rejection,
    Seen,
    Settled,
    Sight,
    Staged,
    Timer,
)
from certd.store import Store, recordfile

DECODER: msgspec.json.Decoder[CertificateRecord] = msgspec.json.Decoder(CertificateRecord)
STATE = Path("certs") / NAME / "state.json"


def write_state(root: Path, data: bytes) -> None:
    (root / STATE).parent.mkdir(parents=True, exist_ok=True)
    (root / STATE).write_bytes(data)


def test_records_come_back_as_they_were(tmp_path: Path) -> None:
    """Every kind of record is read as it was written; there is none before."""
    record = staged(3, issued().leaf)
    account = KeyWritten("https://ca.example/directory", AccountLedger(attempts=2))
    with opened(tmp_path) as store:
        assert (store.load_certificate(NAME), store.load_server("web"), store.load_account("jprs")) == (None,) * 3
        assert store.load_daemon() is None
        store.save_certificate(NAME, record)
        store.save_server("web", Settled(wanted=2, confirmed=1))
        store.save_account("jprs", account)
        store.save_daemon(DaemonRecord(NOW))
    read = Store.open_read_only(tmp_path)
    assert read.load_certificate(NAME) == record
    assert read.load_server("web") == Settled(wanted=2, confirmed=1)
    assert read.load_account("jprs") == account
    assert read.load_daemon() == DaemonRecord(NOW)


def test_records_are_for_people_too(tmp_path: Path) -> None:
    """Schema first, then the phase, one field per line."""
    with opened(tmp_path) as store:
        store.save_certificate(NAME, idle())
        store.save_daemon(DaemonRecord(NOW))
    lines = (tmp_path / STATE).read_text().splitlines()
    assert lines[:3] == ["{", ' "schema": 1,', ' "phase": "idle",']
    assert list(json.loads((tmp_path / STATE).read_text()))[:2] == ["schema", "phase"]
    assert list(json.loads((tmp_path / "daemon.json").read_text())) == ["schema", "last_seen"]


def test_modes_of_records(tmp_path: Path) -> None:
    """Records are the owner's; accounts can not even be listed."""
    with opened(tmp_path) as store:
        store.save_certificate(NAME, idle())
        store.save_account("jprs", NoKey())
        store.save_server("web", Settled())
    modes = {str(path.relative_to(tmp_path)): path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert modes == {
        "accounts": 0o700,
        "accounts/jprs": 0o700,
        "accounts/jprs/account.json": 0o600,
        "certs": 0o711,
        f"certs/{NAME}": 0o711,
        f"certs/{NAME}/state.json": 0o600,
        "live": 0o711,
        "lock": 0o600,
        "servers": 0o700,
        "servers/web": 0o700,
        "servers/web/state.json": 0o600,
    }


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 200,
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"schema": 1}',
        b'{"schema": true, "phase": "idle"}',
        b'{"phase": "idle"}',
        b'{"schema": "1", "phase": "idle"}',
        b'{"schema": 1, "phase": "sleeping"}',
        b'{"schema": 1, "phase": "settled"}',
        b'{"schema": 1, "phase": "idle", "ledger": {"attempts": "2"}}',
        b'{"schema": 1, "phase": "idle", "ledger": {"attempts": 2.5}}',
        b'{"schema": 1, "phase": "idle", "ledger": {"goal": "\xff"}}',
        b'{"schema": 1, "phase": "idle", "ledger": {"orders": ["2026-11-23T12:00:00"]}}',
        b'{"schema": 1, "phase": "idle", "ledger": {"orders": ["yesterday"]}}',
        b'{"schema": 1, "phase": "idle", "ledger": ' + b"[" * 100_000,
    ],
    ids=lambda data: repr(data[:60]),
)
def test_a_broken_record_is_named_and_left_alone(data: bytes, tmp_path: Path) -> None:
    """Empty, torn, of another type, with a naive time: BrokenRecord names the file and where to read on."""
    write_state(tmp_path, data)
    with opened(tmp_path) as store, pytest.raises(BrokenRecord) as caught:
        store.load_certificate(NAME)
    assert str(tmp_path / STATE) in str(caught.value)
    assert "'A broken record' in docs/STATE.md" in str(caught.value)
    assert (tmp_path / STATE).read_bytes() == data


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    """No record of which only the beginning is there is taken for one."""
    data = recordfile.encode(idle(3)).rstrip()
    for length in range(len(data)):
        with pytest.raises(BrokenRecord):
            recordfile.decode(data[:length], DECODER, tmp_path)


@given(st.binary(max_size=200))
def test_noise_is_a_broken_record(data: bytes) -> None:
    """Whatever bytes a file has, the answer is one of certd's own errors."""
    with pytest.raises((BrokenRecord, UnknownSchema)):
        recordfile.decode(data, DECODER, Path("/state.json"))


@pytest.mark.parametrize("schema", [0, 2, 99])
def test_an_unknown_schema_is_left_alone(schema: int, tmp_path: Path) -> None:
    """The record of another release is not read, whatever else is in it."""
    data = b'{"schema": %d, "phase": "not known yet", "ledger": 7}' % schema
    write_state(tmp_path, data)
    with opened(tmp_path) as store, pytest.raises(UnknownSchema, match=f"schema {schema}, this certd knows 1"):
        store.load_certificate(NAME)
    assert (tmp_path / STATE).read_bytes() == data


def test_unknown_fields_are_ignored(tmp_path: Path) -> None:
    """A field that a later release added within the schema does not stop this one."""
    write_state(tmp_path, b'{"schema": 1, "phase": "idle", "new": {"x": 1}, "ledger": {"goal": "g", "newer": []}}')
    with opened(tmp_path) as store:
        record = store.load_certificate(NAME)
    assert isinstance(record, Idle)
    assert record.ledger.goal == "g"


def test_what_would_not_be_read_again_is_not_written(tmp_path: Path) -> None:
    """A naive time or a wrong type is refused while the old record is still there."""
    with opened(tmp_path) as store:
        store.save_certificate(NAME, idle(1))
        before = (tmp_path / STATE).read_bytes()
        good = staged(1, issued().leaf)
        naive = msgspec.structs.replace(good, deadline=datetime(2026, 11, 23))  # noqa: DTZ001 - the point of it
        wrong = msgspec.structs.replace(good, version="1")
        for bad in (naive, wrong):
            assert isinstance(bad, Staged)
            with pytest.raises(BrokenRecord):
                store.save_certificate(NAME, bad)
            assert (tmp_path / STATE).read_bytes() == before


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["directory", "fifo"])
def test_something_else_under_a_records_name(make: Callable[[Path], None], tmp_path: Path) -> None:
    """It is not taken for a missing record, and nobody waits for what a FIFO will never say."""
    (tmp_path / STATE).parent.mkdir(parents=True)
    make(tmp_path / STATE)
    with opened(tmp_path) as store, pytest.raises(BrokenRecord, match=r"state\.json .*not a regular file"):
        store.load_certificate(NAME)


def test_a_record_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """A name that leads nowhere says nothing about the record."""
    (tmp_path / STATE).parent.mkdir(parents=True)
    (tmp_path / STATE).symlink_to(tmp_path / STATE)
    with opened(tmp_path) as store, pytest.raises(StateError, match=r"cannot read .*state\.json"):
        store.load_certificate(NAME)


def test_no_more_than_a_record_is_read(tmp_path: Path) -> None:
    """A terabyte of nothing costs no memory, and is left as it is."""
    write_state(tmp_path, b"{")
    os.truncate(tmp_path / STATE, 1 << 40)
    with opened(tmp_path) as store, pytest.raises(BrokenRecord, match="larger than 67,108,864 bytes"):
        store.load_certificate(NAME)
    assert (tmp_path / STATE).stat().st_size == 1 << 40


def test_the_largest_record_fits(tmp_path: Path) -> None:
    """A server at work on 10,000 certificates with the longest names, after each of them was refused once."""
    names = [f"{number:0100}" for number in range(10_000)]
    timer, print_ = Timer(NOW, NOW), "f" * 64
    settled = Settled(
        suspects=tuple((name,) for name in names),
        rejections=tuple(Rejection(name, 1000, timer, "x" * 400) for name in names),
        after=tuple(names),
        after_failed=tuple(names),
        not_served=tuple(names),
    )
    batch = tuple(BatchSet(name, 1000, 999, print_, print_, 999) for name in names)
    before = tuple(Seen(name, Sight.LEAF, print_) for name in names)
    record = Deploying(settled, 1, batch, before, True, tuple(names), DeployStage.SWAPPING, NOW)
    with opened(tmp_path) as store:
        store.save_server("web", record)
        assert store.load_server("web") == record
    assert (tmp_path / "servers/web/state.json").stat().st_size < recordfile.LARGEST / 2


def test_what_would_be_too_large_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that could not be read again leaves the old one in place."""
    with opened(tmp_path) as store:
        store.save_certificate(NAME, idle(1))
        before = (tmp_path / STATE).read_bytes()
        monkeypatch.setattr(recordfile, "LARGEST", len(before))
        with pytest.raises(BrokenRecord):
            store.save_certificate(NAME, idle(10))
    assert (tmp_path / STATE).read_bytes() == before


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b'{"schema": 1, "phase": "hunter2"}', "Invalid value at `$.phase`"),
        (b'{"schema": 1, "phase": "hunter2 - at `here`"}', "Invalid value at `$.phase`"),
        (
            b'{"schema": 1, "phase": "idle", "ledger": {"failure": {"step": "hunter2"}}}',
            "Invalid enum value at `$.ledger.failure.step`",
        ),
        (
            b'{"schema": 1, "phase": "idle", "ledger": {"attempts": "hunter2"}}',
            "Expected `int`, got `str` at `$.ledger.attempts`",
        ),
        (b'{"schema": 1, "phase": "idle"} hunter2', "JSON is malformed"),
        (b'{"schema": 1}', "Object missing required field `phase`"),
    ],
)
def test_a_broken_record_is_not_quoted(data: bytes, place: str, tmp_path: Path) -> None:
    """The message goes to the log, the status and the mail: it says where the mistake is, not what is written there."""
    write_state(tmp_path, data)
    with opened(tmp_path) as store, pytest.raises(BrokenRecord) as caught:
        store.load_certificate(NAME)
    assert place in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_ordering_keeps_what_recovery_needs(tmp_path: Path) -> None:
    """An order that was about to be placed has no URL, and comes back without one."""
    timer = staged(1, issued().leaf).activate
    record = Ordering(
        ledger=idle().ledger,
        because=staged(1, issued().leaf).because,
        ca="jprs",
        directory="https://ca.example/directory",
        key_id="k1",
        domains=(NAME,),
        key=issued().leaf.key or pytest.fail("no key type"),
        placed_at=NOW,
        poll=timer,
    )
    with opened(tmp_path) as store:
        store.save_certificate(NAME, record)
        assert store.load_certificate(NAME) == record
