"""The commands, run as the program runs them, against real sockets and made-up views."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from views import DAY, NOW, certificate, failure, ledger, server, view

from certd import __version__
from certd.__main__ import main
from certd.cli.parser import language
from certd.errors import Refused
from certd.model.codes import Kind
from certd.model.records import Idle
from certd.model.view import View
from certd.sockets import ControlSocket, StatusSocket

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """English, and no debugging."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG", "CERTD_DEBUG"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A file that names the runtime directory, and is broken in every other way: the daemon runs on an older one."""
    path = tmp_path / "config.yaml"
    path.write_text(f"cas: [\nruntime_dir: {tmp_path / 'run'}  # sockets\n")
    return path


class FakeOperator:
    def __init__(self) -> None:
        self.asked: list[str] = []

    def renew(self, name: str, now: bool) -> str:
        self.asked.append(f"renew {name} {now}")
        if name == "no.jp":
            raise Refused("no.jp is not configured")
        return "ordering now"

    def rollback(self, name: str) -> str:
        self.asked.append(f"rollback {name}")
        return "going back to version 6"

    def forget(self, name: str) -> str:
        self.asked.append(f"forget {name}")
        return "deleted"


@pytest.fixture
def operator(config: Path) -> Iterator[FakeOperator]:
    answering = FakeOperator()
    with ControlSocket(config.parent / "run" / "control.sock", answering, reload=lambda: "read again"):
        yield answering


@pytest.fixture
def daemon(config: Path) -> Iterator[Callable[[View], None]]:
    """Sets what the daemon shows."""
    shown = [view()]
    with StatusSocket(config.parent / "run" / "status.sock", lambda: shown[0], lambda: NOW):
        yield lambda new: shown.__setitem__(0, new)


def run(config: Path, *words: str) -> int:
    return main(["-c", str(config), *words])


def test_version_and_usage(capsys: Capture) -> None:
    """--version prints it; wrong usage is exit code 2 on stderr."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"certd {__version__}\n"
    for words in ([], ["fly"], ["renew"], ["status", "a", "b"], ["--lang", "fr", "health"]):
        assert main(words) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert "usage: certd" in captured.err


def test_status_shows_each_certificate_and_why(config: Path, daemon: Callable[[View], None], capsys: Capture) -> None:
    """What is, what comes next, when and why; plain text where it is no terminal."""
    daemon(view([certificate(left=85 * DAY)]))
    assert run(config, "status") == 0
    out = capsys.readouterr().out
    assert "certd 0.1.0: ok; 1 certificates" in out
    row = next(line for line in out.splitlines() if line.startswith("example.jp"))
    assert row.split()[1] == "ok"
    assert "  place-order  " in row
    assert "2027-02-16 (85 days)" in row
    assert "2027-01-17 12:00 UTC (in 55 days)" in row
    assert row.endswith("The certificate is not due for renewal yet.")
    assert "server web: active, settled, generation 3 of 3 confirmed" in out
    assert "ca jprs: account registered" in out


def test_status_names_problems_with_remedies(config: Path, daemon: Callable[[View], None], capsys: Capture) -> None:
    """Each problem says what it is about, since when, and what to do."""
    failed = Idle(ledger(failure=failure(Kind.OPERATOR, "jprs:eab-invalid", "bad kid"), attempts=2))
    daemon(view([certificate(record=failed), replace(certificate(), name="fine.jp")]))
    assert run(config, "status") == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line.split()[0] for line in lines if line.startswith(("example.jp", "fine.jp"))]
    assert names == ["example.jp", "fine.jp"]
    at = next(i for i, line in enumerate(lines) if "[jprs:eab-invalid]" in line)
    assert lines[at].startswith("WARNING certificate example.jp [jprs:eab-invalid]: bad kid (since 2026-11-21")
    assert lines[at + 1].startswith("  -> ")
    assert len(lines[at + 1]) > 20


def test_status_in_japanese(config: Path, daemon: Callable[[View], None], capsys: Capture) -> None:
    """Explanations follow --lang, before or after the command."""
    daemon(view([certificate(left=5 * DAY)]))
    assert run(config, "status", "--lang", "ja") == 0
    out = capsys.readouterr().out
    assert "有効期限" in out
    assert "更新されないまま、証明書の有効期限が近づいています。" in out
    assert main(["--lang", "ja", "-c", str(config), "status", "example.jp"]) == 0
    assert "更新時期になりました。" in capsys.readouterr().out


