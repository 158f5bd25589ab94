"""A tiny web server for where there is no httpd: a webroot over HTTP, and over TLS with pairs that it reads again.

``python -m certd.lab.tlsserver --http PORT --tls PORT --webroot DIR --certificate FILE --key FILE --pid-file FILE``
serves until SIGTERM; SIGHUP makes it read the pairs again. `--certificate` and `--key` may be given several times:
the name that the client asks for chooses the pair, the first serves all other names. With one of the words `reload`,
`status` (LSB codes: 0 running, 1 dead though its pid file exists, 3 stopped), `start` (in the background) and `stop`
before the options it drives another such process, as a reload target needs it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from cryptography import x509

from certd.errors import CommandFailed, PkiError
from certd.lab.apache import DEAD, RUNNING, STOPPED, wait_until
from certd.lab.options import LOOPBACK
from certd.lab.web import LoopbackServer, Reply, Request

Pair = tuple[Path, Path]
"""A certificate with its chain, and its key: PEM files."""

RELOADED = "the pairs were read again"
"""What the process writes to its log for every reload that worked."""


class TlsServer:
    """The server itself; `reload` may be called from any thread."""

    def __init__(self, http_port: int, tls_port: int, webroot: Path, pairs: Sequence[Pair]) -> None:
        self._webroot = webroot
        self._pairs = tuple(pairs)
        self._http = LoopbackServer(self._serve, address=LOOPBACK, port=http_port)
        self._tls = LoopbackServer(self._serve, address=LOOPBACK, port=tls_port, context=load_context(self._pairs))

    @property
    def http_port(self) -> int:
        return self._http.port

    @property
    def tls_port(self) -> int:
        return self._tls.port

    def start(self) -> None:
        """Raises OSError when a port is taken."""
        self._http.start()
        try:
            self._tls.start()
        except OSError:
            self._http.stop()
            raise

    def stop(self) -> None:
        self._tls.stop()
        self._http.stop()

    def reload(self) -> None:
        """Read the pairs again. Raises `PkiError` when one cannot be used: all the old ones go on being served."""
        self._tls.context = load_context(self._pairs)

    def _serve(self, request: Request) -> Reply:
        if request.method not in ("GET", "HEAD"):
            return Reply(405, headers={"Allow": "GET, HEAD"})
        root = self._webroot.resolve()
        try:
            file = (root / unquote(urlsplit(request.path).path).lstrip("/")).resolve()
            if not file.is_relative_to(root):
                return Reply(404)
            return Reply(200, file.read_bytes(), "text/plain")
        except (OSError, ValueError):
            return Reply(404)


def load_context(pairs: Sequence[Pair]) -> ssl.SSLContext:
    """A context that serves the first pair, and the others to who asks for their names. Raises `PkiError`."""
    contexts = [(_load_pair(pair), _names(pair[0])) for pair in pairs]
    first = contexts[0][0]

    def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        wanted = {name, f"*.{name.partition('.')[2]}"} if name else set()
        connection.context = next((context for context, names in contexts if wanted & names), first)

    first.sni_callback = choose
    return first


def _load_pair(pair: Pair) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(*pair)
    except OSError as error:
        raise PkiError("pair", f"{pair[0]} and {pair[1]} cannot be served: {error}") from error
    return context


def _names(certificate: Path) -> set[str]:
    try:
        leaf = x509.load_pem_x509_certificates(certificate.read_bytes())[0]
        alternatives = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    except (OSError, ValueError) as error:
        raise PkiError("pair", f"{certificate} cannot be served: {error}") from error
    return {name.lower() for name in alternatives.get_values_for_type(x509.DNSName)}


# --- the process ------------------------------------------------------------------------------------------------


def running_pid(pid_file: Path) -> int | None:
    """The process that the file names, if it is such a server."""
    try:
        pid = int(pid_file.read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if b"certd.lab.tlsserver" in command else None


def status(pid_file: Path) -> int:
    """The LSB code."""
    if not pid_file.exists():
        return STOPPED
    return RUNNING if running_pid(pid_file) is not None else DEAD


def serve(server: TlsServer, pid_file: Path) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code. For the main thread only."""
    signals = {signal.SIGHUP, signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # before the first thread, which inherits it
    server.start()
    try:
        pid_file.write_text(f"{os.getpid()}\n")
        while signal.sigwait(signals) == signal.SIGHUP:
            _reload(server)
    finally:
        server.stop()
        pid_file.unlink(missing_ok=True)
    return 0


def _reload(server: TlsServer) -> None:
    try:
        server.reload()
    except PkiError as error:
        sys.stderr.write(f"{error}; the old pairs go on being served\n")
    else:
        sys.stderr.write(f"{RELOADED}\n")


def drive(word: str, pid_file: Path, options: Sequence[str]) -> int:
    """`reload`, `status`, `start` or `stop` another process; returns the exit code."""
    if word == "status":
        return status(pid_file)
    pid = running_pid(pid_file)
    if word == "start":
        return 0 if pid is not None else _start(pid_file, options)
    if pid is None:
        sys.stderr.write("not running\n")
        return 0 if word == "stop" else 1
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGHUP if word == "reload" else signal.SIGTERM)
    if word == "stop":
        wait_until(lambda: status(pid_file) == STOPPED, "the TLS server to stop")
    return 0


def _start(pid_file: Path, options: Sequence[str]) -> int:
    pid_file.unlink(missing_ok=True)
    with pid_file.with_suffix(".log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - this very module, no shell
            [sys.executable, "-m", "certd.lab.tlsserver", "serve", *options],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    wait_until(lambda: pid_file.exists() or process.poll() is not None, "the TLS server to start")
    return process.poll() or 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    words = ("serve", "reload", "status", "start", "stop")
    word = arguments.pop(0) if arguments and arguments[0] in words else "serve"
    parser = argparse.ArgumentParser(prog="certd.lab.tlsserver", description=__doc__)
    needed = word in ("serve", "start")
    parser.add_argument("--http", type=int, required=needed)
    parser.add_argument("--tls", type=int, required=needed)
    parser.add_argument("--webroot", type=Path, required=needed)
    parser.add_argument("--certificate", type=Path, action="append", required=needed)
    parser.add_argument("--key", type=Path, action="append", required=needed)
    parser.add_argument("--pid-file", type=Path, required=True)
    asked = parser.parse_args(arguments)
    if needed and len(asked.certificate) != len(asked.key):
        parser.error("as many --key as --certificate")
    try:
        if word != "serve":
            return drive(word, asked.pid_file, arguments)
        pairs = list(zip(asked.certificate, asked.key, strict=True))
        return serve(TlsServer(asked.http, asked.tls, asked.webroot, pairs), asked.pid_file)
    except (PkiError, CommandFailed, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
