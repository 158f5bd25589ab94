"""An Apache that loads its files one after the other, and dies of a key and a certificate that do not fit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from exploration.memory_store import MemoryStore
from exploration.timeline import Timeline

from certd.errors import CommandFailed
from certd.model.records import Activity

BEGINS_AFTER = timedelta(seconds=0.5)
"""The reload command returns before the server begins to load, and before it says so."""
STARTS_WITHIN = timedelta(seconds=0.3)
"""So long after the start command has returned it listens, or is dead."""
OPENS_EVERY = timedelta(seconds=0.2)


@dataclass
class Loading:
    """One graceful restart under way."""

    ours: bool
    begins: datetime
    told_from: datetime
    """The service manager tells of it from then on."""
    left: list[tuple[datetime, str, str]]
    """Files still to be opened: when, for whom, which."""
    opened: dict[tuple[str, str], int | None] = field(default_factory=dict)


class ModelApache:
    """One unit. `include`: its virtual hosts include apache.conf, so that certificate and key are of one version."""

    def __init__(
        self, unit: str, names: Iterable[str], store: MemoryStore, timeline: Timeline, *, include: bool = False
    ) -> None:
        self.unit = unit
        self.names = list(names)
        self.include = include
        self.activity = Activity.ACTIVE
        self.served: dict[str, str | None] = {}
        self.no_vhost: set[str] = set()
        self.config_broken = False
        self.refuses: set[str] = set()
        """Fingerprints that its configuration test refuses."""
        self.dies_of: set[str] = set()
        """Fingerprints that it dies of while it loads."""
        self.breaks: set[str] = set()
        """Fingerprints that it loads, and then cannot serve: the handshakes of one site fail."""
        self.loading: Loading | None = None
        self.excused = False
        """Somebody else has stopped or killed it, and nobody need start it."""
        self.said_to_refuse = False
        """The last command for it was reported as failed, whether or not it was."""
        self.seen_down = False
        """The last look at it was reported as refused, whether or not it was."""
        self.asked_at: datetime | None = None
        self._queued: list[bool] = []
        self._starts = 0
        self._store = store
        self._timeline = timeline

    def now(self) -> Activity:
        """What the service manager says."""
        self.catch_up()
        self.asked_at = self._timeline.now
        loads = self.loading is not None and self.loading.told_from <= self._timeline.now
        return Activity.RELOADING if loads and self.activity is Activity.ACTIVE else self.activity

    def reload(self, *, ours: bool) -> None:
        """Raises CommandFailed."""
        self.catch_up()
        if self.activity is not Activity.ACTIVE:
            raise CommandFailed(f"{self.unit} is not active")
        self._test()
        if self.loading is not None:
            self._queued.append(ours)
        else:
            self._load(ours, self._timeline.now + BEGINS_AFTER)

    def foreign(self, begun: timedelta) -> None:
        """Somebody else's graceful restart, begun this long ago: the service manager tells of it from now on."""
        self.catch_up()
        if self.loading is not None:
            self._queued.append(False)
        elif not self._refused():
            self._load(False, self._timeline.now - begun)

    def start(self) -> None:
        """Raises CommandFailed."""
        self.catch_up()
        if self.activity is Activity.ACTIVE:
            return
        self.activity = Activity.FAILED
        self._test()
        self.activity = Activity.ACTIVE
        loads = {name: self._store.served_by_link(name) for name in self.names}
        self.served = {}
        self._starts += 1
        self._timeline.plan(STARTS_WITHIN, partial(self._started, self._starts, loads))

    def _started(self, start: int, loads: dict[str, str | None]) -> None:
        if self.activity is not Activity.ACTIVE or start != self._starts:
            return
        if self.dies_of & set(loads.values()):
            self._die()
        else:
            self.served = loads

    def stop(self) -> None:
        self._down(Activity.INACTIVE)

    def kill(self) -> None:
        self._down(Activity.FAILED)

    @property
    def listens(self) -> bool:
        self.catch_up()
        return self.activity is Activity.ACTIVE and bool(self.served)

    def shown(self, name: str) -> str | None:
        """The fingerprint that a handshake for this name shows; None: nobody listens, or the handshake fails."""
        if not self.listens:
            return None
        visible = [one for one in self.names if one not in self.no_vhost]
        shown = self.served.get(name if name in visible else visible[0])
        return None if shown in self.breaks else shown

    def catch_up(self) -> None:
        """Do what loading has come to do by now."""
        while self.loading is not None and self.activity is Activity.ACTIVE:
            loading = self.loading
            while loading.left and loading.left[0][0] <= self._timeline.now:
                _, name, what = loading.left.pop(0)
                loading.opened[name, what] = self._store.links.get(name)
            if loading.left:
                return
            self._finish(loading)

    def _finish(self, loading: Loading) -> None:
        self.loading = None
        loads: dict[str, str | None] = {}
        for name in self.names:
            certificate, key = loading.opened[name, "certificate"], loading.opened[name, "key"]
            if certificate is None or certificate != key:
                self._die()
                return
            loads[name] = self._store.sets[name][certificate].leaf.fingerprint
        if self.dies_of & set(loads.values()):
            self._die()
            return
        self.served = loads
        if self._queued:
            self._load(self._queued.pop(0), self._timeline.now)

    def _load(self, ours: bool, begins: datetime) -> None:
        left: list[tuple[datetime, str, str]] = []
        at = begins
        for name in self.names:
            left.append((at, name, "certificate"))
            at = at if self.include else at + OPENS_EVERY
            left.append((at, name, "key"))
            at += OPENS_EVERY
        self.loading = Loading(ours, begins, max(begins, self._timeline.now), left)

    @property
    def cannot_load(self) -> bool:
        """Whether it is down, or said to be, was said to refuse, or would refuse or not survive what the links name."""
        if self.said_to_refuse or self.seen_down:
            return True
        named = {self._store.served_by_link(name) for name in self.names}
        return self.activity is not Activity.ACTIVE or self._refused() or bool(self.dies_of & named)

    def _refused(self) -> bool:
        named = {self._store.served_by_link(name) for name in self.names}
        return self.config_broken or None in named or bool(self.refuses & named)

    def _test(self) -> None:
        if self._refused():
            raise CommandFailed(f"{self.unit}: the configuration test failed")

    def _die(self) -> None:
        if self.activity is Activity.ACTIVE:
            self._down(Activity.FAILED)

    def _down(self, activity: Activity) -> None:
        self.activity = activity
        self.loading = None
        self._queued.clear()
