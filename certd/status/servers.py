"""What is wrong with a server, as far as its certificates are concerned."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from certd.model.codes import Code
from certd.model.records import Activity, Deploying
from certd.status.prose import remedy_of, text_of
from certd.status.shape import Problem, Severity
from certd.status.snapshot import utc

if TYPE_CHECKING:
    from datetime import datetime

    from certd.model.view import ServerStateView

_HARMLESS: Final = frozenset({"server-stopped", "after-failed", "reload-owed"})
"""Failures of a server that works as it is."""


RECORD_UNSAVED: Final = "record-unsaved"
"""What happened is known, but the disk does not take it."""


def problems(view: ServerStateView) -> Iterator[Problem]:
    """Each thing that keeps a server from serving what it should."""
    name, record = view.spec.id, view.record
    if record is None:
        yield _problem(Code.RECORD_BROKEN, Severity.CRITICAL, view.broken or "", name)
        return
    if view.broken is not None:
        yield _problem(RECORD_UNSAVED, Severity.WARNING, view.broken, name)
    settled = record.settled if isinstance(record, Deploying) else record
    failure = settled.failure
    owed = settled.wanted > settled.confirmed
    if failure is not None:
        severity = Severity.WARNING if failure.code in _HARMLESS else Severity.CRITICAL
        yield _problem(failure.code, severity, failure.text, name, failure.first_at)
    if view.activity is Activity.FAILED and (failure is None or failure.code in _HARMLESS):
        yield _problem("server-down", Severity.CRITICAL, "The service manager reports that the server failed.", name)
    elif owed and view.activity is Activity.INACTIVE and failure is None:
        yield _problem(Code.SERVER_STOPPED, Severity.WARNING, "", name)
    elif owed and settled.attempts and failure is None and not isinstance(record, Deploying):
        yield _problem("reload-owed", Severity.WARNING, "", name)
    for certificate in settled.not_served:
        text = f"The server has no virtual host for {certificate} yet."
        yield _problem("not-served", Severity.WARNING, text, name)


def _problem(code: str, severity: Severity, text: str, server: str, since: datetime | None = None) -> Problem:
    at = utc(since) if since is not None else None
    return Problem(str(code), severity, text or text_of(code), remedy_of(code), at, server=server)
