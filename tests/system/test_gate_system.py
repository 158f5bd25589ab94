"""The OCSP gate: the daemon with a real responder that lags, lies or is away; and the engine, days at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from clockwork import Clockwork
from parts import Behaviour, Site, Webroot, eventually

from certd.errors import Refused
from certd.model.codes import Because, Code

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
NAME = "one.test"
GATED = "10m"
"""A delay that no test lives to see the end of."""


def certificates(settings: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Name to its part `ocsp`."""
    return {"certificates": [{"domains": [name], "ocsp": dict(ocsp)} for name, ocsp in settings.items()]}


def staged(site: Site, name: str) -> dict[str, Any]:
    """The new set of a certificate, as soon as there is one."""
    found = eventually(lambda: site.certd.certificate(name)["staged"], f"a new set for {name}", 60)
    return dict(found)


def swapped_at(site: Site, name: str) -> datetime:
    """When a certificate was last swapped, by the daemon's own log."""
    lines = re.findall(rf"^(\S+) INFO Swapped: .* certificate={re.escape(name)}$", site.certd.log.read_text(), re.M)
    return datetime.fromisoformat(lines[-1])


def served_new(site: Site, name: str, serial: str) -> None:
    eventually(lambda: site.certd.live_serials()[name] == serial, f"{name}: the new set to be live", 90)
    eventually(lambda: site.certd.settled([name]), f"{name}: to be confirmed", 60)
    assert site.apache.served(name) == serial


# --- the daemon -------------------------------------------------------------------------------------------------


def test_the_deadline_with_every_kind_of_responder(make_site: Callable[..., Site]) -> None:
    """Never a good answer: live at the deadline, told in log and health with what was amiss, also after a restart."""
    behaviours = {
        "unknown.test": (Behaviour.UNKNOWN, "ocsp-unknown"),
        "silent.test": (Behaviour.SILENT, "ocsp-unreachable"),
        "forged.test": (Behaviour.FORGED, "ocsp-invalid"),
        "garbage.test": (Behaviour.GARBAGE, "ocsp-invalid"),
    }
    site = make_site(list(behaviours), ocsp={"propagation_delay": "5s", "max_wait": "3s"})
    site.start()
    site.certd.wait_settled()
    eventually(lambda: site.certd.problems() == set(), "no problem: a first certificate waits for nobody")
    for name in behaviours:
        site.certd.renew(name)
    sets = {}
    for name, (behaviour, _) in behaviours.items():
        sets[name] = staged(site, name)
        site.responder.special[sets[name]["serial"]] = behaviour
    for name in behaviours:
        served_new(site, name, sets[name]["serial"])
        assert swapped_at(site, name) >= datetime.fromisoformat(sets[name]["deadline"])

    log = site.certd.log.read_text()
    expected = {name: code for name, (_, code) in behaviours.items()}
    for name, code in expected.items():
        assert re.search(rf"WARNING The deadline made it live .* certificate={re.escape(name)} code={code}$", log, re.M)
    assert told(site, expected)
    site.certd.kill()
    site.certd.start()
    assert told(site, expected), "it is not forgotten with the process"

    site.responder.behaviour = Behaviour.REFUSING
    site.certd.renew("unknown.test")
    served_new(site, "unknown.test", staged(site, "unknown.test")["serial"])
    assert told(site, expected | {"unknown.test": "ocsp-unreachable"})


def told(site: Site, expected: dict[str, str]) -> bool:
    """Health comes to name these certificates and codes. An answer may be a moment old: the daemon keeps it so long."""
    return bool(eventually(lambda: warnings(site) == expected, f"health to name {expected}"))


def warnings(site: Site) -> dict[str, str]:
    found = [problem for problem in site.certd.health()["problems"] if problem["code"].startswith("ocsp-")]
    assert all(problem["severity"] == "warning" for problem in found)
    assert all(problem["remedy"] for problem in found)
    return {problem["certificate"]: problem["code"] for problem in found}


def test_what_is_live_does_not_expire_in_the_wait(make_site: Callable[..., Site]) -> None:
    """Certificates of minutes: the gate opens 15 minutes before the end of what is live, whatever OCSP says."""
    site = make_site(
        [NAME],
        pebble={"lifetime": timedelta(minutes=15, seconds=25)},
        ocsp={"propagation_delay": "1h", "max_wait": "1h"},
    )
    site.start()
    site.certd.wait_settled()
    site.responder.behaviour = Behaviour.UNKNOWN
    first = site.certd.certificate(NAME)["live"]
    site.certd.renew(NAME)
    new = staged(site, NAME)
    latest = datetime.fromisoformat(first["not_after"]) - 15 * MINUTE
    assert datetime.fromisoformat(new["deadline"]) == latest
    assert datetime.fromisoformat(new["activate_at"]) <= max(latest, datetime.fromisoformat(first["not_after"]))
    served_new(site, NAME, new["serial"])
    assert swapped_at(site, NAME) >= latest
    assert told(site, {NAME: "ocsp-unknown"})


