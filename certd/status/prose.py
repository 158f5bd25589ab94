"""Words for codes, wherever they come from: certd's own, or what a CA answered."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from certd import reasons
from certd.acme import problems

Lang = Literal["en", "ja"]


def text_of(code: str, lang: Lang = "en") -> str:
    """What the code means; empty if nobody knows it."""
    if own := reasons.text(code, lang):
        return own
    known = problems.prose(code, lang)
    return known.happened if known is not None else ""


def remedy_of(code: str, lang: Lang = "en") -> str:
    """What the operator should do; a pointer to the log if nobody knows the code."""
    if own := reasons.remedy(code, lang):
        return own
    if (known := problems.prose(code, lang)) is not None:
        return known.remedy
    return "certdのログを確認してください。" if lang == "ja" else "See the log of certd around that time."


def span(length: timedelta, lang: Lang = "en") -> str:
    """A length of time in the one unit that fits: `58 days`, `3 hours`, `40 seconds`. Never negative."""
    seconds = max(0, int(length.total_seconds()))
    for size, word, word_ja in ((86400, "day", "日"), (3600, "hour", "時間"), (60, "minute", "分")):
        if seconds >= 2 * size or (seconds >= size and size == 86400):
            count = seconds // size
            return f"{count}{word_ja}" if lang == "ja" else f"{count} {word}{'s' if count > 1 else ''}"
    return f"{seconds}秒" if lang == "ja" else f"{seconds} second{'' if seconds == 1 else 's'}"


def moment(at: datetime, now: datetime, lang: Lang = "en") -> str:
    """A point in time, absolute and relative: `2027-01-20 03:04 UTC (in 58 days)`."""
    absolute = f"{at:%Y-%m-%d %H:%M} UTC"
    if at <= now:
        return f"{absolute}({span(now - at, lang)}前)" if lang == "ja" else f"{absolute} ({span(now - at)} ago)"
    return f"{absolute}({span(at - now, lang)}後)" if lang == "ja" else f"{absolute} (in {span(at - now)})"
