"""`certd demo` whole: its story in order, its proofs, its end, and that nothing is left of it."""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from layering import ROOT
from parts import eventually

from certd.lab import httpd
from certd.lab.demo import configuration, daemon, run

needs_apache = pytest.mark.skipif(httpd.find_binary() is None, reason="no httpd or apache2 on this machine")

ACT = (
    r"order placed \({because}\)",
    r"issued, serial [0-9a-f]+",
    r"OCSP unknown; the gate is closed, {old} stays",
    r"OCSP good; the gate is open",
    r"swapped",
    r"reloaded",
    r"= +served and verified: example\.test, www\.example\.test, shop\.example\.test",
    r"= +example\.test: {old} \([0-9a-f]+\.\.\) was served until the gate opened: (\d+) of \1 handshakes; 0 of",
    r"= +shop\.example\.test: {old} \([0-9a-f]+\.\.\) was served until the gate opened: (\d+) of \1 handshakes; 0 of",
    r"= +one reload for 2 certificates",
    r"= +in the CA's books: 1 account, {orders} orders, all valid; 0 of",
)
STORY = (
    r"lab CA at https://127\.0\.0\.1:\d+/",
    r"\$ +certd prepare",
    r"with self-signed placeholders",
    r"1\. The first certificates",
    r"registered with EAB kid lab-",
    *(line.format(because="no-live-certificate", old="the placeholder", orders=2) for line in ACT),
    r"2\. A renewal",
    r"\$ +certd renew example\.test shop\.example\.test",
    *(line.format(because="requested", old="the old certificate", orders=4) for line in ACT),
    r"= +CERTD OK",
)
"""What the timeline shows, in this order."""


def _assert_story(text: str) -> None:
    at = 0
    for wanted in STORY:
        found = re.compile(wanted).search(text, at)
        assert found, f"{wanted!r} is missing, or not where it belongs:\n{text}"
        at = found.start() + 1
    assert "  !  " not in text


def _place(text: str) -> Path:
    found = re.search(r"/\S*/certd-demo-\w+", text)
    assert found, text
    return Path(found[0])


