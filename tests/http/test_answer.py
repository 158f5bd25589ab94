"""Dates and waits of a peer are understood, or safely not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certd.http import Answer
from certd.http.answer import MAX_RETRY_AFTER

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Mon, 23 Nov 2026 12:00:00 GMT", NOW),
        ("Mon, 23 Nov 2026 21:00:00 +0900", NOW),
        ("Mon, 23 Nov 2026 12:00:00 -0000", NOW),
        ("Monday, 23-Nov-26 12:00:00 GMT", NOW),
        ("", None),
        ("yesterday", None),
        ("Mon, 99 Nov 2026 12:00:00 GMT", None),
        ("Mon, 23 Nov 2026 12:00:00 GMT" + " " * 100, None),
    ],
)
def test_date(value: str, expected: datetime | None) -> None:
    """Every form of RFC 9110 section 5.6.7 comes out in UTC; anything else is no date."""
    assert Answer(200, {"date": value}).date == expected


@pytest.mark.parametrize(
    ("date", "age", "expected"),
    [
        ("Mon, 23 Nov 2026 12:00:00 GMT", "3600", NOW + timedelta(hours=1)),
        ("Mon, 23 Nov 2026 12:00:00 GMT", "-1", NOW),
        ("Mon, 23 Nov 2026 12:00:00 GMT", "999999999", NOW + timedelta(days=366)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", "60", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("", "60", None),
    ],
)
def test_an_answer_out_of_a_cache(date: str, age: str, expected: datetime | None) -> None:
    """A directory that a cache kept for an hour does not make our clock look wrong (RFC 9111 section 5.1)."""
    assert Answer(200, {"date": date, "age": age}).date == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("120", timedelta(minutes=2)),
        (" 0 ", timedelta()),
        ("Mon, 23 Nov 2026 12:00:30 GMT", timedelta(seconds=30)),
        ("Mon, 23 Nov 2026 11:00:00 GMT", timedelta()),
        ("999999999", MAX_RETRY_AFTER),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_RETRY_AFTER),
        ("99999999999999999999999999", None),
        ("-5", None),
        ("1.5", None),
        ("\u0661", None),
        ("5, 5", None),
        ("", None),
    ],
)
def test_retry_after(value: str, expected: timedelta | None) -> None:
    """Seconds and dates, never negative, never longer than a year; what is neither counts as not said."""
    assert Answer(503, {"retry-after": value}).retry_after(NOW) == expected


def test_retry_after_by_the_peers_clock() -> None:
    """A date is a distance on the clock of the peer that wrote it, so a wrong clock here does not matter."""
    headers = {"retry-after": "Mon, 23 Nov 2026 12:01:00 GMT", "date": "Mon, 23 Nov 2026 12:00:00 GMT"}
    assert Answer(503, headers).retry_after(NOW - timedelta(days=400)) == timedelta(minutes=1)


def test_nothing_said() -> None:
    """No header, no wait, no date."""
    assert Answer(200).retry_after(NOW) is None
    assert Answer(200).date is None


@given(st.text(max_size=80), st.text(max_size=80))
def test_hostile_headers(retry_after: str, date: str) -> None:
    """No text raises, or makes a wait outside the limits."""
    wait = Answer(429, {"retry-after": retry_after, "date": date}).retry_after(NOW)
    assert wait is None or timedelta() <= wait <= MAX_RETRY_AFTER
