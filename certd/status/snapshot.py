"""The daemon's state as its status socket shows it: a pure function of one view and the time."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from msgspec.structs import replace

from certd.model import actions as do
from certd.model.codes import Because, Code
from certd.model.records import (
    AccountRefused,
    CertificateRecord,
    Deploying,
    Failure,
    Idle,
    Installed,
    KeyWritten,
    Ledger,
    NoKey,
    OcspWord,
    Ordering,
    Registered,
    Staged,
    Timer,
    Unusable,
)
from certd.plan import certificate as plan
from certd.status.outlook import explain_next
from certd.status.prose import remedy_of
from certd.status.shape import (
    CaState,
    CertificateState,
    Daemon,
    FailureState,
    LiveState,
    ServedState,
    ServerState,
    StagedState,
    Waiting,
)

if TYPE_CHECKING:
    from certd.model.specs import CaSpec
    from certd.model.view import AccountView, CertificateView, ServerStateView, View

EAB_LIFE = timedelta(days=14)
"""How long external account binding credentials live after their issue (JPRS)."""
DAY = timedelta(days=1)

_ACCOUNT_PHASES = {
    NoKey: "no-key",
    KeyWritten: "key-written",
    Registered: "registered",
    AccountRefused: "refused",
    Unusable: "unusable",
}
_AFTER_WAIT = {
    Code.CA_PROCESSING: do.ReadOrder,
    Code.CA_VALIDATING: do.ReadOrder,
    Code.CHALLENGE_SETTLING: do.ReadOrder,
    Code.OCSP_DELAY: do.SwapLinks,
    Code.OCSP_UNKNOWN: do.ConfirmStatus,
    Code.OCSP_UNREACHABLE: do.ConfirmStatus,
    Code.OCSP_INVALID: do.ConfirmStatus,
    Code.SET_REJECTED: do.SwapLinks,
}


def daemon_state(view: View, now: datetime) -> Daemon:
    return Daemon(
        version=view.version,
        started_at=utc(view.started_at),
        config_loaded_at=utc(view.config_loaded_at),
        config_error=view.config_error,
        clock="sure" if view.clock_sure else "unsure",
        now=utc(now),
    )


def certificate_state(view: CertificateView, now: datetime) -> CertificateState:
    """One certificate; asks `certd.plan.certificate.decide` what comes next."""
    record = view.record
    ledger = record.ledger if record is not None else Ledger()
    live = view.facts.live
    state = CertificateState(
        name=view.name,
        domains=view.spec.domains if view.spec else (live.leaf.names if live else ()),
        phase=_phase(record),
        reason=None,
        waiting=None,
        next_action=None,
        next_at=None,
        live=_live_state(view),
        placeholder=view.placeholder,
        staged=_staged_state(record),
        served=ServedState(ledger.served.serial, utc(ledger.served.at)) if ledger.served else None,
        failure=failure_state(ledger.failure, ledger.attempts, ledger.retry if isinstance(record, Idle) else None),
        managed=view.spec is not None,
        ca=view.spec.ca if view.spec else None,
        servers=tuple(d.server for d in view.spec.deploy) if view.spec else (),
        hold_until=utc(ledger.hold.timer.until) if ledger.hold and ledger.hold.timer.until > now else None,
        revoked=live is not None and ledger.revoked == live.leaf.serial,
        orders_today=sum(1 for at in ledger.orders if at > now - DAY),
        parked=len(ledger.parked),
        broken=view.broken,
        warning=view.warning,
    )
    state = _with_next(state, view, now)
    return replace(state, next=explain_next(state, now))


def server_state(view: ServerStateView) -> ServerState:
    record = view.record
    deploying = record if isinstance(record, Deploying) else None
    settled = record.settled if isinstance(record, Deploying) else record
    if settled is None:
        return ServerState(view.spec.id, str(view.activity), 0, 0, "broken")
    return ServerState(
        name=view.spec.id,
        active=str(view.activity),
        wanted=settled.wanted,
        confirmed=settled.confirmed,
        phase="deploying" if deploying else "settled",
        stage=str(deploying.stage) if deploying else None,
        rejected=tuple(r.name for r in settled.rejections),
        not_served=settled.not_served,
        failure=failure_state(settled.failure, settled.attempts, settled.retry),
    )


def ca_state(view: AccountView, now: datetime) -> CaState:
    record = view.record
    hold = record.ledger.hold if record is not None else None
    deadline = eab_deadline(view.spec)
    retry = record.retry if isinstance(record, KeyWritten | AccountRefused | Unusable) else None
    return CaState(
        name=view.spec.name,
        account=_ACCOUNT_PHASES[type(record)] if record is not None else "broken",
        eab_deadline=None if isinstance(record, Registered) else deadline,
        held_until=utc(hold.timer.until) if hold is not None and hold.timer.until > now else None,
        directory=view.spec.directory,
        failure=failure_state(record.ledger.failure, record.ledger.attempts, retry) if record is not None else None,
    )


def eab_deadline(spec: CaSpec) -> datetime | None:
    """The end of the last day on which the credentials work; None where the day of issue is not configured."""
    if spec.eab is None or spec.eab.issued is None:
        return None
    return datetime.combine(spec.eab.issued, datetime.min.time(), UTC) + EAB_LIFE


def failure_state(failure: Failure | None, attempts: int, retry: Timer | None) -> FailureState | None:
    if failure is None:
        return None
    return FailureState(
        kind=str(failure.kind),
        code=failure.code,
        text=failure.text,
        remedy=remedy_of(failure.code),
        attempts=attempts,
        first_at=utc(failure.first_at),
        next_at=utc(retry.until) if retry is not None else None,
        step=str(failure.step),
        at=utc(failure.at),
    )


def action_name(action: type) -> str:
    """An action's reason code: its class name in kebab-case."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", action.__name__).lower()


