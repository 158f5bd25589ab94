"""How commands talk to the daemon: one request on one of its Unix sockets."""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from certd.errors import CertdError, ConnectFailed, DeadlineExceeded, ProtocolError, Refused
from certd.text import printable

STATUS_TIMEOUT = 30.0
"""A daemon with ten thousand certificates takes seconds for its whole status."""
CONTROL_TIMEOUT = 120.0
"""A request waits for the work on its certificate to come to a rest."""


class Reply(msgspec.Struct, frozen=True):
    status: int
    body: bytes

    def error_text(self) -> str:
        """What the daemon says went wrong, on one line."""
        try:
            error: Any = json.loads(self.body)["error"]
            return printable(str(error["text"]), 2000)
        except (ValueError, KeyError, TypeError):
            return f"the daemon answered {self.status}"


def get(path: Path, *parts: str) -> Reply:
    """GET /parts... from the status socket at `path`.

    Raises:
        ConnectFailed: nobody answers there.
        Refused: we may not ask there.
        DeadlineExceeded: no answer in time.
        ProtocolError: what answers there is not certd.
    """
    return _ask(path, "GET", _target(parts), STATUS_TIMEOUT)


def post(path: Path, *parts: str, query: str = "") -> Reply:
    """POST /parts...?query to the control socket at `path`; raises like `get`."""
    return _ask(path, "POST", _target(parts) + (f"?{query}" if query else ""), CONTROL_TIMEOUT)


def _target(parts: Iterable[str]) -> str:
    # As bytes: a word of the command line that is not UTF-8 is no text, and no name either, which the daemon says.
    return "/" + "/".join(quote(os.fsencode(part), safe="") for part in parts)


def _ask(path: Path, method: str, target: str, timeout: float) -> Reply:
    connection = _UnixConnection(path, timeout)
    try:
        connection.request(method, target)
        response = connection.getresponse()
        return Reply(response.status, response.read())
    except TimeoutError:
        raise DeadlineExceeded(f"certd did not answer on {path} within {timeout:.0f} s; see its log") from None
    except OSError as problem:
        raise _explained(path, problem) from None
    except http.client.HTTPException as problem:
        raise ProtocolError(f"what answers on {path} is not certd: {printable(repr(problem))}") from None
    finally:
        connection.close()


def _explained(path: Path, problem: OSError) -> CertdError:
    match problem:
        case FileNotFoundError() | ConnectionRefusedError():
            return ConnectFailed(
                f"certd does not run: nobody answers on {path}. "
                "Start it with `systemctl start certd`, or look why it ended with `journalctl -u certd`."
            )
        case PermissionError():
            return Refused(f"no permission to use {path}: run this as root or as a member of its group.")
        case _:
            return ConnectFailed(f"cannot talk to certd on {path}: {problem.strerror or printable(str(problem))}")


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.sock.settimeout(self.timeout)
            self.sock.connect(str(self._path))
        except BaseException:
            self.sock.close()
            raise
