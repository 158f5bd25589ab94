"""The web server of the demo: a real Apache where there is one, else the lab's small TLS server."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from certd.errors import CommandFailed, Refused
from certd.lab.apache import RUNNING, LabApache
from certd.lab.demo import running
from certd.lab.demo.place import Place, free_ports
from certd.lab.httpd import find_binary
from certd.lab.httpd import run as run_httpd
from certd.lab.tlsserver import RELOADED
from certd.text import printable

TIMEOUT = 60.0
"""Seconds for one of the small server's commands."""


class Site(Protocol):
    """A server that shows a webroot by HTTP, and what is live by TLS."""

    webroot: Path
    http_port: int
    tls_port: int
    description: str

    def argv(self, word: str) -> Sequence[str]:
        """The command to `reload`, `start`, or ask for the `status`, as in a reload target."""

    def start(self) -> None:
        """Start it and wait until it serves. Raises `CommandFailed`, `Refused`."""

    def stop(self) -> None:
        """Stop it, if it runs, and wait until it is gone. Raises `CommandFailed`."""

    def reloads(self) -> int:
        """How often it loaded anew, by its own log."""


Names = Mapping[str, Sequence[str]]
"""Certificates and their domains."""


def make_site(place: Place, names: Names, live_dir: Path, *, apache: bool) -> tuple[Site, str]:
    """The server, not yet started, and why it is no Apache, if it is none; without `apache` it never is."""
    http_port, tls_port = free_ports(2)
    why = "the small one was asked for"
    if apache:
        try:
            return ApacheSite(place.root / "apache", http_port, tls_port, names, live_dir), ""
        except Refused as refused:
            why = str(refused)
    return SmallSite(place.root / "web", http_port, tls_port, names, live_dir), why


def _status(pid_file: Path) -> Sequence[str]:
    return [sys.executable, "-I", "-S", running.__file__, str(pid_file)]


class ApacheSite:
    """An httpd as an ordinary process; each virtual host includes `live/NAME/apache.conf`."""

    def __init__(self, root: Path, http_port: int, tls_port: int, names: Names, live_dir: Path) -> None:
        """Writes its configuration. Raises `Refused` where this machine's httpd cannot be used."""
        self._apache = LabApache(root, http_port, tls_port, names, live_dir)
        self._apache.write()
        self.webroot = self._apache.webroot
        self.http_port, self.tls_port = http_port, tls_port
        binary = find_binary()
        assert binary is not None, "write() needed it"
        version = re.search(r"Apache/[0-9.]+", run_httpd([binary, "-v"]).stdout)
        self.description = f"{version[0] if version else 'Apache'} ({binary})"

    def argv(self, word: str) -> Sequence[str]:
        if word == "status":
            return _status(self._apache.httpd.pid_file)
        return self._apache.command("graceful" if word == "reload" else word)

    def start(self) -> None:
        self._apache.start()

    def stop(self) -> None:
        if self._apache.status() == RUNNING:
            self._apache.stop()

    def reloads(self) -> int:
        # "AH00493: SIGUSR1 received.  Doing graceful restart"; notices are logged at every level.
        return self._apache.httpd.error_log.read_text(errors="replace").count("AH00493")


class SmallSite:
    """`certd.lab.tlsserver` as a process of its own."""

    def __init__(self, root: Path, http_port: int, tls_port: int, names: Names, live_dir: Path) -> None:
        self.webroot = root / "htdocs"
        self.webroot.mkdir(parents=True)
        self.http_port, self.tls_port = http_port, tls_port
        self.description = "a small TLS server"
        self._pid_file = root / "web.pid"
        self._options = ["--http", str(http_port), "--tls", str(tls_port), "--webroot", str(self.webroot)]
        for name in names:
            live = live_dir / name
            self._options += ["--certificate", str(live / "fullchain.pem"), "--key", str(live / "privkey.pem")]

    def argv(self, word: str) -> Sequence[str]:
        if word == "status":
            return _status(self._pid_file)
        options = self._options if word == "start" else []
        return [sys.executable, "-m", "certd.lab.tlsserver", word, *options, "--pid-file", str(self._pid_file)]

    def start(self) -> None:
        self._run("start")

    def stop(self) -> None:
        self._run("stop")

    def reloads(self) -> int:
        return self._pid_file.with_suffix(".log").read_text(errors="replace").count(RELOADED)

    def _run(self, word: str) -> None:
        try:
            done = subprocess.run(  # noqa: S603 - a module of ours, no shell
                list(self.argv(word)),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=TIMEOUT,
                start_new_session=True,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise CommandFailed(f"the small TLS server did not {word} within {TIMEOUT:.0f} s") from None
        if done.returncode != 0:
            output = done.stderr.decode(errors="replace")
            raise CommandFailed(f"the small TLS server does not {word}: {printable(output, 500)}", output)
