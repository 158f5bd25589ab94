"""The exchanger: requests over bounded connections, and every failure as one sentence."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies

import certifi
import requests
import requests.utils
import urllib3.exceptions

from certd import __version__
from certd.dial import Deadline, Lookup, system_lookup
from certd.errors import (
    BodyTooLarge,
    ConnectFailed,
    DeadlineExceeded,
    ExchangeError,
    InsecureUrl,
    TlsFailed,
)
from certd.http.answer import Answer
from certd.http.connections import BoundedAdapter, Exchange, in_exchange
from certd.text import printable

DEADLINE = timedelta(seconds=30)
LIMIT = 1024 * 1024
"""Bytes of a body."""
USER_AGENT = f"certd/{__version__}"
SYSTEM_BUNDLES = (Path("/etc/pki/tls/certs/ca-bundle.crt"), Path("/etc/ssl/certs/ca-certificates.crt"))
"""Where RHEL and Debian keep the roots that the operator's system trusts."""
_OVERHEAD = 256 * 1024
"""Bytes for status line, headers and framing; twice the limit comes on top, since chunks are framed too."""
_READ_SIZE = 64 * 1024
_SAFE = frozenset({"GET", "HEAD"})


class Exchanger:
    """Carries out exchanges over a pool of connections that all threads share.

    Redirects are returned, not followed: ACME knows none, and one must not lead away from https. There are no
    cookies, no credentials from files, no content codings, and no retries, with one exception that `send` tells of.
    Trusted are the roots of the system, certifi's where it has none, or those in `trust` alone; a bundle that
    changes on disk is read anew. `proxy` replaces the proxies of the environment; NO_PROXY holds for both.
    """

    def __init__(
        self,
        *,
        trust: Path | None = None,
        proxy: str | None = None,
        connections: int = 32,
        require_https: bool = True,
        user_agent: str = USER_AGENT,
        lookup: Lookup = system_lookup,
    ) -> None:
        self._bundle = trust or next((path for path in SYSTEM_BUNDLES if path.is_file()), Path(certifi.where()))
        self._proxy = proxy
        self._connections = connections
        self._require_https = require_https
        self._user_agent = user_agent
        self._lookup = lookup
        self._lock = threading.Lock()
        self._adapter: BoundedAdapter | None = None
        self._adapter_roots: tuple[int, int] | None = None
        # urllib3 logs what peers send, unescaped; whatever matters of it is in the errors raised here.
        logging.getLogger("urllib3").setLevel(logging.CRITICAL + 1)

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        deadline: timedelta = DEADLINE,
        limit: int = LIMIT,
    ) -> Answer:
        """Send one request and read its answer, of any status, within `deadline` and `limit` bytes of body.

        The deadline holds for the whole: resolving, connecting, TLS, sending, and the last byte of the body, however
        slowly it drips. Raises ExchangeError (see its subclasses), never anything else.

        When a connection from the pool turns out dead before one byte of an answer has come, GET and HEAD are sent
        once more on it or a new one. A POST is not: the peer may have acted on it, and whoever sends it keeps a
        record that tells what to look at before it is sent again.
        """
        target = self._target(url)
        place = _place(target)
        exchange = Exchange(Deadline(deadline.total_seconds()), 2 * limit + _OVERHEAD, self._lookup)
        try:
            try:
                return self._attempt(exchange, method, url, headers, body, limit)
            except (ExchangeError, requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
                if isinstance(error, DeadlineExceeded) or method not in _SAFE or not exchange.stale:
                    raise
                return self._attempt(exchange, method, url, headers, body, limit)
        except ExchangeError as error:
            raise type(error)(f"{method} {place}: {error}") from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise _failure(error, f"{method} {place}") from None

    def close(self) -> None:
        """Close the idle connections of the pool. The exchanger can be used again."""
        with self._lock:
            adapter, self._adapter = self._adapter, None
        if adapter is not None:
            adapter.close()

    def _target(self, url: str) -> SplitResult:
        """Refuse what certd would not fetch, whoever names it; RFC 8555 section 6.1 demands https."""
        shown = printable(url, 100)
        if not url.isascii() or not url.isprintable() or " " in url:
            raise ExchangeError(f"{shown} is not a URL")
        try:
            target = urlsplit(url)
            _ = target.port
        except ValueError:
            raise ExchangeError(f"{shown} is not a URL") from None
        if target.scheme not in ("http", "https") or not target.hostname:
            raise ExchangeError(f"{shown} is not an http or https URL")
        if target.scheme != "https" and self._require_https:
            raise InsecureUrl(f"{shown} is not https, and nothing else is accepted here")
        if "@" in target.netloc:
            raise ExchangeError(f"the URL for {printable(target.hostname)} holds credentials, which are never sent")
        return target

    def _attempt(
        self,
        exchange: Exchange,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        body: bytes | None,
        limit: int,
    ) -> Answer:
        fixed = {"User-Agent": self._user_agent, "Accept-Encoding": "identity"}
        request = requests.Request(method, url, headers={**fixed, **(headers or {})}, data=body).prepare()
        # As it was given, byte for byte: requests rewrites escapes, and a CA compares the URL with the signed one
        # (RFC 8555 section 6.4).
        request.url = url
        with in_exchange(exchange):
            response = self._current_adapter().send(
                request,
                stream=True,
                timeout=exchange.remaining("preparing the request"),
                proxies=self._proxies(url),
            )
            try:
                content = _read(response.raw, limit)
            finally:
                response.close()
        names = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, MappingProxyType(names), content, url)

    def _proxies(self, url: str) -> dict[str, str]:
        if requests.utils.should_bypass_proxies(url, no_proxy=None):
            return {}
        offered = {"all": self._proxy} if self._proxy else getproxies()
        proxy = requests.utils.select_proxy(url, offered)
        if not proxy:
            return {}
        # Only these can be held to a total deadline: https proxies put TLS into TLS, SOCKS needs a library of its own.
        scheme, separator, _ = proxy.partition("://")
        if separator and scheme.lower() != "http":
            raise ConnectFailed(f"the proxy is a {printable(scheme, 20)} one; only http:// proxies can be used")
        return {"all": proxy}

    def _current_adapter(self) -> BoundedAdapter:
        """The adapter with today's roots: a package update changes the bundle during the life of the daemon."""
        try:
            status = self._bundle.stat()
            roots = (status.st_mtime_ns, status.st_ino)
            with self._lock:
                if self._adapter is None or self._adapter_roots != roots:
                    old, self._adapter = self._adapter, BoundedAdapter(self._bundle, self._connections)
                    self._adapter_roots = roots
                    if old is not None:
                        old.close()
                return self._adapter
        except OSError as error:
            reason = error.strerror or getattr(error, "reason", None) or "no certificate in it"
            raise TlsFailed(f"cannot read the trusted roots in {self._bundle}: {printable(str(reason))}") from None


