"""The engine: ticks subjects, takes the operator's words, shows itself. It never sleeps and never schedules.

`tick(subject)` does all that is due and answers when the subject is due next; `wake` is called for subjects that have
become due through another one. What is to be done follows from records and facts alone, so a lost wake costs time,
never work.
"""

from __future__ import annotations

import contextlib
import logging
import random
from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec.structs import replace

from certd import __version__, reasons
from certd.clock import Clock
from certd.engine import placeholder
from certd.engine.accounts import Accounts
from certd.engine.certificates import Certificates
from certd.engine.lastseen import LastSeen
from certd.engine.servers import Servers
from certd.engine.shared import Shared, Wake
from certd.engine.world import World
from certd.errors import CertdError, ConfigError, Refused, StateError
from certd.logs import log_event
from certd.model import events as ev
from certd.model.codes import Because, Code
from certd.model.facts import CertificateFacts
from certd.model.records import (
    Deploying,
    Idle,
    Installed,
    NoKey,
    Ordering,
    Registered,
    ServerRecord,
    Staged,
)
from certd.model.specs import CaSpec, CertificateSpec, Config, ServerSpec
from certd.model.view import (
    AccountView,
    CertificateView,
    Lane,
    ServerStateView,
    Subject,
    SubjectKind,
    Tally,
    Trouble,
    View,
)
from certd.plan import certificate as plan
from certd.store import Store

HOLD = timedelta(days=7)
_ENDS = (Code.CA_HELD, Code.DAILY_CEILING)
"""Waits whose end is known, and worth telling."""

_log = logging.getLogger(__name__)