def test_the_wait_survives_restarts_to_the_second(make_site: Callable[..., Site]) -> None:
    """Killed in the middle of the wait: the same time stands in the status, and it is kept, not begun anew."""
    delay = timedelta(seconds=20)
    site = make_site([NAME], ocsp={"propagation_delay": f"{delay.seconds}s"})
    site.start()
    site.certd.wait_settled()
    old = site.certd.live_serials()[NAME]
    site.certd.renew(NAME)
    before = staged(site, NAME)
    activate_at = datetime.fromisoformat(before["activate_at"])
    recorded = site.certd.record(NAME)["activate"]["until"]

    def now() -> datetime:
        return datetime.fromisoformat(site.certd.status()["daemon"]["now"])

    eventually(lambda: now() >= activate_at - delay / 2, "half of the wait")
    site.certd.kill()
    assert site.apache.served(NAME) == old
    site.certd.start()
    restarted = now()
    after = site.certd.certificate(NAME)
    if after["staged"] is not None:  # a machine may be so slow that it is over by now
        assert {key: after["staged"][key] for key in ("serial", "activate_at", "deadline")} == {
            key: before[key] for key in ("serial", "activate_at", "deadline")
        }
        assert site.certd.record(NAME)["activate"]["until"] == recorded
    served_new(site, NAME, before["serial"])
    assert datetime.fromisoformat(recorded) <= swapped_at(site, NAME)
    assert swapped_at(site, NAME) < max(restarted, activate_at) + delay, "not begun anew"
    assert len(site.pebble.orders()) == 2


def test_ways_through_the_gate(make_site: Callable[..., Site]) -> None:
    """`early` needs a good answer and no time, `confirm: false` time and no answer; `first_issue: wait` waits; and a
    staged certificate that is revoked never goes live, whatever the operator says.
    """
    ways = {
        "early.test": {"propagation_delay": GATED, "early": True},
        "unasked.test": {"propagation_delay": "4s", "confirm": False},
        "first.test": {"propagation_delay": "4s", "first_issue": "wait"},
        "revoked.test": {"propagation_delay": "10s"},
    }
    site = make_site(list(ways), top=certificates(ways))
    site.start()
    first = staged(site, "first.test")
    assert site.certd.certificate("first.test")["placeholder"]
    site.certd.wait_settled()
    assert site.certd.live_serials()["first.test"] == first["serial"]
    assert swapped_at(site, "first.test") >= datetime.fromisoformat(first["activate_at"])
    old = site.certd.live_serials()

    for name in ("early.test", "unasked.test", "revoked.test"):
        site.certd.renew(name)
    revoked = staged(site, "revoked.test")
    site.responder.special[revoked["serial"]] = Behaviour.REVOKED
    unasked = staged(site, "unasked.test")
    assert site.responder.count(unasked["serial"]) == 0
    eventually(lambda: site.certd.live_serials()["early.test"] != old["early.test"], "early", 60)
    served_new(site, "unasked.test", unasked["serial"])
    assert swapped_at(site, "unasked.test") >= datetime.fromisoformat(unasked["activate_at"])

    eventually(lambda: "revoked" in site.certd.problems(), "the revocation to be told", 60)
    assert site.certd.certificate("revoked.test")["failure"]["code"] == "revoked"
    assert site.apache.served("revoked.test") == old["revoked.test"]


# --- the engine, by a clock that the test turns -----------------------------------------------------------------

Make = Callable[..., Clockwork]


@pytest.fixture
def make(tmp_path: Path, webroot: Webroot) -> Iterator[Make]:
    """One certificate that is live, and a CA whose responder knows everything at once."""
    made: list[Clockwork] = []

    def one(**options: Any) -> Clockwork:
        defaults = {"key": "p256"} | options.pop("defaults", {})
        made.append(Clockwork(tmp_path, webroot, [{"domains": [NAME]}], defaults=defaults, **options))
        made[-1].settle()
        return made[-1]

    yield one
    for clockwork in made:
        clockwork.__exit__(None, None, None)


def renewed(w: Clockwork) -> str:
    """Ask for a renewal, and wait until it is staged; its serial."""
    w.engine.renew(NAME)
    w.until(lambda: w.state(NAME).staged, "the new set")
    new = w.state(NAME).staged
    assert new is not None
    return new.serial


def test_the_gate_opens_at_its_time_and_no_other(make: Make) -> None:
    """To the second, over restarts: what is written at the issue is what happens."""
    w = make()
    new = renewed(w)
    shown = w.state(NAME).staged
    assert shown is not None
    for _ in range(4):
        w.sleep(2 * MINUTE)
        w.restart()
        assert w.state(NAME).staged == shown
        assert w.serial(NAME) != new
    w.until(lambda: w.serial(NAME) == new, "the swap")
    # The status shows whole seconds, and the server's batch is looked at every second.
    assert shown.activate_at <= w.now <= shown.activate_at + timedelta(seconds=2)


