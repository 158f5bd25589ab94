"""The unit files fit the daemon: what one says, the other does."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from certd import grants

ROOT = Path(__file__).parents[1]
UNITS = ROOT / "systemd"
HARDENING = ROOT / "docs/HARDENING.md"
EXPOSURE = 2.0
"""`systemd-analyze security` must stay below this."""

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")


def setting(name: str, unit: str = "certd") -> list[str]:
    return re.findall(rf"^{name}=(.*)$", (UNITS / f"{unit}.service").read_text(), re.MULTILINE)


def settings(unit: str) -> dict[str, list[str]]:
    text = (UNITS / f"{unit}.service").read_text()
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^([A-Za-z]+)=(.*)$", text, re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


def test_it_speaks_as_the_daemon_does() -> None:
    """READY, the watchdog, and SIGHUP for a reload."""
    assert setting("Type") == ["notify"]
    assert setting("NotifyAccess") == ["main"]
    assert setting("ExecReload") == ["/bin/kill -HUP $MAINPID"]
    assert int(setting("WatchdogSec")[0]) >= 60
    assert setting("ExecStart") == ["/usr/lib/certd/bin/certd run"]


def test_it_runs_as_an_ordinary_user_without_capabilities() -> None:
    """The user of polkit's rule, and nothing that root can do."""
    for unit in ("certd", "certd-prepare"):
        assert (setting("User", unit), setting("Group", unit)) == ([grants.USER], [grants.USER])
        assert (setting("CapabilityBoundingSet", unit), setting("AmbientCapabilities", unit)) == ([""], [""])
        assert setting("NoNewPrivileges", unit) == ["yes"]
        assert setting("ProtectSystem", unit) == ["strict"]
    assert setting("ReadWritePaths") == [f"-{grants.CHALLENGES}"]


def test_directories_have_the_modes_of_the_contract() -> None:
    """The server's workers pass through the state directory, and read nothing there that has no mode of its own."""
    for unit in ("certd", "certd-prepare"):
        assert (setting("StateDirectory", unit), setting("StateDirectoryMode", unit)) == (["certd"], ["0711"])
    assert (setting("RuntimeDirectory"), setting("RuntimeDirectoryMode")) == (["certd"], ["0755"])
    # It would take the daemon's sockets with it when it ends.
    assert setting("RuntimeDirectory", "certd-prepare") == []
    assert f"/var/lib/{setting('StateDirectory')[0]}" == str(grants.STATE_DIR)
    assert f"/run/{setting('RuntimeDirectory')[0]}" == str(grants.RUNTIME_DIR)


def test_it_starts_after_the_network_and_the_server_and_is_never_given_up() -> None:
    """Nobody watches it."""
    assert {"network-online.target", "httpd.service", "certd-prepare.service"} <= set(setting("After")[0].split())
    assert setting("Restart") == ["always"]
    assert setting("StartLimitIntervalSec") == ["0"]
    assert setting("Requires") == []


def test_placeholders_are_made_before_the_server_starts_and_without_a_network() -> None:
    """With every start of the server, but not while the daemon, which does it itself, holds the lock."""
    unit = settings("certd-prepare")
    assert unit["ExecStart"] == ["/usr/lib/certd/bin/certd prepare"]
    assert (unit["Type"], unit["Before"], unit["WantedBy"]) == (["oneshot"], ["httpd.service"], ["httpd.service"])
    assert "RemainAfterExit" not in unit
    assert unit["PrivateNetwork"] == ["yes"]
    assert "!/run/certd/control.sock" in unit["ConditionPathExists"]


def test_the_two_units_are_hardened_alike() -> None:
    """One is the other without a network; a line that one has and the other lacks is on purpose."""
    service, prepare = settings("certd"), settings("certd-prepare")
    begin, end = list(service).index("User"), list(service).index("LimitCORE")
    sandbox = {name: value for name, value in list(service.items())[begin : end + 1] if name in service}
    different = {
        name for name in {*sandbox, "IPAddressDeny", "PrivateNetwork"} if sandbox.get(name) != prepare.get(name)
    }
    assert different == {
        *("RuntimeDirectory", "RuntimeDirectoryMode", "ReadWritePaths"),
        *("RestrictAddressFamilies", "SocketBindDeny", "IPAddressDeny", "PrivateNetwork"),
    }


def test_the_document_has_every_line() -> None:
    """Each line of a unit has its reason in docs/HARDENING.md."""
    text = HARDENING.read_text()
    for unit in ("certd", "certd-prepare"):
        assert [name for name in settings(unit) if f"`{name}" not in text] == []


@needs_systemd
@pytest.mark.parametrize("unit", ["certd", "certd-prepare"])
def test_systemd_understands_every_line(unit: str, tmp_path: Path) -> None:
    """`systemd-analyze verify` has nothing to say about the unit itself."""
    copy = tmp_path / f"{unit}.service"
    copy.write_text((UNITS / f"{unit}.service").read_text().replace("/usr/lib/certd/bin/certd", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False
    )
    assert f"{unit}.service" not in done.stderr


@needs_systemd
@pytest.mark.parametrize("unit", ["certd", "certd-prepare"])
def test_the_exposure_is_low(unit: str) -> None:
    """As `systemd-analyze security` counts it, from 0 (nothing) to 10 (everything)."""
    argv = ["systemd-analyze", "security", "--offline=true", str(UNITS / f"{unit}.service")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd cannot judge a file (before 250)")
    found = re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found is not None, done.stderr
    assert float(found[1]) < EXPOSURE
