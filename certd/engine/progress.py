"""What is under way, what failed, and all of it in one line: pure functions of a view."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from certd.model import actions as do
from certd.model.codes import Code
from certd.model.records import Activity, Deploying, Idle, Installed, Ordering, Registered, Settled, Staged
from certd.model.specs import CertificateSpec
from certd.model.view import CertificateView, ServerStateView, Tally, View
from certd.plan import certificate as plan

PATIENCE = timedelta(seconds=90)
"""`certd once` waits through a poll; a back-off is a failure, told and left to the next run."""

_PASSING = (Code.ACCOUNT_PENDING, Code.CA_BUDGET)


def under_way(view: View, now: datetime, *, beyond_gates: bool) -> list[str]:
    """One line for each thing that will go on by itself soon. `beyond_gates`: an OCSP gate counts as well."""
    refused = {a.spec.name for a in view.accounts if a.record is None or _stuck_account(a.record)}
    idle_servers = {s.spec.id for s in view.servers if _gave_up(s)}
    lines = [
        f"{one.name}: {what}"
        for one in view.certificates
        if (what := _doing(one, now, refused, idle_servers, beyond_gates))
    ]
    lines += [f"server {s.spec.id} is loading" for s in view.servers if isinstance(s.record, Deploying)]
    return lines


def failures(view: View, now: datetime) -> list[str]:
    """One line for each thing that a person, or time, has to mend."""
    lines = [
        f"{a.spec.name}: {a.record.ledger.failure.text}" for a in view.accounts if a.record and a.record.ledger.failure
    ]
    for one in view.certificates:
        if one.spec is None:
            continue
        if one.broken or one.record is None:
            lines.append(f"{one.name}: {one.broken}")
        elif one.record.ledger.failure is not None:
            lines.append(f"{one.name}: {one.record.ledger.failure.text}")
        elif one.facts.live is None and isinstance(one.record, Idle):
            lines.append(f"{one.name}: there is no certificate yet")
        elif code := _kept_waiting(one, one.spec, now):
            lines.append(f"{one.name}: a renewal is due, but has to wait ({code})")
    for server in view.servers:
        settled = server.record.settled if isinstance(server.record, Deploying) else server.record
        if settled is not None and settled.failure is not None:
            lines.append(f"server {server.spec.id}: {settled.failure.text}")
    return lines


def summary(tally: Tally) -> str:
    """One line for the service manager."""
    text = f"{tally.live} of {tally.managed} certificates live, {tally.busy} being renewed"
    if tally.unread:
        text += f", {tally.unread} not read yet"
    return f"{text}; the configuration file has mistakes" if tally.config_error else text


def _doing(
    one: CertificateView, now: datetime, refused: set[str], idle_servers: set[str], beyond_gates: bool
) -> str | None:
    if one.spec is None or one.record is None or one.broken:
        return None
    waits_for_server = not all(d.server in idle_servers for d in one.spec.deploy)
    match one.record:
        case Ordering() as record:
            given_up = record.ledger.failure is not None and record.poll.until > now + PATIENCE
            return None if given_up else "an order is under way"
        case Installed():
            return "its server is to load it" if waits_for_server else None
    facts = replace(one.facts, ca=replace(one.facts.ca, permit=True))
    action = plan.decide(one.spec, one.record, facts, now)
    if not isinstance(action, do.Wait):
        return "work is due" if not isinstance(action, do.ProbeServed | do.CheckRevocation) else None
    if isinstance(one.record, Staged):
        if action.code is Code.SERVER:
            return "its server is to load it" if waits_for_server else None
        gated = action.code is not Code.SET_REJECTED
        return f"issued, goes live by {action.until:%H:%M:%S} UTC ({action.code})" if gated and beyond_gates else None
    if action.code in _PASSING and one.spec.ca not in refused:
        return f"waiting ({action.code})"
    return None


def _kept_waiting(one: CertificateView, spec: CertificateSpec, now: datetime) -> Code | None:
    """What stands in the way of an order that is due; an operator's hold is no failure."""
    if not isinstance(one.record, Idle) or plan.need(spec, one.record.ledger, one.facts, now) is None:
        return None
    blocker = plan.order_blocker(spec, one.record.ledger, one.facts, now)
    return blocker.code if blocker is not None and blocker.code is not Code.HELD_BY_OPERATOR else None


def _stuck_account(record: object) -> bool:
    return not isinstance(record, Registered) and getattr(getattr(record, "ledger", None), "failure", None) is not None


def _gave_up(server: ServerStateView) -> bool:
    """Nothing happens there by itself in the next minute: it is stopped, or backs off."""
    if not isinstance(server.record, Settled):
        return server.record is None
    return server.record.failure is not None or server.activity is Activity.INACTIVE
