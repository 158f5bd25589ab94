"""The wiring: what a broken file or a reload does to the process. Signals and sockets are tested in tests/system."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from certd import logs, pki
from certd.challenges import OPTIONS
from certd.config import load
from certd.daemon.patience import longest_after, longest_look
from certd.daemon.process import Process
from certd.errors import ConfigError, StateError
from certd.model.codes import Code
from certd.model.records import AccountLedger, Registered
from certd.model.specs import Config, KeyType
from certd.model.view import Subject, SubjectKind

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    """A reload sets logging up anew."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def write(root: Path, names: tuple[str, ...] = ("a.example.jp", "b.example.jp"), **top: Any) -> Path:
    """A configuration whose CA is not asked in any of these tests."""
    path = root / "config.yaml"
    ca = {"directory": "https://ca.example.jp/dir", "terms_of_service_agreed": True}
    whole = {
        "state_dir": str(root / "state"),
        "runtime_dir": str(root / "run"),
        "cas": {"one": ca},
        "defaults": {"challenge": {"type": "http-01", "webroot": str(root)}},
        "certificates": [{"domains": [name]} for name in names],
    }
    path.write_text(yaml.safe_dump(whole | top))
    return path


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    with Process(load(write(tmp_path), solvers=OPTIONS), purpose="test") as process:
        yield process


