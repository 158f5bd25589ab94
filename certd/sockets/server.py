"""A small server on a Unix socket: few clients at a time, each with little time, and none can hold up the daemon.

Every client has a thread of its own, at most `CLIENTS` at once; one more is told so and sent away at once. Reading a
request and sending its answer have a deadline each, so a client that sends or reads one byte a minute is cut off.
"""

from __future__ import annotations

import grp
import logging
import os
import socket
import stat
import time
from contextlib import suppress
from threading import BoundedSemaphore, Event, Lock, Thread
from typing import TYPE_CHECKING, Self

from certd import atomicfile
from certd.errors import StateError
from certd.logs import log_bug, log_event
from certd.sockets.http import HEAD_LIMIT, Rejected, Request, Response, error, parse_head, render

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CLIENTS = 16
DEADLINE = 5.0
"""Seconds to send a request, and again to take its answer."""
LINGER = 0.2
"""Seconds for which what a rejected client still sends is read away, so that it sees the answer and not a reset."""

_log = logging.getLogger(__name__)
_END = b"\r\n\r\n"


class HttpSocket:
    """Serves `handler` at `path`. The socket file has its final mode and group before its name appears.

    `handler` runs in the clients' threads and answers every request, HEAD as GET; it may raise `Rejected`. Entering the
    context opens it, leaving closes it.
    """

    def __init__(
        self,
        path: Path,
        handler: Callable[[Request], Response],
        *,
        mode: int,
        group: str | None = None,
        clients: int = CLIENTS,
        deadline: float = DEADLINE,
    ) -> None:
        self.path = path
        self._handler = handler
        self._mode = mode
        self._group = group
        self._deadline = deadline
        self._seats = BoundedSemaphore(clients)
        self._socket: socket.socket | None = None
        self._inode = (0, 0)
        self._thread: Thread | None = None
        self._closing = Event()
        self._lock = Lock()
        self._counters = {"requests": 0, "refused": 0, "timeouts": 0, "bad_requests": 0}

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> None:
        """Begin to answer. A file left by a process that is gone is replaced.

        Raises:
            StateError: the socket cannot be made, or another process answers there.
        """
        try:
            self._socket = self._listen()
        except OSError as problem:
            hint = "; choose a shorter runtime_dir" if "too long" in str(problem) else ""
            raise StateError(f"cannot make the socket {self.path}: {problem.strerror or problem}{hint}") from problem
        self._thread = Thread(target=self._accept, name=self.path.name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Answer no more and remove the file, if it is still ours. Clients that are being answered keep their time."""
        self._closing.set()
        if self._socket is None:
            return
        with suppress(OSError):
            found = self.path.lstat()
            if (found.st_dev, found.st_ino) == self._inode:
                self.path.unlink()
        # Wakes the thread in accept(), which close() alone would not.
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        if self._thread is not None:
            self._thread.join(timeout=5)
        self._socket.close()
        self._socket = None

    def counters(self) -> dict[str, int]:
        """How many requests were answered, clients refused, clients cut off, and requests malformed."""
        with self._lock:
            return dict(self._counters)

    def _listen(self) -> socket.socket:
        group = self._group_id()
        atomicfile.make_directory(self.path.parent, mode=0o755)
        self._make_way()
        # As long as the final name, since socket paths end at 107 bytes; and always the same one, so that a start takes
        # away what an earlier one left that was killed right here.
        temp = self.path.with_name(f"~{self.path.name[1:]}")
        temp.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # Linux gives the file the mode of the socket (less the umask): nobody else may connect at any moment.
            os.fchmod(listening.fileno(), 0o600)
            listening.bind(str(temp))
            if group is not None:
                self._give(temp, group)
            temp.chmod(self._mode)
            listening.listen(64)
            found = temp.lstat()
            self._inode = (found.st_dev, found.st_ino)
            temp.rename(self.path)
        except BaseException:
            listening.close()
            temp.unlink(missing_ok=True)
            raise
        return listening

    def _give(self, temp: Path, group: int) -> None:
        try:
            os.chown(temp, -1, group)
        except PermissionError:
            raise StateError(
                f"cannot make the socket {self.path}: the user that runs certd is no member of group {self._group!r}; "
                "`certd systemd-paths` prints the line that its unit needs"
            ) from None

    def _group_id(self) -> int | None:
        if self._group is None:
            return None
        try:
            return grp.getgrnam(self._group).gr_gid
        except KeyError:
            raise StateError(f"cannot make the socket {self.path}: there is no group {self._group!r}") from None

    def _make_way(self) -> None:
        """See that nothing is lost by replacing what has our name."""
        try:
            found = self.path.lstat()
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(found.st_mode):
            raise StateError(f"cannot make the socket {self.path}: something else has that name; move it away")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
            caller.settimeout(1)
            try:
                caller.connect(str(self.path))
            except (ConnectionRefusedError, FileNotFoundError):
                return
            except OSError:
                pass  # a full queue or no permission: somebody is there
        raise StateError(
            f"cannot make the socket {self.path}: another process answers on it; is certd running already?"
        )

    def _accept(self) -> None:
        listening = self._socket
        assert listening is not None
        while not self._closing.is_set():
            try:
                client, _ = listening.accept()
            except OSError as problem:
                # Out of descriptors, for one: that passes, and must not become a busy loop.
                if not self._closing.wait(0.5):
                    log_event(_log, logging.WARNING, "Cannot accept a client.", socket=self.path, error=problem)
                continue
            self._admit(client)

    def _admit(self, client: socket.socket) -> None:
        if not self._seats.acquire(blocking=False):
            self._count("refused")
            with client, suppress(OSError):
                client.setblocking(False)
                client.send(render(error(503, "busy", "Too many clients at once; try again in a moment.")))
            return
        try:
            Thread(target=self._serve, args=(client,), name=f"{self.path.name}-client", daemon=True).start()
        except RuntimeError:  # no more threads: this client has to come again
            self._seats.release()
            self._count("refused")
            client.close()

    def _serve(self, client: socket.socket) -> None:
        try:
            with client:  # counted before the client sees its end
                self._attend(client)
        finally:
            self._seats.release()

    def _attend(self, client: socket.socket) -> None:
        try:
            self._converse(client)
        except TimeoutError:
            self._count("timeouts")
        except OSError:
            pass  # the client went away

    def _converse(self, client: socket.socket) -> None:
        wants_body = True
        try:
            request = self._read(client)
            if request is None:
                return
            wants_body = request.method != "HEAD"
            response = self._answer(request)
        except Rejected as rejected:
            self._count("bad_requests")
            response = rejected.response
        _send(client, render(response, body=wants_body), time.monotonic() + self._deadline)
        _linger(client)

    def _read(self, client: socket.socket) -> Request | None:
        """One request with its body, which is thrown away; None if the client said nothing."""
        deadline = time.monotonic() + self._deadline
        data = b""
        while _END not in data:
            if len(data) > HEAD_LIMIT:
                raise Rejected(431, "too-large", "The request's head is too large.")
            received = _receive(client, deadline)
            if not received:
                if data:
                    raise Rejected(400, "bad-request", "The request ends before its empty line.")
                return None
            data += received
        head, _, rest = data.partition(_END)
        if len(head) > HEAD_LIMIT:
            raise Rejected(431, "too-large", "The request's head is too large.")
        request, length = parse_head(head)
        left = length - len(rest)
        while left > 0:
            received = _receive(client, deadline)
            if not received:
                raise Rejected(400, "bad-request", "The body ends early.")
            left -= len(received)
        self._count("requests")
        return request

    def _answer(self, request: Request) -> Response:
        try:
            return self._handler(request)
        except Rejected as rejected:
            return rejected.response
        except Exception as problem:  # whatever it is, the client gets an answer and the operator a line
            log_bug(_log, "A request on the socket met an error nobody foresaw.", problem, path=request.path)
            return error(500, "internal-error", "certd met an error of its own; its log says more.")

    def _count(self, name: str) -> None:
        with self._lock:
            self._counters[name] += 1


def _receive(client: socket.socket, deadline: float) -> bytes:
    client.settimeout(_left(deadline))
    return client.recv(4096)


def _send(client: socket.socket, data: bytes, deadline: float) -> None:
    rest = memoryview(data)
    while rest:
        client.settimeout(_left(deadline))
        rest = rest[client.send(rest[: 256 * 1024]) :]


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _linger(client: socket.socket) -> None:
    """End the answer, then read away what is still on its way."""
    deadline = time.monotonic() + LINGER
    with suppress(OSError):
        client.shutdown(socket.SHUT_WR)
        while _receive(client, deadline):
            pass
