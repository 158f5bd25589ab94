"""One problem that comes and goes, a record in memory or on disk, outlets that do as they are told."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import msgspec
from msgspec.structs import replace
from views import DAY, LIFE, NOW, certificate, view

from certd.alarms import Alarms
from certd.alarms.message import Message
from certd.errors import NotifyFailed, StateError
from certd.model.alarms import AlarmRecord
from certd.model.specs import NotifySpec
from certd.model.view import View
from certd.store import Store

COMMAND = NotifySpec(command=("/usr/local/bin/tell",))
HOOK = NotifySpec(webhook="https://hooks.example.jp/services/S3CRET")
WELL, EXPIRING, EXPIRED = 60 * DAY, 20 * DAY, -DAY


class MemoryRecords:
    """The record on a disk that can fail."""

    def __init__(self) -> None:
        self.data: bytes | None = None
        self.full = False
        self.writes = 0

    def load_alarms(self) -> AlarmRecord | None:
        return None if self.data is None else msgspec.json.decode(self.data, type=AlarmRecord)

    def save_alarms(self, record: AlarmRecord) -> None:
        if self.full:
            raise StateError("cannot write alarms.json: the file system is full")
        self.writes += 1
        self.data = msgspec.json.encode(record)


class Bench:
    """Alarms with their surroundings in hand; `restart` is a crash and a start."""

    def __init__(self, *outlets: NotifySpec, records: MemoryRecords | Store | None = None) -> None:
        self.records = records if records is not None else MemoryRecords()
        self.outlets = outlets
        self.now = NOW
        self.left = WELL
        self.refuse: set[NotifySpec] = set()
        self.crash = False
        self.raises: Exception | None = None
        self.received: list[tuple[NotifySpec, Message]] = []
        self.restart()

    def restart(self) -> None:
        self.alarms = Alarms(
            self.records,
            self.outlets,
            view=self.view,
            deliver=self._deliver,
            now=lambda: self.now,
            draw=lambda: 0.5,
            host="web1",
        )

    def view(self) -> View:
        one = certificate()
        live = one.facts.live
        assert live is not None
        end = self.now + self.left
        leaf = replace(live.leaf, not_before=end - LIFE, not_after=end)
        shown = replace(one, facts=replace(one.facts, live=replace(live, leaf=leaf)))
        return replace(view([shown]), troubles=self.alarms.troubles())

    def round(self, after: timedelta = timedelta(0)) -> None:
        """Time passes; a look; every delivery that is due."""
        self.now += after
        self.alarms.look()
        for outlet in self.alarms.due():
            while self.alarms.deliver(outlet):
                pass

    def told(self, spec: NotifySpec) -> list[str]:
        """What an outlet was told, notice by notice."""
        return [f"{n.change} {n.code}" for to, message in self.received if to == spec for n in message.notices]

    def _deliver(self, spec: NotifySpec, message: Message) -> None:
        if spec in self.refuse:
            raise NotifyFailed("it answered with status 500")
        if self.raises is not None:
            raise self.raises
        self.received.append((spec, message))
        if self.crash:
            raise SystemExit("killed after the delivery, before the record")


def on_disk(directory: Path) -> Store:
    return Store.open(directory, purpose="test", now=NOW)
