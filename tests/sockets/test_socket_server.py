"""The server on a Unix socket: modes at birth, bounded clients, deadlines, and one form of error."""

from __future__ import annotations

import grp
import json
import os
import socket
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certd.errors import StateError
from certd.sockets.http import BODY_LIMIT, HEAD_LIMIT, Rejected, Request, Response, parse_head, render
from certd.sockets.server import HttpSocket

PATIENCE = 20.0


def hello(request: Request) -> Response:
    return Response(200, f"{request.method} {request.path} {request.query}".encode(), "text/plain")


@contextmanager
def serving(path: Path, handler: Callable[[Request], Response] = hello, **options: object) -> Iterator[HttpSocket]:
    served = HttpSocket(path, handler, **{"mode": 0o660, **options})  # type: ignore[arg-type]
    served.open()
    try:
        yield served
    finally:
        served.close()


def talk(path: Path, data: bytes, *, end: bool = True) -> bytes:
    """Send, then read to the end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(PATIENCE)
        client.connect(str(path))
        try:
            client.sendall(data)
            if end:
                client.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # cut off while sending: the answer is what counts
        received = b""
        try:
            while more := client.recv(65536):
                received += more
        except ConnectionResetError:
            pass
        return received


def code_of(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]["code"]


def test_a_request_is_answered_and_the_connection_ends(tmp_path: Path) -> None:
    """The answer has its length and says that nothing follows."""
    with serving(tmp_path / "s"):
        answer = talk(tmp_path / "s", b"GET /a%20b?now=1 HTTP/1.1\r\nHost: localhost\r\n\r\n", end=False)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Connection: close" in head
    assert b"Content-Length: %d" % len(body) in head
    assert body == b"GET /a b {'now': '1'}"


def test_the_absolute_form_and_a_body_are_tolerated(tmp_path: Path) -> None:
    """Proxies name the host; clients send bodies that nobody asked for."""
    with serving(tmp_path / "s"):
        request = b"POST http://localhost/x HTTP/1.1\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello"
        assert talk(tmp_path / "s", request, end=False).endswith(b"POST /x {}")


def test_head_has_no_body(tmp_path: Path) -> None:
    """RFC 9110 section 9.3.2: as GET, without the content."""
    with serving(tmp_path / "s"):
        assert talk(tmp_path / "s", b"HEAD / HTTP/1.1\r\n\r\n").endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"hello\r\n\r\n", (400, "bad-request")),
        (b"GET / HTTP/2.0\r\n\r\n", (400, "bad-request")),
        (b"GET nowhere HTTP/1.1\r\n\r\n", (400, "bad-request")),
        (b"GET /%00 HTTP/1.1\r\n\r\n", (400, "bad-request")),
        (b"GET /%ff HTTP/1.1\r\n\r\n", (400, "bad-request")),
        (b"GET /[ HTTP/1.1\r\n: x\r\n\r\n", (400, "bad-request")),
        (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", (400, "bad-request")),
        (b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", (400, "bad-request")),
        (b"GET / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab", (400, "bad-request")),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", (501, "not-implemented")),
        (b"GET / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (BODY_LIMIT + 1), (413, "too-large")),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * HEAD_LIMIT + b"\r\n\r\n", (431, "too-large")),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 100 * HEAD_LIMIT, (431, "too-large")),
        (b"GET / HTTP/1.1\r\n", (400, "bad-request")),
    ],
)
def test_malformed_requests(tmp_path: Path, data: bytes, expected: tuple[int, str]) -> None:
    """Each gets an answer in the one form of errors, and is counted."""
    with serving(tmp_path / "s") as served:
        assert code_of(talk(tmp_path / "s", data)) == expected
        assert served.counters()["bad_requests"] == 1


@given(st.binary(max_size=300))
def test_any_bytes_make_a_request_or_a_rejection(head: bytes) -> None:
    """Nothing a client sends raises anything else."""
    try:
        request, length = parse_head(head)
    except Rejected as rejected:
        assert render(rejected.response).startswith(b"HTTP/1.1 ")
    else:
        assert request.path.startswith("/")
        assert 0 <= length <= BODY_LIMIT


def test_an_error_in_the_handler_is_answered(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The client gets 500 without the details, the log a line with them."""

    def broken(request: Request) -> Response:
        raise ValueError("secret")

    with serving(tmp_path / "s", broken):
        answer = talk(tmp_path / "s", b"GET / HTTP/1.1\r\n\r\n")
    assert code_of(answer) == (500, "internal-error")
    assert b"secret" not in answer
    assert len(caplog.records) == 1


