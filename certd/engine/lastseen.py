"""The time on disk: at its next start certd knows that it is at least this late (ARCHITECTURE 4d)."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from certd.clock import AGREES, Clock
from certd.errors import BrokenRecord, StateError, UnknownSchema
from certd.logs import log_event
from certd.model.codes import Code
from certd.model.records import DaemonRecord
from certd.model.view import Trouble
from certd.store import Store

EVERY = timedelta(hours=1)
RETRY = timedelta(minutes=1)
"""After the disk refused."""

_log = logging.getLogger(__name__)


class LastSeen:
    """Owns ``daemon.json``. A file that does not parse is left as it is, and stops nothing."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._seen: datetime | None = None
        self._loaded = self._broken = False
        self._refused_at: datetime | None = None
        self.trouble: Trouble | None = None
        """What is in the way, for health."""
        try:
            self._load()
        except StateError as error:
            log_event(_log, logging.ERROR, str(error), code=error.code)
            self._refused(error)

    def note(self) -> None:
        """To be called every few seconds: writes when it is worth it and the clock is believed.

        Raises StateError when the disk begins to refuse; that it still does is in `trouble`.
        """
        now = self._clock.now()
        again = self._refused_at
        if self._broken or (again is not None and again <= now < again + RETRY):
            return
        refused_before = self.trouble is not None
        try:
            if not self._loaded:
                self._load()
            if self._clock.sure and self._worth_it(now):
                self._store.save_daemon(DaemonRecord(last_seen=now))
                self._seen = now
        except StateError as error:
            self._refused(error)
            if not refused_before:
                raise
        else:
            self.trouble = self._refused_at = None

    def _worth_it(self, now: datetime) -> bool:
        # A time that lies ahead of a clock that is believed was seen by one that was wrong.
        return self._seen is None or now - self._seen >= EVERY or now < self._seen - AGREES

    def _load(self) -> None:
        record = self._store.load_daemon()
        self._loaded = True
        if record is not None:
            self._seen = record.last_seen
            self._clock.remember(record.last_seen)

    def _refused(self, error: StateError) -> None:
        self._refused_at = self._clock.now()
        self._broken = isinstance(error, BrokenRecord | UnknownSchema)
        since = self.trouble.since if self.trouble is not None else self._refused_at
        self.trouble = Trouble(Code.RECORD_BROKEN if self._broken else error.code, str(error), since)
