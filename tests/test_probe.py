"""One handshake shows which leaf is served, and never fails to say what it saw."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import pytest
from authority import Authority, Identity
from cryptography.hazmat.primitives import serialization
from peers import Handler, Peer, peer, server_context

from certd.model.records import Sight
from certd.model.specs import Address
from certd.pki import make_placeholder, read_leaf
from certd.probe import handshake

AUTHORITY = Authority()
LEAF = AUTHORITY.leaf("example.jp")
OTHER = AUTHORITY.leaf("other.jp")


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    return server_context(tmp_path, LEAF, AUTHORITY.chain(LEAF))


def _wait_for_end(sock: socket.socket) -> None:
    while sock.recv(4096):
        pass


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_leaf(tls: ssl.SSLContext, version: ssl.TLSVersion) -> None:
    """Fingerprint and serial are those that records keep, with either version of TLS, without any trust."""
    tls.minimum_version = tls.maximum_version = version
    with peer(_wait_for_end, tls) as server:
        seen = handshake(server.address, "example.jp", timeout=5)
    facts = read_leaf(LEAF.pem)
    assert (seen.sight, seen.fingerprint, seen.serial) == (Sight.LEAF, facts.fingerprint, facts.serial)


def test_tls_1_3_is_preferred(tls: ssl.SSLContext) -> None:
    """Only there can the leaf be read whatever the server demands."""
    versions: list[str | None] = []

    def handle(sock: socket.socket) -> None:
        assert isinstance(sock, ssl.SSLSocket)
        versions.append(sock.version())
        _wait_for_end(sock)

    with peer(handle, tls) as server:
        handshake(server.address, "example.jp", timeout=5)
    assert versions == ["TLSv1.3"]


def test_the_name_is_asked_for(tls: ssl.SSLContext, tmp_path: Path) -> None:
    """A server with many names gives the leaf of the one asked for; for an unknown one its first."""
    other = server_context(tmp_path, OTHER, AUTHORITY.chain(OTHER))

    def choose(sock: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
        if name == "other.jp":
            sock.context = other

    tls.sni_callback = choose
    with peer(_wait_for_end, tls) as server:
        serials = [handshake(server.address, name, timeout=5).serial for name in ("other.jp", "example.jp", "new.jp")]
    assert serials == [f"{identity.certificate.serial_number:x}" for identity in (OTHER, LEAF, LEAF)]


def test_a_placeholder_is_seen(tmp_path: Path) -> None:
    """Self-signed leaves are leaves."""
    made = make_placeholder(["example.jp"], now=AUTHORITY.now)
    file = tmp_path / "placeholder.pem"
    file.write_bytes(made.combined)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    with peer(_wait_for_end, context) as server:
        assert handshake(server.address, "example.jp", timeout=5).fingerprint == made.leaf.fingerprint


def _demanding(context: ssl.SSLContext, tmp_path: Path) -> ssl.SSLContext:
    roots = tmp_path / "clients.pem"
    roots.write_bytes(AUTHORITY.root.pem)
    context.load_verify_locations(roots)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def test_a_client_certificate_demanded_in_tls_1_3(tls: ssl.SSLContext, tmp_path: Path) -> None:
    """The leaf has been read by the time the server complains."""
    with peer(_wait_for_end, _demanding(tls, tmp_path)) as server:
        assert handshake(server.address, "example.jp", timeout=5).sight is Sight.LEAF


def test_a_client_certificate_demanded_in_tls_1_2(tls: ssl.SSLContext, tmp_path: Path) -> None:
    """The server is up, the leaf is not known: neither a success nor a fault."""
    tls.maximum_version = ssl.TLSVersion.TLSv1_2
    with peer(_wait_for_end, _demanding(tls, tmp_path)) as server:
        seen = handshake(server.address, "example.jp", timeout=5)
    assert seen.sight is Sight.NO_LEAF
    assert seen.fingerprint is None
    assert "client certificate" in seen.text


def test_the_same_alert_for_nobody_served(tls: ssl.SSLContext) -> None:
    """A server that has nothing in common with any client sends the alert of the case above: that is broken."""
    tls.maximum_version = ssl.TLSVersion.TLSv1_2
    tls.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")  # needs an RSA key, and there is none
    with peer(_wait_for_end, tls) as server:
        seen = handshake(server.address, "example.jp", timeout=5)
    assert seen.sight is Sight.BROKEN
    assert "handshake failure" in seen.text


def test_refused() -> None:
    """Nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = Address("127.0.0.1", server.getsockname()[1])
    seen = handshake(address, "example.jp", timeout=5)
    assert seen.sight is Sight.REFUSED
    assert str(address) in seen.text


