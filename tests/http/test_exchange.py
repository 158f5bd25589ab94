"""An exchange ends in time, within its caps, with an answer or one clear error."""

from __future__ import annotations

import contextlib
import gzip
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from authority import Authority
from peers import Handler, Peer, answer, peer, read_request, replying, server_context

from certd.dial import AddressInfo
from certd.errors import (
    BodyTooLarge,
    ConnectFailed,
    DeadlineExceeded,
    ExchangeError,
    InsecureUrl,
    TlsFailed,
)
from certd.http import Exchanger
from certd.http import connections as bounded

# TLS peers are judged by the real clock, so their certificates are valid by it.
AUTHORITY = Authority("web", now=datetime.now(UTC))
SHORT = timedelta(seconds=0.3)


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of whoever runs the tests must not matter."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def plain() -> Iterator[Exchanger]:
    exchanger = Exchanger(require_https=False)
    yield exchanger
    exchanger.close()


@pytest.fixture
def trust(tmp_path: Path) -> Path:
    file = tmp_path / "root.pem"
    file.write_bytes(AUTHORITY.root.pem)
    return file


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    leaf = AUTHORITY.leaf("127.0.0.1", "localhost")
    return server_context(tmp_path, leaf, AUTHORITY.chain(leaf))


@pytest.fixture
def secure(trust: Path) -> Iterator[Exchanger]:
    exchanger = Exchanger(trust=trust)
    yield exchanger
    exchanger.close()


def _closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


# --- answers ----------------------------------------------------------------------------------------------------


def test_an_answer(plain: Exchanger) -> None:
    """Status, headers in lower case, repeated ones joined, the body, the URL and the date."""
    headers = "Replay-Nonce: abc\r\nLink: <a>\r\nLink: <b>\r\nDate: Mon, 23 Nov 2026 12:00:00 GMT\r\n"
    with peer(replying(answer(b"hello", status="418 Teapot", headers=headers))) as server:
        got = plain.send("GET", server.url("/x"))
    assert got.status == 418
    assert got.headers["replay-nonce"] == "abc"
    assert got.headers["link"] == "<a>, <b>"
    assert got.body == b"hello"
    assert got.url == server.url("/x")
    assert got.date == datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def test_a_request_is_sent_as_given(plain: Exchanger) -> None:
    """Method, path byte for byte, body and headers; no cookies, no content coding, no library's name."""
    seen: list[bytes] = []

    def handle(sock: socket.socket) -> None:
        while request := read_request(sock):
            seen.append(request)
            sock.sendall(answer(headers="Set-Cookie: a=b\r\n"))

    with peer(handle) as server:
        for _ in range(2):
            plain.send(
                "POST", server.url("/a%7Eb/%2f?q=%41"), headers={"Content-Type": "application/jose+json"}, body=b"{}"
            )
    for request in seen:
        head, _, body = request.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        assert lines[0] == b"POST /a%7Eb/%2F?q=%41 HTTP/1.1"
        assert body == b"{}"
        assert b"Content-Type: application/jose+json" in lines
        assert b"Accept-Encoding: identity" in lines
        assert b"cookie" not in head.lower()
        assert b"python" not in head.lower()
        assert any(line.startswith(b"User-Agent: certd/") for line in lines)


@pytest.mark.parametrize("method", ["HEAD", "GET", "POST"])
def test_answers_without_a_body(plain: Exchanger, method: str) -> None:
    """HEAD, whose Content-Length speaks of what is not sent, and 204 leave the connection usable."""
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" if method == "HEAD" else b"HTTP/1.1 204 None\r\n\r\n"
    with peer(replying(reply)) as server:
        for _ in range(2):
            assert plain.send(method, server.url()).body == b""
        assert server.accepted == 1


