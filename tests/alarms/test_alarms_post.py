"""certd.alarms.post: real commands and real webhooks on the loopback."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from peers import answer, peer, read_request, replying
from views import NOW

from certd.alarms import Post
from certd.alarms.message import Message, message
from certd.alarms.post import outlet_id
from certd.errors import NotifyFailed
from certd.model.alarms import Change, Key, Level, Notice
from certd.model.specs import NotifySpec
from certd.status.shape import Health, Standing

NOTICE = Notice("1", NOW, Change.RAISED, Key("expired", "certificate", "example.jp"), Level.CRITICAL, Level.OK)
SHORT = timedelta(milliseconds=300)


def told(count: int = 1) -> Message:
    return message([NOTICE] * count, 0, Health(Standing.CRITICAL, ()), host="web1", lang="ja", now=NOW)


@pytest.fixture
def post() -> Iterator[Post]:
    made = Post(proxy=None, now=lambda: NOW)
    yield made
    made.close()


def command(script: str, *arguments: str, timeout: timedelta = timedelta(seconds=30)) -> NotifySpec:
    return NotifySpec(command=(sys.executable, "-c", script, *arguments), timeout=timeout)


def test_a_command_reads_json(post: Post, tmp_path: Path) -> None:
    """On its standard input, ended by a line break; in short in its environment, which has no secrets of ours."""
    script = "import json,os,sys; json.dump([sys.stdin.read(), dict(os.environ)], open(sys.argv[1], 'w'))"
    post.deliver(command(script, str(tmp_path / "got")), told())
    given, environment = json.loads((tmp_path / "got").read_text())
    assert given.endswith("}\n")
    assert json.loads(given) == json.loads(msgspec.json.encode(told()))
    ours = {key: value for key, value in environment.items() if key.startswith("CERTD_")}
    assert ours == {
        "CERTD_ALARM_STATUS": "critical",
        "CERTD_ALARM_HOST": "web1",
        "CERTD_ALARM_COUNT": "1",
        "CERTD_ALARM_TEXT": told().text,
    }


def test_a_message_larger_than_a_pipe(post: Post, tmp_path: Path) -> None:
    """All of it arrives, however slowly it is read."""
    script = "import sys; open(sys.argv[1], 'w').write(str(len(sys.stdin.buffer.read())))"
    large = told(1000)
    post.deliver(command(script, str(tmp_path / "got")), large)
    size = len(msgspec.json.encode(large)) + 1
    assert size > 200_000
    assert (tmp_path / "got").read_text() == str(size)


def test_a_command_may_leave_its_input_alone(post: Post) -> None:
    """Its exit code is what counts."""
    post.deliver(command("import os; os.close(0)"), told(1000))
    with pytest.raises(NotifyFailed, match="failed with exit code 3: no mail today"):
        post.deliver(command("print('no mail today'); raise SystemExit(3)"), told(1000))


def test_a_command_that_hangs_is_ended(post: Post) -> None:
    """It is killed at its timeout, with its input still full."""
    with pytest.raises(NotifyFailed, match=r"did not end within 0\.3 s"):
        post.deliver(command("import time; time.sleep(60)", timeout=SHORT), told(1000))


def test_a_webhook_gets_json(post: Post) -> None:
    """A POST with the right type; any 2xx is success."""
    requests: list[bytes] = []

    def handle(sock: socket.socket) -> None:
        requests.append(read_request(sock))
        sock.sendall(answer(b"", status="204 No Content"))

    with peer(handle) as hook:
        post.deliver(NotifySpec(webhook=hook.url("/in?token=S3CRET")), told())
    head, _, body = requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /in?token=S3CRET HTTP/1.1\r\n")
    assert b"Content-Type: application/json" in head
    assert json.loads(body)["notices"][0]["certificate"] == "example.jp"


@pytest.mark.parametrize("status", ["302 Found", "400 Bad Request", "404 Not Found", "500 Oops"])
def test_anything_else_than_success_is_a_failure(post: Post, status: str) -> None:
    """Redirects included, which are not followed. The error names the host, never path or query."""
    with peer(replying(answer(b"S3CRET", status=status, headers="Location: /other\r\n"))) as hook:
        with pytest.raises(NotifyFailed) as caught:
            post.deliver(NotifySpec(webhook=hook.url("/in/S3CRET?token=S3CRET")), told())
        assert str(caught.value) == f"POST http://127.0.0.1:{hook.port}: it answered with status {status[:3]}"
        assert hook.accepted == 1


def test_a_webhook_may_ask_for_a_pause(post: Post) -> None:
    """429 with Retry-After."""
    slow_down = replying(answer(status="429 Slow Down", headers="Retry-After: 120\r\n"))
    with peer(slow_down) as hook, pytest.raises(NotifyFailed) as caught:
        post.deliver(NotifySpec(webhook=hook.url()), told())
    assert caught.value.retry_after == timedelta(minutes=2)


def test_a_webhook_that_hangs_or_is_gone(post: Post) -> None:
    """The timeout holds for the whole exchange; nothing of the path is in the error."""
    with peer(lambda sock: hook.stopped.wait(10) and None) as hook:
        spec = NotifySpec(webhook=hook.url("/S3CRET"), timeout=SHORT)
        with pytest.raises(NotifyFailed, match="time ran out") as slow:
            post.deliver(spec, told())
    with pytest.raises(NotifyFailed, match="cannot connect") as gone:
        post.deliver(spec, told())
    assert "S3CRET" not in f"{slow.value} {gone.value}"


def test_outlets_are_known_again_and_tell_nothing() -> None:
    """By command or URL alone: another timeout is the same outlet; neither id nor repr holds the URL."""
    hook = NotifySpec(webhook="https://hooks.example.jp:8443/S3CRET?x=S3CRET")
    assert outlet_id(hook) == outlet_id(msgspec.structs.replace(hook, timeout=SHORT, minimum="critical", lang="ja"))
    ids = {outlet_id(one) for one in (hook, command("a"), command("b"), NotifySpec(webhook="https://a.jp/"))}
    assert len(ids) == 4
    assert repr(hook) == "NotifySpec(https://hooks.example.jp:8443)"
    assert "S3CRET" not in outlet_id(hook)
