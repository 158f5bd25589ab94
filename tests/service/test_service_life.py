"""The life of the service under systemd: ready, watched, reloaded, stopped, upgraded, removed; and its journal."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from machine import Machine
from package import Packages
from parts import Ask, Conversation, Reply
from parts.processes import eventually
from place import Place

WEDGED = Path(__file__).parents[1] / "system/wedged_certd.py"


def silence(place: Place, where: str | Callable[[Ask], bool]) -> threading.Event:
    """The CA takes the question and says nothing, until the event is set."""
    ended = threading.Event()

    def say_nothing(_: Conversation) -> None:
        ended.wait(60)

    place.proxy.strike(where, say_nothing)
    return ended


def test_ready_only_when_ready(machine: Machine, place: Place) -> None:
    """systemd waits for it; when it is told, the socket answers. A CA that says nothing is not waited for."""
    place.furnish(machine, ["ready.example"])
    # Slow enough to be seen: the first thing that certd reads is a pipe that nobody writes to yet.
    machine.chroot(
        "mv /etc/certd/config.yaml /etc/certd/later && mkfifo /etc/certd/wait && chown root:certd /etc/certd/wait"
    )
    machine.put("/etc/systemd/system/certd.service.d/slow.conf", SLOW)
    silent = silence(place, lambda _: True)
    machine.boot()
    machine.run("systemctl start --no-block certd")
    eventually(lambda: machine.show("certd", "MainPID")["MainPID"] != "0", "certd has begun")
    assert machine.show("certd", "ActiveState")["ActiveState"] == "activating"
    machine.run("certd health", code=2)
    machine.run("mv /etc/certd/later /etc/certd/config.yaml && echo > /etc/certd/wait")
    eventually(lambda: machine.show("certd", "ActiveState")["ActiveState"] != "activating", "certd is ready")
    machine.run("certd status")
    machine.run("systemctl show certd -p ActiveState,SubState,StatusText")
    assert machine.show("certd", "SubState")["SubState"] == "running"
    silent.set()


SLOW = """[Service]
ExecStart=
ExecStart=/bin/sh -c 'read line </etc/certd/wait; exec /usr/lib/certd/bin/certd run'
"""


def test_the_watchdog_ends_a_wedged_engine(machine: Machine, place: Place, serve: Callable[..., str]) -> None:
    """Its work hangs, its threads live: systemd ends it, starts it again, and it does its work."""
    machine.put("/usr/local/lib/wedged_certd.py", WEDGED.read_text())
    machine.put("/etc/systemd/system/certd.service.d/wedge.conf", WEDGE)
    serve("wedge.example")
    before = machine.show("certd", "MainPID", "NRestarts")
    machine.run("touch /run/certd/wedge && chown certd /run/certd/wedge")
    machine.wait_for("Watchdog timeout")
    machine.wait_for("Failed with result 'watchdog'")
    eventually(lambda: machine.show("certd", "SubState")["SubState"] == "running", "certd is back")
    machine.run("systemctl status certd | head -12")
    after = machine.show("certd", "MainPID", "NRestarts")
    assert after["MainPID"] != before["MainPID"]
    assert int(after["NRestarts"]) == int(before["NRestarts"]) + 1
    old = place.served("wedge.example")
    machine.run("certd renew wedge.example --now")
    place.wait_until_served("wedge.example", other_than=old)


WEDGE = """[Service]
ExecStart=
ExecStart=/usr/lib/certd/bin/python /usr/local/lib/wedged_certd.py run
Environment=WEDGE=/run/certd/wedge
WatchdogSec=3
RestartSec=1
"""


def test_sighup_reads_the_configuration_again(machine: Machine, place: Place, serve: Callable[..., str]) -> None:
    """By `systemctl reload`: mistakes leave the old one at work and are told; a new certificate is ordered."""
    serve("hup.example")
    pid = machine.show("certd", "MainPID")
    machine.put("/etc/certd/config.yaml", "certificates: [{nonsense: 1}]\n", mode=0o640, owner="root:certd")
    machine.run("systemctl reload certd")
    machine.wait_for("The new configuration is not used; the old one stays at work.")
    machine.run("certd health", code=1)
    names = ["hup.example", "hup2.example"]
    machine.put("/etc/certd/config.yaml", place.config(names), mode=0o640, owner="root:certd")
    machine.run("systemctl reload certd")
    machine.wait_for("The configuration is read. certificates=2")
    place.virtual_host(machine, "hup2.example")
    machine.run("systemctl reload httpd")
    place.wait_until_served("hup2.example")
    assert machine.show("certd", "MainPID") == pid
    assert machine.show("certd", "SubState")["SubState"] == "running"


def test_it_stops_in_seconds(machine: Machine, place: Place, serve: Callable[..., str]) -> None:
    """Also while a CA keeps it waiting: cleanly, not by systemd's patience running out."""
    serve("stop.example")
    silent = silence(place, "newOrder")
    machine.run("certd renew stop.example")
    eventually(lambda: place.proxy.struck, "the CA is asked, and says nothing")
    machine.mark()
    machine.run("systemctl stop certd")
    times = ("ExecMainStartTimestampMonotonic", "ExecMainExitTimestampMonotonic")
    shown = machine.show("certd", "Result", "ExecMainStatus", *times)
    stopping = machine.said("Stopping Certificate") or machine.said("Stopping certd.service")
    assert stopping is not None
    seconds = (int(shown[times[1]]) - int(stopping["__MONOTONIC_TIMESTAMP"])) / 1e6
    machine.say(f"stopped {seconds:.1f} s after systemd began")
    assert (shown["Result"], shown["ExecMainStatus"]) == ("success", "0")
    assert machine.said("timed out") is None
    silent.set()