def test_redirects_are_returned(plain: Exchanger) -> None:
    """A redirect could lead away from https; it is an answer like any other."""
    with peer(replying(answer(status="302 Found", headers="Location: http://127.0.0.1:1/\r\n"))) as server:
        got = plain.send("GET", server.url())
    assert got.status == 302
    assert got.headers["location"] == "http://127.0.0.1:1/"


def test_chunks(plain: Exchanger) -> None:
    """A chunked body is put together."""
    reply = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;x=y\r\n!\r\n0\r\nTrailer: z\r\n\r\n"
    with peer(replying(reply)) as server:
        assert plain.send("GET", server.url()).body == b"hello!"
        assert plain.send("GET", server.url()).body == b"hello!"
        assert server.accepted == 1


def test_codings_are_not_undone(plain: Exchanger) -> None:
    """A small coded body can unfold to gigabytes: it is given as it came."""
    bomb = gzip.compress(b"\0" * 5_000_000)
    with peer(replying(answer(bomb, headers="Content-Encoding: gzip\r\n"))) as server:
        assert plain.send("GET", server.url(), limit=100_000).body == bomb


def test_netrc_is_not_read(plain: Exchanger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials that lie about are not sent to a CA."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login user password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    seen: list[bytes] = []

    def handle(sock: socket.socket) -> None:
        seen.append(read_request(sock))
        sock.sendall(answer())

    with peer(handle) as server:
        plain.send("GET", server.url())
    assert b"authorization" not in seen[0].lower()


# --- the deadline -----------------------------------------------------------------------------------------------


def _drip(prefix: bytes, drop: bytes) -> Callable[[Callable[[], Peer]], Handler]:
    def make(server: Callable[[], Peer]) -> Handler:
        def handle(sock: socket.socket) -> None:
            read_request(sock)
            sock.sendall(prefix)
            while not server().stopped.wait(0.02):
                sock.sendall(drop)

        return handle

    return make


DRIPS = {
    "nothing": _drip(b"", b""),
    "the status line": _drip(b"HTTP/1.1 200 O", b"K"),
    "headers": _drip(b"HTTP/1.1 200 OK\r\nX: ", b"y"),
    "interim answers": _drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "the body": _drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"z"),
    "a body until close": _drip(b"HTTP/1.1 200 OK\r\n\r\n", b"z"),
    "chunks": _drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nz\r\n"),
    "a chunk's size": _drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
    "trailers": _drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"A: b\r\n"),
}


@pytest.mark.parametrize("what", DRIPS)
@pytest.mark.parametrize("with_tls", [False, True], ids=["plain", "tls"])
def test_a_peer_that_drips(what: str, with_tls: bool, trust: Path, tls: ssl.SSLContext) -> None:
    """The deadline is total: a byte now and then, wherever in the answer, does not prolong it."""
    running: list[Peer] = []
    exchanger = Exchanger(trust=trust, require_https=False)
    with peer(DRIPS[what](lambda: running[0]), tls if with_tls else None) as server:
        running.append(server)
        with pytest.raises(DeadlineExceeded, match=f"127.0.0.1:{server.port}"):
            exchanger.send("GET", server.url(), deadline=SHORT)
    exchanger.close()


@pytest.mark.parametrize("drop", [b"", b"\x16"], ids=["silent", "dripping"])
def test_a_tls_handshake_that_never_ends(secure: Exchanger, drop: bytes) -> None:
    """The handshake counts towards the deadline."""
    running: list[Peer] = []

    def handle(sock: socket.socket) -> None:
        sock.sendall(b"\x16\x03\x03\x40\x00" if drop else b"")
        while not running[0].stopped.wait(0.02):
            sock.sendall(drop)

    with peer(handle) as server:
        running.append(server)
        with pytest.raises(DeadlineExceeded, match="TLS handshake"):
            secure.send("GET", server.url(scheme="https"), deadline=SHORT)


