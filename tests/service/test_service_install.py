"""From the package to a served certificate, on a booted systemd."""

from __future__ import annotations

import re
from collections.abc import Iterator

from docs.documents import Block, blocks_in, headings, section
from machine import Machine, MakeMachine
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


def test_the_readme_alone(make_machine: MakeMachine, packages: Packages, place: Place) -> None:
    """A fresh machine with Apache, and nothing typed but what README.md says; only its CA is another one.

    (The base is no RHEL: `rpm` stands for `dnf`, which would bring Python and polkit.)
    """
    machine = make_machine()
    machine.boot()
    machine.put("/etc/hosts", "127.0.0.1 localhost www.example.jp example.jp\n")
    machine.run("install -d /var/www/html && systemctl enable --now httpd", quiet=True)
    machine.put(f"/root/{packages.now.path.name}", packages.now.path.read_bytes())
    place.be_trusted(machine)
    for block in readme_steps():
        match block.language:
            case "yaml":
                text = re.sub(r"directory: \S+", f"directory: {place.directory}", block.text)
                text = text.replace("kid: KID ", f"kid: {place.kid} ")
                machine.put("/etc/certd/config.yaml", text, mode=0o640, owner="root:certd")
            case "apache":
                machine.put("/etc/httpd/conf.d/www.conf", block.text)
            case _:
                type_in(machine, block, place)
    place.wait_until_served("www.example.jp")
    machine.wait_for("Live and confirmed. certificate=www.example.jp")
    machine.run("certd status")
    assert machine.run("certd health") == "CERTD OK: no problems"


def readme_steps() -> Iterator[Block]:
    """The blocks of code from the installation to the start, in their order."""
    steps = [heading.text for heading in headings("README.md") if re.match(r"[1-5]\. ", heading.text)]
    assert len(steps) == 5
    for step in steps:
        yield from blocks_in(section("README.md", step))


def type_in(machine: Machine, block: Block, place: Place) -> None:
    """The lines of a block; where it shows a prompt, what follows must be printed."""
    if block.text.startswith("# "):
        command, _, expected = block.text.removeprefix("# ").partition("\n")
        assert expected in machine.run(command)
        return
    for line in block.without_comments().splitlines():
        if line.startswith("vi "):
            machine.put(line.removeprefix("vi "), place.mac, mode=0o640, owner="root:certd")
        else:
            machine.run(f"cd /root && {line.replace('dnf install', 'rpm -i --nodeps --force-debian')}")
