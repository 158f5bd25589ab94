"""`certd.deploy`: commands end in time, their output is read and capped, and systemd's words are understood."""

from __future__ import annotations

import os
import pwd
import signal
import stat
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from certd import deploy
from certd.errors import CommandDenied, CommandFailed
from certd.model.records import Activity
from certd.model.specs import AfterCommand, CommandReload, ServiceReload

LONG = timedelta(seconds=60)
HTTPD = ServiceReload("httpd")


def command(*lines: str) -> tuple[str, ...]:
    """An argv that runs these lines of Python."""
    return (sys.executable, "-c", "\n".join(lines))


def run(*lines: str, timeout: timedelta = LONG) -> None:
    deploy.reload(CommandReload(command(*lines)), timeout=timeout)


@pytest.fixture
def systemctl(tmp_path: Path) -> Path:
    """A systemctl that notes its argv and does what the file `script` beside it says; its directory."""
    program = tmp_path / "systemctl"
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/argv\n. {tmp_path}/script\n')
    program.chmod(0o755)
    (tmp_path / "script").write_text("exit 0\n")
    return tmp_path


def answer(systemctl: Path, script: str) -> str:
    """The search path on which systemctl does `script`."""
    (systemctl / "script").write_text(script)
    return f"{systemctl}:/usr/bin:/bin"


# --- systemd ---


@pytest.mark.parametrize(
    ("load", "active", "sub", "expected"),
    [
        ("loaded", "active", "running", Activity.ACTIVE),
        ("loaded", "active", "exited", Activity.ACTIVE),
        ("loaded", "reloading", "reload", Activity.RELOADING),
        ("loaded", "refreshing", "refresh", Activity.RELOADING),
        ("loaded", "activating", "start", Activity.RELOADING),
        ("loaded", "deactivating", "stop-sigterm", Activity.RELOADING),
        ("loaded", "activating", "auto-restart", Activity.FAILED),
        ("loaded", "inactive", "auto-restart-queued", Activity.FAILED),
        ("loaded", "inactive", "dead", Activity.INACTIVE),
        ("masked", "inactive", "dead", Activity.INACTIVE),
        ("loaded", "failed", "failed", Activity.FAILED),
        ("not-found", "failed", "failed", Activity.UNKNOWN),
        ("not-found", "inactive", "dead", Activity.UNKNOWN),
        ("loaded", "maintenance", "x", Activity.UNKNOWN),
    ],
)
def test_what_systemd_says(systemctl: Path, load: str, active: str, sub: str, expected: Activity) -> None:
    """Its states become certd's; one it does not know is UNKNOWN, as is a unit that does not exist."""
    path = answer(systemctl, f"echo ActiveState={active}; echo SubState={sub}; echo LoadState={load}")
    assert deploy.activity(HTTPD, timeout=LONG, search_path=path) is expected
    assert (systemctl / "argv").read_text() == "--no-ask-password show -p LoadState,ActiveState,SubState httpd\n"


@pytest.mark.parametrize("script", ["exit 1", "exit 0", "kill -9 $$", "echo garbage", "printf '\\377=\\0\\n'"])
def test_no_answer_of_systemd_is_unknown(systemctl: Path, script: str) -> None:
    """Neither a failure nor silence nor nonsense is taken for a state: FAILED would start the server."""
    assert deploy.activity(HTTPD, timeout=LONG, search_path=answer(systemctl, script)) is Activity.UNKNOWN


def test_without_systemctl_the_activity_is_unknown(tmp_path: Path) -> None:
    """A host without systemd: no answer; the reload says what is wrong."""
    assert deploy.activity(HTTPD, timeout=LONG, search_path=str(tmp_path)) is Activity.UNKNOWN
    with pytest.raises(CommandFailed, match=r"`systemctl .*` cannot be run \(No such file or directory\)"):
        deploy.reload(HTTPD, timeout=LONG, search_path=str(tmp_path))


def test_reload_and_start_of_a_service(systemctl: Path) -> None:
    """The verbs, the unit, and no question for a password."""
    path = answer(systemctl, "exit 0")
    deploy.reload(HTTPD, timeout=LONG, search_path=path)
    deploy.start(HTTPD, timeout=LONG, search_path=path)
    assert (systemctl / "argv").read_text() == "--no-ask-password reload httpd\n--no-ask-password start httpd\n"


