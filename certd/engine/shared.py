"""What the loops of the three lives share: configuration, records, facts, the world, and who is woken when."""

from __future__ import annotations

import contextlib
import logging
import random
import threading
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta

from certd.budget import Budget
from certd.clock import Clock
from certd.engine import placeholder
from certd.engine.book import Book
from certd.engine.gather import Gatherer
from certd.engine.lives import Lives
from certd.engine.world import World
from certd.errors import StateError
from certd.logs import log_event
from certd.model.records import CertificateRecord, Idle, Ordering
from certd.model.specs import CertificateSpec, Config
from certd.model.view import Subject, SubjectKind
from certd.store import Store

_log = logging.getLogger(__name__)

STEPS_MOST = 200
"""Actions in one tick; more than any order needs. A bug that never waits still lets others have their turn."""

TROUBLE = timedelta(minutes=1)
"""After this a tick that the disk was in the way of is repeated."""

Wake = Callable[[Subject, datetime | None], None]


class Shared:
    """One of these per engine. Safe to share between threads."""

    def __init__(
        self, config: Config, store: Store, world: World, clock: Clock, rng: random.Random, wake: Wake
    ) -> None:
        self.config = config
        self.store = store
        self.world = world
        self.clock = clock
        self.wake = wake
        # Whoever came to know what the disk refused, its subject's own tick writes it.
        self.book = Book(store, lambda subject: wake(subject, clock.now() + TROUBLE))
        self.lives = Lives(store)
        self.budgets = {name: Budget(ca.limits) for name, ca in config.cas.items()}
        self.gather = Gatherer(self.book, self.lives, clock, self.budgets)
        self.section = threading.RLock()
        """Held while it is decided which links may move: two servers never take the same set at once."""
        self.warnings: dict[str, str] = {}
        self._rng = rng
        self._lock = threading.Lock()
        self._deployable: defaultdict[str, set[str]] = defaultdict(set)
        self._unread: set[str] = set()
        self._taken_up: set[str] = set()

    def draw(self) -> float:
        """A random number in [0, 1)."""
        with self._lock:
            return self._rng.random()

    def index(self, spec: CertificateSpec, record: CertificateRecord) -> None:
        """Note at its servers whether this certificate may have something to deploy."""
        with self._lock:
            for deployment in spec.deploy:
                names = self._deployable[deployment.server]
                (names.discard if isinstance(record, Idle) else names.add)(spec.name)

    def deployable(self, server: str) -> frozenset[str]:
        """Certificates of this server that are not idle."""
        with self._lock:
            return frozenset(self._deployable[server])

    def wake_servers(self, spec: CertificateSpec) -> None:
        for deployment in spec.deploy:
            self.wake(Subject(SubjectKind.SERVER, deployment.server), None)

    def wake_certificate(self, name: str) -> None:
        self.wake(Subject(SubjectKind.CERTIFICATE, name), None)

    def release(self, ca: str, name: str, *, unused_since: datetime | None = None) -> None:
        """Give back a permit, and wake those who wait for one."""
        budget = self.budgets.get(ca)
        for waiting in budget.release(name, unused_since=unused_since) if budget else ():
            self.wake_certificate(waiting)

    def replace_config(self, config: Config) -> None:
        """Take a new configuration: budgets keep what is in flight, and what is gone is no longer deployed."""
        for name, ca in config.cas.items():
            known = self.budgets.get(name)
            if known is None:
                self.budgets[name] = Budget(ca.limits)
            else:
                known.limits = ca.limits
        self.config = config
        self._taken_up.intersection_update(config.certificates)
        for name, spec in config.certificates.items():
            try:
                self.index(spec, self.book.certificate(name))
            except StateError:  # told by the certificate's own tick
                self._unread.add(name)
        self._forget_moved(config)
        self._settle_budgets()

    def _forget_moved(self, config: Config) -> None:
        """Who is no longer deployed to a server leaves its index. The others stay in it meanwhile: servers look."""
        with self._lock:
            for server, names in self._deployable.items():
                specs = ((name, config.certificates.get(name)) for name in names)
                staying = {name for name, spec in specs if spec and any(d.server == server for d in spec.deploy)}
                names.intersection_update(staying)

    def _settle_budgets(self) -> None:
        """Who is configured no longer, or at another CA, gives permits and places back; who came back has them."""
        holders: dict[str, set[str]] = {ca: set() for ca in self.budgets}
        for name, spec in self.config.certificates.items():
            ca = spec.ca
            with contextlib.suppress(StateError):
                record = self.book.certificate(name)
                if isinstance(record, Ordering) and record.ca in self.budgets:
                    ca = record.ca
                    self.budgets[ca].restore(name, ())
            holders[ca].add(name)
        for ca, budget in self.budgets.items():
            for name in budget.names - holders[ca]:
                self.release(ca, name)

    def restore_budgets(self) -> None:
        """Count the orders that the records tell of, at start."""
        for name, spec in self.config.certificates.items():
            try:
                record = self.book.certificate(name)
            except StateError:
                self._unread.add(name)
                continue
            self._count(spec, record)

    def take_up(self, spec: CertificateSpec) -> None:
        """Once for each certificate: what an interrupted run left goes, what the start could not do is done.

        Nothing else may work on it meanwhile. Raises StateError, and then it is to be repeated.
        """
        if spec.name in self._taken_up:
            return
        if placeholder.ensure(self.store, spec, self.clock.now()):
            self.lives.forget(spec.name)
        self.store.sweep_leftovers(spec.name)
        if spec.name in self._unread:
            self._count(spec, self.book.certificate(spec.name))
            self._unread.discard(spec.name)
        self._taken_up.add(spec.name)

    def _count(self, spec: CertificateSpec, record: CertificateRecord) -> None:
        if isinstance(record, Ordering) and record.ca in self.budgets:
            self.budgets[record.ca].restore(spec.name, ())
        self.budgets[spec.ca].restore(None, record.ledger.orders)
        self.index(spec, record)

    def fallback(self, name: str, version: int, revoked: str | None) -> int | None:
        """The newest version before `version`, which is live, that the operator may go back to.

        What is newer than the live one was never live, or is rejected.
        """
        rejected = self.book.certificate(name).ledger.rejected
        now = self.clock.now()
        for candidate in sorted(self.store.versions(name), reverse=True):
            if candidate in rejected or candidate >= version:
                continue
            if self.lives.usable(name, candidate, revoked=revoked, now=now):
                return candidate
        return None

    def sweep(self, spec: CertificateSpec, record: Idle, *, confirmed: bool) -> None:
        """Housekeeping at the end of an order: keys that are of no more use, and old versions."""
        parked = {one.key_id for one in record.ledger.parked}
        try:
            for key_id in parked & self.store.pending_keys(spec.name):
                self.store.park_key(spec.name, key_id)
            self.store.sweep_keys(spec.name, parked)
            if confirmed:
                protected = {record.ledger.hold.rejected} if record.ledger.hold else set()
                live = self.lives.of(spec.name).link or 0
                protected |= {self.fallback(spec.name, live, record.ledger.revoked) or live}
                self.store.prune(spec.name, keep=self.config.keep_versions, protected=protected)
        except StateError as error:
            log_event(_log, logging.WARNING, f"Old files stay for now: {error}", certificate=spec.name)

    def trouble(self, subject: Subject, error: StateError) -> None:
        """The disk is in the way: said at once, and kept for the status."""
        if self.book.troubles.get(subject) != str(error):
            log_event(_log, logging.ERROR, f"{subject.kind} {subject.name}: {error}", code=error.code)
        self.book.troubles[subject] = str(error)
