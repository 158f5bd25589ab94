"""What the unprivileged daemon can do on the real thing, and all that it cannot."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from machine import Machine
from parts.processes import eventually
from place import Place

ASKING = "systemctl --no-ask-password"
REFUSED = ("Interactive authentication required", "Access denied")

PROBE = r"""#!/bin/sh
# Runs as an `after` command of certd: within the sandbox of its unit, as its user.
try() { if out=$("$@" 2>&1); then echo "DONE    $*"; else echo "REFUSED $*: $(echo "$out" | tail -1)"; fi; }
{
    id
    grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status
    try touch /var/lib/certd/probe
    try touch /var/lib/certd-challenges/probe
    try touch /etc/certd/probe
    try touch /etc/httpd/conf.d/probe.conf
    try touch /var/www/html/probe
    try touch /usr/lib/certd/probe
    try touch /var/lib/probe
    try touch /run/probe
    try touch /open/probe
    try ls /home/somebody
    try cat /etc/shadow
    try cat /root/secret
    try cat /tmp/elsewhere
    try sh -c 'setuid-id | grep euid=0'
    try unshare --user true
    try mount -t tmpfs none /mnt
    try kill -0 1
    try test -e /proc/1/stat
    try mknod /var/lib/certd/device c 1 3
    try chmod u+s /var/lib/certd/probe
    try python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 80))'
    try python3 -c 'import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)'
    try python3 -c 'import mmap; mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)'
    try systemctl --no-ask-password reload httpd
    try systemctl --no-ask-password stop httpd
    try systemctl --no-ask-password reload other
} >/var/lib/certd-challenges/report 2>&1
"""


def refused(machine: Machine, verb: str) -> None:
    text = machine.run(f"{ASKING} {verb}", code=None, user="certd")
    assert any(words in text for words in REFUSED), text


def test_reload_by_polkit_and_nothing_else(machine: Machine, serve: Callable[..., str]) -> None:
    """As user certd: reload and start of httpd.service. Everything else, and every other unit, is refused."""
    machine.put("/usr/lib/systemd/system/other.service", OTHER)
    serve("rule.example")
    machine.run("systemctl start other")
    began = machine.show("httpd", "InvocationID", "MainPID")
    machine.run(f"{ASKING} reload httpd", user="certd")
    machine.run(f"{ASKING} start httpd", user="certd")
    for verb in (
        "stop",
        "restart",
        "try-restart",
        "reload-or-restart",
        "kill --signal=SIGUSR1",
        "reset-failed",
    ):
        refused(machine, f"{verb} httpd")
    refused(machine, "set-property --runtime httpd MemoryMax=1G")
    for verb in ("reload other", "start other", "stop other", "start systemd-timedated", "stop certd", "restart certd"):
        refused(machine, verb)
    for verb in ("enable httpd", "disable certd", "mask httpd", "daemon-reload", "reboot", "poweroff"):
        refused(machine, verb)
    assert machine.show("httpd", "InvocationID", "MainPID") == began
    # Nobody else gains by the rule.
    text = machine.run(f"{ASKING} reload httpd", code=None, user="apache")
    assert any(words in text for words in REFUSED), text
    # What failed may be started, and is by certd itself.
    machine.run("kill -KILL $(systemctl show httpd -p MainPID --value)")
    eventually(lambda: machine.show("httpd", "ActiveState")["ActiveState"] == "failed", "httpd has failed")
    machine.run(f"{ASKING} start httpd", user="certd")
    # It may say RELOADING once more while it starts.
    eventually(lambda: machine.show("httpd", "ActiveState")["ActiveState"] == "active", "httpd runs")


OTHER = """[Service]
Type=exec
ExecStart=/bin/sleep infinity
ExecReload=/bin/true
"""


def test_the_sandbox(machine: Machine, place: Place, serve: Callable[..., str]) -> None:
    """From within the unit: no write outside, no privilege to be had, no namespace, no port, nothing of others."""
    machine.put("/usr/local/bin/probe", PROBE, mode=0o755)
    machine.put("/tmp/elsewhere", "x")
    machine.put("/root/secret", "x")
    machine.put("/home/somebody/file", "x")
    # What the user alone would be let do outside the unit.
    machine.chroot("install -d -m 1777 /open && cp /usr/bin/id /usr/bin/setuid-id && chmod 4755 /usr/bin/setuid-id")
    machine.put("/usr/lib/systemd/system/other.service", OTHER)
    assert "euid=0" in machine.chroot("setpriv --reuid=certd --regid=certd --clear-groups setuid-id")
    serve("box.example", web={"after": [{"command": ["/usr/local/bin/probe"]}]})
    machine.run("certd check")
    path = "/var/lib/certd-challenges/report"
    eventually(lambda: "reload other" in machine.run(f"cat {path}", quiet=True, code=None), "the probe has reported")
    report = machine.run(f"cat {path}")
    allowed = {line.split(maxsplit=1)[1] for line in report.splitlines() if line.startswith("DONE")}
    assert allowed == {
        "touch /var/lib/certd/probe",
        "touch /var/lib/certd-challenges/probe",
        "systemctl --no-ask-password reload httpd",
    }
    assert report.count("REFUSED") == 23
    assert "uid=" in report
    assert "CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2" in report


def test_without_the_rule_it_says_what_is_missing(machine: Machine, place: Place, serve: Callable[..., str]) -> None:
    """Clear code, text and remedy in both languages; nothing is blamed, and with the rule it goes on."""
    first = serve("norule.example")
    machine.run("mv /usr/share/polkit-1/rules.d/50-certd.rules /root/")
    machine.run("certd renew norule.example --now")
    machine.wait_for("is not allowed to reload httpd")
    machine.run("certd health", code=2)
    machine.run("certd status norule.example")
    machine.run("certd explain reload-denied")
    machine.run("certd --lang ja explain reload-denied")
    problems = json.loads(machine.run("curl -s --unix-socket /run/certd/status.sock http://localhost/healthz"))[
        "problems"
    ]
    denied = next(problem for problem in problems if problem["code"] == "reload-denied")
    assert "user certd is not allowed to reload httpd" in denied["text"]
    assert "certd polkit-rule" in denied["remedy"]
    assert place.served("norule.example") == first
    rule = "/etc/polkit-1/rules.d/49-certd.rules"
    machine.run(f"umask 077; certd polkit-rule | install -m 0644 /dev/stdin {rule} && cat {rule}")
    machine.mark()
    machine.run("certd renew norule.example")
    place.wait_until_served("norule.example", other_than=first)
    machine.wait_for("Live and confirmed. certificate=norule.example")
    machine.run("certd health")


def test_a_web_root_elsewhere_is_one_line(machine: Machine, place: Place) -> None:
    """Outside the sandbox it cannot be written to, and the failure says so; the printed drop-in opens it."""
    place.furnish(machine, ["root.example"], defaults={"challenge": {"type": "http-01", "webroot": "/srv/web root"}})
    machine.put("/etc/httpd/conf.d/root.conf", WEBROOT)
    machine.chroot("rm /etc/httpd/conf.d/certd-challenge.conf && install -d -o certd '/srv/web root'")
    machine.chroot("systemctl enable httpd certd 2>&1")
    machine.boot()
    machine.wait_for("certd systemd-paths")
    machine.run(DROP_INS)
    machine.run("systemctl cat certd | tail -5")
    machine.run("systemctl daemon-reload && systemctl restart certd")
    machine.run("certd renew root.example")
    place.wait_until_served("root.example")


DROP_INS = (
    "certd systemd-paths > /root/certd-paths.conf && for unit in certd certd-prepare; do "
    "install -D -m 0644 /root/certd-paths.conf /etc/systemd/system/$unit.service.d/paths.conf; done"
)
"""As in docs/HARDENING.md."""
WEBROOT = """DocumentRoot "/srv/web root"
<Directory "/srv/web root">
    Require all granted
