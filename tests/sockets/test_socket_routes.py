"""The contract of the two sockets, asked for with the commands' own client and with curl."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import views
from msgspec.structs import replace
from views import DAY, NOW, certificate, failure, ledger, view

from certd.cli.socket_client import get, post
from certd.errors import CommandFailed, ConfigError, Refused
from certd.model.records import Idle
from certd.model.view import View
from certd.sockets import ControlSocket, StatusSocket


class Source:
    """A view that tests change."""

    def __init__(self) -> None:
        self.view: View = view()
        self.asked = 0

    def __call__(self) -> View:
        self.asked += 1
        return self.view


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def status_sock(tmp_path: Path, source: Source) -> Iterator[Path]:
    served = StatusSocket(tmp_path / "run" / "status.sock", source, lambda: NOW)
    served.open()
    yield served.path
    served.close()


def body(path: Path, *parts: str) -> tuple[int, Any]:
    reply = get(path, *parts)
    return reply.status, json.loads(reply.body)


def test_healthz_is_200_while_nothing_is_critical(status_sock: Path, source: Source) -> None:
    """Ok and warning are 200, critical is 503; the body says which and why."""
    assert body(status_sock, "healthz") == (200, {"schema": 1, "status": "ok", "problems": []})
    source.view = view([certificate(left=20 * DAY)])
    code, said = body(status_sock, "healthz")
    assert (code, said["status"]) == (200, "warning")
    source.view = view([certificate(left=-DAY)])
    code, said = body(status_sock, "healthz")
    assert (code, said["status"]) == (503, "critical")
    assert (
        said["problems"][0].items()
        >= {
            "code": "expired",
            "severity": "critical",
            "since": "2026-11-22T12:00:00Z",
            "certificate": "example.jp",
        }.items()
    )
    assert set(said["problems"][0]) == {"code", "severity", "text", "remedy", "since", "certificate"}


def test_status_and_one_certificate(status_sock: Path) -> None:
    """Everything, one of them, and a name that nobody knows."""
    code, said = body(status_sock, "status")
    assert (code, said["certificates"][0]["name"]) == (200, "example.jp")
    code, said = body(status_sock, "status", "example.jp")
    assert (code, said["certificate"]["name"], said["problems"]) == (200, "example.jp", [])
    code, said = body(status_sock, "status", "nobody")
    assert (code, said["error"]["code"]) == (404, "unknown-certificate")


def test_other_paths_and_methods(status_sock: Path) -> None:
    """404 and 405, in the one form of errors; nothing can be changed here."""
    for parts in (("",), ("statuses",), ("status", ""), ("status", "a", "b"), ("renew", "example.jp")):
        code, said = body(status_sock, *parts)
        assert (code, said["error"]["code"]) == (404, "not-found")
    reply = post(status_sock, "status")
    assert reply.status == 405
    assert json.loads(reply.body)["error"]["code"] == "method-not-allowed"


def test_metrics(status_sock: Path, source: Source) -> None:
    """Text for Prometheus, with the counters of the engine and of the socket itself."""
    source.view = view([certificate(record=Idle(ledger(failure=failure(), attempts=2)))])
    reply = get(status_sock, "metrics")
    text = reply.body.decode()
    assert reply.status == 200
    assert 'certd_certificate_not_after_seconds{name="example.jp"} 1.8006192e+09' in text
    assert "certd_orders_placed_total 3.0" in text
    assert "certd_status_socket_requests_total 1.0" in text
    assert 'certd_certificates{phase="idle"} 1.0' in text


def test_a_broken_view_does_not_hide_the_socket(tmp_path: Path) -> None:
    """If the engine cannot answer, the client is told so."""

    def broken() -> View:
        raise RuntimeError("no")

    served = StatusSocket(tmp_path / "status.sock", broken, lambda: NOW)
    served.open()
    code, said = body(served.path, "healthz")
    served.close()
    assert (code, said["error"]["code"]) == (500, "internal-error")


def test_an_answer_that_was_dear_is_given_again(tmp_path: Path, source: Source) -> None:
    """What took five seconds of processor to make is kept for fifty; what is cheap is always fresh, however slow."""
    spent = iter([0.0, 5.0, 5.0, 5.001, 5.001, 5.002])
    ticks = iter([5.0, 6.0, 56.0, 96.0, 97.0, 137.0])
    served = StatusSocket(tmp_path / "s", source, lambda: NOW, monotonic=lambda: next(ticks), cpu=lambda: next(spent))
    asked = []
    for _ in range(4):
        served._health.get()
        asked.append(source.asked)
    assert asked == [1, 1, 2, 3]


def test_one_certificate_costs_no_look_at_all_the_others_each_time(tmp_path: Path, source: Source) -> None:
    """The view is made of every certificate: where that is dear, asking for one by one must not use up a core."""
    spent, ticks = iter([0.0, 5.0, 5.0, 5.001]), iter([5.0, 6.0, 54.0, 56.0, 56.001])
    with StatusSocket(
        tmp_path / "s", source, lambda: NOW, monotonic=lambda: next(ticks), cpu=lambda: next(spent)
    ) as served:
        for asked in (1, 1, 1, 2):
            assert get(served.path, "status", "example.jp").status == 200
            assert source.asked == asked


class FakeOperator:
    """Remembers what it was asked, and answers or fails as told."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.failure: Exception | None = None

    def _do(self, *what: object) -> str:
        self.asked.append(what)
        if self.failure is not None:
            raise self.failure
        return f"{what[0]} done."

    def renew(self, name: str, now: bool) -> str:
        return self._do("renew", name, now)

    def rollback(self, name: str) -> str:
        return self._do("rollback", name)

    def forget(self, name: str) -> str:
        return self._do("forget", name)

    def reload(self) -> str:
        return self._do("reload")


