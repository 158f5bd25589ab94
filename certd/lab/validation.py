"""Validation as the CA does it: http-01 over real connections to the loopback (RFC 8555 sections 8.3 and 8.4)."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import ipaddress
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from certd.lab.faults import Faults, LabProblem, row
from certd.lab.jws import encode
from certd.lab.objects import Challenge, Records
from certd.lab.options import LOOPBACK, Clock, LabOptions

BODY_CAP = 64 * 1024
REDIRECTS = 10
WORKERS = 16


class Validator:
    """Validates challenges in the background; every outcome is written into the records."""

    def __init__(self, records: Records, options: LabOptions, faults: Faults, clock: Clock) -> None:
        self._records = records
        self._options = options
        self._faults = faults
        self._clock = clock
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()
        self._open: set[http.client.HTTPConnection] = set()
        self._leaving = threading.Event()

    def start(self) -> None:
        """Begin to work; what was left undone at a stop is taken up again."""
        self._leaving.clear()
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="lab-validate")
        with self._records.lock:
            undone = [one for one in self._records.challenges.values() if one.status == "processing"]
        for challenge in undone:
            self.submit(challenge)

    def stop(self) -> None:
        """End all threads; validations under way stay undecided."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        self._leaving.set()
        with self._lock:
            for connection in self._open:
                if connection.sock is not None:
                    with contextlib.suppress(OSError):
                        connection.sock.shutdown(socket.SHUT_RDWR)
        pool.shutdown(wait=True, cancel_futures=True)

    def submit(self, challenge: Challenge) -> None:
        """Begin one validation."""
        if self._pool is not None:
            self._pool.submit(self._validate, challenge)

    def _validate(self, challenge: Challenge) -> None:
        error = None
        try:
            self._check(challenge)
        except LabProblem as problem:
            error = problem.document()
        except Exception as fault:  # a bug of the lab must show, not leave the challenge undecided for ever
            error = row(26).problem().document() | {"cause": repr(fault)}
        if self._leaving.is_set():
            return
        with self._records.lock:
            challenge.authorization.settle(challenge, error, self._clock())

    def _check(self, challenge: Challenge) -> None:
        name = challenge.authorization.name
        fault = self._faults.take("validation", (name,))
        if fault is not None:
            self._leaving.wait(fault.delay)
            if fault.problem is not None:
                raise fault.problem
        expected = f"{challenge.token}.{challenge.authorization.account.jwk.thumbprint}"
        if challenge.type == "dns-01":
            self._check_txt(name, expected)
        else:
            self._check_http(name, challenge.token, expected)

    def _check_txt(self, name: str, expected: str) -> None:
        """RFC 8555 section 8.4."""
        value = encode(hashlib.sha256(expected.encode()).digest())
        lookup = self._options.txt
        found = list(lookup(f"_acme-challenge.{name}")) if lookup is not None else []
        if value not in found:
            raise LabProblem("incorrectResponse", 403, f"{len(found)} TXT records at _acme-challenge.{name}, none fits")

    def _check_http(self, name: str, token: str, expected: str) -> None:
        """RFC 8555 section 8.3."""
        try:
            status, body = self._get(name, f"/.well-known/acme-challenge/{token}")
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise row(9).problem(name, why=repr(error)) from error
        if status != 200:
            raise LabProblem("unauthorized", 403, row(27).message, why=f"{name} answered {status}")
        # RFC 8555 section 8.3: white space at the end of the body is to be ignored.
        if body.rstrip() != expected.encode():
            raise LabProblem("incorrectResponse", 403, f"The response of {name} does not match the challenge")

    def _get(self, host: str, target: str) -> tuple[int, bytes]:
        """GET with redirects followed, within one deadline. Raises OSError, HTTPException, ValueError (a URL)."""
        deadline = time.monotonic() + self._options.validation_timeout
        for _ in range(REDIRECTS + 1):
            status, location, body = self._get_once(host, target, deadline)
            if status not in (301, 302, 303, 307, 308) or location is None:
                return status, body
            host, target = self._redirected(host, target, location)
        raise http.client.HTTPException("too many redirects")

    def _redirected(self, host: str, target: str, location: str) -> tuple[str, str]:
        url = urlsplit(location)
        if not url.netloc and not url.scheme and url.path.startswith("/"):
            return host, f"{url.path}?{url.query}" if url.query else url.path
        if url.scheme != "http" or url.hostname is None or url.port not in (None, 80, self._options.http_port):
            raise http.client.HTTPException(f"a redirect of {target} that is not followed")
        return url.hostname, f"{url.path or '/'}?{url.query}" if url.query else url.path or "/"

    def _get_once(self, host: str, target: str, deadline: float) -> tuple[int, str | None, bytes]:
        with self._connection(self._address(host), deadline) as connection:
            connection.putrequest("GET", target, skip_host=True, skip_accept_encoding=True)
            connection.putheader("Host", host)
            connection.putheader("User-Agent", "certd-lab-validation")
            connection.endheaders()
            with connection.getresponse() as response:
                body = b""
                while chunk := response.read1(BODY_CAP + 1 - len(body)):
                    body += chunk
                    if len(body) > BODY_CAP:
                        raise http.client.HTTPException("too much of a body")
                    if time.monotonic() > deadline:
                        raise TimeoutError
                return response.status, response.headers["location"], body

    @contextlib.contextmanager
    def _connection(self, address: str, deadline: float) -> Iterator[http.client.HTTPConnection]:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection = http.client.HTTPConnection(address, self._options.http_port, timeout=left)
        try:
            connection.connect()
            with self._lock:
                self._open.add(connection)
            if self._leaving.is_set():
                raise ConnectionAbortedError
            yield connection
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def _address(self, host: str) -> str:
        """The fence: an address on the loopback, never asked of DNS."""
        address = self._options.resolve.get(host, LOOPBACK)
        with contextlib.suppress(ValueError):
            address = str(ipaddress.ip_address(host))
        try:
            if ipaddress.ip_address(address).is_loopback:
                return address
        except ValueError:
            pass
        raise OSError(f"{address} is not on the loopback")