def test_a_refused_reload_says_why(systemctl: Path) -> None:
    """Exit code and the last line in the error's text, all lines beside it."""
    path = answer(systemctl, "echo first; echo Job for httpd.service failed. >&2; exit 5")
    with pytest.raises(CommandFailed) as caught:
        deploy.reload(HTTPD, timeout=LONG, search_path=path)
    text = "`systemctl --no-ask-password reload httpd` failed with exit code 5: Job for httpd.service failed."
    assert str(caught.value) == text
    assert caught.value.output == "first\nJob for httpd.service failed."


@pytest.mark.parametrize("words", ["Interactive authentication required.", "Access denied", "Permission denied"])
@pytest.mark.parametrize(("verb", "act"), [("reload", deploy.reload), ("start", deploy.start)])
def test_a_denial_names_who_may_not_do_what_and_the_remedy(systemctl: Path, words: str, verb: str, act: Any) -> None:
    """Without a rule of polkit nothing was done to the server: that is another failure than a refused reload."""
    path = answer(systemctl, f"echo Failed to {verb} httpd.service: {words} >&2; echo See system logs; exit 1")
    with pytest.raises(CommandDenied) as caught:
        act(HTTPD, timeout=LONG, search_path=path)
    user = pwd.getpwuid(os.geteuid()).pw_name
    assert str(caught.value).startswith(f"user {user} is not allowed to {verb} httpd (")
    assert words.rstrip(".") in str(caught.value)
    assert "`certd polkit-rule`" in str(caught.value)


def test_a_command_that_may_not_do_something_is_no_denial_of_systemd(tmp_path: Path) -> None:
    """polkit's rule would not help it."""
    script = tmp_path / "reload"
    script.write_text("#!/bin/sh\necho Permission denied; exit 1\n")
    script.chmod(0o755)
    with pytest.raises(CommandFailed) as caught:
        deploy.reload(CommandReload((str(script),)), timeout=LONG)
    assert not isinstance(caught.value, CommandDenied)


def test_a_unit_is_never_an_option(systemctl: Path) -> None:
    """Should the configuration let `--root=/x` through, systemctl does not get it."""
    path = answer(systemctl, "exit 0")
    with pytest.raises(CommandFailed, match="no unit of systemd"):
        deploy.reload(ServiceReload("--root=/x"), timeout=LONG, search_path=path)
    assert not (systemctl / "argv").exists()


# --- a message ---


def test_a_message_is_read_from_standard_input(tmp_path: Path) -> None:
    """All of it, and its end; more than a pipe holds, read late, while output is written."""
    argv = command(
        "import pathlib, sys, time",
        "print('x' * 300_000, flush=True)",
        f"pathlib.Path({str(tmp_path / 'got')!r}).write_bytes(sys.stdin.buffer.read())",
    )
    deploy.tell(argv, b"y" * 300_000, {}, timeout=LONG)
    assert (tmp_path / "got").read_bytes() == b"y" * 300_000


@pytest.mark.parametrize("script", ["import os; os.close(0)", "import sys; sys.stdin.buffer.read(10)", ""])
def test_a_message_need_not_be_read(script: str) -> None:
    """One that ends well has succeeded, whatever it has read."""
    deploy.tell(command(script), b"y" * 300_000, {}, timeout=LONG)


def test_a_child_in_the_background_may_hold_the_input() -> None:
    """It is the command that counts; a reader that never reads does not hold it up."""
    script = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(2)'])"
    deploy.tell(command(script), b"y" * 300_000, {}, timeout=timedelta(seconds=30))


# --- argv ---


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (0, Activity.ACTIVE),
        (1, Activity.FAILED),
        (2, Activity.FAILED),
        (3, Activity.INACTIVE),
        (4, Activity.FAILED),
        (127, Activity.FAILED),
    ],
)
def test_status_codes_of_a_command(code: int, expected: Activity) -> None:
    """LSB: 0 runs, 3 was stopped, everything else is a failure."""
    reload = CommandReload(("unused",), active=command(f"raise SystemExit({code})"))
    assert deploy.activity(reload, timeout=LONG) is expected


def test_no_way_to_ask_is_unknown() -> None:
    """No server, no `active` argv, one that is missing, killed, or too slow: nothing is known."""
    assert deploy.activity(None, timeout=LONG) is Activity.UNKNOWN
    assert deploy.activity(CommandReload(("x",)), timeout=LONG) is Activity.UNKNOWN
    for active in (("/no/such/program",), command("import os; os.kill(os.getpid(), 9)")):
        assert deploy.activity(CommandReload(("x",), active=active), timeout=LONG) is Activity.UNKNOWN
    slow = CommandReload(("x",), active=("/bin/sleep", "100"))
    assert deploy.activity(slow, timeout=timedelta(seconds=0.1)) is Activity.UNKNOWN


