"""The unit file fits the daemon: what one says, the other does."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[1] / "systemd" / "certd.service"


def setting(name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text(), re.MULTILINE)


def test_it_speaks_as_the_daemon_does() -> None:
    """READY, the watchdog, and SIGHUP for a reload."""
    assert setting("Type") == ["notify"]
    assert setting("NotifyAccess") == ["main"]
    assert setting("ExecReload") == ["/bin/kill -HUP $MAINPID"]
    assert int(setting("WatchdogSec")[0]) >= 60
    assert setting("ExecStart") == ["/usr/bin/certd run"]


def test_directories_have_the_modes_of_the_contract() -> None:
    """The server's workers pass through the state directory, and read nothing there that has no mode of its own."""
    assert (setting("StateDirectory"), setting("StateDirectoryMode")) == (["certd"], ["0711"])
    assert (setting("RuntimeDirectory"), setting("RuntimeDirectoryMode")) == (["certd"], ["0755"])


def test_it_starts_after_the_network_and_the_server_and_is_never_given_up() -> None:
    """Nobody watches it."""
    assert {"network-online.target", "httpd.service"} <= set(setting("After")[0].split())
    assert setting("Restart") == ["always"]
    assert setting("StartLimitIntervalSec") == ["0"]
    assert setting("Requires") == []


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_understands_every_line(tmp_path: Path) -> None:
    """`systemd-analyze verify` has nothing to say about the unit itself."""
    copy = tmp_path / "certd.service"
    copy.write_text(UNIT.read_text().replace("/usr/bin/certd run", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False)
    assert "certd.service" not in done.stderr