def test_a_downtime_longer_than_the_wait(make: Make) -> None:
    """The time is over, the deadline too: the responder is asked anew before anything goes live."""
    w = make()
    new = renewed(w)
    w.crash()
    w.time.pass_by(3 * DAY)
    w.start()
    w.options.ocsp_lag = 30 * DAY
    begin = w.now
    w.until(lambda: w.serial(NAME) == new, "the swap", within=10 * MINUTE)
    w.settle()
    doubt = w.record(NAME).ledger.unconfirmed
    assert doubt is not None, "the good answer of three days ago counts for nothing"
    assert doubt.since >= begin


def test_a_warning_until_the_responder_knows_it(make: Make) -> None:
    """A responder that takes three hours: live at the deadline, and a warning for as long as that is a risk."""
    w = make()
    w.options.ocsp_lag = 3 * HOUR
    new = renewed(w)
    issued = w.now
    w.until(lambda: w.serial(NAME) == new, "the swap at the deadline")
    assert timedelta(minutes=70) <= w.now - issued <= timedelta(minutes=71)
    w.settle()
    assert set(w.problems()) == {Code.OCSP_UNKNOWN}
    w.until(lambda: not w.problems(), "the end of the warning")
    assert 3 * HOUR <= w.now - issued <= 3 * HOUR + 36 * MINUTE


def test_what_is_about_to_expire_is_replaced_at_once(make: Make) -> None:
    """Less than 15 minutes left: the responder is asked once, and the gate is open whatever it says."""
    w = make(lab={"lifetime": 12 * MINUTE, "ocsp_lag": DAY})
    old = w.serial(NAME)
    w.engine.renew(NAME)
    w.until(lambda: w.serial(NAME) != old, "the swap", within=MINUTE)
    doubt = w.record(NAME).ledger.unconfirmed
    assert doubt is not None
    assert doubt.code is Code.OCSP_UNKNOWN


def test_short_lives(make: Make) -> None:
    """Certificates of six hours, renewed by themselves for two days: always a valid one, each at half of its life."""
    w = make(lab={"lifetime": 6 * HOUR})
    end = w.now + 2 * DAY
    while w.now < end:
        w.sleep(HOUR)
        live = w.state(NAME).live
        assert live is not None
        assert live.not_after - w.now > 2 * HOUR
    assert 15 <= len(w.ca.orders) <= 17
    assert w.problems() == {}


def test_a_staged_certificate_that_is_revoked(make: Make) -> None:
    """It never goes live; another is ordered after the back-off; health says what the CA does, until all is well."""
    w = make()
    old, orders = w.serial(NAME), len(w.ca.orders)
    w.engine.renew(NAME)
    for attempt in (1, 2, 3):
        w.until(lambda: w.state(NAME).staged, "the new set")
        assert len(w.ca.orders) == orders + attempt
        w.ca.revoke(w.ca.issued[-1].serial)
        w.until(lambda: w.state(NAME).phase == "idle", "the abandonment", within=HOUR)
        failure = w.state(NAME).failure
        assert failure is not None
        assert (failure.code, failure.attempts) == ("revoked", attempt)
        assert failure.next_at is not None
        assert failure.next_at - w.now >= 0.7 * MINUTE * 2 ** (attempt - 1), "the back-off doubles"
        assert set(w.problems()) == {"revoked"}
        assert w.serial(NAME) == old
    w.until(lambda: w.serial(NAME) != old, "one that is not revoked")
    w.settle()
    assert w.serial(NAME) == w.ca.issued[-1].serial
    assert len(w.ca.orders) == orders + 4
    assert w.problems() == {}


def test_a_live_certificate_that_is_revoked(make: Make) -> None:
    """The daily check notices; health is critical; its successor goes live as soon as it is good, without the delay."""
    w = make(lab={"ocsp_lag": 2 * MINUTE})
    old = w.serial(NAME)
    assert old is not None
    w.sleep(DAY)
    w.ca.revoke(old)
    revoked_at = w.now
    w.until(lambda: "revoked" in w.problems(), "the daily check")
    assert w.now - revoked_at <= timedelta(hours=24 * 1.2)
    assert w.problems()["revoked"].severity == "critical"
    noticed = w.now
    w.until(lambda: w.serial(NAME) != old, "its successor")
    assert w.now - noticed <= 4 * MINUTE
    w.settle()
    assert w.problems() == {}
    with pytest.raises(Refused, match="neither expired nor revoked"):
        w.engine.rollback(NAME)


def test_a_revocation_is_told_as_the_reason(make: Make) -> None:
    """The status says why it is being renewed, while it is."""
    w = make(lab={"processing_polls": 3})
    old = w.serial(NAME)
    assert old is not None
    w.ca.revoke(old)
    w.until(lambda: w.state(NAME).phase == "ordering", "the order")
    assert w.state(NAME).reason == Because.REVOKED