def test_nothing_to_reload_is_success() -> None:
    """A deployment of files only."""
    deploy.reload(None, timeout=LONG)
    deploy.start(None, timeout=LONG)


def test_start_by_argv(tmp_path: Path) -> None:
    """With a `start` argv it is run; without one the error says what to configure."""
    started = tmp_path / "started"
    deploy.start(CommandReload(("x",), start=("/usr/bin/touch", str(started))), timeout=LONG)
    assert started.exists()
    with pytest.raises(CommandFailed, match=r"`apachectl graceful` is down, .*set reload\.start to the argv"):
        deploy.start(CommandReload(("apachectl", "graceful")), timeout=LONG)


def test_no_shell_reads_the_argv(tmp_path: Path) -> None:
    """What a shell would take apart arrives as it is."""
    evil = f"$(touch {tmp_path}/x); `touch {tmp_path}/x` > {tmp_path}/x"
    with pytest.raises(CommandFailed) as caught:
        deploy.reload(CommandReload((*command("import sys; sys.exit(sys.argv[1])"), evil)), timeout=LONG)
    assert caught.value.output == evil
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("argv", "why"),
    [(("/no/such/program",), "No such file"), (("/",), "Permission denied"), (("/bin/echo", "\0"), "null byte")],
)
def test_a_command_that_cannot_be_run(argv: tuple[str, ...], why: str) -> None:
    """The reason is the operating system's."""
    with pytest.raises(CommandFailed, match=f"cannot be run .*{why}"):
        deploy.reload(CommandReload(argv), timeout=LONG)


def test_a_signal_is_named() -> None:
    """A command that was killed did not exit with a code."""
    with pytest.raises(CommandFailed, match="was killed by SIGSEGV"):
        run("import os, signal", "os.kill(os.getpid(), signal.SIGSEGV)")


