"""What an outlet gets: JSON with every notice, and all of it as text for whoever only shows text."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from certd import __version__
from certd.model.alarms import Change, Level
from certd.status.prose import remedy_of, text_of
from certd.status.shape import SCHEMA, Severity, Standing
from certd.status.snapshot import utc
from certd.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from certd.model.alarms import Notice
    from certd.status.prose import Lang
    from certd.status.shape import Health

LONGEST_TEXT = 2000
"""Characters of one problem's text."""

_WORDS: dict[str, dict[str, str]] = {
    "en": {
        "raised": "New",
        "changed": "Changed",
        "cleared": "Over",
        "reminder": "Still there",
        "ok": "ok",
        "warning": "warning",
        "critical": "critical",
        "certificate": "certificate",
        "server": "server",
        "ca": "CA",
    },
    "ja": {
        "raised": "発生",
        "changed": "変化",
        "cleared": "解消",
        "reminder": "継続中",
        "ok": "正常",
        "warning": "警告",
        "critical": "重大",
        "certificate": "証明書",
        "server": "サーバー",
        "ca": "CA",
    },
}


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """One notice. At most one of the last three names what it is about."""

    id: str
    """The same when it is delivered again."""
    at: datetime
    change: Change
    code: str
    severity: Level
    """What it is now; `ok` once it is over."""
    before: Level
    text: str
    remedy: str
    since: datetime | None
    certificate: str | None = None
    server: str | None = None
    ca: str | None = None


class Message(msgspec.Struct, frozen=True):
    """One delivery. Fields are added, never renamed or dropped."""

    text: str
    """All of it in words; chat services show this key of what is posted to them."""
    host: str
    sent_at: datetime
    status: Standing
    """Health as it is now; the notices tell of changes, which may be older."""
    critical: int
    warnings: int
    notices: tuple[Told, ...]
    left_out: int
    """Notices that were too many to be kept; `certd status` shows what stands."""
    version: str = __version__
    schema: int = SCHEMA


def message(
    notices: Sequence[Notice], left_out: int, health: Health, *, host: str, lang: Lang, now: datetime
) -> Message:
    """What is told of these notices."""
    told = tuple(_told(notice, lang) for notice in notices)
    critical = sum(problem.severity is Severity.CRITICAL for problem in health.problems)
    warnings = len(health.problems) - critical
    lines = [_headline(host, health.status, critical, warnings, lang)]
    lines += [_line(one, lang) for one in told]
    if left_out:
        more = f"他に{left_out}件の通知を省略しました。" if lang == "ja" else f"And {left_out} more that were left out."
        lines.append(f"{more} `certd status`")
    text = "\n".join(lines)
    return Message(text, host, utc(now), health.status, critical, warnings, told, left_out)


def _told(notice: Notice, lang: Lang) -> Told:
    key = notice.key
    return Told(
        id=notice.id,
        at=utc(notice.at),
        change=notice.change,
        code=key.code,
        severity=notice.level,
        before=notice.before,
        text=_text(key.code, notice.text, lang),
        remedy="" if notice.change is Change.CLEARED else remedy_of(key.code, lang),
        since=utc(notice.since) if notice.since is not None else None,
        **({key.kind: key.name} if key.kind else {}),
    )


def _text(code: str, particular: str, lang: Lang) -> str:
    """The problem's own text; in other languages after the code's words, since the daemon speaks English."""
    particular = printable(particular, LONGEST_TEXT)
    general = text_of(code, lang)
    if lang == "en":
        return particular or general or code
    if particular and particular != text_of(code):
        return f"{general} [{particular}]" if general else particular
    return general or particular or code


def _headline(host: str, status: Standing, critical: int, warnings: int, lang: Lang) -> str:
    word = _WORDS[lang][status.value]
    if lang == "ja":
        return f"{host} のcertd: {word}(重大 {critical}件、警告 {warnings}件)"
    return f"certd on {host}: {word} ({critical} critical, {warnings} warning{'' if warnings == 1 else 's'})"


def _line(one: Told, lang: Lang) -> str:
    words = _WORDS[lang]
    kind = next((kind for kind in ("certificate", "server", "ca") if getattr(one, kind)), None)
    about = f"{words[kind]} {printable(getattr(one, kind))}" if kind else "certd"
    level = one.before if one.change is Change.CLEARED else one.severity
    return " ".join(part for part in (f"{words[one.change]} ({words[level]}): {about}:", one.text, one.remedy) if part)