def _processes(place: Path) -> list[str]:
    """The command lines that name the place."""
    lines = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(entry.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return [line for line in lines if str(place) in line]


def _assert_nothing_left(text: str) -> None:
    assert not _place(text).exists()
    assert _processes(_place(text)) == []


@needs_apache
def test_the_command_shows_it_all_with_apache():
    """`certd demo`: exit 0, the story in order, a real Apache, nothing left."""
    argv = [sys.executable, "-m", "certd", "demo"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=200, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    _assert_story(done.stdout)
    assert re.search(r"Apache/2\S* \(/\S+\) on ports", done.stdout)
    assert "\x1b" not in done.stdout
    assert "Nothing is left behind" in done.stdout
    _assert_nothing_left(done.stdout)


def test_without_apache_the_small_server_takes_its_place(monkeypatch):
    """The same story; and with `keep` the files stay for a look, but no process does."""
    monkeypatch.setattr(configuration, "DELAY", 5)
    monkeypatch.setattr(configuration, "OCSP_LAG", 3)
    out = io.StringIO()
    code = run(apache=False, keep=True, out=out)
    place = _place(out.getvalue())
    try:
        assert code == 0, out.getvalue()
        _assert_story(out.getvalue())
        assert "a small TLS server on ports" in out.getvalue()
        assert _processes(place) == []
        assert f"The files are kept in {place}" in out.getvalue()
        assert "Reloaded and verified." in (place / "certd.log").read_text()
        assert "propagation_delay: 5s" in (place / "config.yaml").read_text()
    finally:
        shutil.rmtree(place)


@pytest.fixture
def unprivileged() -> Iterator[list[str]]:
    """How to run Python with certd as nobody: an argv to be completed."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("to become another user takes root and setpriv; without root every other test is this one")
    # env: setpriv itself still has root's capabilities when it runs a program, that program's own children have none.
    as_nobody = [str(shutil.which("setpriv")), "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/env"]

    def works(*argv: str) -> bool:
        return subprocess.run([*as_nobody, *argv], capture_output=True, cwd="/", check=False).returncode == 0

    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    pythons = [name for name in (os.path.realpath(sys.executable), f"/usr/bin/{version}") if works(name, "-c", "")]
    if not pythons:
        pytest.skip(f"no {version} that other users may run")
    directory = Path(tempfile.mkdtemp(prefix="certd-nobody-"))
    try:
        directory.chmod(0o755)
        subprocess.run([pythons[0], "-m", "venv", "--without-pip", directory / "venv"], check=True)
        packages = directory / "venv" / "lib" / version / "site-packages" / "certd.pth"
        packages.write_text(f"{sysconfig.get_path('purelib')}\n{ROOT}\n")
        python = str(directory / "venv" / "bin" / "python")
        if not works(python, "-c", "import certd.lab, msgspec"):
            pytest.skip("other users may not read this work tree")
        yield [*as_nobody, python, "-B"]
    finally:
        shutil.rmtree(directory)


@needs_apache
def test_it_needs_no_root(unprivileged):
    """Another user, no home, an empty PATH: the same story with Apache."""
    shorter = "import sys; from certd.lab.demo import configuration as c, run; c.DELAY, c.OCSP_LAG = 5, 3; "
    shorter += "sys.exit(run())"
    environment = {"HOME": "/nonexistent", "PATH": ""}
    done = subprocess.run(
        [*unprivileged, "-c", shorter],
        capture_output=True,
        text=True,
        timeout=200,
        cwd="/",
        env=environment,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    _assert_story(done.stdout)
    assert "Apache/2" in done.stdout
    _assert_nothing_left(done.stdout)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_leaves_nothing(tmp_path, number):
    """The exit code is the shell's, 128 and the signal's number; all processes end, the files go."""
    log = tmp_path / "out"
    shown = "import sys; from certd.lab.demo import run; sys.exit(run(apache=False))"
    with log.open("wb") as out:
        demo = subprocess.Popen([sys.executable, "-c", shown], stdout=out, stderr=out)
    try:
        eventually(lambda: "order placed" in log.read_text(), "an order")
        place = _place(log.read_text())
        assert len(_processes(place)) >= 2  # certd and the web server
        demo.send_signal(number)
        assert demo.wait(60) == 128 + number
    finally:
        if demo.poll() is None:
            demo.terminate()
            demo.wait(60)
    assert f"interrupted by {number.name}" in log.read_text()
    _assert_nothing_left(log.read_text())


BROKEN = """
import sys
if "run" in sys.argv:
    sys.stderr.write("2026-11-23T09:00:00.000Z ERROR The disk is full. certificate=example.test\\n")
    sys.exit(3)
from certd.__main__ import main
sys.exit(main())
"""


def test_a_failure_names_its_step_and_shows_the_log(monkeypatch, tmp_path):
    """certd that ends by itself: exit 1, what it said last, and nothing left all the same."""
    script = tmp_path / "broken.py"
    script.write_text(BROKEN)
    monkeypatch.setattr(daemon, "COMMAND", (sys.executable, str(script)))
    out = io.StringIO()
    assert run(apache=False, out=out) == 1
    text = out.getvalue()
    assert "!  certd warns: The disk is full. certificate=example.test" in text
    assert "failed at the first certificates: certd ended by itself, with 3" in text
    assert "The end of certd's log:\n  2026-11-23T09:00:00.000Z ERROR The disk is full." in text
    assert "Done in" not in text
    _assert_nothing_left(text)


def test_a_command_that_fails_is_told(monkeypatch):
    """`certd prepare` already."""
    monkeypatch.setattr(daemon, "COMMAND", (sys.executable, "-c", "import sys; sys.exit('no\\x1b luck')"))
    out = io.StringIO()
    assert run(apache=False, out=out) == 1
    assert r"failed at certd prepare: certd prepare ended with 1: no\x1b luck" in out.getvalue()
    _assert_nothing_left(out.getvalue())


class _Closed(io.StringIO):
    def write(self, text: str) -> int:
        if "prepare" in text:
            raise BrokenPipeError
        return super().write(text)


def test_a_reader_that_goes_away_ends_it():
    """`certd demo | head`: the error is the caller's to handle, the files are gone."""
    out = _Closed()
    with pytest.raises(BrokenPipeError):
        run(apache=False, out=out)
    _assert_nothing_left(out.getvalue())
