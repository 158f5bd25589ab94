"""One broken file stops its own subject only, also while an engine starts (docs/STATE.md)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from authority import NOW
from bench import SPEC, Bench
from msgspec.structs import replace
from statedir import NAME, issued

from certd.errors import PkiError, StateError
from certd.model.codes import Because, Code
from certd.model.records import AccountLedger, DaemonRecord, Ledger, Registered, Staged, Timer
from certd.model.view import Subject, SubjectKind

OTHER = replace(SPEC, name="other.example.jp", domains=("other.example.jp",))


def test_something_else_at_one_live_link(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """Every other certificate gets its placeholder; the answer and the log name the one that did not."""
    foreign = bench.store.layout.live(NAME)
    foreign.mkdir()
    engine = bench.engine(certificates={NAME: SPEC, OTHER.name: OTHER})
    assert engine.prepare() == [NAME]
    assert bench.store.is_placeholder(OTHER.name, bench.store.live_version(OTHER.name) or 0)
    assert f"{foreign} is not a symbolic link" in caplog.text
    shown = {one.name: one.broken for one in engine.view().certificates}
    assert "is not a symbolic link" in (shown[NAME] or "")
    assert shown[OTHER.name] is None
    foreign.rmdir()
    assert engine.prepare() == []


@pytest.mark.parametrize("content", [b"", b'{"schema": 2, "last_seen": "2026-11-23T12:00:00Z"}'])
def test_a_daemon_record_that_cannot_be_read(bench: Bench, content: bytes) -> None:
    """It is told, and left as it is; nothing rests on it but the doubt in a clock that was set back."""
    bench.store.layout.daemon.write_bytes(content)
    engine = bench.engine()
    (trouble,) = engine.view().troubles
    assert (trouble.code, trouble.since) == (Code.RECORD_BROKEN, NOW)
    assert str(bench.store.layout.daemon) in trouble.text
    engine.note_time()
    assert bench.store.layout.daemon.read_bytes() == content


def test_the_time_is_remembered(bench: Bench) -> None:
    """Where nothing is wrong; a clock that is behind it is in doubt at the next start."""
    bench.engine().note_time()
    assert bench.store.load_daemon() == DaemonRecord(last_seen=NOW)
    bench.times.passes(timedelta(hours=-2))
    engine = bench.engine()
    assert engine.view().troubles == ()
    assert not engine.view().clock_sure


def test_an_account_record_that_cannot_be_read(bench: Bench) -> None:
    """The CA is shown as broken; the engine starts."""
    bench.store.save_account("jprs", Registered("https://ca.example.jp/", "https://ca/1", NOW, AccountLedger()))
    path = bench.store.layout.account_record("jprs")
    path.write_bytes(b"{")
    engine = bench.engine()
    (account,) = engine.view().accounts
    assert str(path) in (account.broken or "")
    assert bench.world.done == []


def test_what_is_issued_goes_live_without_its_account(bench: Bench) -> None:
    """An account is for orders: a set that waits behind the gate is activated, and no trouble of its own is told."""
    bench.version(1, live=True)
    version, leaf = bench.version(2), issued(2).leaf
    past = Timer(NOW - timedelta(hours=1), NOW - timedelta(minutes=50))
    deadline = NOW + timedelta(hours=1)
    record = Staged(Ledger(), Because.RENEWAL_TIME, version, leaf, past.set_at, past, deadline)
    bench.store.save_certificate(NAME, record)
    path = bench.store.layout.account_record("jprs")
    path.parent.mkdir(mode=0o700)
    path.write_bytes(b"{")
    engine = bench.engine()
    engine.tick(Subject(SubjectKind.CERTIFICATE, NAME))
    engine.tick(Subject(SubjectKind.SERVER, "web"))
    assert f"switch {NAME} {version}" in bench.world.done
    assert [one.broken for one in engine.view().certificates] == [None]
    assert path.read_bytes() == b"{"


def test_an_account_key_that_cannot_be_read(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The account's own tick meets it again; the engine starts."""
    bench.store.save_account("jprs", Registered("https://ca.example.jp/", "https://ca/1", NOW, AccountLedger()))

    def unreadable(ca: str, url: str) -> None:
        bench.world.done.append(f"{ca} {url}")
        raise PkiError("account-key", "the account key is not PEM: no BEGIN line")

    monkeypatch.setattr(bench.world, "use_account", unreadable)
    engine = bench.engine()
    assert bench.world.done == ["jprs https://ca/1"]
    assert engine.view().accounts[0].broken is None


def test_a_directory_that_cannot_be_listed(bench: Bench) -> None:
    """Health speaks of it, and goes on to speak of all else."""
    bench.version(1, live=True)
    engine = bench.engine()
    kept = bench.store.layout.certificates
    kept.rename(kept.with_name("elsewhere"))
    kept.write_text("no directory")
    view = engine.view()
    (trouble,) = view.troubles
    assert (trouble.code, str(kept) in trouble.text) == ("state", True)
    assert [one.name for one in view.certificates] == [NAME]


def test_what_the_start_could_not_do_is_done_by_the_tick(bench: Bench) -> None:
    """A placeholder that the disk refused, and the beginnings of changes that a crash has left."""
    kept = bench.store.layout.certificates
    elsewhere = kept.rename(kept.with_name("elsewhere"))
    kept.write_text("no directory")
    engine = bench.engine()
    assert engine.prepare() == [NAME]
    kept.unlink()
    elsewhere.rename(kept)
    versions = bench.store.layout.versions(NAME)
    versions.mkdir(parents=True)
    (versions / ".certd-tmp-1-1").mkdir()
    engine.tick(Subject(SubjectKind.CERTIFICATE, NAME))
    assert bench.store.is_placeholder(NAME, bench.store.live_version(NAME) or 0)
    assert not list(versions.glob(".certd-tmp-*"))


def test_a_time_that_a_wrong_clock_has_seen(bench: Bench) -> None:
    """It is written anew once a clock that is behind it is believed; else every start would doubt the right time."""
    bench.store.save_daemon(DaemonRecord(last_seen=NOW + timedelta(days=3650)))
    engine = bench.engine()
    engine.note_time()
    assert not engine.view().clock_sure
    assert bench.store.load_daemon() == DaemonRecord(last_seen=NOW + timedelta(days=3650))
    bench.clock.heard(NOW)
    engine.note_time()
    assert bench.store.load_daemon() == DaemonRecord(last_seen=NOW)
    assert bench.engine().view().clock_sure


def test_a_time_that_cannot_be_written(bench: Bench) -> None:
    """Raised once, told by health as long as it lasts, tried again each minute."""
    engine = bench.engine()
    bench.store.layout.daemon.mkdir()
    with pytest.raises(StateError):
        engine.note_time()
    bench.times.passes(timedelta(minutes=1))
    engine.note_time()
    (trouble,) = engine.view().troubles
    assert (trouble.code, trouble.since) == ("state", NOW)
    bench.store.layout.daemon.rmdir()
    engine.note_time()
    assert engine.view().troubles == (trouble,)
    bench.times.passes(timedelta(minutes=1))
    engine.note_time()
    assert engine.view().troubles == ()
    assert bench.store.load_daemon() == DaemonRecord(last_seen=NOW + timedelta(minutes=2))
