"""certd.alarms.keeper: from health to the outlets, and the record in between."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from pathlib import Path

import pytest
from alarming import COMMAND, EXPIRED, EXPIRING, HOOK, WELL, Bench, MemoryRecords, on_disk

from certd.errors import StateError
from certd.plan.alarms import HOLD_DOWN

MINUTE = timedelta(minutes=1)


def test_a_problem_is_told_to_every_outlet_once() -> None:
    """At the first look that sees it; later looks are silent and write nothing."""
    bench = Bench(COMMAND, HOOK)
    bench.left = EXPIRING
    for _ in range(30):
        bench.round(MINUTE)
    assert bench.told(COMMAND) == bench.told(HOOK) == ["raised expiring"]
    assert isinstance(bench.records, MemoryRecords)
    assert bench.records.writes == 3, "what is to be told, and that each outlet has it"


def test_a_life_of_a_problem() -> None:
    """Raised, worse, over: each by its time, with the state of health as it is then."""
    bench = Bench(COMMAND)
    bench.round()
    bench.left = EXPIRING
    bench.round(MINUTE)
    bench.left = EXPIRED
    bench.round(MINUTE)
    bench.left = WELL
    bench.round(MINUTE)
    bench.round(HOLD_DOWN)
    assert bench.told(COMMAND) == ["raised expiring", "raised expired", "cleared expired", "cleared expiring"]
    assert [str(message.status) for _, message in bench.received] == ["warning", "critical", "ok"]


def test_without_outlets_nothing_is_looked_at() -> None:
    """No view, no record."""
    bench = Bench()
    bench.view = lambda: pytest.fail("looked")  # type: ignore[method-assign]
    bench.restart()
    bench.round()
    assert isinstance(bench.records, MemoryRecords)
    assert bench.records.writes == 0


def test_what_was_told_is_remembered_across_restarts() -> None:
    """A daemon that starts again and again says nothing new; what comes better is told all the same."""
    bench = Bench(COMMAND)
    bench.left = EXPIRING
    for _ in range(5):
        bench.round(MINUTE)
        bench.restart()
    bench.left = WELL
    for _ in range(12):
        bench.round(MINUTE)
        bench.restart()
    assert bench.told(COMMAND) == ["raised expiring", "cleared expiring"]


def test_what_was_not_delivered_is_delivered_after_a_restart() -> None:
    """Though the problem is over by then; the back-off goes on where it was."""
    bench = Bench(COMMAND)
    bench.left, bench.refuse = EXPIRING, {COMMAND}
    bench.round()
    bench.restart()
    bench.refuse, bench.left = set(), WELL
    bench.round(MINUTE / 2)
    assert bench.told(COMMAND) == [], "not before the back-off is over"
    bench.round(MINUTE)
    assert bench.told(COMMAND) == ["raised expiring"]


def test_killed_between_delivery_and_record() -> None:
    """Delivered again, with the same id: at least once."""
    bench = Bench(COMMAND)
    bench.left, bench.crash = EXPIRING, True
    with pytest.raises(SystemExit):
        bench.round()
    bench.crash = False
    bench.restart()
    bench.round(MINUTE)
    bench.round(MINUTE)
    ids = [notice.id for _, message in bench.received for notice in message.notices]
    assert len(ids) == 2
    assert len(set(ids)) == 1


def test_an_outlet_that_fails_holds_up_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """The other is told at once, of the failure too; health names it until a delivery succeeds."""
    bench = Bench(COMMAND, HOOK)
    bench.left, bench.refuse = EXPIRING, {HOOK}
    with caplog.at_level(logging.WARNING):
        bench.round()
    assert "S3CRET" not in caplog.text
    bench.round(MINUTE / 2)
    assert bench.told(COMMAND) == ["raised expiring", "raised notify-failed"]
    (trouble,) = bench.alarms.troubles()
    assert trouble.text == "Alarms cannot be delivered: it answered with status 500"
    bench.refuse = set()
    bench.round(MINUTE)
    assert bench.told(HOOK) == ["raised expiring"]
    assert bench.alarms.troubles() == ()


def test_a_bug_in_a_delivery_is_a_failed_delivery() -> None:
    """It backs off like any other, and is no end of the thread."""
    bench = Bench(COMMAND)
    bench.left, bench.raises = EXPIRING, ValueError("odd")
    bench.round()
    assert bench.alarms.due() == []
    assert bench.alarms.troubles()[0].text == "Alarms cannot be delivered: ValueError: odd"
    bench.raises = None
    bench.round(2 * MINUTE)
    assert bench.told(COMMAND) == ["raised expiring"]


def test_a_full_disk_keeps_nothing_from_being_told() -> None:
    """It may be the very thing to tell; health says that it is not remembered, and it is as soon as it can be."""
    bench = Bench(COMMAND)
    assert isinstance(bench.records, MemoryRecords)
    bench.left, bench.records.full = EXPIRING, True
    bench.round()
    assert bench.told(COMMAND) == ["raised expiring"]
    assert [trouble.code for trouble in bench.alarms.troubles()] == ["record-unsaved"]
    bench.records.full = False
    bench.round(MINUTE)
    assert bench.alarms.troubles() == ()
    bench.restart()
    bench.round(MINUTE)
    assert bench.told(COMMAND).count("raised expiring") == 1


def test_a_broken_record_is_left_alone(tmp_path: Path) -> None:
    """Alarms go on without it; a person can look at the file."""
    with on_disk(tmp_path) as store:
        (tmp_path / "alarms.json").write_text("{")
        bench = Bench(COMMAND, records=store)
        bench.left = EXPIRING
        bench.round()
        bench.round(MINUTE)
        assert bench.told(COMMAND) == ["raised record-broken", "raised expiring"]
        assert (tmp_path / "alarms.json").read_text() == "{"


def test_the_record_on_disk(tmp_path: Path) -> None:
    """Readable for a person, the owner's only, and without the URL."""
    with on_disk(tmp_path) as store:
        assert store.load_alarms() is None
        bench = Bench(HOOK, records=store)
        bench.left, bench.refuse = EXPIRING, {HOOK}
        bench.round()
        written = store.load_alarms()
    assert written is not None
    assert [notice.key.code for notice in written.outlets[0].pending] == ["expiring"]
    path = tmp_path / "alarms.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_text())["schema"] == 1
    assert "S3CRET" not in path.read_text()
    with pytest.raises(StateError):
        store.save_alarms(written)


def test_a_new_configuration() -> None:
    """A new outlet is told what stands; one that is gone is told nothing more."""
    bench = Bench(COMMAND)
    bench.left = EXPIRING
    bench.round()
    bench.alarms.replace_outlets([COMMAND, HOOK])
    bench.round(MINUTE)
    assert bench.told(HOOK) == ["raised expiring"]
    bench.alarms.replace_outlets([HOOK])
    bench.left = WELL
    bench.round(MINUTE)
    bench.round(HOLD_DOWN)
    assert bench.told(HOOK) == ["raised expiring", "cleared expiring"]
    assert bench.told(COMMAND) == ["raised expiring"]