@pytest.fixture
def operator() -> FakeOperator:
    return FakeOperator()


@pytest.fixture
def control_sock(tmp_path: Path, operator: FakeOperator) -> Iterator[Path]:
    with ControlSocket(tmp_path / "control.sock", operator, reload=operator.reload) as served:
        yield served.path


def test_control_requests(control_sock: Path, operator: FakeOperator) -> None:
    """Each is passed on once, and answered with a sentence."""
    assert stat.S_IMODE(control_sock.lstat().st_mode) == 0o600
    assert json.loads(post(control_sock, "renew", "a.jp").body) == {"text": "renew done."}
    post(control_sock, "renew", "a.jp", query="now=1")
    post(control_sock, "rollback", "a.jp")
    post(control_sock, "forget", "a.jp")
    assert json.loads(post(control_sock, "reload").body) == {"text": "reload done."}
    assert operator.asked == [
        ("renew", "a.jp", False),
        ("renew", "a.jp", True),
        ("rollback", "a.jp"),
        ("forget", "a.jp"),
        ("reload",),
    ]


def test_control_refusals(control_sock: Path, operator: FakeOperator) -> None:
    """409 for what cannot be done, 422 for a broken configuration, 500 for a failure; nothing else is passed on."""
    for failed, code, name in (
        (Refused("no version to go back to"), 409, "refused"),
        (ConfigError(["f:1: x: unknown key"]), 422, "config"),
        (CommandFailed("it failed"), 500, "command-failed"),
    ):
        operator.failure = failed
        reply = post(control_sock, "rollback", "a.jp")
        assert (reply.status, json.loads(reply.body)["error"]) == (code, {"code": name, "text": str(failed)})
    operator.asked.clear()
    for parts in (("renew",), ("renew", "a", "b"), ("reload", "x"), ("stop",), ("renew", "")):
        assert post(control_sock, *parts).status == 404
    assert post(control_sock, "renew", "a.jp", query="now=yes").status == 400
    assert get(control_sock, "renew", "a.jp").status == 405
    assert operator.asked == []


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_can_ask(status_sock: Path) -> None:
    """The tool that every operator has."""
    asked = subprocess.run(
        ["curl", "-sS", "--max-time", "20", "--unix-socket", str(status_sock), "http://localhost/healthz"],
        capture_output=True,
        check=True,
    )
    assert json.loads(asked.stdout)["status"] == "ok"
    assert asked.stderr == b""


def test_a_status_of_many_is_answered_whole(status_sock: Path, source: Source) -> None:
    """An answer larger than any buffer arrives complete."""
    source.view = view([replace(views.certificate(), name=f"c{n}.jp") for n in range(1000)])
    _, said = body(status_sock, "status")
    assert len(said["certificates"]) == 1000
