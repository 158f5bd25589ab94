"""certd itself as a part: the real command as a process, and the sites around it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from parts.processes import Process, eventually


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(str(self._path))


class Certd:
    """`certd run` on one configuration: started, asked, killed and started again; its log goes to `root/certd.log`."""

    def __init__(self, root: Path, config: Mapping[str, Any], env: Mapping[str, str] | None = None) -> None:
        """Writes the configuration, with state and runtime directory below `root`."""
        self.root = root
        self.state_dir = root / "state"
        self.live_dir = self.state_dir / "live"

        self.runtime_dir = root / "run"
        self.config_path = root / "config.yaml"
        self.log = root / "certd.log"
        self.env = dict(env or {})
        """Added to the environment at each start."""
        self._process: Process | None = None
        self.configure(config)

    def configure(self, config: Mapping[str, Any]) -> None:
        """Write the configuration anew; a running daemon reads it at `reload`."""
        whole = {"state_dir": str(self.state_dir), "runtime_dir": str(self.runtime_dir), **config}
        self.config_path.write_text(yaml.safe_dump(whole, sort_keys=False))

    def argv(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "certd", "-c", str(self.config_path), *arguments]

    def command(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """`certd ARGUMENTS`, to its end; it must end with `code`."""
        done = subprocess.run(self.argv(*arguments), capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == code, f"certd {arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def start(self) -> None:
        """Start the daemon, and wait until its status socket answers."""
        self._process = Process("certd", self.argv("run"), self.log, self.env)
        self._process.start()
        eventually(self._answers, "certd answers on its status socket")

    @property
    def process(self) -> Process:
        assert self._process is not None
        return self._process

    @property
    def pid(self) -> int:
        return self.process.pid

    def kill(self) -> None:
        """SIGKILL, wherever it is."""
        self.process.kill()

    def stop(self) -> None:
        """SIGTERM, and wait."""
        if self._process is not None:
            self._process.stop()

    def reload(self) -> None:
        os.kill(self.pid, signal.SIGHUP)

    def ask(self, method: str, path: str, *, control: bool = False) -> tuple[int, Any]:
        """One request on a socket: status and JSON (or text)."""
        connection = _UnixConnection(self.runtime_dir / ("control.sock" if control else "status.sock"))
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            body = answer.read()
            is_json = "json" in (answer.headers.get("Content-Type") or "")
            return answer.status, json.loads(body) if is_json else body.decode()
        finally:
            connection.close()

    def status(self) -> dict[str, Any]:
        return dict(self.ask("GET", "/status")[1])

    def health(self) -> dict[str, Any]:
        return dict(self.ask("GET", "/healthz")[1])

    def problems(self) -> set[str]:
        """The codes of the problems that health names now."""
        return {problem["code"] for problem in self.health()["problems"]}

    def certificate(self, name: str) -> dict[str, Any]:
        return next(one for one in self.status()["certificates"] if one["name"] == name)

    def renew(self, name: str, *, now: bool = False) -> None:
        status, body = self.ask("POST", f"/renew/{name}{'?now=1' if now else ''}", control=True)
        assert status == 200, body

    def live_serials(self) -> dict[str, str | None]:
        """Name to the serial that is live, by the daemon's own word."""
        return {one["name"]: (one["live"] or {}).get("serial") for one in self.status()["certificates"]}

    def settled(self, names: Sequence[str] | None = None) -> bool:
        """Every certificate is live and idle."""
        wanted = [one for one in self.status()["certificates"] if names is None or one["name"] in names]
        return bool(wanted) and all(one["phase"] == "idle" and one["live"] for one in wanted)

    def wait_settled(self, names: Sequence[str] | None = None, timeout: float = 60.0) -> None:
        eventually(lambda: self.settled(names), "every certificate is live and idle", timeout)

    def record(self, name: str) -> dict[str, Any]:
        """The record on disk."""
        return dict(json.loads((self.state_dir / "certs" / name / "state.json").read_text()))

    def _answers(self) -> bool:
        assert self.process.is_running(), "certd ended at its start"
        try:
            return self.ask("GET", "/healthz")[0] in (200, 503)
        except OSError:
            return False