def utc(at: datetime) -> datetime:
    """In UTC and whole seconds, as the socket shows all times."""
    return at.astimezone(UTC).replace(microsecond=0)


def _phase(record: CertificateRecord | None) -> str:
    return "broken" if record is None else type(record).__name__.lower()


def _with_next(state: CertificateState, view: CertificateView, now: datetime) -> CertificateState:
    if view.spec is None:
        return replace(state, reason="unmanaged")
    record = view.record
    if record is None:
        return replace(state, reason=str(Code.RECORD_BROKEN))
    action = plan.decide(view.spec, record, view.facts, now)
    because = _because(record)
    if not isinstance(action, do.Wait):
        if isinstance(action, do.PlaceOrder):
            because = action.because
        reason = str(because) if because is not None else None
        return replace(state, reason=reason, next_action=action_name(type(action)), next_at=utc(now))
    # Chores (`wake`) change nothing that an operator waits for, so `until` is the time that counts; but a renewal
    # wait is looked at more often than it ends.
    until = plan.renewal_due(view.spec, record.ledger, view.facts, now) if action.code is Code.NOT_DUE else action.until
    until = max(until, action.until)
    following = _AFTER_WAIT.get(action.code, do.PlaceOrder if isinstance(record, Idle) else do.ReadOrder)
    if isinstance(record, Staged | Installed) and action.code is Code.SERVER:
        following = do.SwapLinks if isinstance(record, Staged) else do.Confirm
    return replace(
        state,
        reason=str(because if because is not None else action.code),
        waiting=Waiting(str(action.code), utc(until)),
        next_action=action_name(following),
        next_at=utc(until),
    )


def _because(record: CertificateRecord) -> Because | None:
    match record:
        case Ordering() | Staged():
            return record.because
        case Installed():
            return record.staged.because
        case Idle():
            return None


def _live_state(view: CertificateView) -> LiveState | None:
    live = view.facts.live
    if live is None:
        return None
    leaf = live.leaf
    return LiveState(leaf.serial, utc(leaf.not_before), utc(leaf.not_after), live.version, leaf.names)


def _staged_state(record: CertificateRecord | None) -> StagedState | None:
    if not isinstance(record, Staged):
        return None
    return StagedState(
        serial=record.leaf.serial,
        activate_at=utc(record.activate.until),
        deadline=utc(record.deadline),
        ocsp=str(record.check.word if record.check is not None else OcspWord.NOT_ASKED),
        version=record.version,
        not_after=utc(record.leaf.not_after),
    )
