"""Real programs as child processes: their output kept, their end certain, nobody else's process touched."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

Value = TypeVar("Value")

TAIL = 4000
"""Characters of a log shown when a test fails."""

_logs: dict[Path, str] = {}


def require(*programs: str) -> None:
    """Skip the test, saying why, where one of `programs` is not installed. Debian keeps servers in /usr/sbin."""
    for program in programs:
        if find(program) is None:
            pytest.skip(f"{program} is not installed (apt-get install pebble apache2-bin)")


def find(program: str) -> str | None:
    """The path of `program`, also where an ordinary user's PATH lacks the system directories."""
    return shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


def eventually(check: Callable[[], Value], what: str, timeout: float = 30.0) -> Value:
    """Return the first true value of `check()`; fail after `timeout` seconds, naming `what` was waited for.

    Only for what real programs do in their own time: whatever takes a clock is given one instead.
    """
    give_up = time.monotonic() + timeout
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > give_up:
            raise AssertionError(f"not within {timeout:g} s: {what}")
        time.sleep(0.02)


def watch_log(path: Path, title: str) -> None:
    """Show the tail of `path` in the report of a test that fails, until `forget_log`."""
    _logs[path] = title


def forget_log(path: Path) -> None:
    _logs.pop(path, None)


def watched_tails() -> list[tuple[str, str]]:
    """Title and tail of every watched log that says something."""
    return [(title, text) for path, title in _logs.items() if (text := tail(path))]


def tail(path: Path) -> str:
    """The last characters of `path`, or nothing where there is no such file."""
    try:
        return path.read_text(errors="replace")[-TAIL:]
    except FileNotFoundError:
        return ""


class Process:
    """One child process. Its output is appended to `log`; `stop` ends this child, by its pid, and no other."""

    def __init__(self, name: str, argv: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> None:
        """`env` is added to this process's own environment."""
        self.name = name
        self.argv = tuple(argv)
        self.log = log
        self._env = dict(env or {})
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._child is not None, f"{self.name} was not started"
        return self._child.pid

    def is_running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def start(self) -> None:
        assert not self.is_running(), f"{self.name} runs already"
        watch_log(self.log, f"{self.name}: {self.log}")
        with self.log.open("ab") as out:
            self._child = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self._env},
                cwd=self.log.parent,
            )

    def wait_for(self, check: Callable[[], Value], what: str, timeout: float = 30.0) -> Value:
        """As `eventually`, but fails at once, with the log, if the process ends meanwhile."""

        def alive() -> Value:
            value = check()
            assert value or self.is_running(), f"{self.name} ended while waiting: {what}\n{tail(self.log)}"
            return value

        return eventually(alive, f"{self.name}: {what}", timeout)

    def stop(self) -> None:
        """Ask it to end, then insist. Harmless where it has ended."""
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()
            try:
                self._child.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
        self._child = None
        forget_log(self.log)

    def wait(self, timeout: float = 30.0) -> int:
        """Its exit code, once it has ended by itself; fails after `timeout` seconds."""
        assert self._child is not None, f"{self.name} was not started"
        child = self._child
        eventually(lambda: child.poll() is not None, f"{self.name} ends", timeout)
        return child.returncode

    def kill(self) -> None:
        """End it without asking, as a crash would."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
