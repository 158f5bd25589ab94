"""Boots: from nothing, and in the middle of a wait."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

from machine import Machine
from place import Place


def test_a_cold_boot_with_no_certificate(machine: Machine, place: Place) -> None:
    """Virtual hosts that include what does not exist yet: Apache comes up with placeholders, certd replaces them."""
    place.furnish(machine, ["cold.example", "cold2.example"])
    machine.chroot("systemctl enable httpd certd 2>&1")
    assert machine.chroot("ls /var/lib/certd") == ""
    machine.boot()
    machine.run("systemctl --failed --no-legend --no-pager")
    for unit in ("certd-prepare", "httpd", "certd"):
        machine.say(f"{unit}: {machine.show(unit, 'ActiveState', 'Result', 'ExecMainStatus')}")
    assert machine.show("certd-prepare", "Result")["Result"] == "success"
    assert machine.show("httpd", "Result", "NRestarts") == {"Result": "success", "NRestarts": "0"}
    place.wait_until_served("cold.example")
    place.wait_until_served("cold2.example")
    order = ("InactiveExitTimestampMonotonic", "ActiveEnterTimestampMonotonic", "ExecMainExitTimestampMonotonic")
    prepare, httpd, certd = (machine.show(unit, *order) for unit in ("certd-prepare", "httpd", "certd"))
    assert int(prepare[order[2]]) <= int(httpd[order[0]]) <= int(httpd[order[1]]) <= int(certd[order[0]])
    assert machine.run("ls -l /var/lib/certd/live").count("certd certd") == 2
    # A restart of Apache while certd runs, which holds the lock: nothing fails.
    machine.run("systemctl restart httpd")
    assert machine.show("certd-prepare", "Result", "ActiveState") == {"Result": "success", "ActiveState": "inactive"}
    machine.run("systemctl --failed --no-legend --no-pager")
    assert machine.run("systemctl --failed --no-legend --no-pager", quiet=True) == ""


def test_a_reboot_in_the_middle_of_the_ocsp_wait(machine: Machine, place: Place, serve: Callable[..., str]) -> None:
    """The wait goes on where it was, by the clock: until it is over the old certificate is served, then the new one."""
    first = serve("wait.example", ocsp={"propagation_delay": "20s"})
    machine.mark()
    machine.run("certd renew wait.example")
    machine.wait_for("Issued. certificate=wait.example")
    machine.run("certd status wait.example")
    before = staged(machine, "wait.example")
    orders = place.pebble.orders()
    machine.reboot()
    after = staged(machine, "wait.example")
    machine.run("certd status wait.example")
    assert (after["serial"], after["activate_at"]) == (before["serial"], before["activate_at"])
    assert place.served("wait.example") == first
    assert place.wait_until_served("wait.example", other_than=first) == before["serial"]
    swapped = machine.wait_for("Swapped: the live link names the new set. certificate=wait.example")
    at = datetime.fromtimestamp(int(swapped["__REALTIME_TIMESTAMP"]) / 1e6, UTC)
    machine.say(f"activation was due at {before['activate_at']}, the link moved at {at:%H:%M:%S}")
    assert at >= datetime.fromisoformat(before["activate_at"])
    assert place.pebble.orders() == orders


def staged(machine: Machine, name: str) -> dict[str, str]:
    report = json.loads(machine.run(f"certd status {name} --json", quiet=True))
    found: dict[str, str] = report["certificate"]["staged"]
    assert found is not None, report
    return found
