"""The real world, as the engine sees it (`certd.engine.world.World`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from certd import caa, deploy
from certd.effects import failures, served
from certd.effects.account import AccountEffects
from certd.effects.authorities import Authorities
from certd.effects.hints import Hints
from certd.effects.orders import OrderEffects, OrderRead
from certd.errors import BrokenRecord, CertdError, ProblemError, StateError
from certd.http import Exchanger
from certd.model import actions as do
from certd.model import events as ev
from certd.model.codes import Kind
from certd.model.records import Activity, CertificateRecord, OcspWord, Ordering, Seen, Served, Staged, Step
from certd.model.specs import AfterCommand, CaSpec, CertificateSpec, Config, ServerSpec
from certd.store import Store

ACTIVE_TIMEOUT = timedelta(seconds=15)
COMMAND_TIMEOUT = timedelta(seconds=120)
HELD_OFF = timedelta(minutes=5)
"""For how long a CA that answers 429 without a Retry-After to account, directory or nonce is left alone."""

_STEPS: dict[type, Step] = {
    do.PlaceOrder: Step.NEW_ORDER,
    do.ReadOrder: Step.POLL,
    do.PresentChallenges: Step.PRESENT,
    do.RespondToChallenges: Step.RESPOND,
    do.FinalizeOrder: Step.FINALIZE,
    do.DownloadCertificate: Step.DOWNLOAD,
}
_LIMITS_ONE = frozenset({"newOrder", "challenge", "finalize"})
"""A 429 here is about one certificate, elsewhere about the account (ARCHITECTURE 4d)."""

OnAccount = Callable[[str, ev.AccountEvent], None]


class RealWorld:
    """CAs, responders, servers and the store. Safe to share between threads."""

    def __init__(
        self,
        config: Config,
        store: Store,
        *,
        now: Callable[[], datetime],
        on_date: Callable[[datetime], None],
        on_account: OnAccount,
        on_warning: Callable[[str, str | None], None],
        command_timeout: timedelta = COMMAND_TIMEOUT,
        ask_caa: caa.Ask = caa.ask_resolver,
    ) -> None:
        """`on_account` gets what a CA says of an account while asked about an order; `on_date` its Date headers.

        `command_timeout` is for one reload or start of a server.
        """
        self._store = store
        self._command_timeout = command_timeout
        self._on_account = on_account
        self._plain = Exchanger(proxy=config.proxy, connections=config.workers, require_https=False)
        self._authorities = Authorities(
            config.cas,
            store,
            now=now,
            on_date=on_date,
            proxy=config.proxy,
            deadline=config.http_timeout,
            workers=config.workers,
        )
        self._accounts = AccountEffects(store, self._authorities)
        self._hints = Hints(self._authorities, ask_caa)
        self._orders = OrderEffects(store, self._authorities, send=self._plain.send, now=now, on_warning=on_warning)

    def replace_config(self, config: Config) -> None:
        self._authorities.replace(config.cas)

    def close(self) -> None:
        self._authorities.close()
        self._plain.close()

    def order(
        self, spec: CertificateSpec, record: CertificateRecord, action: do.CertificateAction
    ) -> ev.CertificateEvent | OrderRead:
        match action:
            case do.EndOrder(order):
                return ev.OrderEnded(self._hinted(failures.ended(order), record))
            case do.DropOrder(code, text):
                return ev.OrderEnded(ev.Failed(Step.NEW_ORDER, Kind.NEW_ORDER, code, text))
            case do.CleanUp(presented):
                return self._orders.clean_up(spec.name, presented)
            case do.AskParked(parked):
                try:
                    return self._orders.ask_parked(spec, parked)
                except (CertdError, OSError):
                    return ev.ParkedAsked(parked.order_url, gone=False)
        assert isinstance(record, Ordering)
        try:
            return self._pursue(spec, record, action)
        except BrokenRecord as error:
            # Time mends nothing here; a finalized order is asked for all the same (I5).
            return ev.Failed(Step.STORE, Kind.OPERATOR, error.code, str(error))
        except StateError as error:
            return ev.Failed(Step.STORE, Kind.TRANSIENT, error.code, str(error))
        except (CertdError, OSError) as error:
            failed = self._hinted(failures.failed(error, _STEPS[type(action)]), record)
            self._tell_account(record.ca, spec.name, error, failed)
            return failed

    def ask_status(
        self, spec: CertificateSpec, record: CertificateRecord, action: do.ConfirmStatus, now: datetime
    ) -> ev.StatusChecked:
        assert isinstance(record, Staged)
        chain = self._store.read_fullchain(spec.name, record.version)
        return ev.StatusChecked(served.ask_status(self._plain, chain, record.leaf, by_get=action.by_get, now=now))

    def check_revocation(
        self, spec: CertificateSpec, action: do.CheckRevocation, now: datetime
    ) -> ev.RevocationChecked:
        try:
            chain = self._store.read_fullchain(spec.name, action.version)
            leaf = self._store.version_leaf(spec.name, action.version)
        except CertdError:
            return ev.RevocationChecked(action.serial, OcspWord.NOT_ASKED)
        check = served.ask_status(self._plain, chain, leaf, by_get=False, now=now)
        return ev.RevocationChecked(action.serial, check.word)

    def probe(self, spec: CertificateSpec, now: datetime) -> ev.Probed:
        for deployment in spec.deploy:
            if deployment.verify is not None:
                return ev.Probed(served.served_now(deployment.verify, served.sni(spec), now))
        return ev.Probed(Served(None, now))

    def activity(self, server: ServerSpec) -> Activity:
        return deploy.activity(server.reload, timeout=ACTIVE_TIMEOUT)

    def look(self, targets: Sequence[served.Target]) -> tuple[Seen, ...]:
        return served.look(targets)

    def reload(self, server: ServerSpec) -> None:
        deploy.reload(server.reload, timeout=self._command_timeout)

    def start(self, server: ServerSpec) -> None:
        deploy.start(server.reload, timeout=self._command_timeout)

    def switch(self, name: str, version: int, now: datetime) -> None:
        self._store.switch_live(name, version, now=now)

    def after(self, spec: CertificateSpec, commands: Sequence[AfterCommand], version: int) -> None:
        live: Path = self._store.layout.live(spec.name)
        environment = deploy.after_environment(name=spec.name, domains=spec.domains, live=live, version=version)
        for command in commands:
            deploy.run(command, environment)

    def account(self, spec: CaSpec, action: do.AccountAction) -> ev.AccountEvent:
        return self._accounts.perform(spec, action)

    def use_account(self, ca: str, url: str) -> None:
        self._authorities.use_account(ca, url)

    def _pursue(
        self, spec: CertificateSpec, record: Ordering, action: do.CertificateAction
    ) -> ev.CertificateEvent | OrderRead:
        match action:
            case do.PlaceOrder():
                return self._orders.place(spec, record)
            case do.ReadOrder():
                return self._orders.read(spec, record)
            case do.PresentChallenges():
                return self._orders.present(spec, record, action)
            case do.RespondToChallenges(tasks):
                return self._orders.respond(record, tasks)
            case do.FinalizeOrder(url):
                return self._orders.finalize(spec, record, url)
            case do.DownloadCertificate(url):
                return self._orders.download(spec, record, url)
            case _:
                raise AssertionError(f"{type(action).__name__} is no action for an order")

    def _hinted(self, failed: ev.Failed, record: CertificateRecord) -> ev.Failed:
        assert isinstance(record, Ordering)
        return failures.with_hint(failed, self._hints.of(failed.code, failed.text, record))

    def _tell_account(self, ca: str, name: str, error: Exception, failed: ev.Failed) -> None:
        """What an error about an order says of the whole account (ARCHITECTURE 4c, 4d)."""
        if failed.kind is Kind.ACCOUNT:
            self._on_account(ca, ev.AccountUnknown(failed.code, failed.text))
        elif not isinstance(error, ProblemError):
            return
        elif failed.kind is Kind.BUG and error.asked == "newOrder":
            self._on_account(ca, ev.AccountDoubted())
        elif error.status == 429 and error.asked in _LIMITS_ONE:
            self._on_account(ca, ev.CertificateLimited(name))
        elif error.status == 429 or (error.status == 503 and error.retry_after is not None):
            self._on_account(ca, ev.CaLimited(error.retry_after or HELD_OFF, failed.text))
