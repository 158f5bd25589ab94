"""The daemon seen from outside: its state, its health, and what comes next. Pure functions of one view and the time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from certd.status.health import certificate_problems, health
from certd.status.outlook import explain_next
from certd.status.shape import CertificateReport, Health, Problem, Severity, Snapshot, Standing
from certd.status.snapshot import ca_state, certificate_state, daemon_state, server_state, utc

if TYPE_CHECKING:
    from datetime import datetime

    from certd.model.view import View

__all__ = [
    "CertificateReport",
    "Health",
    "Problem",
    "Severity",
    "Snapshot",
    "Standing",
    "explain_next",
    "health",
    "report",
    "snapshot",
]


def snapshot(view: View, now: datetime) -> Snapshot:
    """Everything, for GET /status."""
    judged = health(view, now)
    return Snapshot(
        daemon=daemon_state(view, now),
        cas=tuple(ca_state(account, now) for account in view.accounts),
        servers=tuple(server_state(server) for server in view.servers),
        certificates=tuple(certificate_state(certificate, now) for certificate in view.certificates),
        status=judged.status,
        problems=judged.problems,
    )


def report(view: View, name: str, now: datetime) -> CertificateReport | None:
    """One certificate, for GET /status/NAME; None if there is none of that name."""
    for certificate in view.certificates:
        if certificate.name == name:
            problems = tuple(certificate_problems(certificate, view.health, now))
            return CertificateReport(certificate_state(certificate, now), problems, utc(now))
    return None
