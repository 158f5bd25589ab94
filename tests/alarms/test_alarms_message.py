"""certd.alarms.message: the JSON as docs/MONITORING.md has it, and its text."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from views import NOW

from certd.alarms.message import message
from certd.model.alarms import Change, Key, Level, Notice
from certd.status.prose import Lang, remedy_of, text_of
from certd.status.shape import Health, Problem, Severity, Standing

_MONITORING = Path(__file__).parents[2] / "docs" / "MONITORING.md"
_HEALTH = Health(Standing.CRITICAL, (Problem("x", Severity.CRITICAL, "t", "r", None),))
RAISED = Notice(
    "1", NOW, Change.RAISED, Key("account-refused", "ca", "jprs"), Level.CRITICAL, Level.OK, "Refused.", NOW
)
CLEARED = Notice("2", NOW, Change.CLEARED, Key("config-error"), Level.OK, Level.WARNING)


def built(*notices: Notice, lang: Lang = "en", left_out: int = 0) -> dict[str, Any]:
    made = message(notices, left_out, _HEALTH, host="web1", lang=lang, now=NOW)
    return dict(json.loads(msgspec.json.encode(made)))


def test_the_keys_are_those_of_the_document() -> None:
    """Receivers rely on them."""
    blocks = re.findall(r"```json\n(.*?)```", _MONITORING.read_text("utf-8"), re.DOTALL)
    (documented,) = [data for data in map(json.loads, blocks) if "notices" in data]
    sent = built(RAISED)
    assert list(sent) == list(documented)
    assert list(sent["notices"][0]) == list(documented["notices"][0])
    assert {key: type(value) for key, value in sent.items()} == {k: type(v) for k, v in documented.items()}


def test_what_it_is_about() -> None:
    """At most one of certificate, server and ca; the severity before and after."""
    raised, cleared = built(RAISED, CLEARED)["notices"]
    assert (raised["ca"], raised["severity"], raised["before"]) == ("jprs", "critical", "ok")
    assert (cleared["severity"], cleared["before"]) == ("ok", "warning")
    assert not {"certificate", "server", "ca"} & cleared.keys()
    assert cleared["text"] == text_of("config-error")
    assert cleared["remedy"] == "", "nothing is to be done any more"


def test_the_text() -> None:
    """The state, then a line for each notice."""
    assert built(RAISED, CLEARED, left_out=7)["text"].splitlines() == [
        "certd on web1: critical (1 critical, 0 warnings)",
        f"New (critical): CA jprs: Refused. {remedy_of('account-refused')}",
        f"Over (warning): certd: {text_of('config-error')}",
        "And 7 more that were left out. `certd status`",
    ]


def test_the_text_in_japanese() -> None:
    """The code's words and the remedy are translated; what the daemon says of this case follows in brackets."""
    sent = built(RAISED, CLEARED, lang="ja", left_out=7)
    general = text_of("account-refused", "ja")
    assert sent["notices"][0]["text"] == f"{general} [Refused.]"
    assert sent["text"].splitlines() == [
        "web1 のcertd: 重大(重大 1件、警告 0件)",
        f"発生 (重大): CA jprs: {general} [Refused.] {remedy_of('account-refused', 'ja')}",
        f"解消 (警告): certd: {text_of('config-error', 'ja')}",
        "他に7件の通知を省略しました。 `certd status`",
    ]


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_foreign_text_stays_on_its_line(lang: Lang) -> None:
    """Whatever a CA wrote: no control characters; a code that nobody knows speaks for itself."""
    hostile = msgspec.structs.replace(RAISED, text="a\nNew (critical): forged\x1b[2J", key=Key("unheard-of"))
    sent = built(hostile, lang=lang)
    assert len(sent["text"].splitlines()) == 2
    assert "\x1b" not in sent["text"]
    assert built(msgspec.structs.replace(hostile, text=""), lang=lang)["notices"][0]["text"] == "unheard-of"