def test_status_of_one_in_full(config: Path, daemon: Callable[[View], None], capsys: Capture) -> None:
    """All that is known; and a clear word for a name that nobody knows."""
    failed = Idle(ledger(failure=failure(text="\x1b[31mred"), attempts=2))
    daemon(view([certificate(record=failed)]))
    assert run(config, "status", "example.jp") == 0
    out = capsys.readouterr().out
    assert "domains:     example.jp www.example.jp" in out
    assert "\x1b" not in out
    assert "attempts:    2 since 2026-11-21 12:00 UTC (2 days ago)" in out
    assert run(config, "status", "nobody.jp") == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "certd: There is no certificate of that name.\n"


def test_a_long_list_is_cut_but_never_a_problem(config: Path, daemon: Callable[[View], None], capsys: Capture) -> None:
    """Those with problems come first and are all shown; --all shows everything."""
    fine = [replace(certificate(), name=f"a{n}.jp") for n in range(200)]
    bad = [replace(certificate(left=-DAY), name=f"z{n}.jp") for n in range(60)]
    daemon(view([*fine, *bad]))
    assert run(config, "status") == 0
    out = capsys.readouterr().out
    rows = [line.split()[0] for line in out.splitlines() if line.startswith(("a", "z")) and ".jp" in line]
    assert len(rows) == 60
    assert all(row.startswith("z") for row in rows)
    assert "... and 200 more without problems" in out
    assert run(config, "status", "--all") == 0
    out = capsys.readouterr().out
    assert sum(1 for line in out.splitlines() if line.startswith("a")) == 200


def test_status_json_is_the_daemon_s_own(config: Path, daemon: Callable[[View], None], capsys: Capture) -> None:
    """Nothing but JSON on stdout."""
    assert run(config, "status", "--json") == 0
    assert json.loads(capsys.readouterr().out)["certificates"][0]["name"] == "example.jp"
    assert run(config, "status", "example.jp", "--json") == 0
    assert json.loads(capsys.readouterr().out)["certificate"]["name"] == "example.jp"