class Engine:
    """One per state directory. Safe to share between threads, as long as no subject is ticked twice at a time."""

    def __init__(
        self, config: Config, store: Store, world: World, *, clock: Clock, rng: random.Random, wake: Wake
    ) -> None:
        """Raises ConfigError where a CA's directory is not the one that its account was made at."""
        self._shared = Shared(config, store, world, clock, rng, wake)
        self._started_at = self._loaded_at = clock.now()
        self._servers = Servers(self._shared)
        self._certificates = Certificates(self._shared, self._servers.owe)
        self._accounts = Accounts(self._shared, self._started_at)
        self._last_seen = LastSeen(store, clock)
        self._was_sure = True
        self.config_error: str | None = None
        self._check_directories(config)
        self._shared.restore_budgets()
        self._use_accounts(config)

    @property
    def config(self) -> Config:
        return self._shared.config

    def subjects(self) -> Iterable[Subject]:
        """All that need a heartbeat: accounts and servers first, since certificates wait for them."""
        config = self._shared.config
        yield from (Subject(SubjectKind.ACCOUNT, name) for name in config.cas)
        yield from (Subject(SubjectKind.SERVER, name) for name in config.servers)
        yield from (Subject(SubjectKind.CERTIFICATE, name) for name in config.certificates)

    def lane_of(self, subject: Subject) -> Lane:
        """Servers never queue behind a slow CA."""
        return Lane.LOCAL if subject.kind is SubjectKind.SERVER else Lane.CA

    def tick(self, subject: Subject) -> datetime:
        """Do all that is due for the subject; when it is due next."""
        match subject.kind:
            case SubjectKind.CERTIFICATE:
                return self._certificates.tick(subject.name)
            case SubjectKind.SERVER:
                return self._servers.tick(subject.name)
            case SubjectKind.ACCOUNT:
                return self._accounts.tick(subject.name)

    def prepare(self) -> list[str]:
        """Placeholders where no usable version exists, so that a server's configuration loads.

        What is wrong with one certificate's files stops no other: it is logged, and its name is in the answer.
        """
        failed = []
        for spec in self._shared.config.certificates.values():
            try:
                changed = placeholder.ensure(self._shared.store, spec, self._shared.clock.now())
            except CertdError as error:
                # Its own tick tries again, and tells it to health.
                log_event(_log, logging.ERROR, str(error), certificate=spec.name)
                failed.append(spec.name)
                changed = True
            if changed:
                self._shared.lives.forget(spec.name)
        return failed

    def note_time(self) -> None:
        """Remember on disk that it is at least this late; have the CAs asked for the time once the clock is doubted.

        To be called every few seconds (ARCHITECTURE 4d). Raises StateError when the disk begins
        to refuse it.
        """
        sure = self._shared.clock.sure
        if self._was_sure and not sure:
            # The account's tick goes on asking until a CA's Date agrees; nothing else might ask for hours.
            for name in self._shared.config.cas:
                self._shared.wake(Subject(SubjectKind.ACCOUNT, name), None)
        self._was_sure = sure
        self._last_seen.note()

    def replace_config(self, config: Config) -> None:
        """Take a new configuration, for the world as well. Raises ConfigError, and then both keep the old one."""
        self._check_directories(config)
        # The world first: whoever is ticked by the new configuration needs its CAs, and the accounts that they have.
        self._shared.world.replace_config(config)
        self._use_accounts(config)
        self._shared.replace_config(config)
        self._loaded_at = self._shared.clock.now()
        self.config_error = None

    # --- what is heard in passing -------------------------------------------------------------------------------

    def hear_account(self, ca: str, event: ev.AccountEvent) -> None:
        """What a CA said of an account while it was asked about an order."""
        spec = self._shared.config.cas.get(ca)
        if spec is not None:
            self._accounts.apply(spec, event)

    def hear_warning(self, name: str, warning: str | None) -> None:
        """A warning that stops nothing, for the status; None takes it back."""
        if warning is None:
            self._shared.warnings.pop(name, None)
        else:
            self._shared.warnings[name] = warning

    # --- the operator's words -----------------------------------------------------------------------------------

    def renew(self, name: str, now: bool = False) -> str:
        """`certd renew`: what will happen, in a sentence. Raises Refused, StateError."""
        spec = self._shared.config.certificates.get(name)
        if spec is None:
            raise Refused(f"{name} is not in the configuration; `certd status` lists the names")
        after = self._certificates.apply(spec, None, ev.RenewRequested(now))
        if isinstance(after, Staged | Installed):
            for deployment in spec.deploy:
                self._servers.try_again(deployment.server, name)
            self._shared.wake_servers(spec)
        self._shared.wake_certificate(name)
        match after:
            case Staged(because=Because.ROLLBACK) | Installed(staged=Staged(because=Because.ROLLBACK)):
                return f"{name}: the roll-back is brought to its end first; then a new certificate is ordered"
            case Staged() if after.opened:
                return f"{name}: a new certificate is already issued; it goes live now"
            case Staged() if after.activate.until <= self._shared.clock.now():
                return f"{name}: a new certificate is already issued; it goes live once responder and server allow it"
            case Staged():
                return f"{name}: a new certificate is already issued; it goes live at {_utc(after.activate.until)}"
            case Installed():
                return f"{name}: a new certificate is already in place; its server is about to load it"
            case Ordering() if (blocked := self._blocked(spec, after)) is not None:
                return f"{name}: an order is already under way; it is asked as soon as it can be. {blocked}"
            case Ordering():
                return f"{name}: an order is already under way; it is asked at once"
            case Idle() if (blocked := self._blocked(spec, after)) is not None:
                return f"{name}: a new certificate is ordered as soon as it can be. {blocked}"
            case Idle():
                return f"{name}: a new certificate is ordered now"

    def _blocked(self, spec: CertificateSpec, record: Idle | Ordering) -> str | None:
        """What an order that was asked for has to wait for, in a sentence; None if for nothing."""
        now = self._shared.clock.now()
        facts = self._shared.gather.certificate(self._shared.config, spec, record, now)
        if isinstance(record, Idle):
            wait = plan.order_blocker(spec, record.ledger, facts, now)
        else:
            wait = plan.ca_blocker(facts.ca, now)
        if wait is None:
            return None
        until = f" It ends at {_utc(wait.until)} at the latest." if wait.code in _ENDS else ""
        return f"{reasons.text(wait.code)}{until}"

    def rollback(self, name: str) -> str:
        """`certd rollback`: back to the version before. Raises Refused, StateError."""
        spec = self._shared.config.certificates.get(name)
        if spec is None:
            raise Refused(f"{name} is not in the configuration; `certd status` lists the names")
        shared = self._shared
        # Links neither move nor are decided upon meanwhile, and the record is the one that was looked at.
        with shared.section, shared.book.lock(Subject(SubjectKind.CERTIFICATE, name)):
            word = self._rollback(name)
            self._certificates.apply(spec, None, word)
        shared.wake_certificate(name)
        return (
            f"{name}: going back to version {word.version} (serial {word.leaf.serial}); version {word.abandoned} is "
            f"not used again, and nothing is renewed until {_utc(word.until)} or `certd renew {name}`"
        )

    def forget(self, name: str) -> str:
        """`certd forget`: delete what is kept of a name that is no longer configured. Raises Refused, StateError."""
        shared = self._shared
        if name in shared.config.certificates:
            raise Refused(f"{name} is still in the configuration: remove it there and reload first")
        if name not in shared.store.names():
            raise Refused(f"nothing is kept of {name}; `certd status` lists the names")
        if self._certificates.is_ticking(name):
            # What comes of it would be written after the deletion: a key, at the worst.
            raise Refused(f"work on {name} that began before it left the configuration ends; try again in a minute")
        shared.store.forget(name)
        shared.book.drop_certificate(name)
        shared.lives.forget(name)
        return f"{name}: keys, certificates and record are deleted"

    # --- the view -----------------------------------------------------------------------------------------------

    def view(self) -> View:
        """What status, health and metrics are made of. Touches no disk but for names that are not managed."""
        shared = self._shared
        config = shared.config  # one and the same for all of it: another one may be taken at any moment
        kept, unlisted = self._kept()
        return View(
            version=__version__,
            started_at=self._started_at,
            config_loaded_at=self._loaded_at,
            config_error=self.config_error,
            clock_sure=shared.clock.sure,
            health=config.health,
            certificates=[*self._managed(config), *self._unmanaged(config, kept)],
            servers=[self._server_view(config, spec) for spec in config.servers.values()],
            accounts=[self._account_view(spec) for spec in config.cas.values()],
            troubles=tuple(trouble for trouble in (self._last_seen.trouble, unlisted) if trouble is not None),
        )

    def tally(self) -> Tally:
        """What the service manager is shown every few seconds. Touches neither the disk nor any fact."""
        names, lives, book = self._shared.config.certificates, self._shared.lives, self._shared.book
        records = [book.known_certificate(name) for name in names]
        return Tally(
            managed=len(names),
            live=sum(lives.known(name).live is not None for name in names),
            busy=sum(record is not None and not isinstance(record, Idle) for record in records),
            unread=sum(not lives.is_known(name) for name in names),
            config_error=self.config_error is not None,
        )

    def _managed(self, config: Config) -> Iterable[CertificateView]:
        shared, now = self._shared, self._shared.clock.now()
        for name, spec in config.certificates.items():
            trouble = shared.book.troubles.get(Subject(SubjectKind.CERTIFICATE, name))
            try:
                record = shared.book.certificate(name)
                facts = shared.gather.certificate(config, spec, record, now)
            except StateError as error:
                yield CertificateView(name, spec, None, CertificateFacts(), broken=str(error))
                continue
            placeholder_live = shared.lives.known(name).placeholder_fingerprint is not None
            yield CertificateView(
                name, spec, record, facts, placeholder_live, broken=trouble, warning=shared.warnings.get(name)
            )

    def _kept(self) -> tuple[list[str], Trouble | None]:
        """All names with a directory; what is in the way of listing them must not keep health from its answer."""
        try:
            return self._shared.store.names(), None
        except StateError as error:
            return [], Trouble(error.code, str(error), self._shared.clock.now())

    def _unmanaged(self, config: Config, kept: Iterable[str]) -> Iterable[CertificateView]:
        shared = self._shared
        for name in kept:
            if name in config.certificates:
                continue
            try:
                life = shared.lives.of(name)
                facts = CertificateFacts(live=life.live, link=life.link)
                yield CertificateView(name, None, shared.book.certificate(name), facts)
            except StateError as error:
                yield CertificateView(name, None, None, CertificateFacts(), broken=str(error))

    def _server_view(self, config: Config, spec: ServerSpec) -> ServerStateView:
        shared = self._shared
        trouble = shared.book.troubles.get(Subject(SubjectKind.SERVER, spec.id))
        activity = self._servers.activity_known(spec.id)
        try:
            record = self._awaiting_hosts(config, shared.book.server(spec.id), spec.id)
            return ServerStateView(spec, record, activity, trouble)
        except StateError as error:
            return ServerStateView(spec, None, activity, str(error))

    def _awaiting_hosts(self, config: Config, record: ServerRecord, server: str) -> ServerRecord:
        """The record without names whose virtual host is not, or no longer, waited for."""
        settled = record.settled if isinstance(record, Deploying) else record
        known = tuple(name for name in settled.not_served if self._awaits_host(config, name, server))
        if known == settled.not_served:
            return record
        settled = replace(settled, not_served=known)
        return replace(record, settled=settled) if isinstance(record, Deploying) else settled

    def _awaits_host(self, config: Config, name: str, server: str) -> bool:
        """Whether this certificate is deployed there, and no later look has shown it."""
        spec = config.certificates.get(name)
        if spec is None or all(one.server != server for one in spec.deploy):
            return False
        looked_at = next((one.server for one in spec.deploy if one.verify is not None), None)
        served, live = self._shared.book.certificate(name).ledger.served, self._shared.lives.known(name).live
        shown = served is not None and live is not None and served.serial == live.leaf.serial
        return not (shown and looked_at == server)

    def _account_view(self, spec: CaSpec) -> AccountView:
        trouble = self._shared.book.troubles.get(Subject(SubjectKind.ACCOUNT, spec.name))
        try:
            return AccountView(spec, self._shared.book.account(spec.name), trouble)
        except StateError as error:
            return AccountView(spec, None, str(error))

    # --- the rest -----------------------------------------------------------------------------------------------

    def _rollback(self, name: str) -> ev.RollbackRequested:
        """What a roll-back comes to now. Raises Refused."""
        shared = self._shared
        record, life = shared.book.certificate(name), shared.lives.of(name)
        if isinstance(record, Ordering):
            raise Refused(f"{name}: a renewal is under way; roll back once it is live (`certd status {name}`)")
        if isinstance(record, Staged) and record.because is Because.ROLLBACK:
            raise Refused(f"{name}: a roll-back to version {record.version} is under way already")
        # The link says what is live, whether or not the record has noted that it moved, or was given back.
        new = record.staged if isinstance(record, Installed) else record if isinstance(record, Staged) else None
        staged = new if new is not None and new.version != life.link else None
        abandoned = staged.version if staged else life.link
        target = life.link if staged else shared.fallback(name, life.link or 0, record.ledger.revoked)
        if abandoned is None or target is None:
            raise Refused(f"{name}: there is no earlier version that is neither expired nor revoked nor rejected")
        leaf = shared.lives.leaf(name, target)
        if leaf is None or (life.live is None and staged):
            raise Refused(f"{name}: version {target} is not a usable certificate")
        now = shared.clock.now()
        margin = leaf.not_after - (leaf.not_after - leaf.not_before) / 8
        return ev.RollbackRequested(target, leaf, abandoned, max(now, min(now + HOLD, margin)))

    def _check_directories(self, config: Config) -> None:
        problems = []
        for name, spec in config.cas.items():
            try:
                record = self._shared.book.account(name)
            except StateError:
                continue  # told by the account's own tick
            if not isinstance(record, NoKey) and record.directory != spec.directory:
                problems.append(
                    f"{config.path}: cas.{name}.directory: this account was made at {record.directory}; "
                    "a CA with another URL needs another name"
                )
        if problems:
            raise ConfigError(problems)

    def _use_accounts(self, config: Config) -> None:
        for name in config.cas:
            # A record or key that cannot be read is told by the account's own tick.
            with contextlib.suppress(CertdError):
                record = self._shared.book.account(name)
                if isinstance(record, Registered):
                    self._shared.world.use_account(name, record.url)


def _utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