def test_the_surroundings_of_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clean environment, no input, its own session, no descriptor but the three, the root directory."""
    monkeypatch.setenv("SECRET", "x")
    monkeypatch.setenv("LD_PRELOAD", "")
    (tmp_path / "open").touch()
    descriptor = os.open(tmp_path / "open", os.O_RDONLY)
    os.set_inheritable(descriptor, True)
    report = tmp_path / "report"
    script = (
        "import os, sys",
        "inside = [n for n in os.listdir('/proc/self/fd') if os.path.exists(f'/proc/self/fd/{n}')]",
        "session = os.getsid(0) == os.getpid() == os.getpgid(0)",
        "said = [sorted(os.environ), sys.stdin.read(), session, sorted(inside), os.getcwd()]",
        f"open({str(report)!r}, 'w').write(repr(said))",
    )
    environment = deploy.after_environment(
        name="example.jp", domains=["example.jp", "www.example.jp"], live=Path("/state/live/example.jp"), version=7
    )
    deploy.run(AfterCommand(command(*script)), environment)
    os.close(descriptor)
    names = ["CERTD_DOMAINS", "CERTD_LIVE", "CERTD_NAME", "CERTD_VERSION", "LANG", "PATH"]
    found = [name for name in eval(report.read_text())[0] if name != "LC_CTYPE"]  # Python's own
    assert found == names
    assert eval(report.read_text())[1:] == ["", True, ["0", "1", "2"], "/"]


def test_after_commands_are_told_what_happened(tmp_path: Path) -> None:
    """The documented variables, their values included."""
    environment = deploy.after_environment(
        name="example.jp", domains=["example.jp", "www.example.jp"], live=Path("/state/live/example.jp"), version=7
    )
    argv = ("/bin/sh", "-c", f'echo "$CERTD_NAME|$CERTD_DOMAINS|$CERTD_LIVE|$CERTD_VERSION|$LANG" > {tmp_path}/said')
    deploy.run(AfterCommand(argv), environment)
    said = "example.jp|example.jp www.example.jp|/state/live/example.jp|7|C.UTF-8\n"
    assert (tmp_path / "said").read_text() == said
    with pytest.raises(CommandFailed, match="failed with exit code 1"):
        deploy.run(AfterCommand(("/bin/false",)), environment)


# --- time and output ---


def test_a_command_that_overstays_is_killed_with_its_children(tmp_path: Path) -> None:
    """The whole process group goes, also what ignores SIGTERM; the output up to then is kept."""
    fifo = tmp_path / "alive"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    script = f"trap '' TERM; exec 9> {fifo}; printf x >&9; sleep 1000 & echo waiting for the server; wait"
    with pytest.raises(CommandFailed, match=r"was killed, for it did not end within 1 s: waiting") as caught:
        deploy.reload(CommandReload(("/bin/sh", "-c", script)), timeout=timedelta(seconds=1))
    assert caught.value.output.startswith("waiting for the server")
    # The end of the pipe comes when the last process that held it is gone.
    os.set_blocking(reader, True)
    assert os.read(reader, 10) == b"x"
    assert os.read(reader, 10) == b""
    os.close(reader)


def test_a_command_that_closes_its_output_is_killed_as_well() -> None:
    """The end of the output is not the end of the command."""
    with pytest.raises(CommandFailed, match=r"did not end within 0\.5 s"):
        run("import os, time", "os.close(1); os.close(2)", "time.sleep(1000)", timeout=timedelta(seconds=0.5))


def test_a_background_child_does_not_block(tmp_path: Path) -> None:
    """A server that was started holds the output open for ever, and lives on."""
    pid = tmp_path / "pid"
    script = (
        "import os, time",
        "child = os.fork()",
        "if child == 0:",
        "    time.sleep(1000)",
        f"open({str(pid)!r}, 'w').write(str(child))",
        "print('started', flush=True)",
        "os._exit(3)",
    )
    try:
        with pytest.raises(CommandFailed, match="failed with exit code 3: started"):
            run(*script)
        os.kill(int(pid.read_text()), 0)
    finally:
        os.kill(int(pid.read_text()), signal.SIGKILL)


def test_a_flood_is_read_and_capped() -> None:
    """Far more than a pipe holds neither blocks the command nor is kept; the end is what is shown."""
    with pytest.raises(CommandFailed) as caught:
        run("import sys", "for _ in range(200000): print('y' * 99)", "sys.stdout.flush(); sys.exit('the reason')")
    assert str(caught.value).endswith(": the reason")
    assert len(caught.value.output) < 10_000


def test_an_answer_that_was_asked_for_is_kept_whole() -> None:
    """Far more than of a reload's output, from both streams; a failure says why."""
    lines = command("import sys", "print('x' * 300_000)", "sys.stdout.flush()", "sys.stderr.write('end')")
    assert deploy.output_of(lines, timeout=LONG) == "x" * 300_000 + "\nend"
    with pytest.raises(CommandFailed, match="exit code 3: no"):
        deploy.output_of(command("print('no')", "raise SystemExit(3)"), timeout=LONG)


def test_an_endless_flood_ends_in_time() -> None:
    """Output alone keeps no command alive."""
    with pytest.raises(CommandFailed, match=r"did not end within 0\.5 s: y"):
        deploy.reload(CommandReload(("/usr/bin/yes",)), timeout=timedelta(seconds=0.5))


def test_a_background_flood_does_not_block() -> None:
    """A child that goes on writing does not keep certd reading."""
    with pytest.raises(CommandFailed, match="failed with exit code 4"):
        deploy.reload(CommandReload(("/bin/sh", "-c", "yes & exit 4")), timeout=LONG)


def test_output_is_made_harmless() -> None:
    """Control characters, broken UTF-8 and very long lines do not reach a terminal or a log as they are."""
    with pytest.raises(CommandFailed) as caught:
        run("import os", r"os.write(1, b'\x1b[31mred\xff\n' + b'z' * 100000 + b'\n\r\x07end')", "os._exit(1)")
    assert str(caught.value).endswith(r"\x07end")
    assert caught.value.output.isascii() or "…" in caught.value.output
    assert not any(ord(c) < 32 for c in caught.value.output.replace("\n", ""))
    assert max(map(len, caught.value.output.split("\n"))) <= 400


def test_only_programs_of_the_search_path_are_found(systemctl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon's own PATH does not matter."""
    monkeypatch.setenv("PATH", str(systemctl))
    other = systemctl / "other"
    other.mkdir()
    assert stat.S_IMODE((systemctl / "systemctl").stat().st_mode) == 0o755
    with pytest.raises(CommandFailed, match="cannot be run"):
        deploy.reload(HTTPD, timeout=LONG, search_path=str(other))
