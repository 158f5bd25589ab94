"""certd.alarms.lane and .faults: threads of their own, and ticks that raise."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from parts import eventually

from certd.alarms import AlarmLane, Faults
from certd.errors import IllegalTransition
from certd.model.view import Subject, SubjectKind

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
LONG, SHORT = timedelta(hours=1), timedelta(milliseconds=1)
ONE = Subject(SubjectKind.CERTIFICATE, "example.jp")


class FakeAlarms:
    """Two outlets that always have something to tell; one of them hangs until it is let go."""

    def __init__(self) -> None:
        self.looks = 0
        self.delivered: list[str] = []
        self.hanging = threading.Event()
        self.let_go = threading.Event()
        self.raises = False

    def look(self) -> None:
        self.looks += 1
        if self.raises:
            raise ValueError("odd")

    def due(self) -> list[str]:
        return ["hangs", "works"]

    def deliver(self, outlet: str) -> bool:
        if outlet == "hangs":
            self.hanging.set()
            self.let_go.wait(30)
        self.delivered.append(outlet)
        return False


def test_an_outlet_that_hangs_holds_up_neither_looks_nor_others() -> None:
    """It is delivered to by one thread at a time; at the end nobody waits for it for long."""
    alarms = FakeAlarms()
    lane = AlarmLane(alarms, every=LONG, least=SHORT)  # type: ignore[arg-type]
    lane.start()
    assert alarms.hanging.wait(30)
    for count in range(1, 4):
        eventually(lambda count=count: alarms.delivered.count("works") >= count, "the other is told")  # type: ignore[misc]
        lane.nudge()
    assert "hangs" not in alarms.delivered
    assert not lane.stop(SHORT)
    alarms.let_go.set()
    assert lane.stop(timedelta(seconds=30))
    assert alarms.delivered.count("hangs") == 1


def test_an_error_is_no_end() -> None:
    """It looks again, without being nudged too."""
    alarms = FakeAlarms()
    alarms.let_go.set()
    alarms.raises = True
    lane = AlarmLane(alarms, every=SHORT, least=SHORT)  # type: ignore[arg-type]
    lane.start()
    eventually(lambda: alarms.looks >= 3, "it goes on")
    assert lane.stop(timedelta(seconds=30))
    assert alarms.delivered == []


def test_an_outlet_without_a_thread_is_told_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no more threads can be had, its turn comes again; and at the end nobody waits for what did not begin."""
    alarms = FakeAlarms()
    alarms.let_go.set()
    lane = AlarmLane(alarms, every=SHORT, least=SHORT)  # type: ignore[arg-type]
    lane.start()
    eventually(lambda: alarms.delivered, "both are told")
    begin, refused = threading.Thread.start, []

    def refuse(thread: threading.Thread) -> None:
        if len(refused) < 3:
            refused.append(thread.name)
            raise RuntimeError("can't start new thread")
        begin(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    eventually(lambda: len(refused) == 3, "no thread can be had")
    for outlet in ("hangs", "works"):
        alarms.delivered.clear()
        eventually(lambda outlet=outlet: outlet in alarms.delivered, f"{outlet} is told later")  # type: ignore[misc]
    assert lane.stop(timedelta(seconds=30))


def test_ticks_that_raise_are_told_until_they_do_not() -> None:
    """Since when, of whom, and as a bug; the error goes on to the scheduler. Every tick is told of."""
    errors: list[Exception | None] = [ValueError("odd\n"), IllegalTransition("Idle knows no Issued"), None]
    ticks = []

    def tick(_: Subject) -> datetime:
        if error := errors.pop(0):
            raise error
        return NOW

    now = [NOW]
    faults = Faults(tick, now=lambda: now[0], after=lambda: ticks.append(1))
    with pytest.raises(ValueError, match="odd"):
        faults.tick(ONE)
    (first,) = faults.troubles()
    assert (first.code, first.text, first.since, first.subject) == ("bug:error", "ValueError: odd\\n", NOW, ONE)
    now[0] += LONG
    with pytest.raises(IllegalTransition):
        faults.tick(ONE)
    (second,) = faults.troubles()
    assert (second.code, second.since) == ("bug:illegal-transition", NOW)
    assert faults.tick(ONE) == NOW
    assert faults.troubles() == ()
    assert len(ticks) == 3


def test_what_is_configured_no_longer_is_forgotten() -> None:
    """Nobody ticks it any more, so nothing else would end it."""

    def tick(_: Subject) -> datetime:
        raise ValueError("odd")

    faults = Faults(tick, now=lambda: NOW, after=lambda: None)
    with pytest.raises(ValueError, match="odd"):
        faults.tick(ONE)
    faults.forget(ONE)
    assert faults.troubles() == ()
