"""A clock that jumps by a day or by ten years, both ways, in every phase; and a boot whose clock is wrong.

While certd's clock is wrong nothing is ordered and no link moves; once it is right again, all is done, with the one
order that there was.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from parts import Webroot
from sickdisk import SickDisk
from sicksite import NAME, SickSite

DAY = timedelta(days=1)
JUMPS = {"a day on": DAY, "a day back": -DAY, "ten years on": 3652 * DAY, "ten years back": -3652 * DAY}
WRONG_FOR = timedelta(minutes=40)


@pytest.fixture
def site(tmp_path: Path, webroot: Webroot) -> Iterator[SickSite]:
    """One certificate that is live and served."""
    with SickSite(tmp_path, webroot, SickDisk(), lab={"lifetime": timedelta(days=20)}) as site:
        site.settle()
        site.sleep(timedelta(hours=2))
        yield site


def idle(_: SickSite) -> None:
    """Nothing is under way."""


def ordering(site: SickSite) -> None:
    """The CA takes its time to issue."""
    site.options.processing_polls = 1_000_000
    site.engine.renew(NAME)
    site.until(lambda: site.finalized() == 2, "the order is finalized")


def staged(site: SickSite) -> None:
    """The new set waits for its gate."""
    site.engine.renew(NAME)
    site.until(lambda: site.state(NAME).staged, "the new set")


def installed(site: SickSite) -> None:
    """The link has moved, and no reload has shown the new set yet."""
    site.server.deaf = True
    site.engine.renew(NAME)
    site.until(lambda: site.state(NAME).phase == "installed" and "reload-ineffective" in site.problems(), "a reload")


def loading(site: SickSite) -> None:
    """The server has been told to reload, and has not been seen to have loaded yet."""
    site.engine.renew(NAME)
    site.until(lambda: site.state(NAME).staged, "the new set")
    site.until(site.is_deploying, "the server loads")


PHASES: list[Callable[[SickSite], None]] = [idle, ordering, staged, loading, installed]


@pytest.mark.parametrize("boot", [False, True], ids=["running", "at a boot"])
@pytest.mark.parametrize("jump", JUMPS)
@pytest.mark.parametrize("phase", PHASES)
def test_a_clock_that_is_wrong_for_hours(
    site: SickSite, phase: Callable[[SickSite], None], jump: str, boot: bool
) -> None:
    """The CA can be asked: the doubt is told, nothing is begun; then the clock is set right."""
    phase(site)
    orders, link = len(site.ca.orders), site.link()
    turn(site, JUMPS[jump], boot)
    site.work()
    assert site.problems()["clock-unsure"].remedy
    site.sleep(WRONG_FOR)
    site.assert_sound()
    assert (len(site.ca.orders), site.link()) == (orders, link)
    assert "clock-unsure" in site.problems()
    turn(site, timedelta(0), boot)
    assert_finished(site, orders)


@pytest.mark.parametrize("jump", sorted(set(JUMPS) - {"a day on"}))  # which is what a day off looks like
@pytest.mark.parametrize("phase", PHASES)
def test_a_boot_without_a_clock_or_a_network(site: SickSite, phase: Callable[[SickSite], None], jump: str) -> None:
    """Nobody can be asked for the time: what a wrong clock says costs no order, no key and no set."""
    phase(site)
    orders, link = len(site.ca.orders), site.link()
    turn(site, JUMPS[jump], boot=True)
    site.ca.stop()
    site.sleep(WRONG_FOR)
    site.assert_sound()
    assert (len(site.ca.orders), site.link()) == (orders, link)
    site.ca.start()
    site.time.wrong_by = timedelta(0)
    assert_finished(site, orders)


@pytest.mark.parametrize("jump", JUMPS)
def test_a_first_start_with_a_wrong_clock(site: SickSite, jump: str) -> None:
    """There is no time on the disk to compare with, but the CA's: nothing is ordered before the two agree."""
    site.crash()
    shutil.rmtree(site.state_dir)
    site.new_credentials()
    site.time.wrong_by = JUMPS[jump]
    orders = len(site.ca.orders)
    site.start()
    site.sleep(WRONG_FOR)
    assert site.problems()["clock-unsure"].remedy
    assert len(site.ca.orders) == orders
    site.time.wrong_by = timedelta(0)
    assert_finished(site, orders + 1)


def turn(site: SickSite, wrong_by: timedelta, boot: bool) -> None:
    """The clock is set, under certd's hands or between two runs of it."""
    if boot:
        site.crash()
    site.time.wrong_by = wrong_by
    if boot:
        site.start()


def assert_finished(site: SickSite, orders: int) -> None:
    """The clock and all else is well: what was under way is live, and nothing was ordered for it again."""
    site.options.processing_polls = 1
    site.server.deaf = False
    site.until(lambda: site.clock.sure, "the clock is believed", timedelta(hours=1))
    site.until(site.renewed, "the newest certificate is served", 2 * DAY)
    assert len(site.ca.orders) == orders == len(site.ca.issued)
    site.until(lambda: not site.problems(), "health finds nothing wrong", 2 * DAY)
    site.assert_sound()
