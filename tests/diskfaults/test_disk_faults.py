"""A disk that refuses a call, once or for half an hour, anywhere in a first issue, a renewal, or a start in the middle.

The engine, the CA and the files are real (`sicksite.py`). Every call below the state directory and the web root is
refused in turn, with each errno that it can fail with (`sickdisk.py`). The suite takes a sample, another one at each
run; `make disk-faults` takes every one and prints how many there were.
"""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from clockwork import MOST_TICKS
from parts import Webroot
from sickdisk import SickDisk, points
from sicksite import NAME, SickSite

SHARES = int(os.environ.get("CERTD_FAULT_SHARES", "0"))
"""0: a sample in one go. Else every point, divided into so many tests."""
SAMPLE = 8
LIFE = timedelta(days=6)
SICK_FOR = timedelta(minutes=30)
VERSIONS = 7
"""Renewals until old versions are pruned, so that each one does all that a renewal can do."""
RENEWALS_MOST = 200
"""On one site; then another one is made, so that the CA's memory does not grow without end."""


class Fault(NamedTuple):
    """The call that is refused, and how."""

    number: int
    why: int
    lasting: bool

    def __str__(self) -> str:
        name = errno.errorcode.get(self.why, "nothing")
        return f"{name} at call {self.number}{', for half an hour' if self.lasting else ''}"


NONE = Fault(0, 0, False)


class Bench:
    """Sites on a disk that may refuse."""

    def __init__(self, root: Path, webroot: Webroot, disk: SickDisk) -> None:
        self._root, self._webroot, self._disk = root, webroot, disk
        self._sites = 0
        self._site: SickSite | None = None
        self._renewals = 0

    def close(self) -> None:
        self._disk.heal()
        if self._site is not None:
            self._site.__exit__(None, None, None)
            self._site = None

    def refused(self) -> str:
        """The first call that was refused, in words."""
        return next(iter(self._disk.refused), "nothing was refused")

    def first_issue(self, fault: Fault) -> list[str]:
        """On a new machine: from the first directory to the first certificate; the calls that there were."""
        self.close()
        self._disk.break_at(*fault)
        site = self._new_site()
        return self._finished(site, None, 0, fault)

    def renewal(self, fault: Fault) -> list[str]:
        """From one idle certificate to the next, by the passing of time; the calls that there were."""
        self._settled()
        return self._renew(fault)

    def restart(self, fault: Fault) -> list[str]:
        """From a start with a set that waits for its gate to the end of its deployment; the calls that there were."""
        site = self._settled()
        before, issued = site.serial(NAME), len(site.ca.issued)
        self._disk.heal()
        site.engine.renew(NAME)
        site.until(lambda: site.state(NAME).staged, "the new set")
        self._disk.break_at(*fault)
        site.restart()
        return self._finished(site, before, issued, fault)

    def _settled(self) -> SickSite:
        """A site with all the versions that are ever kept."""
        if self._site is None or self._renewals >= RENEWALS_MOST:
            self.first_issue(NONE)
            self._renewals = 0
            for _ in range(VERSIONS):
                self._renew(NONE)
        assert self._site is not None
        self._renewals += 1
        return self._site

    def _renew(self, fault: Fault) -> list[str]:
        site = self._site
        assert site is not None
        before, issued = site.serial(NAME), len(site.ca.issued)
        self._disk.break_at(*fault)
        return self._finished(site, before, issued, fault)

    def _finished(self, site: SickSite, before: str | None, issued: int, fault: Fault) -> list[str]:
        self._live_through(site, lambda: site.serial(NAME) != before and site.renewed(), fault)
        calls = list(self._disk.calls)
        assert site.finalized() == len(site.ca.issued) == issued + 1, "more than one order"
        assert len(site.ca.accounts) == 1
        self._assert_tidy(site)
        return calls

    def _new_site(self) -> SickSite:
        self._sites += 1
        root = self._root / f"{self._sites}"
        root.mkdir()
        self._disk.places = (f"{root / 'state'}", f"{self._webroot.path}")
        begun: list[datetime] = []

        def mend(now: datetime) -> None:
            begun.append(now)
            if now >= begun[0] + SICK_FOR:
                self._disk.heal()

        self._site = SickSite(root, self._webroot, self._disk, between_starts=mend, lab={"lifetime": LIFE})
        return self._site

    def _live_through(self, site: SickSite, done: Callable[[], bool], fault: Fault) -> None:
        """Until `done` and the disk is well; whatever a tick raises fails the test."""
        heals_at = None
        for _ in range(MOST_TICKS):
            site.work()
            site.assert_sound()
            if fault.lasting and self._disk.refused and heals_at is None:
                heals_at = site.now + SICK_FOR
            if heals_at is not None and site.now >= heals_at and self._disk.sick:
                assert self._told(site) or done(), f"{fault}: not told: {self._disk.refused[-3:]}"
                self._disk.heal()
            if done() and (heals_at is None or site.now >= heals_at):
                break
            site.pass_to_next(heals_at if heals_at and heals_at > site.now else None)
        else:
            raise AssertionError(f"{fault}: no end; {self._disk.refused[:3]}")
        self._disk.heal()

    def _told(self, site: SickSite) -> bool:
        problems = site.problems().values()
        assert all(problem.text and problem.remedy for problem in problems)
        return bool(problems)

    def _assert_tidy(self, site: SickSite) -> None:
        """The disk is well: after a start nothing is left of what failed, and nothing is wrong."""
        site.restart()
        site.until(lambda: not site.problems(), "health finds nothing wrong", timedelta(days=1))
        assert site.leftovers() == []
        assert site.renewed()


@pytest.fixture
def bench(tmp_path: Path, webroot: Webroot, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    disk = SickDisk()
    made = Bench(tmp_path, webroot, disk)
    with disk.in_use(monkeypatch):
        yield made
        made.close()


def faults_of(calls: list[str]) -> list[Fault]:
    return [Fault(number, why, lasting) for number, why in points(calls) for lasting in (False, True)]


def chosen_of(every: list[Fault], share: int) -> list[Fault]:
    if SHARES:
        return every[share::SHARES]
    step = len(every) / SAMPLE
    return [every[int(step * (part + random.random()))] for part in range(SAMPLE)]


@pytest.mark.timeout(36000 if SHARES else 300)
@pytest.mark.parametrize("share", range(SHARES or 1))
@pytest.mark.parametrize("story", ["first_issue", "renewal", "restart"])
def test_a_disk_that_refuses(bench: Bench, story: str, share: int) -> None:
    """Nothing escapes a tick, what is live stays whole, the trouble is told; once it is over, all is done, once."""
    live_through: Callable[[Fault], list[str]] = getattr(bench, story)
    every = faults_of(live_through(NONE))
    chosen = chosen_of(every, share)
    failed = []
    for fault in chosen:
        try:
            live_through(fault)
        except Exception as error:  # every one is to be seen
            failed.append(f"{fault}: {bench.refused()}: {error!r}")
            bench.close()
    print(f"{story}: {len(chosen)} of {len(every)} disk faults")
    assert not failed, "\n".join(failed)
