"""The status in tables: for a terminal by rich, for everything else as plain text that grep and awk can read."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from unicodedata import east_asian_width

from certd.cli.words import about, said
from certd.status.outlook import explain_next
from certd.status.prose import Lang, moment, remedy_of, span, text_of
from certd.status.shape import (
    CaState,
    CertificateReport,
    CertificateState,
    Problem,
    ServerState,
    Severity,
    Snapshot,
)
from certd.text import printable

SHOWN = 50
"""Certificates of a long list that are shown without --all."""

_HEADS = {
    "en": ("NAME", "STATE", "LIVE UNTIL", "NEXT", "WHEN", "WHY"),
    "ja": ("名前", "状態", "有効期限", "次の処理", "予定", "理由"),
}
_MORE = {
    "en": "... and {n} more without problems; `certd status --all` shows them.",
    "ja": "ほか{n}件(問題なし)。`certd status --all` で表示します。",
}
_STYLES = {"critical": "bold red", "warning": "yellow", "ok": "green"}


def show_snapshot(snapshot: Snapshot, lang: Lang, *, everything: bool) -> None:
    """All certificates, those with problems first; then servers, CAs and problems."""
    now = snapshot.daemon.now
    worst = _worst(snapshot.problems)
    ordered = sorted(snapshot.certificates, key=lambda c: (_rank(c, worst), c.name))
    troubled = sum(1 for c in ordered if _rank(c, worst) == 0)
    shown = ordered if everything else ordered[: max(SHOWN, troubled)]
    _head(snapshot)
    _print_table(_HEADS[lang], [_row(c, worst, now, lang) for c in shown])
    if len(shown) < len(ordered):
        _line(_MORE[lang].format(n=len(ordered) - len(shown)))
    _line("")
    for server in snapshot.servers:
        _line(_server(server))
    for ca in snapshot.cas:
        _line(_ca(ca, now, lang))
    _problems(snapshot.problems, now, lang)


def show_certificate(report: CertificateReport, lang: Lang) -> None:
    """Everything about one certificate."""
    c = report.certificate
    now = report.now
    for label, value in _details(c, now, lang):
        if value:
            _line(f"{label + ':':<12} {printable(value, 2000)}")
    _problems(report.problems, now, lang)


def _details(c: CertificateState, now: datetime, lang: Lang) -> list[tuple[str, str]]:
    live, staged, failure = c.live, c.staged, c.failure
    return [
        ("name", c.name),
        ("domains", " ".join(c.domains)),
        ("ca", c.ca or ""),
        ("servers", " ".join(c.servers)),
        ("phase", c.phase if c.managed else "unmanaged"),
        ("reason", f"{c.reason}: {text_of(c.reason, lang)}" if c.reason else ""),
        ("live", f"version {live.version}, serial {live.serial}" if live else "none"),
        ("until", moment(live.not_after, now, lang) if live else ""),
        ("placeholder", "yes" if c.placeholder else ""),
        ("served", f"serial {c.served.serial or 'not readable'}" if c.served else ""),
        ("seen", moment(c.served.at, now, lang) if c.served else ""),
        ("staged", f"version {staged.version}, serial {staged.serial}, OCSP {staged.ocsp}" if staged else ""),
        ("activation", f"{moment(staged.activate_at, now, lang)}" if staged else ""),
        ("deadline", f"{moment(staged.deadline, now, lang)}" if staged else ""),
        ("hold until", moment(c.hold_until, now, lang) if c.hold_until else ""),
        ("orders", f"{c.orders_today} within 24 hours" if c.orders_today else ""),
        ("parked", f"{c.parked} orders that are asked about daily" if c.parked else ""),
        ("failure", f"{failure.kind} {failure.code} at {failure.step}: {failure.text}" if failure else ""),
        ("attempts", f"{failure.attempts} since {moment(failure.first_at, now, lang)}" if failure else ""),
        ("remedy", remedy_of(failure.code, lang) if failure else ""),
        ("warning", c.warning or ""),
        ("broken", c.broken or ""),
        ("next", explain_next(c, now, lang)),
    ]


def _head(snapshot: Snapshot) -> None:
    daemon, count = snapshot.daemon, len(snapshot.certificates)
    up = span(daemon.now - daemon.started_at)
    _line(f"certd {daemon.version}: {snapshot.status.value}; {count} certificates; up {up}; clock {daemon.clock}")
    _line("")


def _row(c: CertificateState, worst: dict[str, Severity], now: datetime, lang: Lang) -> tuple[str, ...]:
    if c.live is not None:
        live = f"{c.live.not_after:%Y-%m-%d} ({span(c.live.not_after - now, lang)})"
    else:
        live = "placeholder" if c.placeholder else "-"
    why = c.waiting.code if c.waiting is not None else (c.reason or "")
    return (
        printable(c.name),
        _state(c, worst),
        live,
        c.next_action or "-",
        moment(c.next_at, now, lang) if c.next_at else "-",
        text_of(why, lang),
    )


def _state(c: CertificateState, worst: dict[str, Severity]) -> str:
    phase = {"idle": "ok" if c.live else "pending"}.get(c.phase, c.phase) if c.managed else "unmanaged"
    severity = worst.get(c.name)
    if severity is None:
        return phase
    return severity.value if phase == "ok" else f"{severity.value}, {phase}"


def _rank(c: CertificateState, worst: dict[str, Severity]) -> int:
    """0 with a problem, 1 with work under way, 2 with nothing to tell."""
    if c.name in worst:
        return 0
    return 1 if c.phase != "idle" or c.failure is not None or c.live is None else 2


def _worst(problems: Sequence[Problem]) -> dict[str, Severity]:
    found: dict[str, Severity] = {}
    for problem in problems:
        if problem.certificate is not None and found.get(problem.certificate) is not Severity.CRITICAL:
            found[problem.certificate] = problem.severity
    return found


def _server(s: ServerState) -> str:
    state = s.phase + (f" ({s.stage})" if s.stage else "")
    text = f"server {printable(s.name)}: {s.active}, {state}, generation {s.confirmed} of {s.wanted} confirmed"
    return text + (f", failure {s.failure.code}" if s.failure else "")


def _ca(ca: CaState, now: datetime, lang: Lang) -> str:
    text = f"ca {printable(ca.name)}: account {ca.account}"
    if ca.eab_deadline is not None:
        text += f", EAB deadline {moment(ca.eab_deadline, now, lang)}"
    if ca.held_until is not None:
        text += f", held until {moment(ca.held_until, now, lang)}"
    return text + (f", failure {ca.failure.code}: {printable(ca.failure.text, 500)}" if ca.failure else "")


def _problems(problems: Sequence[Problem], now: datetime, lang: Lang) -> None:
    for problem in problems:
        text, remedy = said(problem, lang)
        since = f" (since {moment(problem.since, now, lang)})" if problem.since is not None else ""
        _line("")
        _line(f"{problem.severity.value.upper()} {about(problem)} [{problem.code}]: {text}{since}")
        _line(f"  -> {remedy}")


def _print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if sys.stdout.isatty():
        _print_rich(heads, rows)
        return
    widths = [max(_width(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
    for row in (heads, *rows):
        cells = [cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)]
        _line("  ".join(cells).rstrip())


def _width(text: str) -> int:
    """Columns on a terminal: Japanese letters take two."""
    return sum(2 if east_asian_width(c) in "WF" else 1 for c in text)


def _print_rich(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        style = _STYLES.get(row[1].partition(",")[0], "")
        # As Text, names and messages cannot be taken for markup.
        table.add_row(*(Text(cell, style if column == 1 else "") for column, cell in enumerate(row)))
    Console(highlight=False).print(table)


def _line(text: str) -> None:
    sys.stdout.write(f"{text}\n")
