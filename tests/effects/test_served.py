"""What servers show: when a new leaf is believed, and what the responder's word is where there is none."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from authority import NOW, Authority, Identity
from parts import free_port
from peers import Peer, peer, replying, server_context
from statedir import placeholder
from views import spec

from certd.effects import served
from certd.http import Exchanger
from certd.model.records import BatchSet, OcspWord, Seen, Served, Sight
from certd.model.specs import Address, VerifySpec
from certd.pki import read_leaf

AUTHORITY = Authority()
OLD, NEW, FOREIGN = (AUTHORITY.leaf("example.jp") for _ in range(3))


def mark(leaf: Identity) -> str:
    return read_leaf(leaf.pem).fingerprint


PART = BatchSet("example.jp", 2, 1, mark(NEW), mark(OLD))
Serve = Callable[..., Peer]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """A TLS server that shows these leaves in turn, the last one again and again."""
    with ExitStack() as running:

        def start(*leaves: Identity) -> Peer:
            contexts = [server_context(tmp_path, leaf, AUTHORITY.chain(leaf)) for leaf in leaves]
            first = server_context(tmp_path, leaves[0], AUTHORITY.chain(leaves[0]))
            lock, turn = threading.Lock(), iter(range(1_000_000))

            def choose(sock: ssl.SSLObject | ssl.SSLSocket, _: str | None, __: ssl.SSLContext) -> None:
                with lock:
                    sock.context = contexts[min(next(turn), len(contexts) - 1)]

            first.sni_callback = choose
            return running.enter_context(peer(_until_the_end, first))

        yield start


def _until_the_end(sock: socket.socket) -> None:
    while sock.recv(4096):
        pass


def verify(*servers: Peer, **changes: Any) -> VerifySpec:
    return VerifySpec(connect=tuple(server.address for server in servers), **changes)


def nowhere() -> VerifySpec:
    """A port that nobody listens on."""
    return VerifySpec(connect=(Address("127.0.0.1", free_port()),))


def looked(*servers: Peer, part: BatchSet = PART, **changes: Any) -> Seen:
    (seen,) = served.look([(part, verify(*servers, **changes), "example.jp")])
    return seen


def test_the_new_leaf(serve: Serve):
    """Believed once it was seen three times in a row."""
    server = serve(NEW)
    assert looked(server) == Seen("example.jp", Sight.LEAF, mark(NEW))
    assert server.accepted == 3


@pytest.mark.parametrize("leaves", [(OLD,), (NEW, OLD), (NEW, NEW, OLD)])
def test_old_workers_may_still_accept(serve: Serve, leaves: tuple[Identity, ...]):
    """One old answer among three, and it is the old one that is served."""
    assert looked(serve(*leaves)) == Seen("example.jp", Sight.LEAF, mark(OLD))


@pytest.mark.parametrize(("dropped", "sight"), [(1, Sight.LEAF), (2, Sight.LEAF), (3, Sight.BROKEN)])
def test_a_worker_that_leaves_drops_a_connection(tmp_path: Path, dropped: int, sight: Sight):
    """It is tried again at once; a server that fails three times in a row has failed."""
    context, left = server_context(tmp_path, NEW, AUTHORITY.chain(NEW)), iter(range(dropped))

    def drop(_: ssl.SSLObject | ssl.SSLSocket, __: str | None, ___: ssl.SSLContext) -> int | None:
        return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR if next(left, None) is not None else None

    context.sni_callback = drop
    with peer(_until_the_end, context) as server:
        assert looked(server).sight is sight


def test_every_address_counts(serve: Serve):
    """The new leaf is served when all addresses serve it; what the first other one shows is what is seen."""
    assert looked(serve(NEW), serve(NEW)).fingerprint == mark(NEW)
    assert looked(serve(NEW), serve(FOREIGN)).fingerprint == mark(FOREIGN)


def test_every_name_counts(serve: Serve):
    """Names that are configured are asked for instead of the certificate's own."""
    server = serve(NEW)
    assert looked(server, names=("a.example.jp", "b.example.jp")).fingerprint == mark(NEW)
    assert server.accepted == 6


def test_nobody_there():
    """Refused is what it is, for a closed port."""
    assert served.look([(PART, nowhere(), "example.jp")]) == (Seen("example.jp", Sight.REFUSED),)


def test_something_that_speaks_no_tls():
    """Broken is what it is."""
    with peer(replying(b"HTTP/1.1 200 OK\r\n\r\n", close=True)) as server:
        assert looked(server).sight is Sight.BROKEN


def test_many_at_once(serve: Serve):
    """Each set gets its own answer, in the order asked."""
    new, old = serve(NEW), serve(OLD)
    parts = [BatchSet(f"n{number}", 2, 1, mark(NEW)) for number in range(20)]
    targets = [(part, verify(old if number % 2 else new), "example.jp") for number, part in enumerate(parts)]
    seen = served.look(targets)
    assert [one.name for one in seen] == [part.name for part in parts]
    assert [one.fingerprint for one in seen] == [mark(NEW), mark(OLD)] * 10
    assert served.look([]) == ()


def test_for_health(serve: Serve):
    """One handshake, and the serial of what is served; none where nobody answers."""
    server = serve(OLD)
    assert served.served_now(verify(server), "example.jp", NOW) == Served(read_leaf(OLD.pem).serial, NOW)
    assert server.accepted == 1
    assert served.served_now(nowhere(), "example.jp", NOW) == Served(None, NOW)


@pytest.mark.parametrize(
    ("domains", "name"),
    [
        (("example.jp", "www.example.jp"), "example.jp"),
        (("*.example.jp",), "certd-probe.example.jp"),
        (("www.example.jp", "*.example.jp"), "www.example.jp"),
    ],
)
def test_the_name_to_ask_for(domains: tuple[str, ...], name: str):
    """The first; a star cannot be asked for."""
    assert served.sni(spec(domains=domains)) == name


# --- the responder's word ---------------------------------------------------------------------------------------


@pytest.fixture
def exchanger() -> Iterator[Exchanger]:
    exchanger = Exchanger(require_https=False)
    yield exchanger
    exchanger.close()


def test_a_chain_without_the_issuer(exchanger: Exchanger):
    """No answer could be verified, so none is asked for."""
    made = placeholder()
    check = served.ask_status(exchanger, made.fullchain, made.leaf, by_get=False, now=NOW)
    assert (check.word, check.asked_at) == (OcspWord.INVALID, NOW)


@pytest.mark.parametrize(
    ("reply", "word"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: application/ocsp-response\r\n\r\nhello", "invalid"),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", "unreachable"),
        (b"", "unreachable"),
    ],
)
def test_answers_that_prove_nothing(exchanger: Exchanger, reply: bytes, word: str):
    """They are words too: never an exception, never good; the text fits a log line. GET does not follow them."""
    with peer(replying(reply, close=True)) as server:
        leaf = AUTHORITY.leaf("example.jp", ocsp_url=server.url("/"))
        chain = AUTHORITY.chain(leaf)
        check = served.ask_status(exchanger, chain, read_leaf(leaf.pem), by_get=True, now=NOW)
    assert check.word == word
    assert check.text.isprintable()
    assert check.text
