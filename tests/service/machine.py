"""A machine: a container with its own systemd as process 1, booted from an image, on the network of this process.

Everything that is done to it is printed, so that the output of a test reads like a session on that machine.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from parts.processes import eventually, forget_log, watch_log

BOOT = 60.0
"""Seconds; one takes about one."""
COMMAND = 120.0
REBOOT = 133
"""How systemd-nspawn ends when the machine reboots and somebody else (here: we) is to start it again."""


MakeMachine = Callable[..., "Machine"]
"""Makes a machine of the image, or of the layers that are given."""


class Failed(Exception):
    """A command on the machine ended with another exit code than was to be."""


class Machine:
    """`boot` it, talk to it by `run`, and `close` it. Its disk is a layer of its own above the `images`."""

    def __init__(self, root: Path, images: Sequence[Path], name: str) -> None:
        """`root` is an empty directory; `images` are directories, the topmost first."""
        self.name = name
        self.layer = root / "layer"
        self.disk = root / "disk"
        self.console = root / "console.log"
        work = root / "work"
        for directory in (self.layer, self.disk, work):
            directory.mkdir()
        lower = ":".join(str(image) for image in images)
        options = f"lowerdir={lower},upperdir={self.layer},workdir={work}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(self.disk)], check=True)
        # The journal is to outlive a reboot.
        (self.disk / "var/log/journal").mkdir(exist_ok=True)
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._mark = ""

    # --- its life

    def boot(self) -> None:
        """Switch it on; returns when it has started all that it starts."""
        self.say(f"{self.name} is switched on")
        self._start()

    def reboot(self) -> None:
        """As `systemctl reboot` does."""
        self.say(f"{self.name} is rebooted")
        subprocess.run(self._entered(self._pid(), "systemctl", "reboot"), check=False, capture_output=True)
        assert self._nspawn is not None
        code = self._nspawn.wait(BOOT)
        assert code == REBOOT, f"{self.name} did not reboot, but ended with {code}"
        self._start()

    def off(self) -> None:
        """Switch it off in an orderly way; harmless if it is."""
        if self._nspawn is not None and self._nspawn.poll() is None:
            if pid := self._pid():
                os.kill(pid, signal.SIGRTMIN + 4)
            try:
                self._nspawn.wait(BOOT)
            except subprocess.TimeoutExpired:
                self._nspawn.kill()
                self._nspawn.wait()
        self._nspawn = None
        forget_log(self.console)

    def close(self) -> None:
        """Switch it off, and unmount its disk."""
        self.off()
        subprocess.run(["umount", str(self.disk)], check=False)

    # --- what is done to it

    def run(self, command: str, *, code: int | None = 0, quiet: bool = False, user: str = "root") -> str:
        """Run a line of shell; what it prints, both streams. Raises Failed unless it ends with `code` (None: any)."""
        line = command if user == "root" else f"runuser -u {user} -- {command}"
        done = subprocess.run(
            self._entered(self._pid(), "/bin/sh", "-c", line),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=COMMAND,
            check=False,
        )
        if not quiet:
            self._show(line, done.stdout, done.returncode)
        if code is not None and done.returncode != code:
            raise Failed(f"`{line}` ended with {done.returncode}, not {code}: {done.stdout.strip()}")
        return done.stdout.strip()

    def put(self, path: str, text: str | bytes, *, mode: int = 0o644, owner: str = "root:root") -> None:
        """Write a file, on a machine that is on or off."""
        target = self.disk / path.lstrip("/")
        if self._nspawn is not None:
            target = Path(f"/proc/{self._pid()}/root") / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch(0o600)
        target.chmod(mode)
        target.write_bytes(text.encode() if isinstance(text, str) else text)
        self.chroot(f"chown {owner} {shlex.quote(path)}")

    def chroot(self, command: str) -> str:
        """Run a line of shell on its disk, whether it is on or off: not by its systemd, on its files."""
        root = self.disk if self._nspawn is None else Path(f"/proc/{self._pid()}/root")
        argv = ["chroot", str(root), "/bin/sh", "-c", command]
        done = subprocess.run(argv, capture_output=True, text=True, env=_ENVIRONMENT, check=False)
        if done.returncode != 0:
            raise Failed(f"`{command}` ended with {done.returncode}: {done.stderr.strip()}")
        return done.stdout.strip()

    def show(self, unit: str, *properties: str) -> dict[str, str]:
        """Properties of a unit."""
        text = self.run(f"systemctl show {unit} -p {','.join(properties)}", quiet=True)
        return dict(line.partition("=")[::2] for line in text.splitlines())

    def mark(self) -> None:
        """From here on `journal`, `said` and `wait_for` look at what comes after this moment."""
        found = self.run("journalctl --no-pager -n 0 --show-cursor", quiet=True)
        self._mark = f"--after-cursor='{found.rpartition('cursor: ')[2]}'"

    def journal(self, unit: str) -> list[dict[str, Any]]:
        """What the journal has of a unit, its systemd's own messages included."""
        text = self.run(f"journalctl --no-pager -o json -u {unit} {self._mark}", quiet=True)
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def said(self, words: str, unit: str = "certd") -> dict[str, Any] | None:
        """The newest entry of the journal with these words."""
        return next((entry for entry in reversed(self.journal(unit)) if words in str(entry.get("MESSAGE"))), None)

    def wait_for(self, words: str, unit: str = "certd", *, timeout: float = 60.0) -> dict[str, Any]:
        """Until the journal has these words; the entry."""
        entry = eventually(lambda: self.said(words, unit), f"{unit} says {words!r}", timeout)
        assert entry is not None
        self.say(f"journal of {unit}: {entry['MESSAGE']}")
        return entry

    def say(self, text: str) -> None:
        print(f"--- {text}", flush=True)

    # --- inside

    def _start(self) -> None:
        watch_log(self.console, f"console of {self.name}")
        argv = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot", "--console=pipe"]
        argv += ["--resolv-conf=off", "--timezone=off", "--link-journal=no", f"--machine={self.name}"]
        with self.console.open("ab") as console:
            self._nspawn = subprocess.Popen(
                [*argv, f"--directory={self.disk}"],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
            )
        self._wait_until_up()

    def _show(self, line: str, output: str, code: int) -> None:
        print(f"[root@{self.name}]# {line}")
        if output.strip():
            print(output.rstrip())
        if code:
            print(f"(exit code {code})")

    def _entered(self, pid: int, *argv: str) -> list[str]:
        environment = [f"{name}={value}" for name, value in _ENVIRONMENT.items()]
        return ["nsenter", "-t", str(pid), "-a", "/usr/bin/env", "-i", *environment, *argv]

    def _pid(self) -> int:
        """Its process 1, as seen from here; 0 for none."""
        assert self._nspawn is not None, f"{self.name} is off"
        try:
            children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children").read_text().split()
        except FileNotFoundError:
            return 0
        return int(children[0]) if children else 0

    def _wait_until_up(self) -> None:
        def up() -> bool:
            assert self._nspawn is not None
            assert self._nspawn.poll() is None, f"{self.name} ended: {self.console.read_text(errors='replace')[-800:]}"
            pid = self._pid()
            if not pid:
                return False
            done = subprocess.run(
                self._entered(pid, "systemctl", "is-system-running"), capture_output=True, text=True, check=False
            )
            return done.stdout.strip() in ("running", "degraded")

        began = time.monotonic()
        eventually(up, f"{self.name} is up", BOOT)
        self.say(f"{self.name} is up after {time.monotonic() - began:.1f} s")


_ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "HOME": "/root",
    "SYSTEMD_PAGER": "cat",
    "SYSTEMD_COLORS": "0",
    "COLUMNS": "160",
}
