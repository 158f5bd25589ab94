"""Every code has its words, in both languages; and docs/CODES.md lists every code there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
from views import DAY, NOW

from certd import reasons
from certd.acme.explanations_en import TEXTS
from certd.model import actions
from certd.model.codes import Because, Code, Kind
from certd.status.prose import moment, remedy_of, span, text_of
from certd.status.snapshot import action_name

CODES_MD = Path(__file__).parents[1] / "docs" / "CODES.md"
OWN_FAILURES = [
    *("set-rejected", "server-stopped", "server-down", "server-config-broken", "reload-refused", "reload-ineffective"),
    "reload-denied",
    *("rollback-failed", "not-served", "after-failed", "ocsp-unknown", "ocsp-unreachable", "ocsp-invalid", "revoked"),
    *("expired", "names-changed", "no-answer", "order-too-old", "order-vanished", "parked", "clock-unsure", "held"),
    *("no-certificates", "expiring", "unmanaged", "config-error", "record-broken", "account-refused"),
    *("account-unusable", "eab-expiring", "eab-expired", "reload-owed", "self-check", "served-differs"),
    *("set-broken", "order-taken", "record-unsaved", "notify-failed", "state", "broken-record"),
]


@pytest.mark.parametrize("code", [*Code, *Because])
def test_every_wait_and_every_reason_has_words(code: str) -> None:
    """No code reaches an operator bare."""
    for lang in reasons.LANGUAGES:
        assert reasons.text(code, lang)
        assert reasons.remedy(code, lang)


@pytest.mark.parametrize("code", OWN_FAILURES)
def test_what_records_and_health_say_has_words(code: str) -> None:
    """Whoever explains it, every failure and problem has a text and a remedy."""
    for lang in ("en", "ja"):
        assert text_of(code, lang)  # type: ignore[arg-type]
        assert remedy_of(code, lang)  # type: ignore[arg-type]


@pytest.mark.parametrize("code", sorted(reasons.TABLE))
def test_the_form_of_the_words(code: str) -> None:
    """Codes are kebab-case; sentences end; each language is its own."""
    words = reasons.TABLE[code]
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", code)
    assert words.text.endswith(".")
    assert words.text_ja.endswith("。")
    assert words.text.isascii()
    assert words.remedy.isascii()
    assert not words.text_ja.isascii()
    assert not words.remedy_ja.isascii()


def test_codes_of_the_ca_are_explained_elsewhere() -> None:
    """A code is owned by one table; unknown ones point to the log."""
    assert not set(reasons.TABLE) & set(TEXTS)
    assert text_of("acme:caa") == TEXTS["acme:caa"].happened
    assert remedy_of("acme:caa", "ja") != remedy_of("acme:caa")
    assert text_of("nobody-knows") == ""
    assert "log" in remedy_of("nobody-knows")
    assert "ログ" in remedy_of("nobody-knows", "ja")
    assert reasons.text("nobody-knows") == ""


def all_codes() -> set[str]:
    """Every stable code that a record, the status, health or a log line can show."""
    names = {action_name(action) for union in _actions() for action in get_args(union)}
    return {*Code, *Because, *Kind, *reasons.TABLE, *TEXTS, *names}


def _actions() -> tuple[object, ...]:
    return (actions.CertificateAction, actions.ServerAction, actions.AccountAction)


def test_the_document_lists_every_code() -> None:
    """docs/CODES.md and the code name the same set: nothing is missing, nothing is made up."""
    listed = set(re.findall(r"^\| `([^`]+)` \|", CODES_MD.read_text(encoding="utf-8"), re.MULTILINE))
    assert listed == {str(code) for code in all_codes()}


def test_spans_and_moments() -> None:
    """One unit that fits, in both languages, never negative."""
    assert [span(DAY * 2), span(DAY), span(DAY / 2), span(DAY / 1440), span(-DAY)] == [
        "2 days",
        "1 day",
        "12 hours",
        "60 seconds",
        "0 seconds",
    ]
    assert span(DAY * 58, "ja") == "58日"
    assert moment(NOW + DAY * 3, NOW) == "2026-11-26 12:00 UTC (in 3 days)"
    assert moment(NOW - DAY * 3, NOW) == "2026-11-20 12:00 UTC (3 days ago)"
    assert moment(NOW + DAY * 3, NOW, "ja") == "2026-11-26 12:00 UTC(3日後)"
