"""The invariants I1 to I7 of docs/ARCHITECTURE.md, judged by what happens in the models, not by what certd thinks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from exploration.memory_store import MemoryStore
from exploration.model_apache import ModelApache
from exploration.model_ca import ModelCa, ModelOrder
from exploration.timeline import Timeline

from certd.model.records import Activity, Idle, Leaf, OcspWord, Ordering, ServerRecord, Settled, Staged
from certd.model.specs import CertificateSpec, Config

BEFORE_EXPIRY = timedelta(minutes=15)
FRESH = timedelta(minutes=10)
TOLERANCE = timedelta(seconds=60)
"""A decision is carried out some steps after it is made."""
DAY = timedelta(days=1)
GIVE_UP = timedelta(hours=24)


class Violation(AssertionError):
    """An invariant does not hold."""


class Watch:
    """Sees every switch, order and record."""

    def __init__(
        self,
        config: Callable[[], Config],
        store: MemoryStore,
        ca: ModelCa,
        apaches: Mapping[str, ModelApache],
        timeline: Timeline,
    ) -> None:
        self._config, self._store, self._ca, self._apaches = config, store, ca, apaches
        self._timeline = timeline
        self.opened: set[str] = set()
        """Certificates whose gate the operator has opened."""
        self.fresh_goal: set[str] = set()
        """Certificates whose back-off the operator has cleared."""
        self.been_live: defaultdict[str, set[int]] = defaultdict(set)
        self.placed: defaultdict[str, list[datetime]] = defaultdict(list)
        self._row: defaultdict[str, list[datetime]] = defaultdict(list)
        """Orders in a row since a certificate went live and was served."""
        self._given_up: dict[str, datetime] = {}
        """When each finalized order may be given up, counted from the record that says that finalize is to be sent."""
        self._goal: dict[str, tuple[str, ...]] = {}
        self.up_since: datetime = timeline.now

    # --- I1, I2 -------------------------------------------------------------------------------------------------

    def switch(self, name: str, version: int) -> None:
        """A live link moves now."""
        new = self._store.sets[name][version]
        before = self._store.links.get(name)
        old = self._store.sets[name].get(before) if before is not None else None
        answers = self._ca.answers[new.leaf.fingerprint]
        self._not_while_loading(name)
        if new.placeholder and old is not None:
            # For one site's sake nobody goes back to it; for a server that cannot load the new set, certd does.
            needs = [apache for apache in self._apaches.values() if name in apache.names and apache.cannot_load]
            _deny(not needs, f"I1: {name} goes back to the placeholder")
        _deny(bool(answers) and answers[-1][1] is OcspWord.REVOKED, f"I2: {name} {version} is revoked and goes live")
        if version not in self.been_live[name] and not new.placeholder:
            self._gate(name, version)
        self.been_live[name].add(version)

    def _gate(self, name: str, version: int) -> None:
        now, new = self._timeline.now, self._store.sets[name][version]
        link = self._store.links.get(name)
        live = self._store.sets[name][link] if link is not None else None
        if live is None or live.placeholder or live.leaf.not_after <= now or name in self.opened:
            return
        policy = self._config().certificates[name].ocsp
        activate_at = max(new.added_at, new.leaf.not_before) + policy.propagation_delay
        deadline = min(activate_at + policy.max_wait, live.leaf.not_after - BEFORE_EXPIRY)
        answers = self._ca.answers[new.leaf.fingerprint]
        good = [at for at, word in answers[-1:] if word is OcspWord.GOOD and now - at < FRESH + TOLERANCE]
        if now >= deadline or (good and live.leaf.fingerprint in self._ca.revoked):
            return
        _deny(now < activate_at, f"I2: {name} {version} goes live {activate_at - now} before its time")
        _deny(not [at for at in good if at >= activate_at], f"I2: {name} {version} goes live without a good answer")

    def _not_while_loading(self, name: str) -> None:
        for apache in self._apaches.values():
            loading = apache.loading
            if name not in apache.names or loading is None or apache.activity is not Activity.ACTIVE:
                continue
            _deny(loading.ours, f"I2: {name} is swapped while {apache.unit} loads what certd told it to load")
            known = apache.asked_at is not None and apache.asked_at >= loading.told_from
            _deny(known, f"I2: {name} is swapped although {apache.unit} is known to load")

    # --- I3 -----------------------------------------------------------------------------------------------------

    def server(self, server: str, record: ServerRecord) -> None:
        """A server's record is on the disk: if nothing is owed, what runs must serve what the links name."""
        apache = self._apaches[server]
        apache.catch_up()
        if isinstance(record, Settled) and record.wanted == record.confirmed:
            self._served(apache, "nothing is owed")

    def _served(self, apache: ModelApache, when: str) -> None:
        if apache.activity is not Activity.ACTIVE or apache.loading is not None or not apache.served:
            return
        for name in apache.names:
            wanted = self._store.served_by_link(name)
            if name not in apache.no_vhost and name in self._config().certificates:
                shown = apache.served.get(name)
                _deny(shown != wanted, f"I3: {apache.unit} serves {shown} for {name} where {when}; live is {wanted}")
                self._row[name].clear()

    # --- I4, I5 -------------------------------------------------------------------------------------------------

    def new_order(self, spec: CertificateSpec, record: Ordering) -> None:
        """newOrder reaches the CA."""
        now, name = self._timeline.now, spec.name
        row = self._row[name]
        if self._goal.get(name, record.domains) != record.domains:
            row.clear()  # another goal
        self._goal[name] = record.domains
        if name in self.fresh_goal:
            self.fresh_goal.discard(name)
        elif row:
            least = self._least_wait(name, len(row))
            waited = now - row[-1]
            _deny(waited < least, f"I4: order {len(row) + 1} in a row for {name} after {waited}, at least {least}")
        hold = record.ledger.hold
        _deny(hold is not None and hold.timer.until > now, f"{name} is ordered although the operator rolled back")
        day = [at for at in self.placed[name] if at > now - DAY + TOLERANCE]
        _deny(len(day) >= spec.orders_per_day, f"I4: {len(day) + 1} orders for {name} within a day")
        row.append(now)
        self.placed[name].append(now)
        for order in self._ca.orders.values():
            if order.name == name and self._unused(order) and set(order.domains) == set(spec.domains):
                _deny(
                    now < self._given_up[order.url] - TOLERANCE,
                    f"I5: a second order for {name} while {order.url} is finalized",
                )
        for version, known in self._store.sets[name].items():
            waits = version > self._store.links.get(name, version) and version not in record.ledger.rejected
            fits = set(known.leaf.names) == set(spec.domains) and now < known.leaf.not_after
            good = known.leaf.fingerprint not in self._ca.revoked and not self._parked(record, known.leaf)
            _deny(waits and fits and good, f"I5: a second order for {name} while version {version} waits to go live")

    def _parked(self, record: Ordering, leaf: Leaf) -> bool:
        """Whether its order was given up, after a last question that brought nothing."""
        urls = [parked.order_url for parked in record.ledger.parked]
        return any(self._ca.orders[url].leaf == leaf and self._ca.asked[url] >= self._given_up[url] for url in urls)

    def _least_wait(self, name: str, orders: int) -> timedelta:
        link = self._store.links.get(name)
        live = self._store.sets[name][link] if link is not None else None
        doubled = timedelta(minutes=1) * (1 << min(orders - 1, 9))
        if live is not None and not live.placeholder:
            left = live.leaf.not_after - self._timeline.now
            doubled = min(doubled, max(timedelta(minutes=5), left / 8), _emergency_cap(live.leaf, self._timeline.now))
        return max(timedelta(minutes=1), doubled * 0.75) - timedelta(seconds=1)

    def _unused(self, order: ModelOrder) -> bool:
        if order.finalized_at is None or self._ca.status(order) not in ("processing", "valid"):
            return False
        if order.url in self._ca.turned_down:
            return False
        return order.leaf is None or order.leaf.fingerprint not in self._store.stored

    def _gives_up(self, name: str, finalized_at: datetime) -> datetime:
        link = self._store.links.get(name)
        live = self._store.sets[name][link].leaf if link is not None else None
        latest = finalized_at + GIVE_UP
        if live is None:
            return latest
        emergency = live.not_before + (live.not_after - live.not_before) * 19 / 20
        return min(latest, emergency) if emergency > finalized_at + timedelta(hours=1) else latest

    # --- I6 -----------------------------------------------------------------------------------------------------

    def moment(self) -> None:
        """Time has moved."""
        now = self._timeline.now
        for name, record in self._store.certificates.items():
            if isinstance(record, Ordering) and record.finalized_at is not None and record.order_url is not None:
                self._given_up.setdefault(record.order_url, self._gives_up(name, record.finalized_at))
        for name, record in self._store.certificates.items():
            if not isinstance(record, Staged) or name not in self._store.links or record.ledger.hold is not None:
                continue
            live = self._store.sets[name][self._store.links[name]]
            in_time = max(record.issued_at, self.up_since) < live.leaf.not_after - BEFORE_EXPIRY
            if live.placeholder or now < live.leaf.not_after or not in_time:
                continue
            servers = [self._store.servers.get(d.server) for d in self._config().certificates[name].deploy]
            settled = [s if isinstance(s, Settled) else s.settled for s in servers if s is not None]
            excused = any(s.failure is not None or s.rejections for s in settled)
            _deny(not excused, f"I6: {name} has expired while version {record.version} waited")

    # --- the end ------------------------------------------------------------------------------------------------

    def end(self, stuck: frozenset[str]) -> None:
        """Nothing more is going to happen by itself. `stuck`: certificates that cannot get a new set."""
        self._orders_kept()
        for apache in self._apaches.values():
            apache.catch_up()
            _deny(
                apache.activity is not Activity.ACTIVE and not apache.excused,
                f"{apache.unit} is {apache.activity} and nobody has stopped it",
            )
            self._served(apache, "all is done")
        for name in self._config().certificates:
            record = self._store.certificates.get(name)
            _deny(name in self._ca_names() and name not in self._store.links, f"{name} has no live link")
            if name in stuck:
                continue
            link = self._store.links.get(name)
            live = self._store.sets[name][link] if link is not None else None
            _deny(live is None or live.placeholder, f"{name} has no certificate")
            _deny(not isinstance(record, Idle), f"{name} has come to rest as {type(record).__name__}")
        keys = set(self._store.account_keys.values())
        _deny(self._ca.account_key is not None and keys != {self._ca.account_key}, "I7: the account key is another one")

    def _ca_names(self) -> set[str]:
        return {order.name for order in self._ca.orders.values()}

    def _orders_kept(self) -> None:
        for order in self._ca.orders.values():
            if not self._unused(order):
                continue
            record = self._store.certificates[order.name]
            if isinstance(record, Ordering) and record.order_url == order.url:
                keys = self._store.pending[order.name]
                _deny(keys.get(record.key_id) != order.key, f"I5: the key of {order.url} is lost")
                continue
            parked = [one for one in record.ledger.parked if one.order_url == order.url]
            _deny(not parked, f"I5: the finalized {order.url} of {order.name} is forgotten")
            both = {**self._store.pending[order.name], **self._store.parked[order.name]}
            _deny(both.get(parked[0].key_id) != order.key, f"I5: the key of the parked {order.url} is lost")


def _emergency_cap(leaf: Leaf, now: datetime) -> timedelta:
    emergency = leaf.not_before + (leaf.not_after - leaf.not_before) * 19 / 20
    return timedelta(minutes=10) if now >= emergency else timedelta(days=1)


def _deny(wrong: bool, text: str) -> None:
    if wrong:
        raise Violation(text)
