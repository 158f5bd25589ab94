"""A web server for one directory on loopback: where http-01 validation finds its answers."""

from __future__ import annotations

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from parts.ports import LOOPBACK, free_port


class _Quiet(SimpleHTTPRequestHandler):
    timeout = 10

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: `Webroot.asked` keeps what tests want to know."""

    def do_GET(self) -> None:
        assert isinstance(self.server, _Server)
        self.server.asked.append(f"{self.headers.get('Host', '')}{self.path}")
        super().do_GET()


class _Server(ThreadingHTTPServer):
    asked: list[str]


class Webroot:
    """Serves the files below `path` for every host name. `asked` lists `host:port/path` of every request."""

    def __init__(self, path: Path, port: int | None = None) -> None:
        self.path = path
        self.port = port or free_port()
        self.asked: list[str] = []
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        self._server = _Server((LOOPBACK, self.port), partial(_Quiet, directory=str(self.path)))
        self._server.asked = self.asked
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
        self._server = self._thread = None