def test_a_peer_that_does_not_read(plain: Exchanger) -> None:
    """Sending counts towards the deadline."""
    running: list[Peer] = []

    def handle(sock: socket.socket) -> None:
        running[0].stopped.wait(30)

    with peer(handle) as server:
        running.append(server)
        with pytest.raises(DeadlineExceeded, match="sending"):
            plain.send("POST", server.url(), body=b"x" * 20_000_000, deadline=timedelta(seconds=2))


def test_a_resolver_that_hangs() -> None:
    """Name resolution counts towards the deadline."""
    release = threading.Event()

    def lookup(host: str, port: int) -> Sequence[AddressInfo]:
        release.wait(30)
        return []

    exchanger = Exchanger(lookup=lookup)
    with pytest.raises(DeadlineExceeded, match=r"slow\.example:443"):
        exchanger.send("GET", "https://slow.example/", deadline=SHORT)
    release.set()


def test_a_spent_deadline_sends_nothing(plain: Exchanger) -> None:
    """No time at all is an error before anything happens."""
    with peer(replying(answer())) as server:
        with pytest.raises(DeadlineExceeded):
            plain.send("GET", server.url(), deadline=timedelta())
        assert server.accepted == 0


def test_the_deadline_holds_on_a_pooled_connection(plain: Exchanger) -> None:
    """A connection used again keeps the new exchange's deadline, not the old one's, and is not retried at its end."""
    with peer(replying(answer(b"a"), b"")) as server:
        plain.send("GET", server.url())
        with pytest.raises(DeadlineExceeded):
            plain.send("GET", server.url(), deadline=SHORT)
        assert server.accepted == 1


# --- caps -------------------------------------------------------------------------------------------------------


def test_a_body_of_exactly_the_limit(plain: Exchanger) -> None:
    """The limit is inclusive, and the connection is used again."""
    with peer(replying(answer(b"x" * 1000))) as server:
        for _ in range(2):
            assert len(plain.send("GET", server.url(), limit=1000).body) == 1000
        assert server.accepted == 1


def _endless(head: bytes, block: bytes) -> Handler:
    def handle(sock: socket.socket) -> None:
        read_request(sock)
        sock.sendall(head)
        for _ in range(100_000):
            sock.sendall(block)

    return handle


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "handler",
    [
        replying(answer(b"x" * 1001)),
        _endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 4096),
        _endless(CHUNKED, b"3e8\r\n" + b"x" * 1000 + b"\r\n"),
        _endless(CHUNKED + b"0\r\n", b"T: " + b"x" * 1000 + b"\r\n"),
        _endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
        replying(b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\nx"),
    ],
    ids=["announced", "until close", "chunks", "trailers", "interim answers", "absurd length"],
)
def test_too_much(plain: Exchanger, handler: Handler) -> None:
    """Whatever there is too much of, reading stops."""
    with peer(handler) as server, pytest.raises(BodyTooLarge, match=str(server.port)):
        plain.send("GET", server.url(), limit=1000)


