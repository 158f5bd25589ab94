"""The loop around an account's life."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from certd.config import read_eab_key
from certd.engine import telling
from certd.engine.shared import STEPS_MOST, TROUBLE, Shared
from certd.errors import ConfigError, StateError
from certd.model import actions as do
from certd.model import events as ev
from certd.model.facts import AccountFacts
from certd.model.records import AccountRecord, NoKey, Registered
from certd.model.specs import CaSpec, EabSpec
from certd.model.view import Subject, SubjectKind
from certd.plan import account as plan

FAR = timedelta(days=1)
CLOCK_PROBE = timedelta(minutes=1)
"""While the clock is unsure, a CA is asked for the time this often."""


class Accounts:
    """Ticks accounts, and hears what CAs say of them in passing."""

    def __init__(self, shared: Shared, started_at: datetime) -> None:
        self._of = shared
        self._started_at = started_at

    def tick(self, ca: str) -> datetime:
        """Do all that is due for an account; when it is due next."""
        subject = Subject(SubjectKind.ACCOUNT, ca)
        try:
            for _ in range(STEPS_MOST):
                spec = self._of.config.cas.get(ca)
                if spec is None:
                    return self._of.clock.now() + FAR
                with self._of.book.lock(subject):
                    flushed = self._of.book.flush(subject)
                    record = self._of.book.account(ca)
                    if flushed:
                        self._announce(spec, record)
                    now = self._of.clock.now()
                    facts = self._facts(spec, record, now)
                    action = plan.decide(spec, record, facts, now)
                    if isinstance(action, do.Wait):
                        doubtful = not self._of.clock.sure
                        self._of.book.well(subject)
                        return min(action.due, now + CLOCK_PROBE) if doubtful else action.due
                    begun = plan.begin(record, action, facts)
                    self._of.book.put_account(ca, begun)
                event = ev.Reanchored() if isinstance(action, do.Reanchor) else self._of.world.account(spec, action)
                self.apply(spec, event)
        except StateError as error:
            self._of.trouble(subject, error)
            return self._of.clock.now() + TROUBLE
        return self._of.clock.now()

    def apply(self, spec: CaSpec, event: ev.AccountEvent) -> None:
        """Record an event, and let the certificates know if it matters to them. Raises StateError."""
        subject = Subject(SubjectKind.ACCOUNT, spec.name)
        with self._of.book.lock(subject):
            record = self._of.book.account(spec.name)
            if isinstance(record, NoKey) and not isinstance(event, ev.KeyMade):
                return
            after = plan.advance(record, event, spec, self._of.clock.now(), self._of.draw())
            self._of.book.put_account(spec.name, after)
        telling.account(spec, record, event, after)
        released = record.ledger.hold is not None and after.ledger.hold is None
        if isinstance(after, Registered):
            self._of.world.use_account(spec.name, after.url)
        if released or type(record) is not type(after):
            self._wake_certificates(spec)
        self._of.wake(subject, None)

    def _announce(self, spec: CaSpec, record: AccountRecord) -> None:
        """What became of the account while the disk would not take it."""
        if isinstance(record, Registered):
            self._of.world.use_account(spec.name, record.url)
        self._wake_certificates(spec)

    def _wake_certificates(self, spec: CaSpec) -> None:
        for name, certificate in self._of.config.certificates.items():
            if certificate.ca == spec.name:
                self._of.wake_certificate(name)

    def _facts(self, spec: CaSpec, record: AccountRecord, now: datetime) -> AccountFacts:
        verify = False
        # A clock that is set back makes everything so far older than it is: else no answer would ever be new enough.
        self._started_at = min(self._started_at, now)
        if isinstance(record, Registered):
            stale = now - record.verified_at >= CLOCK_PROBE or record.verified_at > now
            verify = record.verified_at < self._started_at or (stale and not self._of.clock.sure)
        return AccountFacts(
            key_exists=not isinstance(record, NoKey), offer=_offer(spec), verify=verify, contact=spec.contact
        )


def _offer(spec: CaSpec) -> str:
    """What the CA is offered at registration, as a digest: a change of it is worth a new attempt."""
    eab = spec.eab
    source = f"{eab.kid} {eab.hmac_key_file} {eab.hmac_key_credential} {eab.issued} {_key_of(eab)}" if eab else ""
    parts = [spec.directory, *spec.contact, str(spec.terms_of_service_agreed), source, str(spec.trust)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _key_of(eab: EabSpec) -> str:
    """The MAC key, for the digest only: who corrects it in its file has made another offer."""
    try:
        return read_eab_key(eab).hex()
    except ConfigError:
        return "unreadable"
