"""What an operator says and changes: the commands, and the configuration of a daemon that runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from clockwork import Clockwork
from parts import Site, Webroot, eventually

from certd.errors import Refused
from certd.model.codes import Because, Code
from certd.model.records import Ordering, Staged

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
NAME = "one.test"
NO_OCSP = {"ocsp_url": ""}
LONG = {"propagation_delay": "1h", "max_wait": "1h"}


def renewed(site: Site, name: str, *arguments: str) -> str:
    """`certd renew`, and the serial that comes of it."""
    old = site.certd.live_serials()[name]
    site.certd.command("renew", name, *arguments)
    new = eventually(lambda: (s := site.certd.live_serials()[name]) != old and s, f"{name} to be renewed", 60)
    site.certd.wait_settled([name])
    return str(new)


def well(site: Site, *problems: str) -> bool:
    """Health comes to name just these. An answer may be a moment old: the daemon keeps it so long."""
    return bool(eventually(lambda: site.certd.problems() == set(problems), f"health to name {problems}"))


# --- the daemon -------------------------------------------------------------------------------------------------


def test_renew_and_roll_back(make_site: Callable[..., Site]) -> None:
    """Without an OCSP responder there is no delay. Back goes what is served; the hold outlives the process."""
    site = make_site([NAME], pebble=NO_OCSP, ocsp=LONG)
    site.start()
    certd = site.certd
    certd.wait_settled()
    refused = certd.command("rollback", NAME, code=1)
    assert "no earlier version" in refused.stderr
    assert "in the configuration" in certd.command("renew", "other.test", code=1).stderr
    assert "still in the configuration" in certd.command("forget", NAME, "--yes", code=1).stderr

    first = certd.live_serials()[NAME]
    second = renewed(site, NAME)
    assert site.served() == {NAME: second}
    certd.command("rollback", NAME)
    eventually(lambda: site.served() == {NAME: first}, "the first certificate to be served again")
    certd.wait_settled()
    held = certd.certificate(NAME)
    assert held["hold_until"] is not None
    assert held["live"]["serial"] == first
    assert well(site, "held")
    assert "no earlier version" in certd.command("rollback", NAME, code=1).stderr

    certd.kill()
    certd.start()
    assert certd.certificate(NAME)["hold_until"] == held["hold_until"]
    assert certd.live_serials()[NAME] == first
    assert well(site, "held")
    third = renewed(site, NAME)
    assert third not in (first, second)
    assert site.served() == {NAME: third}
    assert certd.certificate(NAME)["hold_until"] is None
    assert well(site)
    assert len(site.pebble.orders()) == 3


def test_renew_now_opens_the_gate(make_site: Callable[..., Site]) -> None:
    """Issued already: `renew` tells when it goes live, `renew --now` lets it; no second order."""
    site = make_site([NAME], ocsp=LONG)
    site.start()
    certd = site.certd
    certd.wait_settled()
    old = certd.live_serials()[NAME]
    assert "ordered now" in certd.command("renew", NAME).stdout
    eventually(lambda: certd.certificate(NAME)["staged"], "the new set")
    staged = certd.certificate(NAME)["staged"]
    told = certd.command("renew", NAME).stdout
    assert f"goes live at {datetime.fromisoformat(staged['activate_at']):%Y-%m-%d %H:%M:%S} UTC" in told
    assert certd.live_serials()[NAME] == old
    assert "goes live now" in certd.command("renew", NAME, "--now").stdout
    eventually(lambda: site.served() == {NAME: staged["serial"]}, "the new certificate")
    certd.wait_settled()
    assert len(site.pebble.orders()) == 2


def test_the_configuration_changes_under_a_daemon(make_site: Callable[..., Site]) -> None:
    """By SIGHUP: names come and go, a certificate leaves and is forgotten, and what needs a restart says so."""
    site = make_site({NAME: [NAME], "gone.test": ["gone.test"]}, pebble=NO_OCSP, with_apache=[NAME])
    site.start()
    certd = site.certd
    certd.wait_settled()
    gone = certd.live_serials()["gone.test"]

    site.domains = {NAME: [NAME, "www.one.test"]}
    certd.configure(site.config())
    certd.reload()
    eventually(lambda: (certd.certificate(NAME)["live"] or {}).get("names") == [NAME, "www.one.test"], "the new name")
    certd.wait_settled([NAME])
    assert site.served() == {NAME: certd.live_serials()[NAME]}
    unmanaged = certd.certificate("gone.test")
    assert (unmanaged["managed"], unmanaged["reason"], unmanaged["live"]["serial"]) == (False, "unmanaged", gone)
    assert (certd.live_dir / "gone.test" / "fullchain.pem").exists()
    orders = len(site.pebble.orders())

    certd.command("forget", "gone.test", "--yes")
    assert not (certd.live_dir / "gone.test").is_symlink()
    assert not (certd.state_dir / "certs" / "gone.test").exists()
    eventually(lambda: [one["name"] for one in certd.status()["certificates"]] == [NAME], "one name to be left")
    assert "nothing is kept" in certd.command("forget", "gone.test", "--yes", code=1).stderr

    site.domains = {NAME: [NAME]}
    for wrong, said in (
        ({"runtime_dir": str(certd.root / "elsewhere")}, "needs a restart"),
        ({"state_dir": str(certd.root / "elsewhere")}, "needs a restart"),
        (_another_url(site), "another name"),
        ({"certificates": []} | {"colour": "red"}, "colour"),
    ):
        certd.configure(site.config(**wrong))
        certd.reload()
        eventually(lambda said=said: said in (certd.status()["daemon"]["config_error"] or ""), f"the error: {said}")
        assert well(site, "config-error")
        assert certd.certificate(NAME)["domains"] == [NAME, "www.one.test"], "the old one stays at work"
    certd.configure(site.config(**_another_url(site)))
    certd.stop()
    assert "another name" in certd.command("run", code=2).stderr
    assert len(site.pebble.orders()) == orders

    certd.configure(site.config())
    certd.start()
    eventually(lambda: (certd.certificate(NAME)["live"] or {}).get("names") == [NAME], "the name to be gone")
    certd.wait_settled([NAME])
    assert well(site)


def _another_url(site: Site) -> dict[str, Any]:
    cas = site.config()["cas"]
    return {"cas": {"pebble": cas["pebble"] | {"directory": "https://127.0.0.1:1/dir"}}}


def test_once_and_prepare(make_site: Callable[..., Site]) -> None:
    """Without a daemon: everything due to its end, or to the first gate; exit codes tell; beside a daemon never."""
    site = make_site([NAME], pebble={"blocked": ("bad.test",)}, ocsp={"propagation_delay": "8s"})
    site.start_around()
    certd = site.certd
    placeholder = _link(site)
    served = site.served()
    site.prepare()
    assert _link(site) == placeholder, "once made, it is left alone"
    assert _versions(site) == 1

    certd.command("once")
    first = site.served()
    assert first != served
    assert _versions(site) == 2
    orders = len(site.pebble.orders())
    certd.command("once")
    assert len(site.pebble.orders()) == orders, "nothing is due"
    site.prepare()
    assert site.served() == first
    assert _link(site) == "../certs/one.test/versions/0002"

    site.domains = {NAME: [NAME, "www.one.test"]}
    certd.configure(site.config())
    certd.command("once", "--no-wait")
    assert certd.record(NAME)["phase"] == "staged"
    assert site.served() == first
    certd.command("once")
    assert certd.record(NAME)["phase"] == "idle"
    second = site.served()
    assert second != first
    assert len(site.pebble.orders()) == orders + 1

    site.domains = {NAME: [NAME, "bad.test"]}
    certd.configure(site.config())
    failed = certd.command("once", code=1)
    assert "rejectedIdentifier" in failed.stderr
    assert site.served() == second

    site.domains = {NAME: [NAME, "www.one.test"]}
    certd.configure(site.config())
    certd.start()
    for command in ("once", "run", "prepare"):
        busy = certd.command(command, code=1)
        assert "certd run" in busy.stderr
        assert str(certd.pid) in busy.stderr


def _link(site: Site) -> str:
    return str((site.certd.live_dir / NAME).readlink())


def _versions(site: Site) -> int:
    return len(list((site.certd.state_dir / "certs" / NAME / "versions").iterdir()))


# --- the engine, by a clock that the test turns -----------------------------------------------------------------

Make = Callable[..., Clockwork]
ONE, TWO = [NAME], [NAME, "www.one.test"]


@pytest.fixture
def make(tmp_path: Path, webroot: Webroot) -> Iterator[Make]:
    """One certificate that is live."""
    made: list[Clockwork] = []

    def one(**lab: Any) -> Clockwork:
        made.append(Clockwork(tmp_path, webroot, [{"domains": ONE}], lab=lab, defaults={"key": "p256"}))
        made[-1].settle()
        return made[-1]

    yield one
    for clockwork in made:
        clockwork.__exit__(None, None, None)


def ask(w: Clockwork, domains: list[str]) -> None:
    """Configure other domains, and let the daemon take them."""
    w.configure([{"name": NAME, "domains": domains}])
    w.reload()


def live_names(w: Clockwork) -> list[str]:
    live = w.state(NAME).live
    assert live is not None
    return list(live.names)


def test_renew_in_each_phase(make: Make) -> None:
    """An order for an idle one; no second order for one that is under way; and what is staged stays staged."""
    w = make(processing_polls=3)
    old, orders = w.serial(NAME), len(w.ca.orders)
    assert "ordered now" in w.engine.renew(NAME)
    w.until(lambda: isinstance(w.record(NAME), Ordering), "the order")
    assert w.state(NAME).reason == Because.REQUESTED
    assert "under way" in w.engine.renew(NAME)
    w.until(lambda: isinstance(w.record(NAME), Staged), "the new set")
    shown = w.state(NAME).staged
    assert shown is not None
    assert f"{shown.activate_at:%H:%M:%S}" in w.engine.renew(NAME)
    w.work()
    assert w.state(NAME).staged == shown
    assert "goes live now" in w.engine.renew(NAME, now=True)
    w.work()
    assert w.serial(NAME) == shown.serial != old
    w.settle()
    assert len(w.ca.orders) == orders + 1
    assert w.now < shown.activate_at


def test_renew_now_for_an_idle_one(make: Make) -> None:
    """Ordered, and live as soon as it is issued."""
    w = make(ocsp_lag=DAY)
    old = w.serial(NAME)
    w.engine.renew(NAME, now=True)
    w.until(lambda: w.serial(NAME) != old, "the new one", within=MINUTE)


def test_renew_now_does_not_open_for_a_revoked_one(make: Make) -> None:
    """Whatever the operator says: it is abandoned, and another one ordered."""
    w = make()
    old = w.serial(NAME)
    w.engine.renew(NAME)
    w.until(lambda: w.state(NAME).staged, "the new set")
    bad = w.ca.issued[-1].serial
    w.ca.revoke(bad)
    w.until(lambda: w.state(NAME).phase == "idle", "the abandonment", within=HOUR)
    w.engine.renew(NAME, now=True)
    w.until(lambda: w.serial(NAME) != old, "a good one", within=MINUTE)
    assert w.serial(NAME) == w.ca.issued[-1].serial != bad


def test_renew_ends_a_back_off(make: Make) -> None:
    """The cause is removed: no need to wait for a day."""
    w = make()
    w.ca.faults.inject(25, times=1)
    w.engine.renew(NAME)
    w.work()
    failure = w.state(NAME).failure
    assert failure is not None
    assert failure.next_at is not None
    assert failure.next_at - w.now > 17 * HOUR
    old = w.serial(NAME)
    w.engine.renew(NAME)
    w.until(lambda: w.serial(NAME) != old, "the renewal", within=HOUR)
    w.settle()
    assert w.problems() == {}


def test_names_that_change_before_finalize(make: Make) -> None:
    """The order for the old names is dropped: nothing is lost with it. One for the new names follows at once."""
    w = make()
    w.ca.faults.inject(26, "authorization", times=None)
    w.engine.renew(NAME)
    w.until(lambda: w.state(NAME).failure is not None, "an order that hangs")
    assert isinstance(w.record(NAME), Ordering)
    w.ca.faults.clear()
    issued = len(w.ca.issued)
    ask(w, TWO)
    w.until(lambda: live_names(w) == TWO, "the new name", within=HOUR)
    assert len(w.ca.issued) == issued + 1


def test_names_that_change_while_the_ca_issues(make: Make) -> None:
    """A finalized order is awaited (I5); what it brings is of no more use, and is not made live."""
    w = make(processing_polls=6)
    old = w.serial(NAME)
    w.engine.renew(NAME)
    w.until(lambda: any(order.status == "processing" for order in w.ca.orders), "processing")
    ask(w, TWO)
    w.until(lambda: live_names(w) == TWO, "the new name", within=HOUR)
    assert w.ca.issued[-2].names == (NAME,)
    assert w.ca.issued[-2].serial not in (old, w.serial(NAME))
    assert len(w.ca.orders) == 3


def test_names_that_change_in_the_wait(make: Make) -> None:
    """What is staged no longer covers what is wanted: abandoned; the old one is served until the next is live."""
    w = make()
    old = w.serial(NAME)
    w.engine.renew(NAME)
    w.until(lambda: w.state(NAME).staged, "the new set")
    ask(w, TWO)
    w.sleep(5 * MINUTE)
    assert w.serial(NAME) == old
    w.until(lambda: live_names(w) == TWO, "the new name", within=HOUR)
    ask(w, ONE)
    w.until(lambda: live_names(w) == ONE, "the name to be gone", within=HOUR)
    w.settle()
    assert w.problems() == {}


@pytest.mark.parametrize("phase", ["ordering", "staged"])
def test_a_certificate_that_leaves_and_comes_back(make: Make, phase: str) -> None:
    """Its files and record stay; nothing is done for it meanwhile; then it goes on where it was."""
    w = make(processing_polls=3)
    old = w.serial(NAME)
    w.engine.renew(NAME)
    w.until(lambda: w.state(NAME).phase == phase, phase)
    w.configure([{"domains": ["other.test"]}])
    w.reload()
    w.sleep(2 * HOUR)
    gone = w.state(NAME)
    assert (gone.managed, gone.phase) == (False, phase)
    assert w.serial(NAME) == old
    assert (w.root / "state" / "live" / NAME / "fullchain.pem").exists()
    orders = len(w.ca.orders)
    with pytest.raises(Refused, match="not in the configuration"):
        w.engine.renew(NAME)
    w.configure([{"domains": ONE}])
    w.reload()
    w.until(lambda: w.serial(NAME) != old, "the renewal", within=HOUR)
    assert len(w.ca.orders) == orders


def test_forget_deletes_all_of_it(make: Make) -> None:
    """Only what is configured no longer; link, keys, versions and record."""
    w = make()
    with pytest.raises(Refused, match="still in the configuration"):
        w.engine.forget(NAME)
    w.configure([{"domains": ["other.test"]}])
    w.reload()
    w.engine.forget(NAME)
    assert list((w.root / "state" / "live").iterdir()) == [w.root / "state" / "live" / "other.test"]
    assert not (w.root / "state" / "certs" / NAME).exists()
    w.settle()


def test_a_hold_ends(make: Make) -> None:
    """After seven days certd goes on by itself: what is due for renewal is renewed, the rejected one never returns."""
    w = make(lifetime=20 * DAY)
    first = w.serial(NAME)
    w.engine.renew(NAME)
    w.until(lambda: w.serial(NAME) != first, "the second")
    w.settle()
    second = w.serial(NAME)
    w.sleep(12 * DAY)
    w.engine.rollback(NAME)
    w.until(lambda: w.serial(NAME) == first, "the roll-back", within=MINUTE)
    w.settle()
    hold = w.state(NAME).hold_until
    assert hold is not None
    assert set(w.problems()) <= {"held", "expiring"}
    w.until(lambda: w.serial(NAME) != first, "the renewal", within=8 * DAY)
    assert w.now >= hold
    w.settle()
    assert w.serial(NAME) not in (first, second)
    assert Code.HELD_BY_OPERATOR not in w.problems()