def _read(raw: Any, limit: int) -> bytes:
    announced = raw.headers.get("Content-Length", "")
    if announced.isascii() and announced.isdigit() and int(announced[:20]) > limit and raw.length_remaining != 0:
        raise BodyTooLarge(f"the answer's body has {announced[:20]} bytes; {limit} are allowed")
    content = bytearray()
    # Never more than one byte over the limit is asked for. decode_content: a small coded body can unfold to gigabytes.
    while chunk := raw.read(min(_READ_SIZE, limit + 1 - len(content)), decode_content=False):
        content += chunk
        if len(content) > limit:
            raise BodyTooLarge(f"the answer's body has more than {limit} bytes")
    return bytes(content)


def _place(target: SplitResult) -> str:
    host = printable(target.hostname or "")
    return f"{target.scheme}://{f'[{host}]' if ':' in host else host}{f':{target.port}' if target.port else ''}"


def _failure(error: Exception, what: str) -> ExchangeError:
    """The error of our own tree for one of the libraries', in one sentence."""
    causes = list(_causes(error))
    timeouts = (TimeoutError, requests.Timeout, urllib3.exceptions.TimeoutError)
    if any(isinstance(cause, timeouts) for cause in causes):
        return DeadlineExceeded(f"{what}: time ran out during the TLS handshake")
    if any(isinstance(cause, requests.exceptions.SSLError | urllib3.exceptions.SSLError) for cause in causes):
        return TlsFailed(f"{what}: TLS failed: {_tls_reason(causes)}")
    reason = printable(_reason(causes[-1]))
    if any(isinstance(cause, requests.exceptions.ProxyError | urllib3.exceptions.ProxyError) for cause in causes):
        return ConnectFailed(f"{what}: the proxy does not connect: {reason}")
    if isinstance(error, ValueError):
        return ExchangeError(f"{what}: the request cannot be sent: {reason}")
    return ConnectFailed(f"{what}: the connection broke before the answer was complete: {reason}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and those inside it, outermost first: each library wraps the next one's in its own way."""
    current: BaseException | None = error
    while current is not None:
        yield current
        inner = [getattr(current, "reason", None), *reversed(current.args)]
        current = next((cause for cause in inner if isinstance(cause, BaseException)), None)


def _tls_reason(causes: list[BaseException]) -> str:
    """What OpenSSL says, without its file and line."""
    for name in ("verify_message", "reason"):
        for cause in reversed(causes):
            if isinstance(text := getattr(cause, name, None), str) and text:
                return printable(text.replace("_", " ").lower() if name == "reason" else text)
    return printable(_reason(causes[-1]))


def _reason(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return str(text) if text else type(error).__name__
