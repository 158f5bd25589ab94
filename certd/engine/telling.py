"""The log: one sentence for each transition that an operator would want to know of."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime

from certd.logs import log_event
from certd.model import actions as do
from certd.model import events as ev
from certd.model.codes import Kind
from certd.model.records import (
    AccountRecord,
    AccountRefused,
    CertificateRecord,
    Idle,
    Ordering,
    Registered,
    ServerRecord,
    Settled,
    Staged,
    Unusable,
)
from certd.model.specs import CaSpec, CertificateSpec, ServerSpec

_log = logging.getLogger("certd")


def begun(spec: CertificateSpec, action: do.CertificateAction, record: CertificateRecord) -> None:
    """An intent was recorded."""
    match action, record:
        case do.PlaceOrder(because), Ordering():
            _info(
                "An order is placed.",
                certificate=spec.name,
                because=because,
                ca=record.ca,
                attempt=record.ledger.attempts,
            )
        case do.FinalizeOrder(), _:
            _info("The order is ready; the request for the certificate is sent.", certificate=spec.name)
        case _:
            pass


def certificate(
    spec: CertificateSpec, before: CertificateRecord, event: ev.CertificateEvent, after: CertificateRecord
) -> None:
    """What an event made of a certificate."""
    name = spec.name
    match event:
        case ev.Issued(version, leaf) | ev.ParkedIssued(_, version, leaf) if isinstance(after, Staged):
            _info(
                "Issued.", certificate=name, serial=leaf.serial, version=version, activate_at=_utc(after.activate.until)
            )
        case ev.ParkedIssued(_, version, leaf):
            _info(
                "A parked order was issued; what is live lasts as long, so it is not used.",
                certificate=name,
                serial=leaf.serial,
                version=version,
            )
        case ev.StatusChecked(check):
            old = before.check.word if isinstance(before, Staged) and before.check else None
            level = logging.INFO if check.word is not old else logging.DEBUG
            log_event(_log, level, f"OCSP answers {check.word}.", certificate=name, text=check.text or None)
        case ev.Swapped():
            _info("Swapped: the live link names the new set.", certificate=name)
            if (doubt := after.ledger.unconfirmed) is not None:
                _warn("The deadline made it live without a good OCSP answer.", certificate=name, code=doubt.code)
        case ev.Confirmed():
            _info("Live and confirmed.", certificate=name)
        case ev.GivenBack():
            _warn("The server gave the new set back; the old one is live.", certificate=name)
        case ev.Abandoned(code, text):
            _warn(f"The staged set is abandoned: {text}.", certificate=name, code=code)
        case ev.Failed() | ev.OrderEnded():
            _failed(name, event.failed if isinstance(event, ev.OrderEnded) else event, after)
        case ev.OrderParked():
            _warn("The CA did not issue in time: the order is parked and asked daily.", certificate=name)
        case ev.RevocationChecked(serial, word) if after.ledger.revoked == serial:
            _warn(
                "The live certificate is revoked; it is replaced at once.", certificate=name, serial=serial, word=word
            )
        case ev.RenewRequested():
            _info("The operator asked for a renewal.", certificate=name)
        case ev.RollbackRequested(version):
            _warn("The operator rolled back.", certificate=name, version=version)
        case ev.Reanchored():
            _warn("The clock was set back; waits begin anew.", certificate=name)
        case _:
            log_event(_log, logging.DEBUG, type(event).__name__, certificate=name)


def server_begun(spec: ServerSpec, action: do.ServerAction) -> None:
    """A step of a deployment begins."""
    match action:
        case do.Deploy(batch):
            _info("Deploying.", server=spec.id, sets=len(batch), names=_names(part.name for part in batch))
        case do.ReloadServer():
            _info("Reloading.", server=spec.id)
        case do.StartServer():
            _warn("The server is down; starting it.", server=spec.id)
        case _:
            log_event(_log, logging.DEBUG, type(action).__name__, server=spec.id)


def server(spec: ServerSpec, event: ev.ServerEvent, after: ServerRecord) -> None:
    """What an event made of a server."""
    match event:
        case ev.SectionConfirmed(not_served):
            _info("Reloaded and verified.", server=spec.id)
            if not_served:
                _warn("No virtual host shows these certificates yet.", server=spec.id, names=_names(not_served))
        case ev.SectionLeft(code, text):
            _warn(f"The reload stays owed: {text}.", server=spec.id, code=code)
        case ev.TakenBack(blame, text):
            _error(f"The new sets do harm and are taken back: {text}.", server=spec.id, code=blame)
        case ev.CommandRefused(text):
            _error(f"A command failed: {text}.", server=spec.id)
        case ev.BlameSettled() if isinstance(after, Settled):
            rejected = _names(r.name for r in after.rejections)
            _error("The old sets serve again.", server=spec.id, rejected=rejected or None)
        case ev.AfterRun(name, text) if text is not None:
            _error(f"An after command failed: {text}.", server=spec.id, certificate=name)
        case _:
            log_event(_log, logging.DEBUG, type(event).__name__, server=spec.id)


def account(spec: CaSpec, before: AccountRecord, event: ev.AccountEvent, after: AccountRecord) -> None:
    """What an event made of an account."""
    match after:
        case Registered() if not isinstance(before, Registered):
            eab = "with external account binding" if spec.eab else "without external account binding"
            _info(f"The account is registered, {eab}.", ca=spec.name, url=after.url)
        case AccountRefused() | Unusable() if after.ledger.failure is not None and before != after:
            failure = after.ledger.failure
            _error(f"The account cannot be used: {failure.text}.", ca=spec.name, code=failure.code)
        case _ if isinstance(event, ev.Failed):
            _warn(f"The CA could not be asked about the account: {event.text}.", ca=spec.name, code=event.code)
        case _ if isinstance(event, ev.CaLimited):
            _warn(f"The CA holds this account off: {event.text}.", ca=spec.name)
        case _:
            log_event(_log, logging.DEBUG, type(event).__name__, ca=spec.name)


def _failed(name: str, failed: ev.Failed, after: CertificateRecord) -> None:
    retry = after.ledger.retry.until if isinstance(after, Idle) and after.ledger.retry else None
    if isinstance(after, Ordering):
        retry = after.poll.until
    level = logging.ERROR if failed.kind in (Kind.OPERATOR, Kind.ACCOUNT, Kind.BUG) else logging.WARNING
    fields = {"certificate": name, "step": failed.step, "code": failed.code, "next_at": _utc(retry) if retry else None}
    log_event(_log, level, f"{failed.text}.", **fields)


def _info(sentence: str, **fields: object) -> None:
    log_event(_log, logging.INFO, sentence, **fields)


def _warn(sentence: str, **fields: object) -> None:
    log_event(_log, logging.WARNING, sentence, **fields)


def _error(sentence: str, **fields: object) -> None:
    log_event(_log, logging.ERROR, sentence, **fields)


def _names(names: Iterable[str]) -> str:
    listed = list(names)
    return ",".join(listed[:5]) + (f" and {len(listed) - 5} more" if len(listed) > 5 else "")


def _utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