def test_the_file_is_born_with_its_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the umask, nobody else can connect before the mode is final; and the name appears last."""
    seen: list[int] = []
    rename = Path.rename

    def watched(self: Path, target: Path) -> Path:
        seen.append(stat.S_IMODE(self.lstat().st_mode))
        return rename(self, target)

    bind = socket.socket.bind
    born: list[int] = []

    class Watched(socket.socket):
        def bind(self, address: str) -> None:  # type: ignore[override]
            bind(self, address)
            born.append(stat.S_IMODE(os.lstat(address).st_mode))

    monkeypatch.setattr(Path, "rename", watched)
    monkeypatch.setattr(socket, "socket", Watched)
    old = os.umask(0)
    try:
        with serving(tmp_path / "s", mode=0o660):
            assert stat.S_IMODE((tmp_path / "s").lstat().st_mode) == 0o660
            assert [path.name for path in tmp_path.iterdir()] == ["s"]
    finally:
        os.umask(old)
    assert born == [0o600]
    assert seen == [0o660]
    assert not (tmp_path / "s").exists()


def test_a_stale_file_is_replaced(tmp_path: Path) -> None:
    """What a killed daemon left behind is no obstacle."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(tmp_path / "s"))
    with serving(tmp_path / "s"):
        assert b"200 OK" in talk(tmp_path / "s", b"GET / HTTP/1.1\r\n\r\n")


def test_a_socket_that_answers_is_left_alone(tmp_path: Path) -> None:
    """Two daemons never take each other's place; the loser removes nothing."""
    with serving(tmp_path / "s"):
        with pytest.raises(StateError, match="another process answers"):
            HttpSocket(tmp_path / "s", hello, mode=0o600).open()
        assert b"200 OK" in talk(tmp_path / "s", b"GET / HTTP/1.1\r\n\r\n")


def test_closing_does_not_remove_a_successor_s_file(tmp_path: Path) -> None:
    """A file that is no longer ours stays."""
    with serving(tmp_path / "s"):
        (tmp_path / "s").unlink()
        (tmp_path / "s").write_text("somebody else's")
    assert (tmp_path / "s").read_text() == "somebody else's"


def test_what_is_no_socket_is_never_replaced(tmp_path: Path) -> None:
    """A file of that name is somebody's."""
    (tmp_path / "s").write_text("precious")
    with pytest.raises(StateError, match="something else has that name"):
        HttpSocket(tmp_path / "s", hello, mode=0o600).open()
    assert (tmp_path / "s").read_text() == "precious"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who is no member")
def test_a_group_that_certd_is_no_member_of_is_one_sentence() -> None:
    """Without root a socket goes to one's own groups only; nothing is left behind."""
    group, before = grp.getgrgid(0).gr_name, os.getgroups()
    with tempfile.TemporaryDirectory() as name:
        public = Path(name)
        public.chmod(0o777)
        os.setgroups([])
        os.setegid(65534)
        os.seteuid(65534)
        try:
            with pytest.raises(StateError, match=f"no member of group '{group}'; `certd systemd-paths`"):
                HttpSocket(public / "s", hello, mode=0o600, group=group).open()
        finally:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups(before)
        assert list(public.iterdir()) == []


def test_an_unknown_group_and_a_long_path_are_one_sentence(tmp_path: Path) -> None:
    """Both name what is wrong."""
    with pytest.raises(StateError, match="there is no group 'nobody-has-this'"):
        HttpSocket(tmp_path / "s", hello, mode=0o600, group="nobody-has-this").open()
    deep = tmp_path / ("d" * 120)
    with pytest.raises(StateError, match="choose a shorter runtime_dir"):
        HttpSocket(deep / "s", hello, mode=0o600).open()


def test_one_client_too_many_is_sent_away_at_once(tmp_path: Path) -> None:
    """Those who are being answered are not disturbed."""
    entered, go_on = threading.Event(), threading.Event()

    def slow(request: Request) -> Response:
        entered.set()
        assert go_on.wait(PATIENCE)
        return Response(200, b"done", "text/plain")

    answers: list[bytes] = []
    with serving(tmp_path / "s", slow, clients=1) as served:
        first = threading.Thread(target=lambda: answers.append(talk(tmp_path / "s", b"GET / HTTP/1.1\r\n\r\n")))
        first.start()
        assert entered.wait(PATIENCE)
        assert code_of(talk(tmp_path / "s", b"")) == (503, "busy")
        go_on.set()
        first.join(PATIENCE)
        assert answers[0].endswith(b"done")
        assert served.counters()["refused"] == 1


def test_a_client_that_says_nothing_is_cut_off(tmp_path: Path) -> None:
    """Its seat is free again after the deadline."""
    with serving(tmp_path / "s", deadline=0.05, clients=1) as served:
        assert talk(tmp_path / "s", b"GET / HT", end=False) == b""
        assert served.counters()["timeouts"] == 1


def test_a_client_that_never_reads_is_cut_off(tmp_path: Path) -> None:
    """An answer that fills the buffers does not hold a thread."""
    done = threading.Event()

    class Watched(HttpSocket):
        def _serve(self, client: socket.socket) -> None:
            super()._serve(client)
            done.set()

    big = Response(200, b"x" * 50_000_000, "text/plain")
    served = Watched(tmp_path / "s", lambda request: big, mode=0o600, deadline=0.2)
    served.open()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(str(tmp_path / "s"))
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert done.wait(PATIENCE)
        assert served.counters()["timeouts"] == 1
    served.close()


def test_closing_without_opening_is_no_error(tmp_path: Path) -> None:
    """An orderly stop may come before the start was complete."""
    HttpSocket(tmp_path / "s", hello, mode=0o600).close()
