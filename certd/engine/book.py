"""The records in memory: read once, written on real transitions, one lock per subject."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable

from certd.errors import StateError
from certd.model.records import AccountRecord, CertificateRecord, Idle, NoKey, ServerRecord, Settled
from certd.model.view import Subject, SubjectKind
from certd.plan.certificate_events import needs_saving
from certd.store import Store

Record = CertificateRecord | ServerRecord | AccountRecord


class Book:
    """Records by subject. Safe to share between threads; `lock(subject)` makes a read and a write one step."""

    def __init__(self, store: Store, refused: Callable[[Subject], None]) -> None:
        """`refused`: called for a subject whose record the disk would not take; somebody is to `flush` it later."""
        self._store = store
        self._refused = refused
        self._certificates: dict[str, CertificateRecord] = {}
        self._servers: dict[str, ServerRecord] = {}
        self._accounts: dict[str, AccountRecord] = {}
        self._locks: defaultdict[Subject, threading.RLock] = defaultdict(threading.RLock)
        self._unsaved: set[Subject] = set()
        self.troubles: dict[Subject, str] = {}
        """Why a subject's record cannot be read or written, for the status."""

    def lock(self, subject: Subject) -> threading.RLock:
        return self._locks[subject]

    def certificate(self, name: str) -> CertificateRecord:
        """The record, read from disk the first time; one that came to be known meanwhile wins. Raises StateError."""
        known = self._certificates.get(name)
        return known or self._certificates.setdefault(name, self._store.load_certificate(name) or Idle())

    def known_certificate(self, name: str) -> CertificateRecord | None:
        """Without touching the disk: None where the record was not read yet, or cannot be read."""
        return self._certificates.get(name)

    def server(self, server: str) -> ServerRecord:
        """As `certificate`."""
        known = self._servers.get(server)
        return known or self._servers.setdefault(server, self._store.load_server(server) or Settled())

    def account(self, ca: str) -> AccountRecord:
        """As `certificate`."""
        known = self._accounts.get(ca)
        return known or self._accounts.setdefault(ca, self._store.load_account(ca) or NoKey())

    def put_certificate(self, name: str, after: CertificateRecord) -> None:
        """Keep the record; on disk before this returns, if the difference must be durable. Raises StateError."""
        subject = Subject(SubjectKind.CERTIFICATE, name)
        before = self._certificates.get(name)
        self._certificates[name] = after
        if before is None or needs_saving(before, after) or subject in self._unsaved:
            self._save(subject, lambda: self._store.save_certificate(name, after))

    def put_server(self, server: str, after: ServerRecord) -> None:
        before = self._servers.get(server)
        self._servers[server] = after
        subject = Subject(SubjectKind.SERVER, server)
        if before != after or subject in self._unsaved:
            self._save(subject, lambda: self._store.save_server(server, after))

    def put_account(self, ca: str, after: AccountRecord) -> None:
        before = self._accounts.get(ca)
        self._accounts[ca] = after
        subject = Subject(SubjectKind.ACCOUNT, ca)
        if before != after or subject in self._unsaved:
            self._save(subject, lambda: self._store.save_account(ca, after))

    def flush(self, subject: Subject) -> bool:
        """Write what could not be written before; whether there was anything. Raises StateError while it still cannot.

        Whoever waits for what was written has not heard of it yet.
        """
        if subject not in self._unsaved:
            return False
        match subject.kind:
            case SubjectKind.CERTIFICATE:
                self.put_certificate(subject.name, self._certificates[subject.name])
            case SubjectKind.SERVER:
                self.put_server(subject.name, self._servers[subject.name])
            case SubjectKind.ACCOUNT:
                self.put_account(subject.name, self._accounts[subject.name])
        return True

    def well(self, subject: Subject) -> None:
        """Its tick met no trouble: what was in the way is over, unless something is still to be written."""
        if subject not in self._unsaved:
            self.troubles.pop(subject, None)

    def drop_certificate(self, name: str) -> None:
        self._certificates.pop(name, None)
        subject = Subject(SubjectKind.CERTIFICATE, name)
        self._unsaved.discard(subject)
        self.troubles.pop(subject, None)

    def _save(self, subject: Subject, save: Callable[[], None]) -> None:
        # What happened stays known even if the disk refuses it; until it is written nothing more is done (flush).
        self._unsaved.add(subject)
        try:
            save()
        except StateError as error:
            self.troubles[subject] = str(error)
            self._refused(subject)
            raise
        self._unsaved.discard(subject)
        self.troubles.pop(subject, None)
