"""Fetching one page the way a CA's validation does: plain HTTP, redirects followed by hand, everything bounded."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol
from urllib.parse import SplitResult, urljoin, urlsplit

from certd.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_REDIRECTS = 5
PAGE_LIMIT = 64 << 10
"""Bytes; a key authorization has some hundred."""
PAGE_DEADLINE = timedelta(seconds=10)
"""For each hop."""

Route = Callable[[str, int], tuple[str, int]]
"""Host and port -> the host and port to connect to instead."""


class Page(Protocol):
    """The part of `certd.http.Answer` that is used here. Header names are looked up in lower case."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def body(self) -> bytes: ...


class Send(Protocol):
    """`certd.http.Exchanger(require_https=False).send`."""

    def __call__(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        deadline: timedelta,
        limit: int,
    ) -> Page: ...


class TooManyRedirects(Exception):
    """The page redirects in circles, or to something that is not http or https; the text says which."""


def fetch(send: Send, url: str, *, route: Route | None = None) -> tuple[Page, str]:
    """GET `url`, following redirects (RFC 8555 section 8.3 allows them). The page and the URL it was found at.

    Raises ExchangeError, TooManyRedirects.
    """
    for _ in range(MAX_REDIRECTS + 1):
        target, headers = _routed(url, route)
        page = send("GET", target, headers=headers, deadline=PAGE_DEADLINE, limit=PAGE_LIMIT)
        location = page.headers.get("location")
        if page.status not in (301, 302, 303, 307, 308) or not location:
            return page, url
        try:
            url = urljoin(url, location)
            usable = urlsplit(url).scheme in ("http", "https") and bool(urlsplit(url).hostname)
        except ValueError:
            usable = False
        if not usable:
            raise TooManyRedirects(f"redirects to {printable(location, 200)}, which is no http URL")
    raise TooManyRedirects(f"redirects more than {MAX_REDIRECTS} times")


def _routed(url: str, route: Route | None) -> tuple[str, dict[str, str]]:
    if route is None:
        return url, {}
    parts = urlsplit(url)
    host = parts.hostname or ""
    to_host, to_port = route(host, parts.port or (443 if parts.scheme == "https" else 80))
    shown = f"[{to_host}]" if ":" in to_host else to_host
    routed = SplitResult(parts.scheme, f"{shown}:{to_port}", parts.path, parts.query, "")
    return routed.geturl(), {"Host": parts.netloc}