def test_status_on_a_terminal(config: Path, daemon: Callable[[View], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that folds; names are never taken for markup."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    daemon(view([certificate(), replace(certificate(left=-DAY), name="[red]x")]))
    screen = Terminal()
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(sys, "stdout", screen)
    assert run(config, "status") == 0
    assert "[red]x" in screen.getvalue()
    assert "example.jp" in screen.getvalue()


@pytest.mark.parametrize(
    ("left", "code", "word"), [(60, 0, "OK: no problems"), (20, 1, "WARNING"), (5, 2, "CRITICAL"), (-1, 2, "CRITICAL")]
)
def test_health_is_one_line_and_an_exit_code(
    config: Path, daemon: Callable[[View], None], capsys: Capture, left: int, code: int, word: str
) -> None:
    """The habit of monitoring plug-ins."""
    daemon(view([certificate(left=left * DAY)]))
    assert run(config, "health") == code
    out = capsys.readouterr().out
    assert out.startswith(f"CERTD {word}")
    assert out.count("\n") == 1


def test_health_sums_up_many_problems(config: Path, daemon: Callable[[View], None], capsys: Capture) -> None:
    """Still one line, with the worst first."""
    daemon(view([replace(certificate(left=-DAY), name=f"c{n}.jp") for n in range(9)], [server(not_served=("a",))]))
    assert run(config, "health") == 2
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert out.startswith("CERTD CRITICAL: certificate c0.jp: The live certificate expired")
    assert out.endswith(" | and 7 more\n")


def test_without_a_daemon(config: Path, capsys: Capture) -> None:
    """One sentence with the socket's path and how to start: exit 1, and for health 2."""
    assert run(config, "health") == 2
    assert capsys.readouterr().out.startswith("CERTD CRITICAL: certd does not run: nobody answers on ")
    for words in (["status"], ["status", "a"], ["renew", "a"], ["rollback", "a"], ["forget", "a", "--yes"]):
        assert run(config, *words) == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        assert str(config.parent / "run") in captured.err
        assert "systemctl start certd" in captured.err
        assert captured.err.count("\n") == 1


def test_what_answers_is_not_certd(config: Path, capsys: Capture) -> None:
    """An answer that is not understood is unknown, not healthy."""

    class Odd(StatusSocket):
        def _route(self, request: object) -> object:  # type: ignore[override]
            from certd.sockets.http import Response

            return Response(200, b"<html>", "text/html")

    with Odd(config.parent / "run" / "status.sock", view, lambda: NOW):
        assert run(config, "health") == 3
        assert capsys.readouterr().out.startswith("CERTD UNKNOWN: ")
        assert run(config, "status") == 1
        assert "not understood" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
def test_without_permission(config: Path, daemon: Callable[[View], None], capsys: Capture) -> None:
    """Told as such: it says nothing about the daemon's health."""
    (config.parent / "run" / "status.sock").chmod(0)
    assert run(config, "health") == 3
    assert "no permission" in capsys.readouterr().out


def test_renew_asks_for_each(config: Path, operator: FakeOperator, capsys: Capture) -> None:
    """One answer a line; a refusal goes to stderr and makes it exit code 1, without stopping the others."""
    assert run(config, "renew", "a.jp", "b.jp") == 0
    assert capsys.readouterr().out == "a.jp: ordering now\nb.jp: ordering now\n"
    assert run(config, "renew", "--now", "no.jp", "a.jp") == 1
    captured = capsys.readouterr()
    assert captured.out == "a.jp: ordering now\n"
    assert captured.err == "certd: no.jp is not configured\n"
    assert operator.asked == ["renew a.jp False", "renew b.jp False", "renew no.jp True", "renew a.jp True"]


def test_rollback_and_forget(config: Path, operator: FakeOperator, capsys: Capture) -> None:
    """Passed on; without a terminal nothing is asked."""
    assert run(config, "rollback", "a.jp") == 0
    assert run(config, "forget", "a.jp", "--yes") == 0
    assert operator.asked == ["rollback a.jp", "forget a.jp"]


def test_a_name_cannot_reach_another_request(config: Path, operator: FakeOperator, capsys: Capture) -> None:
    """Slashes and question marks stay part of the name, or are refused."""
    assert run(config, "rollback", "../forget/a.jp") == 1
    assert run(config, "rollback", "a.jp?now=1") == 0
    assert operator.asked == ["rollback a.jp?now=1"]


@pytest.mark.parametrize(("typed", "code", "asked"), [("a.jp\n", 0, ["forget a.jp"]), ("\n", 1, []), ("", 1, [])])
def test_forget_asks_a_person(
    config: Path, operator: FakeOperator, monkeypatch: pytest.MonkeyPatch, typed: str, code: int, asked: list[str]
) -> None:
    """Keys cannot be brought back, so a person types the name."""

    class Keyboard(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Keyboard(typed))
    assert run(config, "forget", "a.jp") == code
    assert operator.asked == asked


GOOD = """\
state_dir: {0}/state
runtime_dir: {0}/run
cas:
  lab:
    directory: https://ca.example.jp/dir
    contact: [ops@example.jp]
    terms_of_service_agreed: true
defaults:
  ca: lab
  challenge: {{type: http-01, webroot: {0}}}
certificates:
  - domains: [example.jp]
"""


def test_check(tmp_path: Path, capsys: Capture) -> None:
    """A summary on stdout for what can be used; errors with file and line on stderr, and exit code 2."""
    path = tmp_path / "config.yaml"
    path.write_text(GOOD.format(tmp_path))
    assert run(path, "check") == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("OK: 1 certificate, 1 CA, ")
    path.write_text(GOOD.format(tmp_path) + "surprise: 1\n")
    assert run(path, "check") == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"{path}:13: surprise: " in captured.err
    assert run(tmp_path / "missing.yaml", "check") == 2


def test_check_schema(capsys: Capture) -> None:
    """The JSON Schema needs no configuration file."""
    assert main(["check", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out)["$schema"].startswith("https://json-schema.org/")


def test_explain(capsys: Capture) -> None:
    """Own codes, problem types and a CA's messages; exit code 1 for what nobody knows."""
    assert main(["explain", "ocsp-delay"]) == 0
    assert "What to do: Nothing;" in capsys.readouterr().out
    assert main(["explain", "rateLimited"]) == 0
    assert "What certd does" in capsys.readouterr().out
    assert main(["--lang", "ja", "explain", "urn:ietf:params:acme:error:caa"]) == 0
    assert "対処方法" in capsys.readouterr().out
    assert main(["explain", "gobbledygook"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "nothing is known" in captured.err


def test_an_error_nobody_foresaw_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, config: Path, capsys: Capture
) -> None:
    """A traceback is for developers who ask for it."""

    def broken(*_: object, **__: object) -> int:
        raise RuntimeError("odd\nthing")

    monkeypatch.setattr("certd.cli.explain.explain", broken)
    assert main(["explain", "x"]) == 1
    err = capsys.readouterr().err
    assert "RuntimeError: odd\\nthing" in err
    assert err.count("\n") == 1
    monkeypatch.setenv("CERTD_DEBUG", "1")
    assert main(["explain", "x"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends with the shell's own code."""

    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("certd.cli.explain.explain", interrupted)
    assert main(["explain", "x"]) == 130


def test_a_reader_that_leaves_is_no_error() -> None:
    """`certd ... | head` ends quietly."""
    code = "import sys; from certd.__main__ import main; sys.exit(main(['check', '--schema']))"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        assert child.stderr.read() == b""
        assert child.wait(60) == 0


@pytest.mark.parametrize(
    ("words", "code"),
    [("--version", 0), ("check --schema", 0), ("health", 2), ("status", 1), ("prepare", 2), ("forget a.jp", 1)],
)
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_nobody(words: str, code: int, closed: str, config: Path) -> None:
    """What would be written there is lost, and nothing else changes."""
    done = in_a_shell(f"-c {config} {words} {closed}")
    assert done.returncode == code
    assert "nobody foresaw" not in done.stderr
    assert bool(done.stderr) == (code != 0 and words != "health" and "2>&-" not in closed)


def test_a_closed_stream_does_not_become_a_file(config: Path) -> None:
    """Its number would go to the next file that is opened, and what is said would be written into that."""
    code = "import os, sys; from certd.__main__ import main; main(['--version']); sys.exit(os.open('/', os.O_RDONLY))"
    done = subprocess.run(["/bin/sh", "-c", '"$@" <&- >&- 2>&-', "sh", sys.executable, "-c", code], check=False)
    assert done.returncode > 2


@pytest.mark.parametrize(("words", "code"), [("health", 3), ("check --schema", 1), ("explain ca-held", 1)])
def test_an_answer_that_cannot_be_written(words: str, code: int, config: Path) -> None:
    """It is said once; of the health nothing is known, which is neither a warning nor good."""
    done = in_a_shell(f"-c {config} {words} >/dev/full")
    assert done.returncode == code
    assert done.stderr.count("\n") == 1
    assert "No space left" in done.stderr
    assert in_a_shell(f"-c {config} {words} >/dev/full 2>/dev/full").returncode == code


def test_an_error_nobody_foresaw_says_nothing_about_the_health(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """Exit code 3, unknown: 1 would be a warning of the daemon's."""

    def broken(*_: object) -> int:
        raise RuntimeError("what?")

    monkeypatch.setattr("certd.cli.show.health", broken)
    assert run(config, "health") == 3
    assert "nobody foresaw" in capsys.readouterr().err


def test_a_word_that_is_no_text(
    config: Path, daemon: Callable[[View], None], operator: FakeOperator, capsys: Capture
) -> None:
    """Bytes that are not UTF-8 name no certificate; the daemon is asked all the same, and says so."""
    word = os.fsdecode(b"a\xff.jp")
    assert run(config, "status", word) == 1
    assert "nobody foresaw" not in capsys.readouterr().err
    assert run(config, "renew", word) == 1
    assert "nobody foresaw" not in capsys.readouterr().err
    assert operator.asked == []


def in_a_shell(words: str) -> subprocess.CompletedProcess[str]:
    """`words` go to certd as a shell reads them."""
    command = f"{sys.executable} -m certd {words}"
    root = Path(__file__).parents[2]
    return subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False, cwd=root)


def test_asking_is_light() -> None:
    """A health check every minute does not load the HTTP client, the scheduler, tables or cryptography."""
    code = (
        "import sys; from certd.__main__ import main; main(['-c', '/nonexistent', 'health']);"
        "heavy = ('requests', 'rich', 'apscheduler', 'cryptography', 'prometheus_client');"
        "print([module for module in heavy if module in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, "en"),
        ({"LANG": "ja_JP.UTF-8"}, "ja"),
        ({"LANG": "ja_JP.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "en_US", "LC_MESSAGES": "ja_JP"}, "ja"),
    ],
)
def test_the_language_of_the_environment(environ: dict[str, str], wanted: str) -> None:
    """The usual variables, in their usual order."""
    assert language(environ) == wanted


def test_the_control_socket_is_for_its_owner_only(config: Path, operator: FakeOperator) -> None:
    """Mode 0600."""
    assert stat.S_IMODE((config.parent / "run" / "control.sock").lstat().st_mode) == 0o600
