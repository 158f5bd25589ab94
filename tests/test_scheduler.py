"""The scheduler: nothing is lost, nothing runs twice at once, and lanes do not wait for each other."""

from __future__ import annotations

import logging
import queue
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from certd.model.view import Lane, Subject, SubjectKind
from certd.scheduler import Scheduler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

PATIENCE = 20.0
HOUR = timedelta(hours=1)


def clock() -> datetime:
    return datetime.now(UTC)


def certificate(name: str) -> Subject:
    return Subject(SubjectKind.CERTIFICATE, name)


SERVER = Subject(SubjectKind.SERVER, "web")
ALPHA = certificate("alpha")


def lane_of(subject: Subject) -> Lane:
    return Lane.LOCAL if subject.kind is SubjectKind.SERVER else Lane.CA


@contextmanager
def running(tick: Callable[[Subject], datetime], *, workers: int = 2) -> Iterator[Scheduler]:
    scheduler = Scheduler(tick, workers=workers, lane_of=lane_of, clock=clock)
    scheduler.start()
    try:
        yield scheduler
    finally:
        assert scheduler.stop(timedelta(seconds=PATIENCE))


class Recorder:
    """A tick that tells of each call, and is due again in an hour unless told otherwise."""

    def __init__(self) -> None:
        self.calls: queue.Queue[Subject] = queue.Queue()
        self.due: list[timedelta] = []

    def __call__(self, subject: Subject) -> datetime:
        self.calls.put(subject)
        return clock() + (self.due.pop(0) if self.due else HOUR)

    def next(self) -> Subject:
        return self.calls.get(timeout=PATIENCE)


def settle(scheduler: Scheduler, subject: Subject, least: timedelta) -> None:
    """Wait until the tick's answer was taken over."""
    for _ in range(2000):
        due = scheduler.due(subject)
        if due is not None and due > clock() + least:
            return
        threading.Event().wait(0.005)
    raise AssertionError(f"{subject} was not moved")


def test_a_due_subject_is_ticked_and_moved_to_its_answer() -> None:
    """One that is due runs at once, and is then due when its tick said."""
    tick = Recorder()
    with running(tick) as scheduler:
        scheduler.add(ALPHA, clock())
        assert tick.next() == ALPHA
        settle(scheduler, ALPHA, timedelta(minutes=50))
        assert tick.calls.empty()


def test_a_subject_that_is_due_later_waits() -> None:
    """What is not due is left alone."""
    tick = Recorder()
    with running(tick) as scheduler:
        scheduler.add(certificate("later"), clock() + HOUR)
        scheduler.add(ALPHA, clock())
        assert tick.next() == ALPHA
        assert tick.calls.empty()


def test_an_answer_in_the_near_future_is_kept() -> None:
    """A short wait does not fall between two looks at the table."""
    tick = Recorder()
    tick.due = [timedelta(milliseconds=1), timedelta(milliseconds=60), timedelta(milliseconds=5)]
    with running(tick) as scheduler:
        scheduler.add(ALPHA, clock())
        for _ in range(4):
            assert tick.next() == ALPHA


def test_wake_moves_only_to_earlier_times() -> None:
    """A wake never puts off what is due."""
    tick = Recorder()
    with running(tick) as scheduler:
        due = clock() + HOUR
        scheduler.add(ALPHA, due)
        scheduler.wake(ALPHA, due + HOUR)
        assert scheduler.due(ALPHA) == due
        earlier = due - timedelta(minutes=30)
        scheduler.wake(ALPHA, earlier)
        assert scheduler.due(ALPHA) == earlier
        scheduler.wake(ALPHA)
        assert tick.next() == ALPHA


def test_a_wake_before_start_counts() -> None:
    """Subjects may be added and woken before the first tick."""
    tick = Recorder()
    scheduler = Scheduler(tick, workers=1, lane_of=lane_of, clock=clock)
    scheduler.add(ALPHA, clock() + HOUR)
    scheduler.wake(ALPHA)
    scheduler.start()
    assert tick.next() == ALPHA
    assert scheduler.stop(timedelta(seconds=PATIENCE))


def test_a_wake_during_the_tick_runs_it_again() -> None:
    """What changed while a tick ran may have been read before it changed, so the tick runs once more."""
    entered, go_on = threading.Event(), threading.Event()
    calls: queue.Queue[int] = queue.Queue()

    def tick(subject: Subject) -> datetime:
        calls.put(1)
        entered.set()
        assert go_on.wait(PATIENCE)
        return clock() + HOUR

    with running(tick) as scheduler:
        scheduler.add(ALPHA, clock())
        assert entered.wait(PATIENCE)
        scheduler.wake(ALPHA)
        scheduler.wake(ALPHA)
        go_on.set()
        settle(scheduler, ALPHA, timedelta(minutes=50))
    assert calls.qsize() == 2


