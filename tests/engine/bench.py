"""An engine on a real state directory, with a world and a clock that a test moves by hand."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from authority import NOW
from msgspec.structs import replace
from statedir import NAME, issued, opened

from certd.clock import Clock
from certd.engine import Engine
from certd.model import events as ev
from certd.model.records import Activity, OcspCheck, OcspWord, Served
from certd.model.specs import (
    CaLimits,
    CaSpec,
    CertificateSpec,
    Config,
    Deployment,
    KeyType,
    ServerSpec,
    ServiceReload,
)
from certd.model.view import Subject
from certd.pki import CertificateSet
from certd.store import Store

CA = CaSpec("jprs", "https://ca.example.jp/", limits=CaLimits(in_flight=1))
SPEC = CertificateSpec(NAME, (NAME,), "jprs", key=KeyType.P256, deploy=(Deployment("web", verify=None),))
SERVER = ServerSpec("web", ServiceReload("httpd"), reload_min_interval=timedelta(seconds=10))


class Times:
    """Wall and monotonic time of one machine."""

    def __init__(self) -> None:
        self.wall, self.ticks = NOW, 0.0

    def passes(self, time: timedelta) -> None:
        self.wall += time
        self.ticks += time.total_seconds()

    def clock(self) -> Clock:
        return Clock(lambda: self.wall, lambda: self.ticks)


def _unexpected(*_: Any) -> Any:
    raise AssertionError("no such effect was expected")


@dataclass
class FakeWorld:
    """Effects are what a test says; links move on the real disk. `done` tells what was done."""

    store: Store
    on_order: Callable[..., Any] = _unexpected
    on_account: Callable[..., Any] = _unexpected
    on_reload: Callable[[], None] = lambda: None
    on_switch: Callable[[], None] = lambda: None
    """Called once the link has moved."""
    on_config: Callable[[Config], None] = lambda _: None
    active: Activity = Activity.ACTIVE
    done: list[str] = field(default_factory=list)

    def order(self, spec: Any, record: Any, action: Any) -> Any:
        self.done.append(type(action).__name__)
        return self.on_order(spec, record, action)

    def account(self, spec: Any, action: Any) -> Any:
        self.done.append(type(action).__name__)
        return self.on_account(spec, action)

    def ask_status(self, spec: Any, record: Any, action: Any, now: datetime) -> ev.StatusChecked:
        return ev.StatusChecked(OcspCheck(OcspWord.GOOD, now))

    def check_revocation(self, spec: Any, action: Any, now: datetime) -> ev.RevocationChecked:
        return ev.RevocationChecked(action.serial, OcspWord.GOOD)

    def probe(self, spec: Any, now: datetime) -> ev.Probed:
        return ev.Probed(Served(None, now))

    def activity(self, server: Any) -> Activity:
        return self.active

    def look(self, targets: Any) -> tuple[()]:
        return ()

    def reload(self, server: Any) -> None:
        self.done.append("reload")
        self.on_reload()

    def start(self, server: Any) -> None:
        self.done.append("start")

    def switch(self, name: str, version: int, now: datetime) -> None:
        self.done.append(f"switch {name} {version}")
        self.store.switch_live(name, version, now=now)
        self.on_switch()

    def after(self, spec: Any, commands: Any, version: int) -> None:
        self.done.append("after")

    def replace_config(self, config: Config) -> None:
        self.on_config(config)

    def use_account(self, ca: str, url: str) -> None:
        self.done.append(f"use {url}")


class Bench:
    """State directory, world, clock and engine. `engine()` may be called again: a restart."""

    def __init__(self, root: Path) -> None:
        self.times = Times()
        self.store = opened(root / "state")
        self.world = FakeWorld(self.store)
        self.woken: list[Subject] = []
        self.config = Config(
            path=root / "config.yaml",
            state_dir=root / "state",
            runtime_dir=root / "run",
            cas={"jprs": CA},
            servers={"web": SERVER},
            certificates={NAME: SPEC},
        )

    def engine(self, **changes: Any) -> Engine:
        self.config = replace(self.config, **changes)
        self.clock = self.times.clock()
        return Engine(
            self.config,
            self.store,
            self.world,
            clock=self.clock,
            rng=random.Random(1),
            wake=lambda subject, _: self.woken.append(subject),
        )

    def version(self, number: int, *, live: bool = False, days: int = 90) -> int:
        """A complete set on disk."""
        return self.add(issued(number, days), live=live)

    def add(self, certificates: CertificateSet, *, live: bool = False) -> int:
        version = self.store.add_version(NAME, certificates, group=None, combined=True)
        if live:
            self.store.switch_live(NAME, version, now=NOW)
        return version
