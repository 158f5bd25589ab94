"""Facts first: what decide() is told about a certificate and about a server."""

from __future__ import annotations

from collections.abc import Mapping, Set
from datetime import datetime
from typing import NamedTuple

from msgspec.structs import replace

from certd.budget import Budget
from certd.clock import Clock
from certd.effects.orders import OrderRead
from certd.engine.book import Book
from certd.engine.lives import Lives
from certd.errors import StateError
from certd.model.facts import CaFacts, CertificateFacts, ServerFacts, ServerView
from certd.model.records import (
    AccountRecord,
    Activity,
    BatchSet,
    CertificateRecord,
    Deploying,
    DeployStage,
    Idle,
    Installed,
    Ordering,
    Seen,
    ServerRecord,
    Settled,
    Staged,
)
from certd.model.specs import CertificateSpec, Config, Deployment, ServerSpec
from certd.plan import account, certificate, gate


class Look(NamedTuple):
    """What handshakes showed, and when the first of them began."""

    seen: tuple[Seen, ...]
    began: datetime


class Gatherer:
    """Reads what is in memory; asks the disk once per live link."""

    def __init__(self, book: Book, lives: Lives, clock: Clock, budgets: Mapping[str, Budget]) -> None:
        self._book = book
        self._lives = lives
        self._clock = clock
        self._since = clock.now()
        self._budgets = budgets

    def certificate(
        self,
        config: Config,
        spec: CertificateSpec,
        record: CertificateRecord,
        now: datetime,
        reading: OrderRead | None = None,
        *,
        deciding: bool = False,
    ) -> CertificateFacts:
        """`deciding`: look at the files of a staged set, and take a permit if all else is ready for a new order.

        Raises StateError.
        """
        life = self._lives.of(spec.name)
        self._since = min(self._since, now)  # a clock that was set back must not put it off
        # An order that is under way belongs to the CA that it was placed at, whatever is configured now.
        ca = record.ca if isinstance(record, Ordering) and record.ca in config.cas else spec.ca
        facts = CertificateFacts(
            live=life.live,
            link=life.link,
            ca=self._ca(config, ca, now, permit=not deciding),
            servers=tuple(self._server_view(spec, deployment, record) for deployment in spec.deploy),
            clock_sure=self._clock.sure,
            since=self._since,
            step=reading.step if reading else None,
            broken=self._broken(spec.name, record, life.link) if deciding else "",
            places=reading.places if reading else (),
        )
        if deciding and isinstance(record, Idle):
            return self._with_permit(spec, record, facts, now)
        return facts

    def server(
        self,
        config: Config,
        spec: ServerSpec,
        names: frozenset[str],
        record: ServerRecord,
        activity: Activity,
        look: Look | None,
        now: datetime,
        *,
        shared_loading: bool,
    ) -> ServerFacts:
        """`names`: certificates of this server that may have something to deploy.

        Raises StateError where the disk does not tell whether a link of the section that swaps has moved.
        """
        ready: list[BatchSet] = []
        owed: list[BatchSet] = []
        since: list[datetime] = []
        gates: list[datetime] = []
        generations: list[int] = []
        coming = False
        for name in sorted(names):
            certificate_spec = config.certificates.get(name)
            if certificate_spec is None:
                continue
            try:
                its_record = self._book.certificate(name)
                facts = self.certificate(config, certificate_spec, its_record, now)
            except StateError:
                continue  # told by its own tick; the others go on
            match its_record:
                case Ordering():
                    coming = True
                case Staged() if facts.link == its_record.version:
                    # Its own tick is about to note the swap. What the server has confirmed by then is not done again.
                    if _owes_a_reload(record):
                        owed.append(self._batch_set(name, its_record, its_record.previous, now))
                case Staged():
                    judged = gate.judge(certificate_spec, its_record, its_record.ledger, facts, now)
                    if isinstance(judged, gate.Closed):
                        gates.append(gate.may_open(its_record, judged, now))
                    # I3: a link moves once it is durable who hears of it.
                    elif its_record.servers == facts.server_ids and self._others_settled(certificate_spec, spec.id):
                        ready.append(self._batch_set(name, its_record, facts.link, now))
                        since.append(max(its_record.activate.until, its_record.issued_at))
                case Installed() if self._owes(its_record, record, spec.id):
                    owed.append(self._batch_set(name, its_record.staged, its_record.staged.previous, now))
                    generations += [one.generation for one in its_record.owed if one.server == spec.id]
        owed += self._moved(record, {(part.name, part.version) for part in (*ready, *owed)})
        batch = record.batch if isinstance(record, Deploying) else (*ready, *owed)
        deployments = self._deployments(config, spec.id, batch)
        return ServerFacts(
            activity=activity,
            ready=tuple(ready),
            ready_since=min(since, default=None),
            owed=tuple(owed),
            owed_generation=max(generations, default=0),
            coming=coming,
            next_gate=min(gates, default=None),
            shared_busy=any(self._deployed_elsewhere(config, name, spec.id) for name in names),
            shared_loading=shared_loading,
            seen=look.seen if look else None,
            seen_from=look.began if look else None,
            verifiable=any(deployment.verify for deployment in deployments.values()),
            verify_seconds=max(
                (d.verify.timeout.total_seconds() for d in deployments.values() if d.verify), default=30.0
            ),
            clock_sure=self._clock.sure,
            after=tuple(name for name, deployment in deployments.items() if deployment.after),
        )

    def _with_permit(
        self, spec: CertificateSpec, record: Idle, facts: CertificateFacts, now: datetime
    ) -> CertificateFacts:
        budget = self._budgets[spec.ca]
        allowed = _permitted(facts, None)
        wants = certificate.need(spec, record.ledger, facts, now) is not None
        if not wants or certificate.order_blocker(spec, record.ledger, allowed, now) is not None:
            budget.release(spec.name)
            return facts
        urgency = facts.live.leaf.not_after if facts.live is not None else now
        return _permitted(facts, budget.reserve(spec.name, urgency, now))

    def _ca(self, config: Config, ca: str, now: datetime, *, permit: bool) -> CaFacts:
        """A CA that is not configured any more, while somebody still holds the old specification, takes no order."""
        spec = config.cas.get(ca)
        record = self._account(ca) if spec is not None else None
        return account.ca_facts(record, now, permit=permit, directory=spec.directory if spec is not None else "")

    def _account(self, ca: str) -> AccountRecord | None:
        """None where it cannot be read, told by its own tick: no order goes on, but what is issued goes live."""
        try:
            return self._book.account(ca)
        except StateError:
            return None

    def _server_view(self, spec: CertificateSpec, deployment: Deployment, record: CertificateRecord) -> ServerView:
        server = self._book.server(deployment.server)
        settled = server if isinstance(server, Settled) else server.settled
        version = record.version if isinstance(record, Staged) else None
        rejection = next((r.timer for r in settled.rejections if r.name == spec.name and r.version == version), None)
        not_served = spec.name in settled.not_served
        return ServerView(deployment.server, settled.wanted, settled.confirmed, rejection, not_served)

    def _broken(self, name: str, record: CertificateRecord, link: int | None) -> str:
        if not isinstance(record, Staged) or record.version == link:
            return ""
        return self._lives.fault(name, record.version) or ""

    def _others_settled(self, spec: CertificateSpec, server: str) -> bool:
        """I2: a link that several servers load moves only while none of the others is loading.

        Nor does it move here while another one suspects this set: it is tried there, apart from others, first.
        """
        others = [self._book.server(d.server) for d in spec.deploy if d.server != server]
        return all(
            isinstance(other, Settled) and not any(spec.name in group for group in other.suspects) for other in others
        )

    def _deployed_elsewhere(self, config: Config, name: str, server: str) -> bool:
        """I2: what another server is loading, and may give back, is not loaded here at the same time."""
        certificate_spec = config.certificates.get(name)
        others = (d.server for d in certificate_spec.deploy if d.server != server) if certificate_spec else ()
        records = (self._book.server(other) for other in others)
        return any(isinstance(one, Deploying) and any(part.name == name for part in one.batch) for one in records)

    def _owes(self, record: Installed, server: ServerRecord, server_id: str) -> bool:
        settled = server if isinstance(server, Settled) else server.settled
        return any(o.server == server_id and settled.confirmed < o.generation for o in record.owed)

    def _batch_set(self, name: str, staged: Staged, previous: int | None, now: datetime) -> BatchSet:
        """`previous`: the version that was live before; the one to go back to, if it is worth it."""
        fingerprint = None
        back: int | None = None
        last_resort: int | None = None
        if previous is not None and previous != staged.version:
            life = self._lives.known(name)
            leaf = self._lives.leaf(name, previous)
            fingerprint = life.fingerprint if life.link == previous else leaf.fingerprint if leaf else None
            ledger = self._book.certificate(name).ledger
            revoked = ledger.revoked
            worth = self._lives.worth_returning(name, previous, revoked=revoked, now=now)
            if worth and previous not in ledger.rejected:
                back = previous
            if leaf is not None and leaf.serial != revoked and leaf.not_after > now:
                last_resort = previous
        return BatchSet(name, staged.version, back, staged.leaf.fingerprint, fingerprint, last_resort)

    def _moved(self, record: ServerRecord, known: Set[tuple[str, int]]) -> list[BatchSet]:
        """What the section that swaps has moved before it was interrupted, and nobody else tells: it stays in it (I3).

        Its certificate may have become unreadable since, or have left the configuration.
        """
        if not isinstance(record, Deploying) or record.stage is not DeployStage.SWAPPING:
            return []
        others = (part for part in record.batch if (part.name, part.version) not in known)
        return [part for part in others if self._lives.of(part.name).link == part.version]

    def _deployments(self, config: Config, server: str, batch: tuple[BatchSet, ...]) -> dict[str, Deployment]:
        found = {}
        for part in batch:
            spec = config.certificates.get(part.name)
            for deployment in spec.deploy if spec else ():
                if deployment.server == server:
                    found[part.name] = deployment
        return found


def _owes_a_reload(record: ServerRecord) -> bool:
    settled = record if isinstance(record, Settled) else record.settled
    return settled.wanted > settled.confirmed


def _permitted(facts: CertificateFacts, ask_again: datetime | None) -> CertificateFacts:
    return replace(facts, ca=replace(facts.ca, permit=ask_again is None, permit_at=ask_again))
