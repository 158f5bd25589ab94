"""The commands of the runbook, as far as a site with a CA, a responder and an Apache can show them something."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from documents import blocks
from parts import Certd, LabSite, eventually, require

NAME = "example.test"
RUN_HERE = re.compile(r"(certd (status|check|explain) ?|grep -o |openssl |echo \| openssl |curl -sv -o /dev/null \"\$)")
"""What is left out needs a whole host: systemd, the journal, Apache's own configuration, DNS, SELinux."""


def looks() -> list[str]:
    """Each such line of the document once."""
    lines = [line for block in blocks("docs/RUNBOOK.md") for line in block.text.splitlines()]
    return [line for line in dict.fromkeys(lines) if RUN_HERE.match(line)]


def test_what_the_runbook_looks_at_is_there(make_labsite: Callable[..., LabSite], tmp_path: Path) -> None:
    """Each command ends well and says something, on a site where a certificate is live and the next one is ordered."""
    require("openssl", "curl")
    site = make_labsite([NAME])
    site.ca.options.processing_polls = 0
    certd = site.daemon(defaults={"key": "rsa2048"})
    certd.command("prepare")
    site.apache.start()
    certd.start()
    certd.wait_settled()
    site.ca.options.processing_polls = 1000
    certd.renew(NAME)
    eventually(lambda: certd.record(NAME).get("order_url"), "an order is under way")
    commands = looks()
    assert len(commands) >= 10
    for command in commands:
        done = _run(_placed(command, site, certd), certd, tmp_path)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        assert done.stdout or "curl" in command, command
        if command.startswith("openssl ocsp"):
            assert "cert.pem: good" in done.stdout
            assert "Response verify OK" in done.stderr
        if "s_client" in command and "-serial" in command:
            serial = certd.live_serials()[NAME]
            assert serial is not None
            assert f"serial={serial.upper()}" in done.stdout.replace("serial=0", "serial=")


def _placed(command: str, site: LabSite, certd: Certd) -> str:
    words = {
        "/var/lib/certd": str(certd.state_dir),
        "127.0.0.1:443": f"127.0.0.1:{site.apache.tls_port}",
        '"the message, word for word"': '"CAA records forbid the CA from issuing a certificate"',
        "CODE": "expiring",
    }
    for shown, real in words.items():
        command = command.replace(shown, real)
    command = re.sub(r"\b(NAME|DOMAIN)\b", NAME, command)
    return re.sub(r"\bCA\b(?! records)", "lab", command) if "grep" in command or "/accounts/" in command else command


def _run(command: str, certd: Certd, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    program = tmp_path / "bin" / "certd"
    if not program.exists():
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m certd -c {certd.config_path} "$@"\n')
        program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"}
    return subprocess.run(
        ["/bin/sh", "-c", command], capture_output=True, text=True, check=False, timeout=60, env=environment
    )