@pytest.mark.parametrize("user", [0, 4242], ids=["root", "another"])
def test_a_state_directory_that_cannot_be_looked_at(user: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory on the way that lets nobody through is an error with a name, whoever meets it."""
    (tmp_path / "loop").symlink_to("loop")
    config = load(write(tmp_path, state_dir=str(tmp_path / "loop" / "state")), solvers=OPTIONS)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    with pytest.raises(StateError, match=r"cannot (look at|create) .*/loop/state: "):
        Process(config, purpose="certd prepare")


def test_prepare_goes_on_and_says_that_it_failed(tmp_path: Path) -> None:
    """What is in the way of one certificate is named, and costs the exit code; the other gets its placeholder."""
    config = write(tmp_path)
    (tmp_path / "state/live/a.example.jp").mkdir(parents=True)
    argv = [sys.executable, "-m", "certd", "-c", str(config), "prepare"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "a.example.jp is not a symbolic link, which certd did not make" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "state/live/b.example.jp/apache.conf").is_file()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can get into another user's directory")
@pytest.mark.parametrize("command", ["run", "once", "prepare"])
def test_root_writes_nothing_into_the_directory_of_the_daemon_s_user(tmp_path: Path, command: str) -> None:
    """One sentence with the command to run instead; nothing was touched."""
    config = write(tmp_path)
    state = tmp_path / "state"
    state.mkdir()
    os.chown(state, 65534, -1)
    argv = [sys.executable, "-m", "certd", "-c", str(config), command]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert f"{state} belongs to user nobody" in done.stderr
    assert f"runuser -u nobody -- certd {command}" in done.stderr
    assert list(state.iterdir()) == []


def test_a_reload_with_something_in_the_way(tmp_path: Path, process: Process) -> None:
    """The new configuration is taken all the same, and the others get what they need."""
    (tmp_path / "state/live/c.example.jp").mkdir()
    write(tmp_path, ("a.example.jp", "c.example.jp", "d.example.jp"))
    assert process.reload() == "the configuration is read: 3 certificates"
    assert (tmp_path / "state/live/d.example.jp/apache.conf").is_file()
    broken = {one.name: one.broken for one in process.view().certificates if one.broken}
    assert list(broken) == ["c.example.jp"]


def test_a_ca_that_comes_with_a_reload(tmp_path: Path, process: Process) -> None:
    """Its account, which is on the disk, is used from then on; a reload that is refused changes no CA."""
    directory = "https://ca.example.jp/two"
    process._store.write_account_key("two", pki.generate_key(KeyType.P256))
    process._store.save_account("two", Registered(directory, "https://ca.example.jp/account/2", NOW, AccountLedger()))
    ca = {"directory": directory, "terms_of_service_agreed": True}
    write(tmp_path, cas={"two": ca})
    process.reload()
    client = process._world._authorities.client("two")
    assert client.account_url == "https://ca.example.jp/account/2"
    write(tmp_path, cas={"two": ca | {"directory": "https://ca.example.jp/elsewhere"}})
    with pytest.raises(ConfigError, match="needs another name"):
        process.reload()
    assert process._world._authorities.client("two") is client


@pytest.mark.parametrize("key", ["state_dir", "runtime_dir"])
def test_directories_do_not_change_while_it_runs(tmp_path: Path, process: Process, key: str) -> None:
    """The old configuration stays, and the error says what to do."""
    change: dict[str, Any] = {key: str(tmp_path / "elsewhere")}
    write(tmp_path, **change)
    with pytest.raises(ConfigError, match=f"{key}: a change needs a restart"):
        process.reload()
    assert "needs a restart" in (process.view().config_error or "")


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"http": {"proxy": "http://127.0.0.1:3128"}}, "http.proxy"),
        ({"http": {"timeout": "10s"}}, "http.timeout"),
        ({"limits": {"workers": 4}}, "limits.workers"),
        ({"status_group": "root"}, "status_group"),
    ],
)
def test_what_has_to_wait_for_a_restart_is_said(
    tmp_path: Path, process: Process, capsys: pytest.CaptureFixture[str], change: dict[str, Any], key: str
) -> None:
    """A setting that only a start can use must not seem to be in force, however often the file is read."""
    logs.set_up(process.engine.config.log_level)  # as a reload does, to the same stderr
    write(tmp_path, **change)
    for _ in range(2):
        process.reload()
        said = capsys.readouterr().err
        assert f"{key}: the change waits for a restart" in said
        assert said.count("waits for a restart") == 1
    write(tmp_path)
    process.reload()
    assert "waits for a restart" not in capsys.readouterr().err, "it is as it was at the start"


def test_after_commands_are_given_their_time(tmp_path: Path) -> None:
    """All that one server may have to run, one after the other; the watchdog must not end certd for that."""
    assert longest_after(load(write(tmp_path), solvers=OPTIONS)) == timedelta()
    after = [{"command": ["/bin/true"], "timeout": "50m"}, {"command": ["/bin/true"]}]
    servers = {
        "web": {"reload": {"service": "httpd"}, "after": after},
        "mail": {"reload": {"service": "postfix"}, "after": after[1:]},
    }
    defaults = {"challenge": {"type": "http-01", "webroot": str(tmp_path)}, "deploy": ["web", "mail"]}
    config = load(write(tmp_path, servers=servers, defaults=defaults), solvers=OPTIONS)
    assert longest_after(config) == 2 * timedelta(minutes=51)


def test_the_troubles_of_all_parts_are_seen(tmp_path: Path) -> None:
    """The engine's own are not lost among those of the daemon."""
    config = load(write(tmp_path), solvers=OPTIONS)
    (tmp_path / "state").mkdir()
    (tmp_path / "state/daemon.json").write_text("{")
    (tmp_path / "state/alarms.json").write_text(json.dumps({"schema": 99}))
    with Process(config, purpose="test") as process:
        texts = [trouble.text for trouble in process.view().troubles]
        assert {trouble.code for trouble in process.view().troubles} == {Code.RECORD_BROKEN}
    assert [name for name in ("daemon.json", "alarms.json") if any(name in text for text in texts)] == [
        "daemon.json",
        "alarms.json",
    ]


def test_once_that_is_cut_off_has_failed(tmp_path: Path) -> None:
    """A CA that accepts and says nothing holds a thread when SIGTERM comes: the exit code tells of what is not done."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ca = {"directory": f"https://127.0.0.1:{silent.getsockname()[1]}/dir", "terms_of_service_agreed": True}
        argv = [sys.executable, "-m", "certd", "-c", str(write(tmp_path, cas={"one": ca})), "once"]
        with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as running:
            silent.settimeout(60)
            with silent.accept()[0]:
                running.terminate()
                _, said = running.communicate(timeout=60)
    assert "Some work did not end in time" in said
    assert running.returncode == 1


@pytest.mark.parametrize("command", ["run", "once", "prepare"])
def test_why_it_does_not_start_is_an_error_in_the_journal(tmp_path: Path, command: str) -> None:
    """Mistakes in the configuration, and whatever else: each line has its priority, for who looks for errors only."""
    (tmp_path / "state").write_text("in the way")
    for mistakes, code, lines in (({"state_dir": "var", "keep_versions": 0}, 2, 2), ({}, 1, 1)):
        argv = [sys.executable, "-m", "certd", "-c", str(write(tmp_path, **mistakes)), command]
        environ = {**os.environ, "INVOCATION_ID": "x"}
        done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == code
        assert [line[:3] for line in done.stderr.splitlines()] == ["<3>"] * lines


def test_a_signal_to_reload_never_ends_the_daemon(
    process: Process, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever reading the file comes to, also what nobody foresaw: it is told, and the old one stays at work."""
    monkeypatch.setattr("certd.daemon.process.load", lambda *_, **__: [][0])
    process._reload = True
    assert not process._turn()
    assert "IndexError" in (process.view().config_error or "")
    assert "certd goes on" in caplog.text


def test_looks_at_many_certificates_are_given_their_time(tmp_path: Path) -> None:
    """Two thousand at a port that swallows packets take longer than what hangs may take: they are no reason to be
    killed by the watchdog in the middle of a deployment, again and again."""
    verify = {"connect": ["192.0.2.1:443", "192.0.2.2:443"]}
    assert longest_look(looked_at(tmp_path, 2000, verify)) == timedelta(seconds=2 * 3 * 5 * (1 + 1999 / 16))
    assert longest_look(load(write(tmp_path), solvers=OPTIONS)) == timedelta(0)


@pytest.mark.parametrize(("sets", "rounds"), [(1, 1), (17, 2)])
def test_a_look_at_many_names_of_one_set_is_given_its_time(tmp_path: Path, sets: int, rounds: int) -> None:
    """Nothing of one set is done at once, and the seventeenth has to wait for a thread."""
    names = [f"{letter}.example.jp" for letter in "abcdefghijklmnopqrst"]
    verify = {"connect": ["192.0.2.1:443", "192.0.2.2:443"], "names": names}
    assert longest_look(looked_at(tmp_path, sets, verify)) == rounds * timedelta(seconds=20 * 2 * 3 * 5)


def looked_at(root: Path, sets: int, verify: dict[str, Any]) -> Config:
    """So many certificates of one server, each of which is looked at in the same way."""
    deploy = {"reload": {"service": "httpd"}, "verify": verify}
    certificates = [{"domains": [f"{number}.example.jp"], "deploy": deploy} for number in range(sets)]
    return load(write(root, certificates=certificates), solvers=OPTIONS)


def test_idle_servers_are_looked_at_now_and_then(tmp_path: Path) -> None:
    """Health says how they are, also where nothing is due for weeks."""
    servers = {"web": {"reload": {"command": ["/bin/true"]}, "verify": False}}
    config = load(write(tmp_path, servers=servers), solvers=OPTIONS)
    with Process(config, purpose="test") as process:
        due = process._tick(Subject(SubjectKind.SERVER, "web"))
        assert due <= process.view().started_at + timedelta(minutes=6)
