"""certd as the demo runs it: its commands as processes, its status from its socket, its log from a file."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from certd.errors import CommandFailed
from certd.sockets import STATUS_NAME
from certd.status import Snapshot
from certd.text import printable

COMMAND: Sequence[str] = (sys.executable, "-m", "certd")
TIMEOUT = 60.0
"""Seconds for one command."""
STOP_TIMEOUT = 15.0
ASK_TIMEOUT = 5.0

_OF_A_SERVICE = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM", "INVOCATION_ID")
"""Variables that would tell certd that systemd runs it, where systemd runs the demo."""


class Daemon:
    """`certd run` on one configuration, and the other commands beside it."""

    def __init__(self, config: Path, runtime_dir: Path, log: Path) -> None:
        self._config = config
        self._socket = runtime_dir / STATUS_NAME
        self._log = log
        self._read = 0
        self._process: subprocess.Popen[bytes] | None = None

    def command(self, *words: str) -> str:
        """Run `certd WORDS` to its end; its standard output. Raises `CommandFailed`."""
        try:
            done = subprocess.run(  # noqa: S603 - certd itself, no shell
                self._argv(words),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                env=_environment(),
                timeout=TIMEOUT,
                start_new_session=True,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise CommandFailed(f"certd {words[0]} did not end within {TIMEOUT:.0f} s") from None
        if done.returncode != 0:
            output = (done.stderr + done.stdout).decode(errors="replace")
            raise CommandFailed(f"certd {words[0]} ended with {done.returncode}: {printable(output, 500)}", output)
        return done.stdout.decode(errors="replace").strip()

    def start(self) -> None:
        """Start it; a session of its own keeps the terminal's Ctrl-C from it, so that it is stopped in order."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - certd itself, no shell
                self._argv(["run"]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(),
                start_new_session=True,
            )

    def stop(self) -> None:
        """SIGTERM, and SIGKILL for one that does not listen; until it is gone."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def ended(self) -> int | None:
        """The exit code of a daemon that was started and is not there any more."""
        return self._process.poll() if self._process is not None else None

    def status(self) -> Snapshot | None:
        """GET /status; None while nobody answers."""
        connection = _Connection(self._socket)
        try:
            connection.request("GET", "/status")
            answer = connection.getresponse()
            body = answer.read()
            return msgspec.json.decode(body, type=Snapshot) if answer.status == 200 else None
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def new_lines(self) -> list[str]:
        """The lines of the log since the last call."""
        with self._open_log() as log:
            log.seek(self._read)
            whole, _, _ = log.read().rpartition(b"\n")
        if not whole:
            return []
        self._read += len(whole) + 1
        return whole.decode(errors="replace").splitlines()

    def tail(self, count: int) -> list[str]:
        """The last lines of the log."""
        with self._open_log() as log:
            return log.read().decode(errors="replace").splitlines()[-count:]

    def _open_log(self) -> BinaryIO:
        self._log.touch()
        return self._log.open("rb")

    def _argv(self, words: Sequence[str]) -> list[str]:
        return [*COMMAND, "-c", str(self._config), *words]


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=ASK_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in _OF_A_SERVICE}
