"""The process: configuration, lock, engine, scheduler, sockets and signals, wired together.

Signals only set flags; the main thread waits for them, feeds the service manager and remembers the time. A broken new
configuration leaves the old one at work and says so.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pwd
import random
import signal
import socket
import sys
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import NoReturn, Self

from msgspec.structs import replace

from certd import __version__, logs
from certd.alarms import AlarmLane, Alarms, Faults, Post
from certd.challenges import OPTIONS
from certd.clock import Clock
from certd.config import load
from certd.daemon.patience import longest_after, longest_look
from certd.effects.real import RealWorld
from certd.engine import Engine, progress
from certd.engine.servers import LOOK_EVERY as LOOK_AT_SERVERS_EVERY
from certd.errors import CertdError, ConfigError, StateError
from certd.logs import log_bug, log_event
from certd.model import events as ev
from certd.model.specs import Config
from certd.model.view import Subject, SubjectKind, View
from certd.scheduler import LOCAL_LIMIT, Scheduler
from certd.sockets import CONTROL_NAME, STATUS_NAME, ControlSocket, StatusSocket
from certd.store import Store
from certd.systemd import ServiceManager

_log = logging.getLogger(__name__)

DONE, FAILED = 0, 1
TURN = timedelta(seconds=5)
"""How often the main thread looks around: STATUS for the service manager, the time on disk."""
BETWEEN_FIRST_TICKS = timedelta(microseconds=500)
LOOK_EVERY, LOOK_SHARE = 0.2, 5
"""`certd once` looks so many seconds apart, and so many times as long as a look takes."""
STOP_WITHIN = timedelta(seconds=8)
ALARMS_STOP_WITHIN = timedelta(seconds=2)

_MADE_ONCE = {
    "proxy": "http.proxy",
    "http_timeout": "http.timeout",
    "workers": "limits.workers",
    "socket_group": "status_group",
}
"""Fields of the configuration, and their keys, that a reload reads but only a start can use."""


class Process:
    """Everything that one process holds; leaving the context lets go of it."""

    def __init__(self, config: Config, *, purpose: str) -> None:
        """Raises LockHeld, StateError, ConfigError."""
        _say_warnings(config)
        _refuse_root(config.state_dir, purpose)
        self._started_with = config
        self._clock = Clock()
        self._store = Store.open(config.state_dir, purpose=purpose, now=self._clock.now())
        self._world = RealWorld(
            config,
            self._store,
            now=self._clock.now,
            on_date=self._clock.heard,
            on_account=self._hear_account,
            on_warning=self._hear_warning,
        )
        try:
            self.engine = Engine(
                config,
                self._store,
                self._world,
                clock=self._clock,
                rng=random.SystemRandom(),
                wake=self._wake,
            )
        except CertdError:
            self._store.close()
            raise
        self._post = Post(proxy=config.proxy, now=self._clock.now)
        self._alarms = Alarms(
            self._store,
            config.notify,
            view=self.view,
            deliver=self._post.deliver,
            now=self._clock.now,
            draw=random.SystemRandom().random,
            host=socket.gethostname(),
        )
        self._alarm_lane = AlarmLane(self._alarms)
        self._faults = Faults(self._tick, now=self._clock.now, after=self._alarm_lane.nudge)
        self._scheduler = Scheduler(
            self._faults.tick, workers=config.workers, lane_of=self.engine.lane_of, clock=self._clock.now
        )
        self._manager = ServiceManager()
        self._flags = threading.Condition()
        self._stop = False
        self._reload = False
        self._reading = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._manager.close()
        self._post.close()
        self._world.close()
        self._store.close()

    def serve(self) -> int:
        """Until a signal ends it."""
        config = self.engine.config
        self._catch_signals()
        self.engine.prepare()
        with (
            ControlSocket(config.runtime_dir / CONTROL_NAME, self.engine, reload=self.reload) as control,
            StatusSocket(
                config.runtime_dir / STATUS_NAME,
                self.view,
                self._clock.now,
                group=config.socket_group,
                beside=control,
            ),
        ):
            self._begin()
            self._alarm_lane.start()
            self._manager.ready(self._status_line())
            self._manager.watchdog(self._works)
            log_event(_log, logging.INFO, f"certd {__version__} is ready.", certificates=len(config.certificates))
            while not self._turn():
                pass
            self._manager.stopping("stopping")
            log_event(_log, logging.INFO, "Stopping.")
            self._alarm_lane.stop(ALARMS_STOP_WITHIN)
        return self._end(DONE)

    def drive(self, *, wait: bool) -> int:
        """Until nothing is under way."""
        self._catch_signals()
        self.engine.prepare()
        self._begin()
        told: set[str] = set()
        now = self._clock.now
        while not self._stopped():
            began = time.monotonic()
            under_way = progress.under_way(self.engine.view(), now(), beyond_gates=wait)
            if not under_way:
                break
            for line in under_way:
                if line not in told:
                    log_event(_log, logging.INFO, line)
            told = set(under_way)
            with self._flags:
                # With ten thousand certificates a look takes a while: most of the time is for the work.
                self._flags.wait_for(lambda: self._stop, max(LOOK_EVERY, LOOK_SHARE * (time.monotonic() - began)))
        failures = progress.failures(self.engine.view(), now())
        for line in failures:
            log_event(_log, logging.ERROR, line)
        return self._end(FAILED if failures or self._stop else DONE)

    def view(self) -> View:
        """The engine's view, and what is wrong with the daemon around it."""
        view = self.engine.view()
        return replace(view, troubles=(*view.troubles, *self._faults.troubles(), *self._alarms.troubles()))

    def reload(self) -> str:
        """Read the configuration again, now; a sentence. Raises ConfigError, and then the old one stays at work."""
        with self._reading:
            self._manager.reloading("reading the configuration")
            try:
                self._take_config(load(self.engine.config.path, solvers=OPTIONS))
            except ConfigError as error:
                self.engine.config_error = str(error)
                self._alarm_lane.nudge()
                for problem in error.problems:
                    log_event(_log, logging.ERROR, problem)
                log_event(_log, logging.ERROR, "The new configuration is not used; the old one stays at work.")
                raise
            except Exception as error:
                self.engine.config_error = f"it could not be read: {type(error).__name__}: {error}"
                self._alarm_lane.nudge()
                log_bug(_log, "The new configuration met an error nobody foresaw; certd goes on.", error)
                raise
            finally:
                self._manager.ready(self._status_line())
        return f"the configuration is read: {len(self.engine.config.certificates)} certificates"

    # --- inside -------------------------------------------------------------------------------------------------

    def _tick(self, subject: Subject) -> datetime:
        """A server is looked at now and then although it has nothing to do: health tells how it is."""
        due = self.engine.tick(subject)
        return min(due, self._clock.now() + LOOK_AT_SERVERS_EVERY) if subject.kind is SubjectKind.SERVER else due

    def _begin(self) -> None:
        self._tick_all()
        self._scheduler.start()

    def _tick_all(self) -> None:
        now = self._clock.now()
        for number, subject in enumerate(self.engine.subjects()):
            # One after the other: ten thousand ticks that are due at once would all be queued in memory.
            self._scheduler.add(subject, now + number * BETWEEN_FIRST_TICKS)

    def _end(self, code: int) -> int:
        """Let the ticks that run finish; records are durable at every moment, so cutting them off loses nothing.

        Returns the exit code, unless the process has to end right here with it.
        """
        if not self._scheduler.stop(STOP_WITHIN):
            log_event(_log, logging.WARNING, "Some work did not end in time; it is taken up at the next start.")
            self._manager.close()
            self._store.close()
            _leave(code)
        return code

    def _turn(self) -> bool:
        """One look around; True when it is time to stop."""
        with self._flags:
            self._flags.wait_for(lambda: self._stop or self._reload, TURN.total_seconds())
            stop, reload = self._stop, self._reload
            if reload:  # else a signal that comes right now would be lost
                self._reload = False
        if stop:
            return True
        if reload:
            with contextlib.suppress(Exception):  # logged, and kept for the status; a signal must not end the daemon
                self.reload()
        try:
            self.engine.note_time()
        except StateError as error:
            log_event(_log, logging.ERROR, f"The time cannot be remembered: {error}")
        self._manager.status(self._status_line())
        return False

    def _take_config(self, config: Config) -> None:
        self._compare(config)
        before = set(self.engine.subjects())
        self.engine.replace_config(config)
        self._alarms.replace_outlets(config.notify)
        self._alarm_lane.nudge()
        logs.set_up(config.log_level)
        _say_warnings(config)
        self.engine.prepare()
        for subject in before.difference(self.engine.subjects()):
            self._scheduler.remove(subject)
            self._faults.forget(subject)
        self._tick_all()
        log_event(_log, logging.INFO, "The configuration is read.", certificates=len(config.certificates))

    def _compare(self, config: Config) -> None:
        """Refuse what only a new process could do, and tell of what has to wait for one, at each reload until then."""
        for key in ("state_dir", "runtime_dir"):
            if getattr(config, key) != getattr(self._started_with, key):
                raise ConfigError([f"{config.path}: {key}: a change needs a restart: systemctl restart certd"])
        for field, key in _MADE_ONCE.items():
            if getattr(config, field) != getattr(self._started_with, field):
                log_event(_log, logging.WARNING, f"{key}: the change waits for a restart: systemctl restart certd")

    def _works(self) -> bool:
        config = self.engine.config
        return self._scheduler.stuck(local=LOCAL_LIMIT + longest_after(config) + longest_look(config)) is None

    def _status_line(self) -> str:
        return progress.summary(self.engine.tally())

    def _stopped(self) -> bool:
        with self._flags:
            return self._stop

    def _catch_signals(self) -> None:
        def stop(_: int, __: FrameType | None) -> None:
            self._stop = True
            _wake_main(self._flags)

        def reload(_: int, __: FrameType | None) -> None:
            self._reload = True
            _wake_main(self._flags)

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGHUP, reload)

    def _wake(self, subject: Subject, at: datetime | None) -> None:
        self._scheduler.wake(subject, at)

    def _hear_account(self, ca: str, event: ev.AccountEvent) -> None:
        self.engine.hear_account(ca, event)

    def _hear_warning(self, name: str, warning: str | None) -> None:
        self.engine.hear_warning(name, warning)


def _refuse_root(state_dir: Path, purpose: str) -> None:
    """Root must leave nothing in another user's state directory: the daemon could not change it. Raises StateError."""
    if os.geteuid() != 0:
        return
    try:
        owner = state_dir.stat().st_uid
    except FileNotFoundError:
        return
    except OSError as error:
        raise StateError(f"cannot look at {state_dir}: {error.strerror}") from None
    if owner != 0:
        user = str(owner)
        with contextlib.suppress(KeyError):
            user = pwd.getpwuid(owner).pw_name
        raise StateError(
            f"{state_dir} belongs to user {user}, who could not use what root writes there; do this as that user: "
            f"runuser -u {user} -- {purpose}"
        )


def _say_warnings(config: Config) -> None:
    for warning in config.warnings:
        log_event(_log, logging.WARNING, warning)


def _wake_main(flags: threading.Condition) -> None:
    # A signal handler runs in the main thread: the condition's lock is reentrant, so this cannot block.
    with flags:
        flags.notify_all()


def _leave(code: int) -> NoReturn:
    """Python would wait at its exit for threads that hang in a CA's or a command's hands."""
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)
