"""A real Apache as an ordinary process on high ports, serving what certd puts live.

``python -m certd.lab.apache status|start|graceful|stop --root DIR`` drives one whose configuration was written by
`LabApache`. `status` answers with LSB codes: 0 running, 1 dead though its pid file exists, 3 stopped. The others
answer as httpd does, which means that `graceful` starts a stopped server.
"""

from __future__ import annotations

import argparse
import http.client
import os
import pwd
import re
import stat
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from certd.errors import CommandFailed, Refused
from certd.lab.httpd import find_binary, load_lines, run
from certd.lab.options import LOOPBACK

MODULES = ("mpm_event", "unixd", "log_config", "authz_core", "alias", "dir", "mime", "socache_shmcb", "ssl")
CHILD_USERS = ("apache", "www-data", "nobody")
PATIENCE = 30.0
"""Seconds that a start or a stop may take."""

RUNNING, DEAD, STOPPED = 0, 1, 3

_HTTP_PORT = re.compile(r"^Listen [0-9.]+:([0-9]+) http$", re.MULTILINE)


@dataclass(frozen=True)
class Httpd:
    """The process control of one lab Apache: everything it needs to know lies below `root`."""

    root: Path

    @property
    def configuration(self) -> Path:
        return self.root / "httpd.conf"

    @property
    def pid_file(self) -> Path:
        return self.root / "httpd.pid"

    @property
    def error_log(self) -> Path:
        return self.root / "error.log"

    def argv(self, *arguments: str) -> tuple[str, ...]:
        """The binary with this configuration. Raises `Refused` when there is no binary."""
        binary = find_binary()
        if binary is None:
            raise Refused("no httpd or apache2 binary on this machine")
        return (str(binary), "-d", str(self.root), "-f", str(self.configuration), *arguments)

    def control(self, word: str) -> tuple[int, str]:
        """`-k start`, `graceful` or `stop`: exit code and output. Start and stop are waited for, graceful is not.

        Raises `CommandFailed` when the server neither answers nor ends in time.
        """
        if word != "stop" and self.status() == DEAD:
            # httpd takes any process with that pid for itself, a zombie too, and would not start.
            self.pid_file.unlink(missing_ok=True)
        done = run(self.argv("-k", word))
        if word == "stop" and done.returncode == 0:
            wait_until(lambda: self.status() != RUNNING, "httpd to stop")
        if word == "start" and done.returncode == 0:
            # httpd listens, and its command returns, before it has loaded keys and certificates the second time; what
            # is swapped or signalled before that meets a server that is not there yet. An answer is from a child.
            wait_until(self.answers, f"httpd to answer, see {self.error_log}")
        return done.returncode, done.stdout

    def answers(self) -> bool:
        """Does a child answer by plain HTTP?"""
        found = _HTTP_PORT.search(self.configuration.read_text())
        if found is None:
            return False
        connection = http.client.HTTPConnection(LOOPBACK, int(found[1]), timeout=PATIENCE)
        try:
            connection.request("HEAD", "/")
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        return self.status() == RUNNING

    def status(self) -> int:
        """The LSB code."""
        if not self.pid_file.exists():
            return STOPPED
        return RUNNING if self.pid() is not None else DEAD

    def pid(self) -> int | None:
        """The parent process, or None when it is not there (a pid used again by another program is not it)."""
        try:
            pid = int(self.pid_file.read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return None
        return pid if os.fsencode(str(self.configuration)) in command.split(b"\0") else None


class LabApache:
    """One Apache with a name-based TLS host for every name.

    `names` are the certificates' names, or these with their domains. Each host includes
    `live_dir/NAME/apache.conf`; with `plain_paths` it names the pem files below `live_dir/NAME` instead.
    `webroot` (default: below `root`) is served by plain HTTP. Run by root, its children run as another user, who must
    be able to reach the webroot.
    """

    def __init__(
        self,
        root: Path,
        http_port: int,
        tls_port: int,
        names: Sequence[str] | Mapping[str, Sequence[str]],
        live_dir: Path,
        plain_paths: bool = False,
        webroot: Path | None = None,
    ) -> None:
        self.root = root.absolute()
        self.http_port = http_port
        self.tls_port = tls_port
        self.names = dict(names) if isinstance(names, Mapping) else {name: (name,) for name in names}
        self.live_dir = live_dir.absolute()
        self.plain_paths = plain_paths
        self.webroot = (webroot or self.root / "htdocs").absolute()
        self.httpd = Httpd(self.root)

    def write(self) -> Path:
        """Write the configuration; call it again after a change of `names`. Raises `Refused` where it cannot work."""
        for directory in (self.root, self.webroot):
            directory.mkdir(parents=True, exist_ok=True)
        binary = Path(self.httpd.argv()[0])
        child = _child_user() if os.getuid() == 0 else []
        if child:
            _demand_reachable(self.webroot)
        (self.root / "mime.types").write_text("text/html html\ntext/plain txt\n")
        lines = [*load_lines(binary, MODULES), *child, *self._main(), *self._hosts()]
        self.httpd.configuration.write_text("\n".join(lines) + "\n")
        return self.httpd.configuration

    def start(self) -> None:
        """Start it and wait until it serves. Raises `CommandFailed`."""
        self._control("start")

    def graceful(self) -> None:
        """Ask for a graceful restart; it may still be loading when this returns. Raises `CommandFailed`."""
        self._control("graceful")

    def stop(self) -> None:
        """Stop it and wait until it is gone. Raises `CommandFailed`."""
        self._control("stop")

    def status(self) -> int:
        """`RUNNING`, `DEAD` or `STOPPED`."""
        return self.httpd.status()

    def command(self, word: str) -> tuple[str, ...]:
        """The argv of a reload target: `status` for active, `graceful` for the reload, `start`, `stop`."""
        return (sys.executable, "-m", "certd.lab.apache", word, "--root", str(self.root))

    def __enter__(self) -> Self:
        self.write()
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.status() == RUNNING:
            self.stop()

    def _control(self, word: str) -> None:
        code, output = self.httpd.control(word)
        if code != 0:
            raise CommandFailed(f"httpd -k {word} ended with {code}, see {self.httpd.error_log}", output)

    def _main(self) -> list[str]:
        root = self.root
        return [
            f"ServerRoot {_quoted(root)}",
            "ServerName lab.invalid",
            f"DefaultRuntimeDir {_quoted(root)}",
            f"PidFile {_quoted(self.httpd.pid_file)}",
            f"Mutex {_quoted(f'file:{root}')} default",
            f"ErrorLog {_quoted(self.httpd.error_log)}",
            "LogLevel warn",
            f"TypesConfig {_quoted(root / 'mime.types')}",
            "StartServers 1",
            "<IfModule !prefork.c>",
            "  ServerLimit 4",
            "  ThreadsPerChild 16",
            "  ThreadLimit 16",
            "  MinSpareThreads 16",
            "  MaxSpareThreads 48",
            "  MaxRequestWorkers 64",
            "</IfModule>",
            "GracefulShutdownTimeout 2",
            f"Listen {LOOPBACK}:{self.http_port} http",
            f"Listen {LOOPBACK}:{self.tls_port} https",
            f"SSLSessionCache {_quoted(f'shmcb:{root}/ssl_scache(512000)')}",
            f"DocumentRoot {_quoted(self.webroot)}",
            "<Directory />",
            "  AllowOverride None",
            "  Require all denied",
            "</Directory>",
            f"<Directory {_quoted(self.webroot)}>",
            "  Require all granted",
            "</Directory>",
        ]

    def _hosts(self) -> list[str]:
        lines = [
            f"<VirtualHost {LOOPBACK}:{self.http_port}>",
            f"  DocumentRoot {_quoted(self.webroot)}",
            "</VirtualHost>",
        ]
        for name, domains in self.names.items():
            live = self.live_dir / name
            lines += [f"<VirtualHost {LOOPBACK}:{self.tls_port}>", f"  ServerName {domains[0].replace('*.', 'any.')}"]
            lines += [
                f"  ServerAlias {domain}" for domain in domains if domain.startswith("*.") or domain != domains[0]
            ]
            lines += ["  SSLEngine on", *(f"  {line}" for line in self._certificate(live)), "</VirtualHost>"]
        return lines

    def _certificate(self, live: Path) -> list[str]:
        if not self.plain_paths:
            return [f"Include {_quoted(live / 'apache.conf')}"]
        return [
            f"SSLCertificateFile {_quoted(live / 'fullchain.pem')}",
            f"SSLCertificateKeyFile {_quoted(live / 'privkey.pem')}",
        ]


def wait_until(reached: Callable[[], bool], what: str) -> None:
    """Look every 20 ms. Raises `CommandFailed` when patience ends."""
    deadline = time.monotonic() + PATIENCE
    while not reached():
        if time.monotonic() > deadline:
            raise CommandFailed(f"waited {PATIENCE:.0f} s in vain for {what}")
        time.sleep(0.02)


def _quoted(value: Path | str) -> str:
    text = str(value)
    if any(character in text for character in '"\\\n\r') or "${" in text:
        raise Refused(f"Apache's configuration cannot hold the path {text!r}")
    return f'"{text}"'


def _child_user() -> list[str]:
    """httpd refuses to serve as root: the parent, which reads the keys, stays root, its children become another."""
    for name in CHILD_USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return [f"User {name}", f"Group #{entry.pw_gid}"]
    return ["User #65534", "Group #65534"]


def _demand_reachable(webroot: Path) -> None:
    """The children would answer every challenge with 403. What to open is the caller's to decide."""
    for directory in (webroot, *webroot.parents):
        if not directory.stat().st_mode & stat.S_IXOTH:
            raise Refused(
                f"run by root, Apache serves as another user, who cannot pass {directory}: chmod o+x, or move"
            )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="certd.lab.apache", description=__doc__)
    parser.add_argument("word", choices=("status", "start", "graceful", "stop"))
    parser.add_argument("--root", type=Path, required=True)
    asked = parser.parse_args(arguments)
    httpd = Httpd(asked.root.absolute())
    if asked.word == "status":
        return httpd.status()
    try:
        code, output = httpd.control(asked.word)
    except (Refused, CommandFailed) as error:
        code, output = 1, f"{error}\n"
    sys.stderr.write(output)
    return code


if __name__ == "__main__":
    sys.exit(main())
