"""Reload and start a server, ask whether it runs, run the commands that follow a swap or tell of an alarm.

The swap is `certd.store`'s. Commands are argv, never a shell's; they get no input but an alarm's, an environment of
their own, a session of their own, and a total time. Their output is read all the while, so that none can block on it,
but only its end is kept. What a command leaves running in the background, a server above all, goes on; only a command
that overstays its time is killed, with its whole process group.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import selectors
import signal
import subprocess
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from certd.errors import CommandDenied, CommandFailed
from certd.model.records import Activity
from certd.model.specs import CommandReload, ServiceReload
from certd.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from certd.model.specs import AfterCommand

SEARCH_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
"""Where systemctl and commands without a directory are looked for; also the PATH they get."""
OUTPUT_KEPT = 64 * 1024
"""Bytes of a command's output that are kept: its end, where the reason of a failure stands."""
ANSWER_KEPT = 1024 * 1024
"""The same where the output is what was asked for."""

_LINES_SHOWN = 20
_KILL_WAIT = 5.0
_LOOK_AGAIN = 0.05
"""Seconds until the end of a command is noticed at the latest, when a child in the background holds its output."""

_SYSTEMD = {
    "active": Activity.ACTIVE,
    "reloading": Activity.RELOADING,
    "refreshing": Activity.RELOADING,
    # On its way up or down by somebody else's hand, as in a restart: it is loading, its end is not known yet.
    "activating": Activity.RELOADING,
    "deactivating": Activity.RELOADING,
    "inactive": Activity.INACTIVE,
    "failed": Activity.FAILED,
}
_DENIALS = ("Interactive authentication required", "Access denied", "Permission denied")
"""What systemctl says when polkit has no rule, when a rule says no, and when there is no polkit."""
_LSB = {0: Activity.ACTIVE, 3: Activity.INACTIVE}


def activity(
    reload: ServiceReload | CommandReload | None, *, timeout: timedelta, search_path: str = SEARCH_PATH
) -> Activity:
    """Whether the server runs. UNKNOWN where there is no way to ask, or the question brought no answer.

    For a service systemd is asked; a unit it does not know is UNKNOWN, so that the reload tells why it fails. For a
    command its `active` argv is run: 0 runs, 3 stopped on purpose, any other exit code is FAILED (the status codes
    of the LSB).
    """
    if isinstance(reload, ServiceReload):
        return _unit_activity(reload, timeout, search_path)
    if reload is None or not reload.active:
        return Activity.UNKNOWN
    try:
        ended = _execute(reload.active, timeout, search_path)
    except CommandFailed:
        return Activity.UNKNOWN
    # Killed by a signal: the question failed, not the server.
    return Activity.UNKNOWN if ended.code < 0 else _LSB.get(ended.code, Activity.FAILED)


def reload(reload: ServiceReload | CommandReload | None, *, timeout: timedelta, search_path: str = SEARCH_PATH) -> None:
    """Ask the server to load its configuration and certificates again; None has nothing to reload.

    Success means that the request was accepted, no more: Apache may die of what it loads after that. Raises
    CommandFailed; CommandDenied where systemd does not let this user.
    """
    if reload is not None:
        if isinstance(reload, ServiceReload):
            _change("reload", reload, timeout, search_path)
        else:
            _succeed(reload.command, timeout, search_path)


def start(reload: ServiceReload | CommandReload | None, *, timeout: timedelta, search_path: str = SEARCH_PATH) -> None:
    """Start the server; None has nothing to start. Raises CommandFailed, also where no `start` argv is configured."""
    if isinstance(reload, ServiceReload):
        _change("start", reload, timeout, search_path)
    elif reload is not None:
        if not reload.start:
            raise CommandFailed(
                f"the server reloaded by {_shown(reload.command)} is down, and certd does not know how to start it: "
                "start it by hand, and set reload.start to the argv that does"
            )
        _succeed(reload.start, timeout, search_path)


def run(after: AfterCommand, environment: Mapping[str, str], *, search_path: str = SEARCH_PATH) -> None:
    """Run a command that follows a confirmed swap, with `environment` added to its own. Raises CommandFailed."""
    _succeed(after.command, after.timeout, search_path, environment)


def output_of(command: Sequence[str], *, timeout: timedelta, search_path: str = SEARCH_PATH) -> str:
    """What a command says, to both of its outputs; at most the last MiB. Raises CommandFailed."""
    return _succeed(command, timeout, search_path, kept=ANSWER_KEPT).decode("utf-8", "replace")


def tell(
    command: Sequence[str],
    message: bytes,
    environment: Mapping[str, str],
    *,
    timeout: timedelta,
    search_path: str = SEARCH_PATH,
) -> None:
    """Run a command that gets `message` on its standard input. Raises CommandFailed.

    One that ends well without reading all of it has succeeded.
    """
    _succeed(command, timeout, search_path, environment, message)


def after_environment(*, name: str, domains: Sequence[str], live: Path, version: int) -> dict[str, str]:
    """What an `after` command is told: the certificate's name, its domains (separated by spaces), the live directory
    and the version that it names now.
    """
    return {
        "CERTD_NAME": name,
        "CERTD_DOMAINS": " ".join(domains),
        "CERTD_LIVE": str(live),
        "CERTD_VERSION": str(version),
    }


class _Ended(msgspec.Struct, frozen=True):
    """How a command ended by itself. A negative code is the signal that killed it."""

    code: int
    output: bytes


