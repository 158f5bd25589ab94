"""What is wrong: computed from certificates and what is served, never from "the last run went well". Pure.

A failure that goes away by itself is a problem only once it eats into the time that is left; one that needs a person
is a problem at once. Nothing is critical as long as time remains and the site works.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from msgspec.structs import replace

from certd.model.codes import Because, Code, Kind
from certd.model.records import AccountRefused, Idle, Installed, Ordering, Registered, Unusable
from certd.plan import renewal
from certd.status import servers
from certd.status.prose import moment, remedy_of, span, text_of
from certd.status.servers import RECORD_UNSAVED
from certd.status.shape import Health, Problem, Severity, Standing
from certd.status.snapshot import EAB_LIFE, eab_deadline, utc

if TYPE_CHECKING:
    from fractions import Fraction

    from certd.model.facts import Live
    from certd.model.records import AccountRecord, Failure
    from certd.model.specs import CertificateSpec, HealthPolicy
    from certd.model.view import AccountView, CertificateView, View

UNCONFIRMED = timedelta(minutes=10)
"""A server takes seconds to load; after this the confirmation is missed."""
VALIDATIONS = 3
"""So many validations failed in a row: not a passing trouble."""
LONG_HOLD = timedelta(days=1)
EAB_WARN = timedelta(days=7)
EAB_CRITICAL = timedelta(days=2)
REGISTRATION = timedelta(hours=6)
"""A registration that fails for this long is worth a look, whatever the kind; at once if a site waits for it."""

_NEED_A_PERSON = (Kind.OPERATOR, Kind.ACCOUNT, Kind.BUG)
_TOLD_AT_ONCE = ("revoked",)
"""certd goes on by itself, but a CA that revokes what it has just issued is worth a question."""


def health(view: View, now: datetime) -> Health:
    """Every problem there is, the critical ones first."""
    found = [*_of_the_daemon(view)]
    for certificate in view.certificates:
        found += certificate_problems(certificate, view.health, now)
    for server in view.servers:
        found += servers.problems(server)
    used = {c.spec.ca for c in view.certificates if c.spec is not None}
    bare = {c.spec.ca for c in view.certificates if c.spec is not None and c.facts.live is None}
    for account in view.accounts:
        name = account.spec.name
        found += _of_an_account(account, now, used=name in used, needed=name in bare)
    found.sort(key=lambda p: p.severity is not Severity.CRITICAL)
    worst = Standing(found[0].severity) if found else Standing.OK
    return Health(worst, tuple(found))


def margins(spec: CertificateSpec, live: Live, policy: HealthPolicy) -> tuple[timedelta, timedelta]:
    """How much time left is a warning, and how much is critical.

    Fractions of the lifetime; where a certificate is renewed late by configuration, the same share of the time
    that it has for its renewal, so that no alarm comes before the renewal was even due.
    """
    life = renewal.lifetime(live.leaf)
    window = live.leaf.not_after - renewal.renewal_time(spec, live.leaf, 0.0)

    def margin(part: Fraction) -> timedelta:
        whole = life * part.numerator / part.denominator
        share = window * (3 * part.numerator) / part.denominator
        return min(whole, share)

    return margin(policy.warn), margin(policy.critical)


def certificate_problems(view: CertificateView, policy: HealthPolicy, now: datetime) -> Iterator[Problem]:
    """What is wrong with one certificate."""
    if view.record is None:
        yield _problem(Code.RECORD_BROKEN, Severity.CRITICAL, view.broken or "", certificate=view.name)
        return
    if view.spec is None:
        yield from _of_an_unmanaged(view, policy, now)
        return
    pressing = _pressure(view, view.spec, policy, now)
    yield from _of_its_life(view, pressing, now)
    yield from _of_its_failure(view, pressing)
    yield from _of_what_is_served(view, now)
    yield from _of_its_rest(view, pressing, now)
    if view.broken is not None:
        yield _problem(RECORD_UNSAVED, pressing or Severity.WARNING, view.broken, certificate=view.name)


def _of_the_daemon(view: View) -> Iterator[Problem]:
    if not any(c.spec is not None for c in view.certificates):
        yield _problem("no-certificates", Severity.WARNING, since=view.config_loaded_at)
    if view.config_error is not None:
        yield _problem("config-error", Severity.WARNING, view.config_error)
    if not view.clock_sure:
        yield _problem(Code.CLOCK_UNSURE, Severity.WARNING)
    for trouble in view.troubles:
        about = {str(trouble.subject.kind): trouble.subject.name} if trouble.subject is not None else {}
        found = _problem(trouble.code, Severity.WARNING, trouble.text, trouble.since)
        yield replace(found, certificate=about.get("certificate"), ca=about.get("account"), server=about.get("server"))


def _pressure(view: CertificateView, spec: CertificateSpec, policy: HealthPolicy, now: datetime) -> Severity | None:
    """How pressing it is that this certificate gets a successor."""
    live = view.facts.live
    if live is None:
        return Severity.CRITICAL
    left = live.leaf.not_after - now
    warn, critical = margins(spec, live, policy)
    if left <= critical:
        return Severity.CRITICAL
    return Severity.WARNING if left <= warn else None


def _of_its_life(view: CertificateView, pressing: Severity | None, now: datetime) -> Iterator[Problem]:
    assert view.record is not None
    live, ledger = view.facts.live, view.record.ledger
    because = _because_of(ledger.failure)
    if live is None:
        code = "placeholder-served" if view.placeholder else Because.NO_LIVE_CERTIFICATE
        # On the way to its first certificate nothing is wrong yet, though nothing works yet either.
        severity = Severity.WARNING if ledger.failure is None else Severity.CRITICAL
        since = ledger.failure.first_at if ledger.failure else None
        yield _problem(code, severity, f"{text_of(code)}{because}", since, certificate=view.name)
        return
    not_after = live.leaf.not_after
    if now >= not_after:
        text = f"The live certificate expired {moment(not_after, now)}.{because}"
        yield _problem("expired", Severity.CRITICAL, text, not_after, certificate=view.name)
    elif pressing is not None:
        text = f"The live certificate expires in {span(not_after - now)}, {not_after:%Y-%m-%d %H:%M} UTC.{because}"
        yield _problem("expiring", pressing, text, certificate=view.name)
    if ledger.revoked == live.leaf.serial:
        yield _problem("revoked", Severity.CRITICAL, certificate=view.name)
    doubt = ledger.unconfirmed
    if doubt is not None and doubt.serial == live.leaf.serial:
        text = "The deadline made it live without a good OCSP answer, and none has come since."
        yield _problem(doubt.code, Severity.WARNING, text, doubt.since, certificate=view.name)


def _of_its_failure(view: CertificateView, pressing: Severity | None) -> Iterator[Problem]:
    assert view.record is not None
    ledger = view.record.ledger
    failure = ledger.failure
    if failure is None:
        return
    stubborn = failure.kind is Kind.VALIDATION and ledger.attempts >= VALIDATIONS
    if failure.kind in _NEED_A_PERSON or failure.code in _TOLD_AT_ONCE or stubborn or pressing is not None:
        severity = pressing or Severity.WARNING
        yield _problem(failure.code, severity, failure.text, failure.first_at, certificate=view.name)


def _of_what_is_served(view: CertificateView, now: datetime) -> Iterator[Problem]:
    record, live = view.record, view.facts.live
    if isinstance(record, Installed) and now - record.swapped_at > UNCONFIRMED:
        text = f"The new files are in place since {moment(record.swapped_at, now)}, but no handshake has shown them."
        yield _problem("unconfirmed", Severity.WARNING, text, record.swapped_at, certificate=view.name)
    if any(server.not_served for server in view.facts.servers):
        return  # told as such by the server: without a virtual host of its own the first one's certificate is shown
    # Right after a confirmation `served` is what was seen before it; the probe's timer is set by the next look.
    if isinstance(record, Idle) and live is not None and record.ledger.probe is not None:
        served = record.ledger.served
        if served is not None and served.serial not in (None, live.leaf.serial):
            text = f"The server serves serial {served.serial}, but {live.leaf.serial} is live."
            yield _problem("served-differs", Severity.CRITICAL, text, served.at, certificate=view.name)


def _of_its_rest(view: CertificateView, pressing: Severity | None, now: datetime) -> Iterator[Problem]:
    assert view.record is not None
    hold = view.record.ledger.hold
    if hold is not None and hold.timer.until > now:
        text = f"A roll-back holds this certificate until {moment(hold.timer.until, now)}."
        yield _problem("held", Severity.WARNING, text, hold.timer.set_at, certificate=view.name)
    rejections = [(s.id, s.rejection) for s in view.facts.servers if s.rejection is not None]
    for server, timer in rejections:
        text = f"Server {server} does not work with the new set of files; the previous set is served."
        yield _problem(Code.SET_REJECTED, pressing or Severity.WARNING, text, timer.set_at, certificate=view.name)
    if view.warning is not None and isinstance(view.record, Ordering):
        yield _problem("self-check", Severity.WARNING, view.warning, certificate=view.name)


def _of_an_unmanaged(view: CertificateView, policy: HealthPolicy, now: datetime) -> Iterator[Problem]:
    """Worth a word only while its files still work and are about to end: somebody may rely on them."""
    live = view.facts.live
    if live is None:
        return
    life = renewal.lifetime(live.leaf)
    left = live.leaf.not_after - now
    if timedelta(0) < left <= life * policy.warn.numerator / policy.warn.denominator:
        text = f"It expires in {span(left)}, and the configuration no longer names it; nothing renews it."
        yield _problem("unmanaged", Severity.WARNING, text, certificate=view.name)


def _of_an_account(view: AccountView, now: datetime, *, used: bool, needed: bool) -> Iterator[Problem]:
    """`needed`: a certificate without a live version waits for it."""
    name, record = view.spec.name, view.record
    serious = Severity.CRITICAL if used else Severity.WARNING
    if record is None:
        yield _problem(Code.RECORD_BROKEN, serious, view.broken or "", ca=name)
        return
    if view.broken is not None:
        yield _problem(RECORD_UNSAVED, Severity.WARNING, view.broken, ca=name)
    if isinstance(record, Registered):
        if record.ledger.hold is not None and record.ledger.hold.timer.until - now > LONG_HOLD:
            text = f"The CA asked for a pause until {moment(record.ledger.hold.timer.until, now)}."
            yield _problem(Code.CA_HELD, Severity.WARNING, text, record.ledger.hold.timer.set_at, ca=name)
        failure = record.ledger.failure
        if failure is not None and failure.kind in _NEED_A_PERSON:
            # It still orders: new contacts that are refused, or a CA that denied the account once.
            yield _problem(failure.code, Severity.WARNING, failure.text, failure.first_at, ca=name)
        return
    if isinstance(record, AccountRefused | Unusable):
        code = Code.ACCOUNT_REFUSED if isinstance(record, AccountRefused) else "account-unusable"
        text = f"{text_of(code)}{_because_of(record.ledger.failure)}"
        since = record.ledger.failure.first_at if record.ledger.failure else None
        yield _problem(code, serious, text, since, ca=name)
    else:
        patience = timedelta(0) if needed else REGISTRATION
        yield from _of_a_slow_registration(record, serious, name, now - patience)
    yield from _of_credentials(view, serious, now)


def _of_a_slow_registration(record: AccountRecord, serious: Severity, name: str, since: datetime) -> Iterator[Problem]:
    """A failure that passes by itself is told if it began before `since`."""
    failure = record.ledger.failure
    if failure is None:
        return
    if failure.kind in _NEED_A_PERSON:
        yield _problem(failure.code, serious, failure.text, failure.first_at, ca=name)
    elif failure.first_at <= since:
        yield _problem(failure.code, Severity.WARNING, failure.text, failure.first_at, ca=name)


def _of_credentials(view: AccountView, serious: Severity, now: datetime) -> Iterator[Problem]:
    """External account binding that nobody used in time has to be asked for anew (JPRS: 14 days)."""
    deadline = eab_deadline(view.spec)
    if deadline is None:
        return
    left = deadline - now
    if left <= timedelta(0):
        yield _problem("eab-expired", serious, since=deadline, ca=view.spec.name)
    elif left <= EAB_WARN:
        text = f"The EAB credentials expire {moment(deadline, now)}, and the account is not registered yet."
        severity = serious if left <= EAB_CRITICAL else Severity.WARNING
        yield _problem("eab-expiring", severity, text, deadline - EAB_LIFE, ca=view.spec.name)


def _because_of(failure: Failure | None) -> str:
    return f" The latest attempt failed: {failure.text}" if failure is not None else ""


def _problem(
    code: str,
    severity: Severity,
    text: str = "",
    since: datetime | None = None,
    *,
    certificate: str | None = None,
    ca: str | None = None,
) -> Problem:
    at = utc(since) if since is not None else None
    said = text or text_of(code)
    return Problem(str(code), severity, said, remedy_of(code), at, certificate=certificate, ca=ca)
