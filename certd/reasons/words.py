"""The form of one entry in the tables of `certd.reasons`."""

from __future__ import annotations

from typing import NamedTuple

NOTHING = "Nothing: certd goes on by itself."
NOTHING_JA = "対応は不要です。certdが自動で続行します。"


class Words(NamedTuple):
    """What a code means and what the operator should do, in English and Japanese; one or two sentences each."""

    text: str
    remedy: str
    text_ja: str
    remedy_ja: str