def _unit_activity(service: ServiceReload, timeout: timedelta, search_path: str) -> Activity:
    try:
        output = _succeed(_systemctl("show", service, "-p", "LoadState,ActiveState,SubState"), timeout, search_path)
    except CommandFailed:
        return Activity.UNKNOWN
    properties = dict(line.partition("=")[::2] for line in output.decode("ascii", "replace").splitlines())
    if properties.get("LoadState") == "not-found":
        return Activity.UNKNOWN
    if properties.get("SubState", "").startswith("auto-restart"):
        # It died, and systemd will try again after a while.
        return Activity.FAILED
    return _SYSTEMD.get(properties.get("ActiveState", ""), Activity.UNKNOWN)


def _change(verb: str, service: ServiceReload, timeout: timedelta, search_path: str) -> None:
    """Ask systemd, which asks polkit who may. Raises CommandFailed."""
    try:
        _succeed(_systemctl(verb, service), timeout, search_path)
    except CommandFailed as error:
        # Words, not the exit code: it is 1 for almost everything. The environment has them in English.
        words = next((words for words in _DENIALS if words in error.output), None)
        if words is None:
            raise
        who = f"user {os.geteuid()}"
        with contextlib.suppress(KeyError):
            who = f"user {pwd.getpwuid(os.geteuid()).pw_name}"
        what = f"{who} is not allowed to {verb} {service.service} ({words})"
        remedy = "polkit needs the rule that `certd polkit-rule` prints"
        raise CommandDenied(f"{what}: {remedy}", error.output) from error


def _systemctl(verb: str, service: ServiceReload, *options: str) -> tuple[str, ...]:
    if service.service.startswith("-"):
        raise CommandFailed(f"{printable(service.service)!r} is no unit of systemd; correct reload.service")
    # The password agent would wait for somebody at a terminal.
    return ("systemctl", "--no-ask-password", verb, *options, service.service)


def _succeed(
    argv: Sequence[str],
    timeout: timedelta,
    search_path: str,
    environment: Mapping[str, str] | None = None,
    message: bytes | None = None,
    kept: int = OUTPUT_KEPT,
) -> bytes:
    ended = _execute(argv, timeout, search_path, environment, message, kept)
    if ended.code == 0:
        return ended.output
    how = f"failed with exit code {ended.code}" if ended.code > 0 else f"was killed by {_signal_name(-ended.code)}"
    raise _failed(argv, how, ended.output)


def _execute(
    argv: Sequence[str],
    timeout: timedelta,
    search_path: str,
    environment: Mapping[str, str] | None = None,
    message: bytes | None = None,
    kept: int = OUTPUT_KEPT,
) -> _Ended:
    """Run a command to its end. Raises CommandFailed where it cannot be run, or does not end in time."""
    try:
        process = subprocess.Popen(  # noqa: S603 - argv from the configuration, which only its owner can write
            list(argv),
            stdin=subprocess.DEVNULL if message is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            cwd="/",
            env={"PATH": search_path, "LANG": "C.UTF-8", **(environment or {})},
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise _failed(argv, f"cannot be run ({printable(reason)})", b"") from error
    output = bytearray()
    try:
        if _drain(process, output, time.monotonic() + timeout.total_seconds(), message or b"", kept):
            return _Ended(process.returncode, bytes(output))
    finally:
        _end(process)
    raise _failed(argv, f"was killed, for it did not end within {timeout.total_seconds():g} s", bytes(output))


def _drain(process: subprocess.Popen[bytes], output: bytearray, deadline: float, message: bytes, kept: int) -> bool:
    """Write the message and read until the command ends; whether it did so before the deadline.

    The end of the output is no end of the command, and a child in the background may hold the output open for ever:
    so it is the process that counts.
    """
    assert process.stdout is not None
    pipe = process.stdout.fileno()
    os.set_blocking(pipe, False)
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        if process.stdin is not None:
            os.set_blocking(process.stdin.fileno(), False)
            selector.register(process.stdin, selectors.EVENT_WRITE)
        while (left := deadline - time.monotonic()) > 0:
            if not selector.get_map():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(left)
            for ready, _ in selector.select(min(left, _LOOK_AGAIN)) if selector.get_map() else ():
                if ready.fd == pipe and not _read(pipe, output, kept):
                    selector.unregister(pipe)
                elif ready.fd != pipe and not (message := _write(ready.fd, message)):
                    selector.unregister(ready.fileobj)
                    _close_input(process)
            if process.poll() is not None:
                break
        else:
            return False
    # What it wrote last is in the pipe still. Not more: a child in the background may go on writing for ever.
    _read(pipe, output, kept)
    return True


def _write(pipe: int, message: bytes) -> bytes:
    """Write what fits; the rest. Nothing is left for a command that has closed its input."""
    try:
        return message[os.write(pipe, message) :]
    except BlockingIOError:
        return message
    except BrokenPipeError:
        return b""


def _close_input(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()


def _read(pipe: int, output: bytearray, kept: int) -> bool:
    """Take what is there, at most as much as a pipe holds; False at the end of the output."""
    try:
        data = os.read(pipe, OUTPUT_KEPT)
    except BlockingIOError:
        return True
    output += data
    del output[:-kept]
    return bool(data)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the command's process group if it still runs, and close the output."""
    assert process.stdout is not None
    _close_input(process)
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            # One that hangs in the kernel does not even die of SIGKILL; nobody waits for it longer than this.
            process.wait(_KILL_WAIT)
    process.stdout.close()


def _failed(argv: Sequence[str], how: str, output: bytes) -> CommandFailed:
    lines = [printable(line, 400) for line in output.splitlines() if line.strip()][-_LINES_SHOWN:]
    last = f": {lines[-1]}" if lines else ""
    return CommandFailed(f"{_shown(argv)} {how}{last}", "\n".join(lines))


def _shown(argv: Sequence[str]) -> str:
    return f"`{printable(' '.join(argv))}`"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
