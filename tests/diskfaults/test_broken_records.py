"""Records that are torn, empty or of a newer release: an alarm, nothing touched, and the way out of docs/STATE.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from parts import Webroot
from sickdisk import SickDisk
from sicksite import NAME, SickSite
from statedir import put_instead

from certd.status.shape import Problem

OTHER = "other.test"
DAY = timedelta(days=1)
Damage = Callable[[bytes], bytes]

RECORDS = {
    "certificate": f"certs/{NAME}/state.json",
    "server": "servers/web/state.json",
    "account": "accounts/lab/account.json",
    "daemon": "daemon.json",
}
DAMAGES: dict[str, Damage] = {
    "empty": lambda _: b"",
    "torn": lambda data: data[: len(data) // 2],
    "zeros": lambda data: bytes(len(data)),
    "newer": lambda data: data.replace(b'"schema": 1', b'"schema": 2', 1),
}


@pytest.fixture
def site(tmp_path: Path, webroot: Webroot) -> Iterator[SickSite]:
    """Two certificates that are live and served."""
    with SickSite(tmp_path, webroot, SickDisk(), names=(NAME, OTHER), lab={"lifetime": timedelta(days=20)}) as site:
        site.settle()
        yield site


@pytest.mark.parametrize("how", ["fifo", "huge"])
@pytest.mark.parametrize("which", RECORDS)
def test_something_else_in_a_records_place(site: SickSite, which: str, how: str) -> None:
    """A FIFO, or a file that would fill the memory: certd starts, tells of it, leaves it, and the others go on."""
    path = site.state_dir / RECORDS[which]
    site.crash()
    sound = path.read_bytes()
    put_instead(path, how)
    site.start()
    site.work()
    assert told(site, path).code == "record-broken"
    if which in ("certificate", "daemon"):
        before = site.serial(OTHER)
        site.engine.renew(OTHER)
        site.until(lambda: site.serial(OTHER) != before and site.renewed(OTHER), "the other one's renewal")
    assert path.is_fifo() if how == "fifo" else path.stat().st_size == 1 << 40
    site.crash()
    path.unlink()
    path.write_bytes(sound)
    site.start()
    assert_back_at_work(site)


def damaged(site: SickSite, which: str, damage: Damage) -> tuple[Path, bytes]:
    """Stop certd, damage one record, start it again; the file and what it was."""
    path = site.state_dir / RECORDS[which]
    site.crash()
    sound = path.read_bytes()
    path.write_bytes(damage(sound))
    site.start()
    return path, sound


def told(site: SickSite, path: Path) -> Problem:
    """The problem that names this file; it says what to do."""
    # A server's broken record is told by the certificates that wait for it as well.
    found = [one for one in site.all_problems() if str(path) in one.text]
    problem = found[0]
    assert all(one.remedy for one in found)
    assert "docs/STATE.md" in problem.text or "install that release again" in problem.text
    return problem


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("which", RECORDS)
def test_a_record_that_cannot_be_read(site: SickSite, which: str, how: str) -> None:
    """It is told; the file, the live sets and the keys stay; what does not need it goes on; a backup ends it."""
    served, orders = dict(site.server.loaded), len(site.ca.orders)
    path, sound = damaged(site, which, DAMAGES[how])
    broken = path.read_bytes()
    site.work()
    assert told(site, path).code == "record-broken"
    site.sleep(DAY)
    assert told(site, path).code == "record-broken"
    assert path.read_bytes() == broken
    assert site.server.loaded == served
    assert len(site.ca.orders) == orders
    site.assert_sound()
    if which in ("certificate", "daemon"):
        before = site.serial(OTHER)
        site.engine.renew(OTHER)
        site.until(lambda: site.serial(OTHER) != before and site.renewed(OTHER), "the other one's renewal")
    site.crash()
    path.write_bytes(sound)
    site.start()
    assert_back_at_work(site)


@pytest.mark.parametrize("which", RECORDS)
def test_the_way_out_without_a_backup(site: SickSite, which: str) -> None:
    """`mv state.json state.json.broken`: certd begins anew from the link, the key and the configuration.

    Nothing is ordered that is not due, no account is made, no credentials are spent, no key changes.
    """
    served, orders = dict(site.server.loaded), len(site.ca.orders)
    path, _ = damaged(site, which, DAMAGES["torn"])
    site.work()
    told(site, path)
    site.crash()
    path.rename(path.with_name(path.name + ".broken"))
    site.start()
    site.until(lambda: not site.problems(), "health finds nothing wrong", DAY)
    site.sleep(DAY)
    assert (dict(site.server.loaded), len(site.ca.orders)) == (served, orders)
    assert_back_at_work(site)
    assert path.with_name(path.name + ".broken").exists()


def test_the_way_out_for_an_order_under_way(site: SickSite) -> None:
    """A certificate whose record broke while an order was finalized: the old one stays live, then a new one comes."""
    site.options.processing_polls = 1_000_000
    site.engine.renew(NAME)
    site.until(lambda: site.finalized() == 3, "the order is finalized")
    (key,) = (site.state_dir / "certs" / NAME / "pending").iterdir()
    before = site.serial(NAME)
    path, _ = damaged(site, "certificate", DAMAGES["empty"])
    site.sleep(DAY)
    assert told(site, path)
    assert key.exists()
    assert site.finalized() == 3
    site.crash()
    path.rename(path.with_name("state.json.broken"))
    site.options.processing_polls = 1
    site.start()
    assert site.serial(NAME) == before
    assert_back_at_work(site)


@pytest.mark.parametrize("how", ["empty", "torn", "missing"])
def test_an_account_key_that_is_gone(site: SickSite, how: str) -> None:
    """It is told, no other key takes its place, what is live stays; the key from a backup ends it (I7)."""
    path = site.state_dir / "accounts" / "lab" / "account.key"
    served = dict(site.server.loaded)
    site.crash()
    sound = path.read_bytes()
    path.unlink()
    if how != "missing":
        path.write_bytes(DAMAGES[how](sound))
    site.start()
    site.engine.renew(NAME)
    site.sleep(timedelta(hours=8))
    assert [problem for problem in site.all_problems() if problem.remedy and (problem.ca or problem.certificate)]
    assert not path.exists() if how == "missing" else path.read_bytes() == DAMAGES[how](sound)
    assert (site.server.loaded, len(site.ca.accounts)) == (served, 1)
    site.crash()
    path.write_bytes(sound)
    site.start()
    assert_back_at_work(site)


def test_the_way_out_for_an_account_key_without_a_backup(site: SickSite) -> None:
    """`accounts/CA` moved away, new credentials: another account, and nothing that is live is ordered again."""
    path = site.state_dir / "accounts" / "lab" / "account.key"
    served, orders = dict(site.server.loaded), len(site.ca.orders)
    site.crash()
    path.write_bytes(b"")
    path.parent.rename(site.root / "lab.broken")
    site.new_credentials()
    site.start()
    site.until(lambda: not site.problems(), "health finds nothing wrong", DAY)
    assert (dict(site.server.loaded), len(site.ca.orders), len(site.ca.accounts)) == (served, orders, 2)
    before = site.serial(NAME)
    site.until(lambda: site.serial(NAME) != before and site.renewed(NAME), "a renewal by the new account", 15 * DAY)


@pytest.mark.parametrize("how", ["empty", "torn", "missing"])
def test_a_key_of_an_order_that_is_gone(site: SickSite, how: str) -> None:
    """The certificate of that order cannot be had without it: it is told, what is live stays, a backup ends it."""
    site.options.processing_polls = 1_000_000
    site.engine.renew(NAME)
    site.until(lambda: site.finalized() == 3, "the order is finalized")
    site.crash()
    (key,) = (site.state_dir / "certs" / NAME / "pending").iterdir()
    sound = key.read_bytes()
    key.unlink()
    if how != "missing":
        key.write_bytes(DAMAGES[how](sound))
    served = dict(site.server.loaded)
    site.start()
    site.options.processing_polls = 1
    site.sleep(timedelta(hours=3))
    problem = told(site, Path(f"certs/{NAME}/pending/{key.name}"))
    assert (problem.code, problem.certificate) == ("broken-record", NAME)
    assert site.server.loaded == served
    site.crash()
    key.write_bytes(sound)
    site.start()
    site.until(lambda: site.renewed(NAME), "the certificate of that order", 2 * DAY)
    assert site.finalized() == 3
    assert_back_at_work(site)


@pytest.mark.parametrize("how", ["empty", "torn", "missing"])
def test_a_key_of_an_order_that_is_gone_before_finalize(site: SickSite, how: str) -> None:
    """Another order with another key brings the certificate."""
    site.ca.faults.lose("challenge", times=None)
    site.engine.renew(NAME)
    site.until(lambda: site.state(NAME).phase == "ordering", "an order")
    (key,) = (site.state_dir / "certs" / NAME / "pending").iterdir()
    sound = key.read_bytes()
    key.unlink()
    if how != "missing":
        key.write_bytes(DAMAGES[how](sound))
    site.ca.faults.clear()
    site.until(lambda: site.finalized() == 3 and site.renewed(NAME), "a certificate")
    assert_back_at_work(site)


def test_a_key_of_an_order_that_nobody_has(site: SickSite) -> None:
    """After a day the order is put aside, and another one brings a certificate."""
    site.options.processing_polls = 1_000_000
    site.engine.renew(NAME)
    site.until(lambda: site.finalized() == 3, "the order is finalized")
    (key,) = (site.state_dir / "certs" / NAME / "pending").iterdir()
    key.write_bytes(b"")
    site.options.processing_polls = 1
    site.until(lambda: site.finalized() == 4 and site.renewed(NAME), "a certificate", 3 * DAY)
    assert_back_at_work(site)


def assert_back_at_work(site: SickSite) -> None:
    """Both are renewed when their time comes, by the same account."""
    before = {name: site.serial(name) for name in (NAME, OTHER)}
    site.until(
        lambda: all(site.serial(name) != before[name] and site.renewed(name) for name in before), "renewals", 15 * DAY
    )
    site.until(lambda: not site.problems(), "health finds nothing wrong", DAY)
    assert len(site.ca.accounts) == 1
    assert sum(one.spent for one in site.ca.records.eab.values()) == 1
    site.assert_sound()