def _hang_up(sock: socket.socket) -> None:
    sock.recv(4096)


def _speak_http(sock: socket.socket) -> None:
    sock.recv(4096)
    sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n\x1b[2J")


@pytest.mark.parametrize("handler", [_hang_up, _speak_http])
def test_what_is_not_tls(handler: Handler) -> None:
    """Garbage and hang-ups are broken, with a printable reason."""
    with peer(handler) as server:
        seen = handshake(server.address, "example.jp", timeout=5)
    assert seen.sight is Sight.BROKEN
    assert seen.text.isprintable()


@pytest.mark.parametrize("drop", [b"", b"\x00"], ids=["silent", "dripping"])
def test_a_handshake_that_never_ends(drop: bytes) -> None:
    """The timeout is total."""
    running: list[Peer] = []

    def handle(sock: socket.socket) -> None:
        sock.sendall(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc" if drop else b"")
        while not running[0].stopped.wait(0.02):
            sock.sendall(drop)

    with peer(handle) as server:
        running.append(server)
        seen = handshake(server.address, "example.jp", timeout=0.3)
    assert seen.sight is Sight.BROKEN
    assert "in time" in seen.text


@pytest.mark.parametrize("name", ["a..b", "x" * 70 + ".jp", "a\0b.jp", ""])
def test_a_name_that_cannot_be_asked_for(tls: ssl.SSLContext, name: str) -> None:
    """It is said so, and nothing is raised."""
    with peer(_wait_for_end, tls) as server:
        seen = handshake(server.address, name, timeout=5)
    assert seen.sight is Sight.BROKEN
    assert seen.text.isprintable()


def test_a_host_that_does_not_resolve() -> None:
    """So it is for an address."""
    seen = handshake(Address("a..b", 443), "example.jp", timeout=5)
    assert seen.sight is Sight.BROKEN
    assert "a..b:443" in seen.text


def test_proxy_protocol(tls: ssl.SSLContext) -> None:
    """The header comes first, in one line, and tells the connection as it is; then TLS."""
    lines: list[bytes] = []

    def handle(sock: socket.socket) -> None:
        line = b""
        while not line.endswith(b"\r\n"):
            line += sock.recv(1)
        lines.append(line + b" " + str(sock.getpeername()[1]).encode())
        with tls.wrap_socket(sock, server_side=True) as wrapped:
            _wait_for_end(wrapped)

    with peer(handle) as server:
        seen = handshake(server.address, "example.jp", timeout=5, proxy_protocol="v1")
    assert seen.sight is Sight.LEAF
    header, _, source = lines[0].partition(b"\r\n ")
    assert header == b"PROXY TCP4 127.0.0.1 127.0.0.1 " + source + f" {server.port}".encode()


def test_proxy_protocol_over_ipv6() -> None:
    """The family is the connection's."""
    lines: list[bytes] = []
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 on loopback")

    def serve() -> None:
        sock, _ = listener.accept()
        with sock:
            lines.append(sock.recv(4096).split(b"\r\n")[0])

    with listener:
        thread = threading.Thread(target=serve)
        thread.start()
        handshake(Address("::1", listener.getsockname()[1]), "example.jp", timeout=5, proxy_protocol="v1")
        thread.join(10)
    assert lines[0].startswith(b"PROXY TCP6 ::1 ::1 ")


def test_a_leaf_whose_fields_do_not_parse(tmp_path: Path) -> None:
    """It is still compared by its fingerprint."""
    strange: Identity = AUTHORITY.leaf("a\nb.jp")
    assert strange.certificate.public_bytes(serialization.Encoding.DER)
    with peer(_wait_for_end, server_context(tmp_path, strange, AUTHORITY.chain(strange))) as server:
        seen = handshake(server.address, "example.jp", timeout=5)
    assert seen.sight is Sight.LEAF
    assert seen.serial is None
    assert seen.fingerprint