def test_a_later_wake_during_the_tick_is_kept_as_a_time() -> None:
    """A wake for later than now is remembered, and wins over the tick's own later answer."""
    entered, go_on = threading.Event(), threading.Event()

    def tick(subject: Subject) -> datetime:
        entered.set()
        assert go_on.wait(PATIENCE)
        return clock() + 5 * HOUR

    with running(tick) as scheduler:
        scheduler.add(ALPHA, clock())
        assert entered.wait(PATIENCE)
        at = clock() + 2 * HOUR
        scheduler.wake(ALPHA, at)
        go_on.set()
        settle(scheduler, ALPHA, HOUR)
        assert scheduler.due(ALPHA) == at


def test_a_subject_is_never_ticked_twice_at_once() -> None:
    """Wakes from many threads make runs follow each other, never overlap."""
    inside = threading.Lock()
    overlaps: list[int] = []
    calls: list[int] = []

    def tick(subject: Subject) -> datetime:
        if not inside.acquire(blocking=False):
            overlaps.append(1)
            return clock() + HOUR
        calls.append(1)
        inside.release()
        return clock() + HOUR

    with running(tick, workers=8) as scheduler:
        scheduler.add(ALPHA, clock())
        threads = [threading.Thread(target=lambda: [scheduler.wake(ALPHA) for _ in range(50)]) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        settle(scheduler, ALPHA, timedelta(minutes=50))
    assert calls
    assert not overlaps


def test_a_tick_that_raises_is_logged_once_and_tried_again_in_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """A bug in one subject's work neither ends its heartbeat nor fills the log."""
    called: queue.Queue[int] = queue.Queue()

    def tick(subject: Subject) -> datetime:
        called.put(1)
        raise ValueError("unforeseen")

    with caplog.at_level(logging.INFO), running(tick) as scheduler:
        scheduler.add(ALPHA, clock())
        for _ in range(3):
            called.get(timeout=PATIENCE)
            settle(scheduler, ALPHA, timedelta(seconds=30))
            due = scheduler.due(ALPHA)
            assert due is not None
            assert due <= clock() + timedelta(seconds=61)
            scheduler.wake(ALPHA)
    records = [r for r in caplog.records if r.name.startswith(("certd", "apscheduler"))]
    assert len(records) == 1
    assert records[0].certd_fields["subject"] == ALPHA


def test_a_tick_that_answers_nonsense_keeps_its_heartbeat() -> None:
    """A due time that cannot be compared must not leave the subject marked as running for ever."""
    called: queue.Queue[int] = queue.Queue()

    def tick(subject: Subject) -> datetime:
        called.put(1)
        return datetime(2026, 11, 23)  # noqa: DTZ001 - naive on purpose

    with running(tick) as scheduler:
        scheduler.add(ALPHA, clock())
        for _ in range(2):
            called.get(timeout=PATIENCE)
            settle(scheduler, ALPHA, timedelta(seconds=30))
            scheduler.wake(ALPHA)


def test_lanes_do_not_queue_behind_each_other() -> None:
    """With every CA worker busy, local work still runs."""
    go_on, server_ran = threading.Event(), threading.Event()

    def tick(subject: Subject) -> datetime:
        if subject == SERVER:
            server_ran.set()
        else:
            assert go_on.wait(PATIENCE)
        return clock() + HOUR

    with running(tick, workers=1) as scheduler:
        for number in range(3):
            scheduler.add(certificate(f"slow-{number}"), clock())
        scheduler.add(SERVER, clock())
        assert server_ran.wait(PATIENCE)
        go_on.set()


def test_work_that_never_waits_makes_room() -> None:
    """A subject that is always due at once does not keep the only worker from the others."""
    other = certificate("other")
    ran, stop = threading.Event(), threading.Event()

    def tick(subject: Subject) -> datetime:
        if subject == other:
            ran.set()
        return clock() + HOUR if subject == other or stop.is_set() else clock()

    with running(tick, workers=1) as scheduler:
        scheduler.add(ALPHA, clock())
        scheduler.add(other, clock())
        assert ran.wait(PATIENCE)
        stop.set()


def test_a_removed_subject_is_not_ticked_again() -> None:
    """Removing while its tick runs makes that tick the last; adding it again begins anew."""
    entered, go_on = threading.Event(), threading.Event()
    calls: queue.Queue[int] = queue.Queue()

    def tick(subject: Subject) -> datetime:
        calls.put(1)
        entered.set()
        assert go_on.wait(PATIENCE)
        return clock()

    with running(tick) as scheduler:
        scheduler.add(ALPHA, clock())
        assert entered.wait(PATIENCE)
        scheduler.remove(ALPHA)
        assert scheduler.due(ALPHA) is None
        scheduler.wake(ALPHA)
        go_on.set()
    assert calls.qsize() == 1


def test_a_subject_added_again_while_its_old_tick_runs_is_ticked() -> None:
    """The new heartbeat takes over when the old tick has returned."""
    entered, go_on = threading.Event(), threading.Event()
    calls: queue.Queue[int] = queue.Queue()

    def tick(subject: Subject) -> datetime:
        calls.put(1)
        entered.set()
        assert go_on.wait(PATIENCE)
        return clock() + HOUR

    with running(tick) as scheduler:
        scheduler.add(ALPHA, clock())
        assert entered.wait(PATIENCE)
        scheduler.remove(ALPHA)
        scheduler.add(ALPHA, clock())
        go_on.set()
        settle(scheduler, ALPHA, timedelta(minutes=50))
    assert calls.qsize() == 2


def test_stop_tells_of_a_tick_that_does_not_return() -> None:
    """Stopping waits for what runs, starts nothing new, and says whether all returned."""
    entered, go_on = threading.Event(), threading.Event()
    calls: queue.Queue[int] = queue.Queue()

    def tick(subject: Subject) -> datetime:
        calls.put(1)
        entered.set()
        assert go_on.wait(PATIENCE)
        return clock()

    scheduler = Scheduler(tick, workers=1, lane_of=lane_of, clock=clock)
    scheduler.add(ALPHA, clock())
    scheduler.add(certificate("queued"), clock())
    scheduler.start()
    assert entered.wait(PATIENCE)
    assert not scheduler.stop(timedelta(0))
    go_on.set()
    with scheduler._changed:
        assert scheduler._changed.wait_for(lambda: not scheduler._running, PATIENCE)
    scheduler.add(certificate("late"), clock())
    scheduler.remove(ALPHA)
    assert calls.qsize() == 1


def test_stuck_names_the_tick_that_hangs() -> None:
    """The watchdog's question is answered by the age of running ticks, each lane with its own limit."""
    entered, go_on = threading.Event(), threading.Event()
    age = [0.0]

    def tick(subject: Subject) -> datetime:
        entered.set()
        assert go_on.wait(PATIENCE)
        return clock() + HOUR

    scheduler = Scheduler(tick, workers=1, lane_of=lane_of, clock=clock, monotonic=lambda: age[0])
    scheduler.add(SERVER, clock())
    assert scheduler.stuck() is None
    scheduler.start()
    assert entered.wait(PATIENCE)
    assert scheduler.stuck() is None
    age[0] = 110.0
    text = scheduler.stuck(local=timedelta(seconds=100))
    assert text is not None
    assert "server/web" in text
    assert scheduler.stuck(local=timedelta(seconds=115)) is None
    go_on.set()
    assert scheduler.stop(timedelta(seconds=PATIENCE))


def test_stuck_notices_a_table_nobody_looks_at() -> None:
    """A scheduler thread that died or hangs is told of, however idle the lanes are."""
    age = [0.0]
    scheduler = Scheduler(Recorder(), workers=1, lane_of=lane_of, clock=clock, monotonic=lambda: age[0])
    scheduler.start()
    age[0] = 10_000.0
    text = scheduler.stuck()
    # A look at the table may come in between, and is what the answer is about.
    assert text is None or "has not looked" in text
    scheduler._turned_at = 0.0
    assert "has not looked" in (scheduler.stuck() or "")
    assert scheduler.stop(timedelta(seconds=PATIENCE))


def test_a_clock_that_was_set_ticks_every_subject() -> None:
    """Waits are judged anew when the wall clock moves against the monotonic one, whichever way."""
    tick = Recorder()
    shift = [timedelta(0)]
    scheduler = Scheduler(tick, workers=2, lane_of=lane_of, clock=lambda: clock() + shift[0])
    scheduler.add(ALPHA, clock() + HOUR)
    scheduler.add(SERVER, clock() + HOUR)
    scheduler.start()
    shift[0] = timedelta(minutes=-30)
    scheduler._jobs.wakeup()
    assert {tick.next(), tick.next()} == {ALPHA, SERVER}
    assert scheduler.stop(timedelta(seconds=PATIENCE))


def test_many_subjects_all_get_their_tick() -> None:
    """A thousand that are due together are all ticked, once each."""
    tick = Recorder()
    with running(tick, workers=4) as scheduler:
        wanted = {certificate(f"c{number}") for number in range(1000)}
        for subject in wanted:
            scheduler.add(subject, clock())
        seen = [tick.next() for _ in wanted]
    assert set(seen) == wanted
    assert len(seen) == len(wanted)
