"""What a peer answered, whatever the status."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from types import MappingProxyType

MAX_RETRY_AFTER = timedelta(days=366)
"""Longer demands are cut to this; no peer means them, and larger ones overflow."""
MAX_AGE = timedelta(days=366)
"""An answer that claims to be older is taken to be of this age; larger numbers overflow."""
_LAST = datetime.max.replace(tzinfo=UTC)
_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)
_LONGEST_DATE = 64


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer read to its end. Header names are lower case; repeated headers are joined by ``", "``."""

    status: int
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    body: bytes = b""
    url: str = ""
    """The one asked: redirects are not followed."""

    @property
    def date(self) -> datetime | None:
        """The peer's clock now (RFC 9110 section 6.6.1) in UTC; None where it is missing or no date.

        An answer that a cache on the way kept for a while tells when it was made, and its age (RFC 9111 section 5.1).
        """
        made = _http_date(self.headers.get("date", ""))
        age = self.headers.get("age", "").strip()
        if made is None or not _SECONDS.fullmatch(age):
            return made
        kept = min(timedelta(seconds=int(age)), MAX_AGE)
        return made + kept if made < _LAST - MAX_AGE else made

    def retry_after(self, now: datetime) -> timedelta | None:
        """How long the peer wants to be left alone (RFC 9110 section 10.2.3), from nothing to a year.

        A date is compared with the peer's own clock where it tells it, else with `now`, so that a wrong clock here
        makes no wait too short or too long. None: it does not say, or nothing that can be understood.
        """
        value = self.headers.get("retry-after", "").strip()
        if _SECONDS.fullmatch(value):
            return min(timedelta(seconds=int(value)), MAX_RETRY_AFTER)
        until = _http_date(value)
        if until is None:
            return None
        return min(max(until - (self.date or now), timedelta()), MAX_RETRY_AFTER)


def _http_date(value: str) -> datetime | None:
    if not value or len(value) > _LONGEST_DATE:
        return None
    try:
        parsed = parsedate_to_datetime(value)
        # "-0000" leaves the zone open; HTTP knows only GMT.
        return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
