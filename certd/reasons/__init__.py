"""What each of certd's own codes means and what helps, in English and Japanese.

Pure. What a CA answers has codes and texts of its own, in `certd.acme.problems`. docs/CODES.md lists all.
"""

from __future__ import annotations

from typing import Final

from certd.reasons.alarms import ALARMS
from certd.reasons.failures import FAILURES
from certd.reasons.waits import BECAUSE, WAITS
from certd.reasons.words import Words

TABLE: Final[dict[str, Words]] = {**FAILURES, **ALARMS, **BECAUSE, **WAITS}
"""Code -> words. A code that is in several tables means the same in each."""

LANGUAGES: Final = ("en", "ja")


def text(code: str, lang: str = "en") -> str:
    """What the code means, in one or two sentences; empty for a code that is not certd's own."""
    words = TABLE.get(code)
    if words is None:
        return ""
    return words.text_ja if lang == "ja" else words.text


def remedy(code: str, lang: str = "en") -> str:
    """What the operator should do; empty for a code that is not certd's own."""
    words = TABLE.get(code)
    if words is None:
        return ""
    return words.remedy_ja if lang == "ja" else words.remedy
