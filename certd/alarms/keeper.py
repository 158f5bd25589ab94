"""Keeps the record of alarms: looks at health, writes down what is to be told, delivers it, writes that down too."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Protocol

from certd.alarms.message import Message, message
from certd.alarms.post import outlet_id
from certd.errors import NotifyFailed, StateError
from certd.logs import log_bug, log_event
from certd.model.alarms import AlarmRecord, Key, Level, Outlet, Sighting
from certd.model.codes import Code
from certd.model.view import Trouble
from certd.plan import alarms as plan
from certd.status import health
from certd.status.shape import Health, Problem, Standing
from certd.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from certd.model.specs import NotifySpec
    from certd.model.view import View
    from certd.status.prose import Lang

_log = logging.getLogger(__name__)

LONGEST_TEXT = 1000
"""Characters of a problem's text that wait in the record."""


class Records(Protocol):
    """Where the record lies: `certd.store.Store`."""

    def load_alarms(self) -> AlarmRecord | None: ...

    def save_alarms(self, record: AlarmRecord) -> None: ...


class Alarms:
    """One per state directory. `look` and `deliver` may run in different threads; one outlet is one thread's at a time.

    A disk that refuses the record keeps nothing from being told: it may be the very thing to tell. What is not written
    is known in memory, and would be told again after a crash.
    """

    def __init__(
        self,
        records: Records,
        outlets: Sequence[NotifySpec],
        *,
        view: Callable[[], View],
        deliver: Callable[[NotifySpec, Message], None],
        now: Callable[[], datetime],
        draw: Callable[[], float],
        host: str,
    ) -> None:
        """`draw` gives random numbers in [0, 1), `deliver` raises NotifyFailed."""
        self._records = records
        self._view = view
        self._post = deliver
        self._now = now
        self._draw = draw
        self._host = host
        self._lock = threading.Lock()
        self._saved: AlarmRecord | None = None
        self._readable = True
        self._trouble: Trouble | None = None
        self._health = Health(Standing.OK, ())
        self._record = self._load()
        self._outlets: dict[str, NotifySpec] = {}
        self.replace_outlets(outlets)

    def replace_outlets(self, outlets: Sequence[NotifySpec]) -> None:
        """Take a new configuration; the next look tells new outlets what stands."""
        self._outlets = {outlet_id(spec): spec for spec in outlets}

    def look(self) -> None:
        """See what is wrong now, and write down what is to be told of it."""
        outlets = self._outlets
        if not outlets:
            return
        now = self._now()
        self._health = health(self._view(), now)
        watchers = [plan.Watcher(id, Level(spec.minimum)) for id, spec in outlets.items()]
        sightings = [_sighting(problem) for problem in self._health.problems]
        with self._lock:
            self._keep(plan.observe(self._record, sightings, watchers, now))

    def due(self) -> list[str]:
        """The outlets that have something to deliver now."""
        now = self._now()
        return [one.id for one in self._record.outlets if one.id in self._outlets and plan.batch(one, now)]

    def deliver(self, outlet: str) -> bool:
        """Deliver one message, if there is one to deliver; whether it went well."""
        spec, waiting = self._outlets.get(outlet), plan.find(self._record, outlet)
        now = self._now()
        notices = plan.batch(waiting, now) if waiting is not None else ()
        if spec is None or waiting is None or not notices:
            return False
        # What was left out is told in the last message only, when the queue is empty.
        left_out = waiting.left_out if len(notices) == len(waiting.pending) else 0
        lang: Lang = "ja" if spec.lang == "ja" else "en"
        told = message(notices, left_out, self._health, host=self._host, lang=lang, now=now)
        try:
            self._post(spec, told)
        except NotifyFailed as error:
            self._failed(outlet, spec, str(error), error)
            return False
        except Exception as error:
            log_bug(_log, "An error nobody foresaw; the alarm is delivered later.", error, to=spec.place)
            self._failed(outlet, spec, f"{type(error).__name__}: {error}", None)
            return False
        with self._lock:
            self._keep(plan.delivered(self._record, outlet, notices, left_out))
        log_event(_log, logging.INFO, "Alarms are delivered.", to=spec.place, notices=len(notices))
        return True

    def troubles(self) -> tuple[Trouble, ...]:
        """What keeps alarms from being told or remembered, for health."""
        found = [
            Trouble(plan.NOTIFY_FAILED, f"Alarms cannot be delivered: {one.failure}", one.failing_since)
            for one in self._record.outlets
            if one.id in self._outlets and one.failure is not None and one.failing_since is not None
        ]
        return (*found, self._trouble) if self._trouble is not None else tuple(found)

    # --- inside -------------------------------------------------------------------------------------------------

    def _failed(self, outlet: str, spec: NotifySpec, why: str, error: NotifyFailed | None) -> None:
        text = printable(why, 400)
        retry_after = error.retry_after if error is not None else None
        with self._lock:
            after = plan.failed(self._record, outlet, text, self._now(), self._draw(), retry_after)
            self._keep(after)
        retry = _retry(plan.find(after, outlet))
        log_event(_log, logging.WARNING, f"An alarm cannot be delivered: {text}.", to=spec.place, next_at=retry)

    def _load(self) -> AlarmRecord:
        try:
            self._saved = self._records.load_alarms()
        except StateError as error:
            # Never overwritten; alarms go on without a memory that outlives the process.
            self._readable = False
            self._complain(Code.RECORD_BROKEN, error)
        return self._saved or AlarmRecord()

    def _keep(self, record: AlarmRecord) -> None:
        self._record = record
        if not self._readable or record == (self._saved or AlarmRecord()):
            return
        try:
            self._records.save_alarms(record)
        except StateError as error:
            self._complain("record-unsaved", error)
            return
        self._saved, self._trouble = record, None

    def _complain(self, code: str, error: StateError) -> None:
        if self._trouble is None:
            log_event(_log, logging.ERROR, f"Alarms cannot be remembered: {error}", code=error.code)
        since = self._trouble.since if self._trouble is not None else self._now()
        self._trouble = Trouble(str(code), str(error), since)


def _retry(outlet: Outlet | None) -> datetime | None:
    return outlet.retry.until if outlet is not None and outlet.retry is not None else None


def _sighting(problem: Problem) -> Sighting:
    kind = next((kind for kind in ("certificate", "server", "ca") if getattr(problem, kind) is not None), "")
    key = Key(problem.code, kind, getattr(problem, kind) if kind else "")
    return Sighting(key, Level(problem.severity.value), printable(problem.text, LONGEST_TEXT), problem.since)