def test_an_upgrade_in_the_middle_of_an_order(
    machine: Machine, place: Place, packages: Packages, serve: Callable[..., str]
) -> None:
    """`rpm -U`: the configuration stays, the daemon is the new one, and it ends the order that the old one began."""
    first = serve("upgrade.example")
    orders = len(place.pebble.orders())
    processing = threading.Event()

    def still_processing(conversation: Conversation) -> Reply:
        reply = conversation.forward()
        order = reply.json()
        if not processing.is_set() and order.get("status") in ("valid", "processing"):
            order.pop("certificate", None)
            return reply.with_json(order | {"status": "processing"}).with_header("Retry-After", "2")
        return reply

    place.proxy.strike("order", still_processing)
    place.proxy.strike("finalize", still_processing)
    machine.mark()
    machine.run("certd renew upgrade.example --now")
    machine.wait_for("the request for the certificate is sent. certificate=upgrade.example")
    machine.put("/root/later.rpm", packages.later.path.read_bytes())
    machine.run("rpm -q certd")
    machine.run("rpm -U --nodeps --force-debian /root/later.rpm")
    machine.run("rpm -q certd")
    machine.run("certd status upgrade.example")
    assert "0.1.0.99" in machine.run("certd status", quiet=True)
    assert machine.run("ls /etc/certd").split() == ["conf.d", "config.yaml", "eab-hmac.key"]
    processing.set()
    place.wait_until_served("upgrade.example", other_than=first)
    assert len(place.pebble.orders()) == orders + 1
    machine.wait_for("Live and confirmed. certificate=upgrade.example")


def test_removal_leaves_the_keys_and_says_so(machine: Machine, place: Place, serve: Callable[..., str]) -> None:
    """Apache goes on serving what it has, also after a restart."""
    serial = serve("gone.example")
    text = machine.run("rpm -e certd")
    assert "stay in /var/lib/certd" in text
    machine.run("ls -l /var/lib/certd /var/lib/certd/live/gone.example/")
    machine.run("systemctl status certd", code=4)
    machine.run("systemctl restart httpd")
    assert place.served("gone.example") == serial


def test_the_journal_is_readable(machine: Machine, place: Place, serve: Callable[..., str]) -> None:
    """Every line has its priority, none has a prefix left; warnings can be asked for alone; no secret is in it."""
    serve("journal.example")
    machine.put("/etc/certd/config.yaml", "nonsense\n", mode=0o640, owner="root:certd")
    machine.run("systemctl reload certd")
    machine.wait_for("The new configuration is not used")
    entries = [entry for entry in machine.journal("certd") if entry.get("_SYSTEMD_UNIT") == "certd.service"]
    machine.run("journalctl --no-pager -o cat -u certd | tail -20")
    machine.run("journalctl --no-pager -o cat -u certd -p warning")
    assert {entry["PRIORITY"] for entry in entries} >= {"6", "3"}
    assert not [entry for entry in entries if str(entry["MESSAGE"]).startswith("<")]
    assert {entry["SYSLOG_IDENTIFIER"] for entry in entries} == {"certd"}
    worse = machine.run("journalctl --no-pager -o cat -u certd -p warning", quiet=True)
    assert "The new configuration is not used" in worse
    assert "Live and confirmed" not in worse
    assert place.mac not in json.dumps(entries)


def test_reloading_that_comes_after_the_reload_returned(
    machine: Machine, place: Place, serve: Callable[..., str]
) -> None:
    """httpd says RELOADING when ExecReload is over, and loads for seconds: certd waits for the end."""
    serve("late.example", "late2.example")
    machine.run("touch /run/httpd/slow")
    old = place.served("late.example")
    machine.mark()
    machine.run("certd renew late.example --now")
    machine.wait_for("Reloading. server=web")
    seen: list[str] = []

    def loaded() -> bool:
        shown = machine.show("httpd", "ActiveState", "StatusText")
        state = f"{shown['ActiveState']} ({shown['StatusText']})"
        if shown["ActiveState"] == "reloading" and machine.said("Reloaded httpd.service", "httpd"):
            state += ", though systemd has called it reloaded"
        if state not in seen[-1:]:
            seen.append(state)
            machine.say(f"httpd is {state}")
        return machine.said("Live and confirmed. certificate=late.example") is not None

    eventually(loaded, "certd confirms", 60)
    assert "reloading (Reading configuration...), though systemd has called it reloaded" in seen
    assert seen[-1].startswith("active")
    assert place.served("late.example") not in (None, old)
    machine.run("journalctl --no-pager -o short-precise -u httpd -u certd -n 40 | grep -iE 'reload|swap|confirmed'")


@pytest.fixture(autouse=True)
def _free_the_proxy(place: Place) -> object:
    place.proxy.forget()
    return None
