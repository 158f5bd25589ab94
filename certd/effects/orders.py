"""What certd does for an order (RFC 8555 sections 7.4 and 7.5), from newOrder to a set below versions/."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Final

import msgspec

from certd import pki
from certd.acme import order as protocol
from certd.acme.messages import Authorization, Order
from certd.challenges import SOLVERS, Solver, make_solver
from certd.challenges.fetch import Send
from certd.config import solver_for
from certd.effects.authorities import Authorities
from certd.errors import BrokenRecord, ChallengeError, PkiError
from certd.logs import log_event
from certd.model import actions as do
from certd.model import events as ev
from certd.model.orders import Finalize, OrderStep, Poll, Present, Task
from certd.model.records import Ordering, Parked, Presented
from certd.model.specs import CertificateSpec, SolverSpec
from certd.store import Store
from certd.text import printable

_log = logging.getLogger(__name__)

OF_NO_USE: Final = frozenset({"key-type", "names-missing", "names-extra", "expired", "no-server-auth"})
"""What is wrong with a certificate for good (codes of `certd.pki`, found once it is known to be for the order's key).

Not so the chain, which the CA may deliver better the next day, nor the key: a spoilt one, which may even seem to be
another one (key-mismatch), can be restored from a backup.
"""


class OrderRead(msgspec.Struct, frozen=True):
    """A fact, not an event: what the order asks for now, and where the responses would be put."""

    step: OrderStep
    places: tuple[Presented, ...] = ()


class OrderEffects:
    """Carries out the actions of an order. `on_warning` gets what stops nothing but should be seen."""

    def __init__(
        self,
        store: Store,
        authorities: Authorities,
        *,
        send: Send,
        now: Callable[[], datetime],
        on_warning: Callable[[str, str | None], None],
    ) -> None:
        self._store = store
        self._authorities = authorities
        self._send = send
        self._now = now
        self._on_warning = on_warning

    def place(self, spec: CertificateSpec, record: Ordering) -> ev.CertificateEvent:
        """newOrder, for a key that is durable before the CA hears of it (I5)."""
        key = self._store.read_pending_key(spec.name, record.key_id)
        if key is None:
            self._store.write_pending_key(spec.name, record.key_id, pki.generate_key(record.key))
        return ev.OrderPlaced(self._authorities.client(record.ca).new_order(record.domains))

    def read(self, spec: CertificateSpec, record: Ordering) -> OrderRead:
        """Order and authorizations, afresh, and what they ask for."""
        assert record.order_url is not None
        client = self._authorities.client(record.ca)
        order = client.fetch_order(record.order_url)
        authorizations: list[Authorization] = []
        if order.status in ("pending", "invalid"):
            authorizations = [client.fetch_authorization(url) for url in order.authorizations]
        return self._interpreted(spec, record, order, authorizations)

    def present(self, spec: CertificateSpec, record: Ordering, action: do.PresentChallenges) -> ev.ChallengesPresented:
        places = {presented.token: presented.place for presented in action.places}
        warning: str | None = None
        for task in action.tasks:
            solver = _solver(spec, task.identifier, task.wildcard)
            authorization = self._authorities.key(record.ca).key_authorization(task.token)
            solver.present(task, authorization, places[task.token])
            # One warning tells enough: where packets are dropped, a hundred names would hold the order up for minutes.
            warning = warning or solver.self_check(task, authorization, self._send)
        if warning is not None:
            log_event(_log, logging.WARNING, warning, certificate=spec.name)
        self._on_warning(spec.name, warning)
        return ev.ChallengesPresented(tuple(task.token for task in action.tasks))

    def respond(self, record: Ordering, tasks: tuple[Task, ...]) -> ev.OrderPending:
        client = self._authorities.client(record.ca)
        delays = [client.respond(task.url).retry_after for task in tasks]
        known = [delay for delay in delays if delay is not None]
        return ev.OrderPending(max(known, default=None), responded=tuple(task.token for task in tasks))

    def finalize(self, spec: CertificateSpec, record: Ordering, url: str) -> OrderRead:
        key = self._store.read_pending_key(spec.name, record.key_id)
        if key is None:
            # As one that is broken: nothing is issued for it yet, so a new order with a new key is the way out.
            raise PkiError("key-unreadable", f"the key of the order is missing: {_key_path(spec, record)}")
        order = self._authorities.client(record.ca).finalize(url, pki.make_csr(key, record.domains))
        read = self._interpreted(spec, record, order, [])
        # A CA that has taken the request and calls the order "ready" as before is not to be handed it without end.
        return OrderRead(Poll(False, order.retry_after)) if isinstance(read.step, Finalize) else read

    def download(self, spec: CertificateSpec, record: Ordering, url: str) -> ev.Issued:
        """Raises BrokenRecord where the order's key is gone: only a backup can have it."""
        key = self._demand_key(spec, record)
        chain = self._authorities.client(record.ca).download(url)
        certificates = pki.build_set(key, chain, domains=record.domains, key_type=record.key, now=self._now())
        version = self._store.add_version(spec.name, certificates, group=spec.files.group, combined=spec.files.combined)
        return ev.Issued(version, certificates.leaf)

    def ask_parked(self, spec: CertificateSpec, parked: Parked) -> ev.CertificateEvent:
        """Adopt a parked order's certificate if it came after all (I5).

        It is gone where the CA calls it invalid, or has issued what is of no use; anything else may mend.
        """
        client = self._authorities.client(parked.ca)
        order = client.fetch_order(parked.order_url)
        if order.status != "valid" or order.certificate is None:
            return ev.ParkedAsked(parked.order_url, gone=order.status == "invalid")
        try:
            key = self._parked_key(spec, parked)
            chain = client.download(order.certificate)
            certificates = pki.build_set(key, chain, domains=spec.domains, key_type=spec.key, now=self._now())
        except PkiError as error:
            gone = error.code in OF_NO_USE
            text = f"A parked order brought nothing usable{'' if gone else ' yet'}: {error}"
            log_event(_log, logging.WARNING, text, certificate=spec.name, code=f"pki:{error.code}")
            return ev.ParkedAsked(parked.order_url, gone=gone)
        version = self._store.add_version(spec.name, certificates, group=spec.files.group, combined=spec.files.combined)
        return ev.ParkedIssued(parked.order_url, version, certificates.leaf)

    def clean_up(self, name: str, presented: tuple[Presented, ...]) -> ev.CleanedUp:
        """By the recorded place, never by today's configuration."""
        gone = []
        for one in presented:
            try:
                SOLVERS[one.solver].clean_up(one.place)
                gone.append(one.token)
            except ChallengeError as error:
                log_event(_log, logging.WARNING, f"A challenge file stays for now: {error}", certificate=name)
        return ev.CleanedUp(tuple(gone))

    def _demand_key(self, spec: CertificateSpec, record: Ordering) -> bytes:
        key = self._store.read_pending_key(spec.name, record.key_id) or b""
        try:
            pki.key_type_of(key)
        except PkiError as error:
            what = "is broken" if key else "is missing or empty"
            raise BrokenRecord(
                f"the CA has issued the certificate, but {_key_path(spec, record)}, its key, {what}: restore it from a "
                "backup, or wait for another order; see 'A broken key of an order' in docs/STATE.md"
            ) from error
        return key

    def _parked_key(self, spec: CertificateSpec, parked: Parked) -> bytes:
        key = self._store.read_parked_key(spec.name, parked.key_id)
        key = key or self._store.read_pending_key(spec.name, parked.key_id)
        if not key:
            path = f"certs/{spec.name}/parked/{parked.key_id}.pem"
            raise PkiError("key-unreadable", f"{path}, its key, is missing or empty: restore it from a backup")
        return key

    def _interpreted(
        self, spec: CertificateSpec, record: Ordering, order: Order, authorizations: list[Authorization]
    ) -> OrderRead:
        step = protocol.next_step(
            order,
            authorizations,
            solver_for=lambda identifier, wildcard: _challenge_type(spec, identifier, wildcard),
            presented=record.placed,
            responded=record.responded,
            retry_after=order.retry_after,
        )
        places: tuple[Presented, ...] = ()
        if isinstance(step, Present):
            places = tuple(self._place_of(spec, record, task) for task in step.tasks)
        return OrderRead(step, places)

    def _place_of(self, spec: CertificateSpec, record: Ordering, task: Task) -> Presented:
        solver = _solver(spec, task.identifier, task.wildcard)
        place = solver.place(task, self._authorities.key(record.ca).key_authorization(task.token))
        return Presented(solver=solver.type, identifier=task.identifier, token=task.token, place=place)


def _key_path(spec: CertificateSpec, record: Ordering) -> str:
    return f"certs/{spec.name}/pending/{record.key_id}.pem"


def _challenge_type(spec: CertificateSpec, identifier: str, wildcard: bool) -> str | None:
    found = _solver_spec(spec, identifier, wildcard)
    return found.type if found else None


def _solver(spec: CertificateSpec, identifier: str, wildcard: bool) -> Solver:
    found = _solver_spec(spec, identifier, wildcard)
    if found is None:
        raise ChallengeError(f"no challenge is configured for {printable(identifier)}")
    return make_solver(found)


def _solver_spec(spec: CertificateSpec, identifier: str, wildcard: bool) -> SolverSpec | None:
    """None for a name that is not ours to answer for: the CA chooses what its authorizations name."""
    domain = f"*.{identifier}" if wildcard else identifier
    return solver_for(spec.challenges, domain) if domain in spec.domains else None
