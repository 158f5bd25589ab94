"""From the package to a served certificate, on a booted systemd."""

from __future__ import annotations

from machine import MakeMachine
from package import Packages
from place import Place


def test_enable_now_to_a_served_certificate(make_machine: MakeMachine, packages: Packages, place: Place) -> None:
    """Install, write one file, enable: Apache serves a certificate of the CA, and certd says all is well."""
    machine = make_machine()
    machine.boot()
    machine.put("/root/certd.rpm", packages.now.path.read_bytes())
    machine.run("rpm -i --nodeps --force-debian /root/certd.rpm")
    machine.run("ls -ld /etc/certd /etc/certd/config.yaml /var/lib/certd /var/lib/certd-challenges")
    place.furnish(machine, ["www.example"])
    machine.run("certd check")
    machine.run("systemctl enable certd")
    machine.run("systemctl enable --now httpd")
    assert place.served("www.example") not in (None, *place.pebble.issued())
    machine.run("systemctl enable --now certd")
    place.wait_until_served("www.example")
    machine.wait_for("Live and confirmed")
    machine.run("certd status")
    machine.run("systemctl status certd")
    machine.run("certd health")
    machine.run("ls -l /var/lib/certd/live/ && ls -l /var/lib/certd/live/www.example/")
    machine.run("systemd-analyze security certd | tail -1")
