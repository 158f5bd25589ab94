"""What reads bytes of strangers, one function per reader: each takes any bytes, and fails where a promise is broken.

The promise is the same everywhere: a value that is safe to use, or an error of certd's own tree whose text is one
printable line. Anything else that is raised is a bug.
"""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import tempfile
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from authority import NOW
from seeds import AUTHORITY, LEAF, NAME

from certd.acme import messages
from certd.acme.fields import is_token
from certd.acme.lookup import explain
from certd.acme.nonces import nonce_in
from certd.acme.problem import parse_problem, problem_error
from certd.acme.problems import judge
from certd.challenges import OPTIONS
from certd.config import load
from certd.config.surroundings import Surroundings
from certd.errors import CertdError, ConfigError, ExchangeError, OcspError, PkiError, StateError
from certd.http import Exchanger
from certd.model.records import OcspWord, Step
from certd.model.specs import KeyType
from certd.ocsp import read_response
from certd.pki import build_set, is_placeholder, read_leaf
from certd.sockets.http import Rejected, Response, parse_head, render
from certd.store import recordfile, records

LIMIT = 64 * 1024
_DEADLINE = timedelta(seconds=5)


def read_messages(data: bytes) -> None:
    """The CA's objects, and what is made of its problems."""
    readers: tuple[Callable[[bytes], object], ...] = (
        messages.parse_directory,
        messages.parse_account,
        messages.parse_order,
        lambda body: messages.parse_authorization(body, url="https://ca.test/a/1"),
        messages.parse_challenge,
        lambda body: messages.parse_location(body.decode("latin-1"), "https://ca.test/x", "newOrder"),
    )
    kind, body = data[:1] or b"\0", data[1:]
    with _own_errors(CertdError):
        found = readers[kind[0] % len(readers)](body)
        if isinstance(found, messages.Authorization):
            assert all(is_token(one.token) for one in found.challenges if one.type in messages.TOKEN_TYPES)
        if isinstance(found, messages.Order):
            assert all(url.startswith("https://") for url in map(str.lower, (*found.authorizations, found.finalize)))
    problem = parse_problem(body, 400)
    assert problem.type.isprintable()
    assert problem.detail.isprintable()
    for step in (Step.NEW_ORDER, Step.VALIDATION, Step.ACCOUNT):
        verdict = judge(problem_error(body, status=400, asked="order"), step)
        assert verdict.text.isprintable()
        assert len(verdict.text) <= 600


def read_query(data: bytes) -> None:
    """What an operator pastes into `certd explain`: a CA's message, a line of a log, a document."""
    for one in explain(data.decode("utf-8", "surrogateescape")):
        assert one.happened
        assert one.does
        assert one.remedy
        assert one.message.isprintable()
        assert one.about.isprintable()


def read_ocsp(data: bytes) -> None:
    """An answer of a responder. No change of a signed one may make another word of it."""
    with _own_errors(OcspError):
        word = read_response(data, LEAF.certificate, AUTHORITY.intermediate.certificate, NOW).word
        assert word in OcspWord


def read_chain(data: bytes) -> None:
    """A chain of PEM, as a CA delivers it and as it lies on the disk."""
    is_placeholder(data)
    with _own_errors(PkiError):
        read_leaf(data)
    with _own_errors(PkiError):
        made = build_set(LEAF.key_pem, data, domains=[NAME], key_type=KeyType.P256, now=NOW)
        assert made.leaf.names == (NAME,)
        assert build_set(LEAF.key_pem, made.fullchain, domains=[NAME], key_type=KeyType.P256, now=NOW) == made


def read_answer(data: bytes) -> None:
    """Raw bytes from a socket, through the whole of the exchange."""
    with _own_errors(ExchangeError):
        answer = _peer().ask(data)
        assert len(answer.body) <= LIMIT
        wait = answer.retry_after(NOW)
        assert wait is None or timedelta(0) <= wait <= timedelta(days=366)
        assert answer.date is None or answer.date.tzinfo is not None
        nonce_in(answer.headers)


def read_head(data: bytes) -> None:
    """What a client of the sockets sends."""
    try:
        request, length = parse_head(data)
    except Rejected as rejected:
        assert render(rejected.response).startswith(b"HTTP/1.1 4") or rejected.response.status == 501
        return
    assert request.path.startswith("/")
    assert request.path.isprintable()
    assert 0 <= length <= 4096
    assert render(Response(200, b"x"), body=request.method != "HEAD").endswith((b"x", b"\r\n\r\n"))


def read_config(data: bytes) -> None:
    """A configuration: a Config, or lines that name file, line and key."""
    path = _scratch() / "config.yaml"
    path.write_bytes(data)
    try:
        load(path, solvers=OPTIONS, surroundings=Surroundings(NOW.date(), 0, {}, check_host=False))
    except ConfigError as error:
        assert error.problems
        assert all(line.isprintable() and line.startswith(f"{path}:") for line in error.problems)


def read_record(data: bytes) -> None:
    """A record on the disk; what is read is written as it was read."""
    decoders = (records._certificate, records._server, records._account, records._daemon, records._alarms)
    decoder = decoders[(data[:1] or b"\0")[0] % len(decoders)]
    path = Path("state.json")
    with _own_errors(StateError):
        record = recordfile.decode(data[1:], decoder, path)  # type: ignore[var-annotated, arg-type]
        assert recordfile.decode(recordfile.encode(record), decoder, path) == record  # type: ignore[arg-type]


TARGETS: dict[str, Callable[[bytes], None]] = {
    "messages": read_messages,
    "queries": read_query,
    "ocsp": read_ocsp,
    "chain": read_chain,
    "answers": read_answer,
    "heads": read_head,
    "config": read_config,
    "records": read_record,
}


class _own_errors(contextlib.AbstractContextManager[None]):  # noqa: N801 - reads as the function that it replaces
    """Lets errors of this kind pass, if their text is fit for a log."""

    def __init__(self, kind: type[CertdError]) -> None:
        self._kind = kind

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> bool:
        if not isinstance(error, self._kind):
            return False
        assert str(error).isprintable(), str(error)
        return True


class _Peer:
    """A server on the loopback that says the bytes it is given, whatever it is asked, and hangs up."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        self._exchanger = Exchanger(require_https=False)
        self._says = b""
        threading.Thread(target=self._serve, daemon=True).start()

    def ask(self, says: bytes) -> object:
        self._says = says
        return self._exchanger.send("POST", self._url, body=b"?", deadline=_DEADLINE, limit=LIMIT)

    def _serve(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            with sock, contextlib.suppress(OSError):
                sock.recv(65536)
                sock.sendall(self._says)
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(65536):
                    pass


@functools.cache
def _peer() -> _Peer:
    return _Peer()


@functools.cache
def _scratch() -> Path:
    """A directory of this process, in memory where there is such a place."""
    shared = Path("/dev/shm")
    place = tempfile.TemporaryDirectory(dir=shared if os.access(shared, os.W_OK) else None, prefix="certd-fuzz-")
    _kept.append(place)
    return Path(place.name)


_kept: list[tempfile.TemporaryDirectory[str]] = []