</Directory>
"""


CREDENTIAL = """[Service]
LoadCredential=eab-hmac:/etc/certd/credentials/eab-hmac
"""


@pytest.mark.parametrize("way", ["a group for the keys", "a secret as a credential"])
def test_drop_ins_of_the_documents(way: str, machine: Machine, place: Place) -> None:
    """`files.group` with the lines of `certd systemd-paths`; `hmac_key_credential` with LoadCredential."""
    if way == "a group for the keys":
        place.furnish(machine, ["group.example"], defaults={"files": {"group": "tlskeys"}})
        machine.chroot("groupadd --system tlskeys")
        machine.boot()
        machine.run(DROP_INS)
    else:
        place.furnish(machine, ["credential.example"], eab={"kid": place.kid, "hmac_key_credential": "eab-hmac"})
        machine.chroot("rm /etc/certd/eab-hmac.key")
        machine.put("/etc/certd/credentials/eab-hmac", place.mac, mode=0o600)
        machine.put("/etc/systemd/system/certd.service.d/local.conf", CREDENTIAL)
        machine.boot()
    machine.run("systemctl daemon-reload && systemctl enable certd && systemctl enable --now httpd")
    machine.run("systemctl enable --now certd && systemctl cat certd | tail -4")
    machine.run("certd check")
    name = "group.example" if way == "a group for the keys" else "credential.example"
    place.wait_until_served(name)
    listed = machine.run(f"ls -l /var/lib/certd/live/{name}/")
    expected = "-rw-r----- 1 certd tlskeys" if way == "a group for the keys" else "-rw------- 1 certd certd"
    assert expected in listed
