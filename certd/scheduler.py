"""One heartbeat job per subject, moved to the time at which that subject is due next.

APScheduler keeps the sorted table and the threads; this module keeps the promises:

- A subject is never ticked by two threads at once.
- A wake that comes while the subject's tick runs is not lost: the tick runs again right after.
- Whatever a tick raises, its subject is ticked again, after `RETRY`.
- A move that APScheduler could lose costs `FALLBACK` and never more. (A job that is due while its worker has not quite
  returned is skipped by APScheduler. The trigger's answer to "and then?" is therefore not "never", which would remove
  the job, but `FALLBACK` later, and a tick too many does no harm: need is derived, not remembered.)
- CA work and local work have threads of their own (ARCHITECTURE 3).
- Jobs are due by the wall clock, while threads wait by the monotonic one. The table is looked at every `TURN`, and
  if the two clocks came apart, every subject is ticked, so that its waits are judged anew.

Locks are always taken in this order: ours, then APScheduler's. APScheduler calls nothing of ours while it holds its
own, but the trigger, which takes none; and nothing foreign (`tick`, `lane_of`) is called while ours is held.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta
from threading import Condition
from typing import TYPE_CHECKING

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from certd.logs import log_bug, log_event
from certd.model.view import Lane, Subject

if TYPE_CHECKING:
    from collections.abc import Callable

LOCAL_WORKERS = 4
RETRY = timedelta(seconds=60)
"""After a tick that raised."""
FALLBACK = timedelta(seconds=60)
TURN = timedelta(seconds=30)
"""The table is looked at this often, due jobs or not."""
CLOCK_JUMP = timedelta(seconds=60)
"""The wall clock moved this much against the monotonic one: it was set, or the machine slept."""
GRACE = timedelta(milliseconds=50)
"""No job is moved nearer than this, so that its worker has returned by then."""
RUNS_IN_A_ROW = 100
"""A subject that is due at once so many times running makes room for others."""
PAUSE = timedelta(seconds=1)
LOCAL_LIMIT = timedelta(minutes=10)
"""Work on a server that takes longer hangs: a reload, a start and the looks at what it serves are over much sooner."""
CA_LIMIT = timedelta(hours=2)
"""The same for an order: a hundred names, each asked about several times, of a CA that answers slowly."""

_log = logging.getLogger(__name__)


class Scheduler:
    """Ticks every subject when it is due. `tick` answers when that is next, aware and in UTC; it may raise.

    `workers` threads serve `Lane.CA`. `lane_of` is asked anew for each move. `clock` must be the machine's wall clock
    (APScheduler reads that one by itself); a test may count on injected clocks only for `wake` and the clock check.
    """

    def __init__(
        self,
        tick: Callable[[Subject], datetime],
        *,
        workers: int,
        lane_of: Callable[[Subject], Lane],
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tick = tick
        self._lane_of = lane_of
        self._clock = clock
        self._monotonic = monotonic
        self._changed = Condition()
        self._beats: dict[Subject, _Beat] = {}
        self._running: dict[Subject, _Beat] = {}
        self._stopping = False
        self._started = False
        self._turned_at = monotonic()
        self._anchor = (clock(), self._turned_at)
        self._run_job = self._run  # one bound method for ten thousand jobs
        # APScheduler reports each job at level info, and each skipped run as a warning; neither says anything here.
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        self._jobs = _Turning(
            self._turn,
            timezone=UTC,
            executors={
                Lane.CA.value: ThreadPoolExecutor(workers),
                Lane.LOCAL.value: ThreadPoolExecutor(LOCAL_WORKERS),
            },
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )

    def add(self, subject: Subject, at: datetime) -> None:
        """Give `subject` its heartbeat, first at `at`. One that has it already is only woken."""
        lane = self._lane_of(subject)
        with self._changed:
            if subject in self._beats:
                self.wake(subject, at)
            elif not self._stopping:
                self._beats[subject] = _Beat(at, lane)
                self._jobs.add_job(
                    self._run_job,
                    _FALLBACK_TRIGGER,
                    args=(subject,),
                    id=str(subject),
                    executor=lane.value,
                    next_run_time=at,
                )

    def remove(self, subject: Subject) -> None:
        """End the heartbeat of `subject`, if it has one. A tick that runs is finished, and is the last."""
        with self._changed:
            if self._beats.pop(subject, None) is not None and not self._stopping:
                self._jobs.remove_job(str(subject))

    def wake(self, subject: Subject, at: datetime | None = None) -> None:
        """Tick `subject` at `at`, by default now, if that is earlier than it is due. Unknown subjects are ignored."""
        at = self._clock() if at is None else at
        with self._changed:
            beat = self._beats.get(subject)
            if beat is None or self._stopping:
                return
            if subject in self._running:
                beat.woken = at if beat.woken is None else min(beat.woken, at)
            elif at < beat.due:
                self._move(subject, beat, at)

    def due(self, subject: Subject) -> datetime | None:
        """When `subject` is due; None if it is unknown."""
        with self._changed:
            beat = self._beats.get(subject)
            return None if beat is None else beat.due

    def start(self) -> None:
        """Begin to tick."""
        self._turned_at = self._monotonic()
        self._started = True
        self._jobs.start()

    def stop(self, timeout: timedelta) -> bool:
        """Start no more ticks, and wait for those that run.

        True: all have returned. False: some still run, and Python would wait for their threads at its exit as well, so
        the caller has to leave by `os._exit` once it has said why.
        """
        with self._changed:
            self._stopping = True
        if self._started:
            self._jobs.shutdown(wait=False)
        with self._changed:
            return self._changed.wait_for(lambda: not self._running, timeout.total_seconds())

    def stuck(self, *, local: timedelta = LOCAL_LIMIT, ca: timedelta = CA_LIMIT) -> str | None:
        """What hangs, in one sentence, or None: the table is not looked at, or a tick exceeds its lane's limit."""
        now = self._monotonic()
        with self._changed:
            still = now - self._turned_at
            if self._started and not self._stopping and still > 4 * TURN.total_seconds():
                return f"The scheduler has not looked at its jobs for {still:.0f} s."
            limits = {Lane.LOCAL: local.total_seconds(), Lane.CA: ca.total_seconds()}
            for subject, beat in self._running.items():
                if now - beat.began > limits[beat.lane]:
                    return f"The work on {subject} has not returned for {now - beat.began:.0f} s."
        return None

    def _run(self, subject: Subject) -> None:
        """One turn of a subject, in a worker: tick until there is a time to wait for, then move the job there."""
        beat = self._begin(subject)
        if beat is None:
            return
        try:
            for _ in range(RUNS_IN_A_ROW):
                if self._finish(subject, beat, self._tick_safely(subject, beat)):
                    return
            log_event(_log, logging.DEBUG, "Work that never waits makes room for others.", subject=subject)
            self._finish(subject, beat, self._clock() + PAUSE, leave=True)
        except Exception as error:
            log_bug(_log, "Work could not be planned on; it is tried again in a minute.", error, subject=subject)
            self._plan_again(subject, beat)

    def _plan_again(self, subject: Subject, beat: _Beat) -> None:
        """No error may leave a subject marked as running: it would never have another turn."""
        with self._changed:
            self._running.pop(subject, None)
            self._changed.notify_all()
            if self._beats.get(subject) is beat and not self._stopping:
                self._move(subject, beat, self._clock() + RETRY)

    def _begin(self, subject: Subject) -> _Beat | None:
        with self._changed:
            beat = self._beats.get(subject)
            # Jobs that were queued for a thread are still handed out after a shutdown; and a subject that was removed
            # and added again may have its old turn queued.
            if beat is None or self._stopping or subject in self._running:
                return None
            beat.began, beat.woken = self._monotonic(), None
            self._running[subject] = beat
            return beat

    def _tick_safely(self, subject: Subject, beat: _Beat) -> datetime:
        try:
            due = self._tick(subject)
        except Exception as error:
            if beat.fault != repr(error):
                log_bug(_log, "An error nobody foresaw; this is tried again in a minute.", error, subject=subject)
                beat.fault = repr(error)
            return self._clock() + RETRY
        beat.fault = None
        return due

    def _finish(self, subject: Subject, beat: _Beat, due: datetime, *, leave: bool = False) -> bool:
        """Note when the subject is due. False: it is due now, so the same thread is to go on."""
        lane = self._lane_of(subject)
        with self._changed:
            gone = self._stopping or self._beats.get(subject) is not beat
            if beat.woken is not None and not leave:
                due, beat.woken = min(due, beat.woken), None
            now = self._clock()
            if due <= now and not gone and not leave:
                beat.began = self._monotonic()
                return False
            del self._running[subject]
            self._changed.notify_all()
            if not gone:
                beat.lane = lane
                self._move(subject, beat, max(due, now + GRACE))
            elif (successor := self._beats.get(subject)) is not None and not self._stopping:
                self._move(subject, successor, now + GRACE)
            return True

    def _move(self, subject: Subject, beat: _Beat, due: datetime) -> None:
        beat.due = due
        self._jobs.modify_job(str(subject), next_run_time=due, executor=beat.lane.value)

    def _turn(self) -> None:
        """Called whenever the table is looked at: note it, and see whether the clocks still agree."""
        now, monotonic = self._clock(), self._monotonic()
        with self._changed:
            self._turned_at = monotonic
            wall, since = self._anchor
            self._anchor = (now, monotonic)
            if abs((now - wall).total_seconds() - (monotonic - since)) <= CLOCK_JUMP.total_seconds():
                return
            log_event(_log, logging.WARNING, "The clock was set; every wait is judged anew.", before=wall, now=now)
            for subject, beat in self._beats.items():
                if subject in self._running:
                    beat.woken = now
                elif not self._stopping:
                    self._move(subject, beat, now)


class _Beat:
    """What is known of one subject's heartbeat."""

    __slots__ = ("began", "due", "fault", "lane", "woken")

    def __init__(self, due: datetime, lane: Lane) -> None:
        self.due = due
        self.lane = lane
        self.began = 0.0
        self.woken: datetime | None = None
        self.fault: str | None = None


class _FallbackTrigger(BaseTrigger):  # type: ignore[misc]
    """Says when a job runs again if nothing moves it."""

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:  # noqa: ARG002 - the base class's signature
        return now + FALLBACK


_FALLBACK_TRIGGER = _FallbackTrigger()


class _Turning(BackgroundScheduler):  # type: ignore[misc]
    """Looks at the table at least every `TURN`, and tells so."""

    def __init__(self, turn: Callable[[], None], **options: object) -> None:
        self._turn = turn
        super().__init__(**options)

    def _process_jobs(self) -> float:
        longest = TURN.total_seconds()
        try:
            self._turn()
            wait = super()._process_jobs()
        except Exception as error:  # the thread must outlive whatever happens here
            log_bug(_log, "The scheduler met an error nobody foresaw and goes on.", error)
            return 1.0
        return longest if wait is None else min(wait, longest)
