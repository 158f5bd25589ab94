"""The world as the engine sees it (certd.engine.world.World), made of the models; each act is a step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from exploration.interruptions import Act, EffectFailed, Steps
from exploration.memory_store import IssuedSet, MemoryStore
from exploration.model_apache import ModelApache
from exploration.model_ca import ModelCa, serial_of
from exploration.timeline import Timeline

from certd.effects.failures import ended
from certd.effects.orders import OrderRead
from certd.effects.served import Target
from certd.errors import CommandFailed, StateError
from certd.model import actions as do
from certd.model import events as ev
from certd.model.codes import Kind
from certd.model.orders import Present
from certd.model.records import (
    Activity,
    CertificateRecord,
    Leaf,
    OcspCheck,
    OcspWord,
    Ordering,
    Parked,
    Presented,
    Seen,
    Served,
    Sight,
    Staged,
    Step,
)
from certd.model.specs import AfterCommand, CaSpec, CertificateSpec, Config, ServerSpec

T = TypeVar("T")
EXCHANGE, COMMAND, QUESTION = 0.05, 0.1, 0.02
"""Seconds that they take."""
HOUR = timedelta(hours=1)
RELOADS_AN_HOUR = 20
"""More is a loop, whatever fails."""

_PROTOCOL_STEPS: dict[type, Step] = {
    do.PlaceOrder: Step.NEW_ORDER,
    do.ReadOrder: Step.POLL,
    do.PresentChallenges: Step.PRESENT,
    do.RespondToChallenges: Step.RESPOND,
    do.FinalizeOrder: Step.FINALIZE,
    do.DownloadCertificate: Step.DOWNLOAD,
}


class ModelWorld:
    """One world for all lives of the process."""

    def __init__(self, store: MemoryStore, ca: ModelCa, apaches: dict[str, ModelApache], timeline: Timeline) -> None:
        self.steps: Steps
        self.store, self.ca, self.apaches, self.timeline = store, ca, apaches, timeline
        self.presented: set[str] = set()
        self.reloads: list[tuple[datetime, str]] = []
        self.on_new_order: Callable[[CertificateSpec, Ordering], None] = lambda _spec, _record: None
        self._keys = 0

    # --- orders -------------------------------------------------------------------------------------------------

    def order(
        self, spec: CertificateSpec, record: CertificateRecord, action: do.CertificateAction
    ) -> ev.CertificateEvent | OrderRead:
        match action:
            case do.EndOrder(failed):
                return ev.OrderEnded(ended(failed))
            case do.DropOrder(code, text):
                return ev.OrderEnded(ev.Failed(Step.NEW_ORDER, Kind.NEW_ORDER, code, text))
            case do.CleanUp(presented):
                return self._clean_up(presented)
            case do.AskParked(parked):
                return self._ask_parked(spec, parked)
        assert isinstance(record, Ordering)
        try:
            return self._pursue(spec, record, action)
        except StateError as error:
            return ev.Failed(Step.STORE, Kind.TRANSIENT, error.code, str(error))
        except EffectFailed:
            return ev.Failed(_PROTOCOL_STEPS[type(action)], Kind.TRANSIENT, "connect-failed", "no answer")

    def _pursue(
        self, spec: CertificateSpec, record: Ordering, action: do.CertificateAction
    ) -> ev.CertificateEvent | OrderRead:
        match action:
            case do.PlaceOrder():
                return self._place(spec, record)
            case do.ReadOrder():
                self.ca.asked[_url(record)] = self.timeline.now
                return self._act(Act.LOOK, f"read order of {spec.name}", lambda: self._read(record), EXCHANGE)
            case do.PresentChallenges(tasks):
                tokens = tuple(task.token for task in tasks)
                self._act(Act.EFFECT, f"present for {spec.name}", lambda: self.presented.update(tokens), QUESTION)
                return ev.ChallengesPresented(tokens)
            case do.RespondToChallenges(tasks):
                tokens = tuple(task.token for task in tasks)
                assert self.presented >= set(tokens), "the CA is told to look for a response that is not there"
                self._act(Act.EFFECT, f"respond for {spec.name}", lambda: self.ca.respond(_url(record)), EXCHANGE)
                return ev.OrderPending(responded=tokens)
            case do.FinalizeOrder():
                key = self._key(spec, record)
                self._act(Act.EFFECT, f"finalize {spec.name}", lambda: self.ca.finalize(_url(record), key), EXCHANGE)
                return self._read(record)
            case do.DownloadCertificate():
                key = self._key(spec, record)
                leaf = self._act(Act.LOOK, f"download {spec.name}", lambda: self._leaf(_url(record), key), EXCHANGE)
                version = self.store.add_version(spec.name, IssuedSet(leaf, key), group=None, combined=False)
                return ev.Issued(version, leaf)
            case _:
                raise AssertionError(f"{type(action).__name__} is no action for an order")

    def _place(self, spec: CertificateSpec, record: Ordering) -> ev.OrderPlaced:
        if self.store.read_pending_key(spec.name, record.key_id) is None:
            self._keys += 1
            self.store.write_pending_key(spec.name, record.key_id, b"key %d" % self._keys)

        def place() -> str:
            self.on_new_order(spec, record)
            return self.ca.new_order(spec.name, record.domains).url

        return ev.OrderPlaced(self._act(Act.EFFECT, f"newOrder {spec.name}", place, EXCHANGE))

    def _read(self, record: Ordering) -> OrderRead:
        step = self.ca.next_step(_url(record), record.placed, record.responded)
        places: tuple[Presented, ...] = ()
        if isinstance(step, Present):
            places = tuple(Presented("http-01", task.identifier, task.token, task.token) for task in step.tasks)
        return OrderRead(step, places)

    def _key(self, spec: CertificateSpec, record: Ordering) -> bytes:
        key = self.store.read_pending_key(spec.name, record.key_id)
        if key is None:
            raise StateError("the key of the order is missing")
        return key

    def _leaf(self, url: str, key: bytes) -> Leaf:
        order = self.ca.orders[url]
        assert order.leaf is not None
        assert order.key == key, "the certificate is for another key than the one that is kept for its order"
        return order.leaf

    def _ask_parked(self, spec: CertificateSpec, parked: Parked) -> ev.CertificateEvent:
        try:
            status = self._act(
                Act.LOOK,
                f"ask parked of {spec.name}",
                lambda: self.ca.status(self.ca.orders[parked.order_url]),
                EXCHANGE,
            )
        except EffectFailed:
            return ev.ParkedAsked(parked.order_url, gone=False)
        leaf = self.ca.orders[parked.order_url].leaf
        key = self.store.read_parked_key(spec.name, parked.key_id)
        key = key or self.store.read_pending_key(spec.name, parked.key_id)
        if status != "valid" or leaf is None:
            return ev.ParkedAsked(parked.order_url, gone=status == "invalid")
        if key is None:
            return ev.ParkedAsked(parked.order_url, gone=False)
        if set(leaf.names) != set(spec.domains):
            self.ca.turned_down.add(parked.order_url)
            return ev.ParkedAsked(parked.order_url, gone=True)
        try:
            version = self.store.add_version(spec.name, IssuedSet(leaf, key), group=None, combined=False)
        except StateError:
            return ev.ParkedAsked(parked.order_url, gone=False)
        return ev.ParkedIssued(parked.order_url, version, leaf)

    def _clean_up(self, presented: tuple[Presented, ...]) -> ev.CleanedUp:
        tokens = tuple(one.token for one in presented)
        try:
            self._act(Act.EFFECT, "clean up", lambda: self.presented.difference_update(tokens), QUESTION)
        except EffectFailed:
            return ev.CleanedUp(())
        return ev.CleanedUp(tokens)

    # --- what is known and what is served -----------------------------------------------------------------------

    def ask_status(
        self, spec: CertificateSpec, record: CertificateRecord, action: do.ConfirmStatus, now: datetime
    ) -> ev.StatusChecked:
        assert isinstance(record, Staged)
        return ev.StatusChecked(OcspCheck(self._ask(spec.name, record.version), now))

    def check_revocation(
        self, spec: CertificateSpec, action: do.CheckRevocation, now: datetime
    ) -> ev.RevocationChecked:
        return ev.RevocationChecked(action.serial, self._ask(spec.name, action.version))

    def _ask(self, name: str, version: int) -> OcspWord:
        known = self.store.sets[name][version]
        issued_at = max(
            (o.finalized_at or o.placed_at for o in self.ca.orders.values() if o.leaf == known.leaf),
            default=known.added_at,
        )
        try:
            return self._act(
                Act.LOOK, f"ask OCSP {name}", lambda: self.ca.ask(name, known.leaf.fingerprint, issued_at), EXCHANGE
            )
        except EffectFailed:
            return OcspWord.UNREACHABLE

    def probe(self, spec: CertificateSpec, now: datetime) -> ev.Probed:
        try:
            shown = self._act(
                Act.LOOK, f"probe {spec.name}", lambda: self.apaches[spec.deploy[0].server].shown(spec.name), QUESTION
            )
        except EffectFailed:
            shown = None
        return ev.Probed(Served(shown and serial_of(shown), now))

    def look(self, targets: Sequence[Target]) -> tuple[Seen, ...]:
        return tuple(self._look(target) for target in targets)

    def _look(self, target: Target) -> Seen:
        part, verify, _ = target
        apache = next(one for one in self.apaches.values() if verify.connect[0].host == one.unit)
        try:
            apache.seen_down = True
            shown = self._act(Act.LOOK, f"look {apache.unit}", lambda: apache.shown(part.name), QUESTION)
            apache.seen_down = False
        except EffectFailed:
            return Seen(part.name, Sight.REFUSED, None)
        if shown is None:
            return Seen(part.name, Sight.BROKEN if apache.listens else Sight.REFUSED, None)
        return Seen(part.name, Sight.LEAF, shown)

    # --- servers ------------------------------------------------------------------------------------------------

    def activity(self, server: ServerSpec) -> Activity:
        apache = self.apaches[server.id]
        try:
            return self._act(Act.LOOK, f"activity {apache.unit}", apache.now, QUESTION)
        except EffectFailed:
            return Activity.UNKNOWN

    def reload(self, server: ServerSpec) -> None:
        def reload() -> None:
            self.reloads.append((self.timeline.now, server.id))
            recent = [at for at, one in self.reloads if one == server.id and at > self.timeline.now - HOUR]
            assert len(recent) <= RELOADS_AN_HOUR, f"{server.id} is reloaded {len(recent)} times within an hour"
            self.apaches[server.id].reload(ours=True)

        self._command(f"reload {server.id}", reload, self.apaches[server.id])

    def start(self, server: ServerSpec) -> None:
        def start() -> None:
            apache = self.apaches[server.id]
            assert apache.activity is not Activity.INACTIVE, f"{server.id} is started, which the operator has stopped"
            apache.start()

        self._command(f"start {server.id}", start, self.apaches[server.id])

    def _command(self, label: str, command: Callable[[], None], apache: ModelApache) -> None:
        apache.said_to_refuse = True
        try:
            self._act(Act.EFFECT, label, command, COMMAND)
            apache.said_to_refuse = False
        except EffectFailed:
            raise CommandFailed(f"{label}: timed out") from None

    def switch(self, name: str, version: int, now: datetime) -> None:
        for apache in self.apaches.values():
            apache.catch_up()
        self.store.switch_live(name, version, now=now)

    def after(self, spec: CertificateSpec, commands: Sequence[AfterCommand], version: int) -> None:
        self._command(f"after {spec.name}", lambda: None, self.apaches[spec.deploy[0].server])

    # --- accounts -----------------------------------------------------------------------------------------------

    def account(self, spec: CaSpec, action: do.AccountAction) -> ev.AccountEvent:
        if isinstance(action, do.WriteKey):
            if self.store.read_account_key(spec.name) is None:
                self.store.write_account_key(spec.name, b"account key")
            return ev.KeyMade()
        key = self.store.read_account_key(spec.name)
        assert key is not None, "I7: the account key is lost"
        try:
            return self._act(Act.EFFECT, f"{type(action).__name__} at the CA", lambda: self._account(action, key), 0.05)
        except EffectFailed:
            return ev.Failed(Step.ACCOUNT, Kind.TRANSIENT, "connect-failed", "no answer")

    def _account(self, action: do.AccountAction, key: bytes) -> ev.AccountEvent:
        if isinstance(action, do.Register):
            spent = self.ca.account_key is not None
            assert action.find_first or not spent, "I7: the spent EAB credentials are used again"
            self.ca.account_key = self.ca.account_key or key
        if self.ca.account_key != key:
            return ev.AccountUnknown("acme:account-does-not-exist", "the CA does not know the account key")
        contact = action.contact if isinstance(action, do.UpdateContact) else None
        return ev.AccountKnown("https://ca.test/account/1", contact)

    def replace_config(self, config: Config) -> None:
        """Nothing to remember: there is one CA."""

    def use_account(self, ca: str, url: str) -> None:
        """Nothing to remember: this CA has one account."""

    def _act(self, act: Act, label: str, effect: Callable[[], T], seconds: float) -> T:
        self.timeline.spend(seconds)
        return self.steps.step(act, label, effect)


def _url(record: Ordering) -> str:
    assert record.order_url is not None
    return record.order_url
