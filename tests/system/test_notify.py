"""Alarms of the real daemon: a real command, a real webhook, and a SIGKILL at the worst moment."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from parts import Certd, eventually, free_port
from peers import Peer, answer, peer, read_request

CODE = "transport:connect-failed"
"""Nobody is at home at the CA, and a certificate waits for it: told at once."""

TELL = """
import json, os, pathlib, signal, sys
got = pathlib.Path(sys.argv[1])
with got.open("a") as file:
    file.write(sys.stdin.readline())
if sys.argv[2] == "kill" and len(got.read_text().splitlines()) == 1:
    os.kill(os.getppid(), signal.SIGKILL)
"""


def config(root: Path, notify: Any) -> dict[str, Any]:
    (root / "webroot").mkdir(exist_ok=True)
    return {
        "cas": {"away": {"directory": f"https://127.0.0.1:{_nobody()}/", "terms_of_service_agreed": True}},
        "defaults": {"challenge": {"type": "http-01", "webroot": str(root / "webroot")}},
        "certificates": [{"domains": ["example.test"]}],
        "notify": notify,
    }


@cache
def _nobody() -> int:
    """A port where nobody listens, the same for every configuration of a test."""
    return free_port()


def command(root: Path, word: str = "tell") -> dict[str, Any]:
    program = root / "tell.py"
    program.write_text(TELL)
    return {"command": [sys.executable, str(program), str(root / "told"), word]}


def told(root: Path) -> list[dict[str, Any]]:
    """The notices that the command got, those that were delivered twice twice."""
    path = root / "told"
    lines = path.read_text().splitlines() if path.exists() else []
    return [notice for line in lines for notice in json.loads(line)["notices"]]


@pytest.fixture
def certd(tmp_path: Path) -> Iterator[Certd]:
    made = Certd(tmp_path, {})
    yield made
    made.stop()


def test_killed_after_a_delivery_it_delivers_again_and_then_no_more(certd: Certd, tmp_path: Path) -> None:
    """The command itself kills certd before it can record the delivery; the next daemon tells the same again, once."""
    certd.configure(config(tmp_path, command(tmp_path, "kill")))
    certd.start()
    eventually(lambda: not certd.process.is_running(), "the command kills certd")
    first = told(tmp_path)
    assert CODE in {notice["code"] for notice in first}
    certd.start()
    eventually(lambda: len(told(tmp_path)) >= 2 * len(first), "it is told again")
    eventually(lambda: not pending(certd), "the delivery is recorded")
    certd.stop()
    assert [one["id"] for one in told(tmp_path)].count(first[0]["id"]) == 2
    before = told(tmp_path)
    (tmp_path / "new").mkdir()
    certd.configure(config(tmp_path, [command(tmp_path, "kill"), command(tmp_path / "new")]))
    certd.start()
    eventually(lambda: CODE in {one["code"] for one in told(tmp_path / "new")}, "a new command is told what stands")
    eventually(lambda: not pending(certd), "every delivery is recorded")
    certd.stop()
    assert [one for one in told(tmp_path)[len(before) :] if one["code"] == CODE] == [], "the other one is not"


def test_a_webhook_that_hangs_is_nobody_elses_trouble(certd: Certd, tmp_path: Path) -> None:
    """The command is told, the sockets answer, health names the webhook by its host; the daemon stops in time."""
    with peer(lambda sock: _hang(hook, sock)) as hook:
        webhook = {"webhook": hook.url("/services/S3CRET"), "timeout": "1s", "lang": "ja"}
        certd.configure(config(tmp_path, [webhook, command(tmp_path)]))
        certd.start()
        eventually(lambda: "notify-failed" in {notice["code"] for notice in told(tmp_path)}, "the command is told")
        assert hook.accepted >= 1
        problem = next(one for one in certd.health()["problems"] if one["code"] == "notify-failed")
        assert f"POST http://127.0.0.1:{hook.port}: time ran out" in problem["text"]
        certd.stop()
    seen = certd.log.read_text() + (certd.state_dir / "alarms.json").read_text() + json.dumps(problem)
    assert "S3CRET" not in seen


def test_a_webhook_that_comes_with_a_reload_is_told_what_stands(certd: Certd, tmp_path: Path) -> None:
    """No restart is needed; the text is in the language that was asked for."""
    requests: list[bytes] = []

    def take(sock: socket.socket) -> None:
        requests.append(read_request(sock))
        sock.sendall(answer())

    certd.configure(config(tmp_path, None))
    certd.start()
    eventually(lambda: CODE in certd.problems(), "health names it")
    assert not (certd.state_dir / "alarms.json").exists()
    with peer(take) as hook:
        certd.configure(config(tmp_path, {"webhook": hook.url("/in"), "lang": "ja"}))
        certd.reload()
        eventually(lambda: requests, "the webhook is told")
        eventually(lambda: not pending(certd), "the delivery is recorded")
        certd.stop()
    message = json.loads(requests[0].partition(b"\r\n\r\n")[2])
    assert CODE in {notice["code"] for notice in message["notices"]}
    assert "certd: " in message["text"]
    assert not message["text"].isascii()


def pending(certd: Certd) -> bool:
    record = json.loads((certd.state_dir / "alarms.json").read_text())
    return any(outlet["pending"] for outlet in record["outlets"])


def _hang(hook: Peer, sock: socket.socket) -> None:
    read_request(sock)
    hook.stopped.wait(60)