@pytest.mark.parametrize(
    "handler",
    [
        _endless(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"),
        _endless(b"HTTP/1.1 200 OK\r\nX: ", b"x" * 4096),
        _endless(b"HTTP/1.1 ", b"2" * 4096),
    ],
    ids=["many headers", "a long header", "a long status line"],
)
def test_too_many_headers(plain: Exchanger, handler: Handler) -> None:
    """Headers without end are an error as well."""
    with peer(handler) as server, pytest.raises(ExchangeError, match=str(server.port)):
        plain.send("GET", server.url())


# --- connections ------------------------------------------------------------------------------------------------


def test_connections_are_kept(secure: Exchanger, tls: ssl.SSLContext) -> None:
    """One TLS session serves exchange after exchange."""
    with peer(replying(answer(b"x")), tls) as server:
        for _ in range(5):
            secure.send("GET", server.url())
        assert server.accepted == 1


def test_threads_share_the_pool(secure: Exchanger, tls: ssl.SSLContext) -> None:
    """Many threads at once get their own answers, over no more connections than threads."""

    def handle(sock: socket.socket) -> None:
        while request := read_request(sock):
            sock.sendall(answer(request.split(b" ")[1]))

    with peer(handle, tls) as server, ThreadPoolExecutor(8) as threads:
        paths = [f"/{number}" for number in range(80)]
        answers = threads.map(lambda path: secure.send("GET", server.url(path)).body.decode(), paths)
        assert list(answers) == paths
        assert server.accepted <= 8


def _dying(replies: int, seen: list[bytes]) -> Handler:
    """Answers so many requests per connection, then takes one more and hangs up without a word."""

    def handle(sock: socket.socket) -> None:
        for _ in range(replies):
            seen.append(read_request(sock))
            sock.sendall(answer(b"x"))
        seen.append(read_request(sock))

    return handle


def test_a_dead_pooled_connection_is_replaced_for_get(plain: Exchanger) -> None:
    """A GET whose pooled connection dies before any answer is sent again."""
    seen: list[bytes] = []
    with peer(_dying(1, seen)) as server:
        plain.send("GET", server.url("/1"))
        assert plain.send("GET", server.url("/2")).body == b"x"
        assert server.accepted == 2
    assert [request.split(b" ")[1] for request in seen[:3]] == [b"/1", b"/2", b"/2"]


def test_a_post_is_never_sent_twice(plain: Exchanger) -> None:
    """The peer may have acted on it: whether to send it again is for its sender to decide."""
    seen: list[bytes] = []
    with peer(_dying(1, seen)) as server:
        plain.send("POST", server.url("/1"), body=b"a")
        with pytest.raises(ConnectFailed):
            plain.send("POST", server.url("/2"), body=b"b")
        assert server.accepted == 1
    assert len(seen) == 2


def test_a_fresh_connection_that_dies_is_not_retried(plain: Exchanger) -> None:
    """What dies at once would die again."""
    seen: list[bytes] = []
    with peer(_dying(0, seen)) as server:
        with pytest.raises(ConnectFailed, match="connection broke"):
            plain.send("GET", server.url())
        assert server.accepted == 1


def test_an_answer_cut_off_is_not_retried(plain: Exchanger) -> None:
    """Once a byte has come the exchange is not repeated, and half a body is no answer."""
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"

    def handle(sock: socket.socket) -> None:
        read_request(sock)
        sock.sendall(answer(b"x"))
        read_request(sock)
        sock.sendall(cut)

    with peer(handle) as server:
        plain.send("GET", server.url())
        with pytest.raises(ConnectFailed, match="before the answer was complete"):
            plain.send("GET", server.url())
        assert server.accepted == 1


def test_a_connection_idle_too_long_is_not_used(plain: Exchanger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A firewall may have forgotten it without telling."""
    monkeypatch.setattr(bounded, "IDLE_LIMIT", -1.0)
    with peer(replying(answer(b"x"))) as server:
        for _ in range(2):
            plain.send("GET", server.url())
        assert server.accepted == 2


def test_usable_after_close(plain: Exchanger) -> None:
    """Closing gives up the connections, not the exchanger."""
    with peer(replying(answer(b"x"))) as server:
        plain.send("GET", server.url())
        plain.close()
        assert plain.send("GET", server.url()).body == b"x"
        assert server.accepted == 2


# --- failures ---------------------------------------------------------------------------------------------------


def test_refused(plain: Exchanger) -> None:
    """The sentence names the method, the place and the reason."""
    port = _closed_port()
    with pytest.raises(ConnectFailed) as caught:
        plain.send("GET", f"http://127.0.0.1:{port}/")
    assert str(caught.value) == f"GET http://127.0.0.1:{port}: cannot connect to 127.0.0.1:{port}: Connection refused"
    assert caught.value.__cause__ is None


def test_a_name_that_is_not_found() -> None:
    """So is one that does not resolve."""

    def lookup(host: str, port: int) -> Sequence[AddressInfo]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(ConnectFailed, match=r"resolve the host name of gone\.example:443: Name or service not known"):
        Exchanger(lookup=lookup).send("GET", "https://gone.example/")


@pytest.mark.parametrize(
    "reply", [b"\x1b[2J no http\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n"]
)
def test_an_answer_that_is_not_http(plain: Exchanger, reply: bytes) -> None:
    """Garbage and torn headers are an ExchangeError whose text is safe to print."""
    with peer(replying(reply, close=True)) as server, pytest.raises(ExchangeError) as caught:
        plain.send("GET", server.url())
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://ca.example/", InsecureUrl),
        ("ftp://ca.example/", ExchangeError),
        ("file:///etc/passwd", ExchangeError),
        ("https://", ExchangeError),
        ("https://ca.example:99999/", ExchangeError),
        ("https://ca.example:x/", ExchangeError),
        ("https://[::1/", ExchangeError),
        ("https://user:secret@ca.example/", ExchangeError),
        ("https://ca.example/a b", ExchangeError),
        ("https://ca.example/\r\nX: y", ExchangeError),
        ("https://日本.example/", ExchangeError),
        ("", ExchangeError),
    ],
)
def test_urls_that_are_not_fetched(url: str, error: type[ExchangeError]) -> None:
    """A CA may name any URL; only sound https ones are used. No credentials and no control characters in the text."""

    def lookup(host: str, port: int) -> Sequence[AddressInfo]:
        raise AssertionError("nothing may be looked up")

    with pytest.raises(error) as caught:
        Exchanger(lookup=lookup).send("GET", url)
    assert type(caught.value) is error
    assert "secret" not in str(caught.value)
    assert str(caught.value).isprintable()


# --- trust ------------------------------------------------------------------------------------------------------


def test_trust_replaces_the_systems_roots(secure: Exchanger, tls: ssl.SSLContext) -> None:
    """The configured root is trusted; with the system's roots the same peer is not."""
    with peer(replying(answer(b"x")), tls) as server:
        assert secure.send("GET", server.url()).body == b"x"
        with pytest.raises(TlsFailed, match=r"unable to get local issuer certificate|self-signed certificate"):
            Exchanger().send("GET", server.url())


def test_a_bundle_from_the_environment_is_not_used(
    secure: Exchanger, tls: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is trusted is decided by the configuration alone."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "missing.pem"))
    with peer(replying(answer(b"x")), tls) as server:
        assert secure.send("GET", server.url()).body == b"x"


@pytest.mark.parametrize(
    ("names", "kwargs", "reason"),
    [
        (["other.example"], {}, "IP address mismatch"),
        (["127.0.0.1"], {"not_after": datetime.now(UTC) - timedelta(hours=1)}, "expired"),
    ],
)
def test_a_wrong_certificate(
    secure: Exchanger, tmp_path: Path, names: list[str], kwargs: dict[str, object], reason: str
) -> None:
    """Another name, or an expired certificate: the sentence tells which."""
    leaf = AUTHORITY.leaf(*names, **kwargs)
    with peer(replying(answer()), server_context(tmp_path, leaf, AUTHORITY.chain(leaf))) as server:
        with pytest.raises(TlsFailed, match=reason) as caught:
            secure.send("GET", server.url())
        assert "_ssl.c" not in str(caught.value)


def test_a_peer_without_tls(secure: Exchanger) -> None:
    """An http server behind an https URL."""
    with peer(lambda sock: sock.sendall(answer())) as server, pytest.raises(TlsFailed, match=str(server.port)):
        secure.send("GET", server.url(scheme="https"))


def test_a_changed_bundle_is_read_anew(trust: Path, secure: Exchanger, tls: ssl.SSLContext) -> None:
    """The daemon outlives the roots that it started with."""
    trust.write_bytes(Authority("other").root.pem)
    with peer(replying(answer(b"x")), tls) as server:
        with pytest.raises(TlsFailed):
            secure.send("GET", server.url())
        replacement = trust.with_suffix(".new")
        replacement.write_bytes(AUTHORITY.root.pem)
        replacement.rename(trust)
        assert secure.send("GET", server.url()).body == b"x"


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_an_unusable_bundle(tmp_path: Path, content: bytes | None) -> None:
    """The file is named."""
    bundle = tmp_path / "roots.pem"
    if content is not None:
        bundle.write_bytes(content)
    with pytest.raises(TlsFailed, match=r"roots\.pem"):
        Exchanger(trust=bundle).send("GET", "https://127.0.0.1:1/")


# --- proxies ----------------------------------------------------------------------------------------------------


def _proxy(seen: list[bytes], target: Callable[[], int]) -> Handler:
    """A proxy that sends everything to one port of loopback."""

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def handle(sock: socket.socket) -> None:
        request = read_request(sock)
        seen.append(request)
        with socket.create_connection(("127.0.0.1", target())) as upstream:
            if request.startswith(b"CONNECT"):
                sock.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            else:
                upstream.sendall(request)
            back = threading.Thread(target=pump, args=(upstream, sock), daemon=True)
            back.start()
            pump(sock, upstream)
            back.join(10)

    return handle


def test_https_through_a_proxy(trust: Path, tls: ssl.SSLContext) -> None:
    """By CONNECT: the proxy learns the host and nothing else; its password is not in errors."""
    seen: list[bytes] = []
    with peer(replying(answer(b"x")), tls) as server, peer(_proxy(seen, lambda: server.port)) as proxy:
        exchanger = Exchanger(trust=trust, proxy=f"http://user:secret@127.0.0.1:{proxy.port}")
        for _ in range(2):
            assert exchanger.send("GET", "https://localhost:444/").body == b"x"
        exchanger.close()
    assert len(seen) == 1
    assert seen[0].startswith(b"CONNECT localhost:444 ")
    assert b"Proxy-Authorization: Basic " in seen[0]


def test_http_through_a_proxy_of_the_environment(plain: Exchanger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy gets the whole URL; NO_PROXY makes exceptions."""
    seen: list[bytes] = []
    with peer(replying(answer(b"x"))) as server, peer(_proxy(seen, lambda: server.port)) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        assert plain.send("GET", "http://ocsp.example/a").body == b"x"
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert plain.send("GET", server.url("/direct")).body == b"x"
        plain.close()
    assert [request.split(b"\r\n")[0] for request in seen] == [b"GET http://ocsp.example/a HTTP/1.1"]


def test_a_proxy_that_refuses(secure: Exchanger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy is to blame, and the sentence says so."""
    with peer(replying(b"HTTP/1.1 407 Authentication Required\r\n\r\n", close=True)) as proxy:
        monkeypatch.setenv("https_proxy", f"http://user:secret@127.0.0.1:{proxy.port}")
        with pytest.raises(ConnectFailed, match=r"the proxy does not connect.*407") as caught:
            secure.send("GET", "https://ca.example/")
    assert "secret" not in str(caught.value)


def test_a_proxy_that_drips(secure: Exchanger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answer counts towards the deadline."""
    running: list[Peer] = []
    with peer(_drip(b"HTTP/1.1 200 OK\r\nX: ", b"y")(lambda: running[0])) as proxy:
        running.append(proxy)
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(DeadlineExceeded):
            secure.send("GET", "https://ca.example/", deadline=SHORT)


@pytest.mark.parametrize("proxy", ["https://127.0.0.1:1", "socks5://127.0.0.1:1"])
def test_proxies_that_cannot_be_bounded(proxy: str) -> None:
    """They are refused by name rather than used without a deadline."""
    with pytest.raises(ConnectFailed, match="only http:// proxies"):
        Exchanger(proxy=proxy).send("GET", "https://ca.example/")
