"""certd inside the test's process, on real parts, with a clock that the test puts forward instead of waiting."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from certd.challenges import OPTIONS
from certd.clock import Clock
from certd.config import load
from certd.effects.real import COMMAND_TIMEOUT, RealWorld
from certd.engine import Engine
from certd.logs import LineFormatter
from certd.model.view import Lane, Subject
from certd.sockets import CONTROL_NAME, STATUS_NAME, ControlSocket, StatusSocket
from certd.store import Store
from parts.daemon import Certd
from parts.processes import forget_log, watch_log


class ForwardClock:
    """The machine's time, and as much more as the test has skipped."""

    def __init__(self) -> None:
        self._skipped = timedelta(0)
        self._pair = threading.local()

    def wall(self) -> datetime:
        self._pair.skipped = skipped = self._skipped
        return datetime.now(UTC) + skipped

    def monotonic(self) -> float:
        """As far put forward as `wall` was when this thread asked it last: a skip between the two is no jump."""
        skipped: timedelta = getattr(self._pair, "skipped", self._skipped)
        return time.monotonic() + skipped.total_seconds()

    def skip(self, delay: timedelta) -> None:
        """Let that much time pass, for certd and for every part that goes by this clock."""
        self._skipped += delay


class ForwardedCertd(Certd):
    """The engine and its sockets, everything but the scheduler: two threads tick what is due by the test's clock.

    It is asked and told like `Certd`. An exception that a tick raises is raised again by `stop`.
    """

    def __init__(
        self, root: Path, config: Mapping[str, Any], clock: ForwardClock, *, command_timeout: timedelta | None = None
    ) -> None:
        """`command_timeout`: how long a reload or a start may take; None for what the daemon allows."""
        super().__init__(root, config)
        self.clock = clock
        self._command_timeout = command_timeout
        self._changed = threading.Condition()
        self._due: dict[Subject, datetime] = {}
        self._stopping = False
        self._threads: list[threading.Thread] = []
        self._faults: list[Exception] = []
        self._open: list[Any] = []

    def start(self) -> None:
        self._log_to_file()
        config = load(self.config_path, solvers=OPTIONS)
        clock = Clock(self.clock.wall, self.clock.monotonic)
        store = Store.open(config.state_dir, purpose="the test", now=clock.now())
        world = RealWorld(
            config,
            store,
            now=clock.now,
            on_date=clock.heard,
            on_account=lambda ca, event: self.engine.hear_account(ca, event),
            on_warning=lambda name, warning: self.engine.hear_warning(name, warning),
            command_timeout=self._command_timeout or COMMAND_TIMEOUT,
        )
        self.engine = Engine(config, store, world, clock=clock, rng=random.Random(1), wake=self._wake)
        self.engine.prepare()
        config.runtime_dir.mkdir(exist_ok=True)
        status = StatusSocket(config.runtime_dir / STATUS_NAME, self.engine.view, clock.now, group=None)
        control = ControlSocket(config.runtime_dir / CONTROL_NAME, self.engine, reload=lambda: "nothing to reload")
        self._open = [status, control, world, store]
        status.open()
        control.open()
        self._due = dict.fromkeys(self.engine.subjects(), clock.now())
        self._stopping = False
        self._threads = [threading.Thread(target=self._turn, args=(lane,), daemon=True) for lane in Lane]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if not self._threads:
            return
        for thread in self._threads:
            thread.join()
        for part in self._open:
            part.close()
        self._threads, self._open = [], []
        logging.getLogger("certd").removeHandler(self._handler)
        self._handler.close()
        forget_log(self.log)
        faults, self._faults = self._faults, []
        if faults:
            raise faults[0]

    def skip(self, delay: timedelta) -> None:
        """Let time pass at once; what has become due is ticked."""
        with self._changed:
            self.clock.skip(delay)
            self._changed.notify_all()

    def _log_to_file(self) -> None:
        self._handler = logging.FileHandler(self.log)
        self._handler.setFormatter(LineFormatter(journal=False))
        logging.getLogger("certd").setLevel(logging.DEBUG)
        logging.getLogger("certd").addHandler(self._handler)
        watch_log(self.log, f"certd: {self.log}")

    def _wake(self, subject: Subject, at: datetime | None) -> None:
        with self._changed:
            at = self.clock.wall() if at is None else at
            self._due[subject] = min(at, self._due.get(subject, at))
            self._changed.notify_all()

    def _turn(self, lane: Lane) -> None:
        while (subject := self._next(lane)) is not None:
            try:
                due = self.engine.tick(subject)
            except Exception as error:
                self._faults.append(error)
                due = self.clock.wall() + timedelta(minutes=1)
            self._wake(subject, due)

    def _next(self, lane: Lane) -> Subject | None:
        """Wait for the next subject that is due in this lane; None: it is time to stop."""
        with self._changed:
            while not self._stopping:
                mine = [(due, subject) for subject, due in self._due.items() if self.engine.lane_of(subject) is lane]
                due, subject = min(mine, key=lambda one: one[0])
                left = (due - self.clock.wall()).total_seconds()
                if left <= 0:
                    self._due[subject] = datetime.max.replace(tzinfo=UTC)
                    return subject
                self._changed.wait(left)
        return None
