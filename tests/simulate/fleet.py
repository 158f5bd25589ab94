"""One fleet: many certificates on one account, driven by the real pure core and the real budget in virtual time.

Nothing of certd is imitated here but the loop: `decide`, `begin`, `advance`, the back-off, the renewal times and the
permits are those of the daemon. The CA is `world`; a server confirms at once; the OCSP gate waits its ten minutes.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from msgspec.structs import replace
from simulate.world import BEGIN, Calendar, Chances

from certd.budget import Budget
from certd.model import actions as do
from certd.model import events as ev
from certd.model import orders
from certd.model.codes import Kind
from certd.model.facts import AccountFacts, CaFacts, CertificateFacts, Live
from certd.model.records import (
    AccountLedger,
    CertificateRecord,
    Idle,
    KeyType,
    Leaf,
    Ordering,
    Parked,
    Registered,
    Step,
)
from certd.model.specs import CaLimits, CaSpec, CertificateSpec, OcspPolicy
from certd.plan import account
from certd.plan import certificate as plan
from certd.plan.certificate_events import advance
from certd.plan.certificate_failures import PARKED_MOST

DIRECTORY = "https://ca.test/directory"
STUBBORN_FOR = timedelta(days=14)


@dataclass
class Tally:
    """What is counted."""

    orders_per_minute: Counter[int] = field(default_factory=Counter)
    orders_per_certificate: Counter[int] = field(default_factory=Counter)
    decisions: int = 0
    renewals: int = 0
    parked: int = 0
    """Finalized orders that had to be put aside."""
    adopted: int = 0
    """Of these, those whose certificate was used in the end."""
    expired: int = 0
    least_left: timedelta = timedelta.max
    """The least time that a certificate had left when its successor went live."""


@dataclass(slots=True)
class One:
    """A certificate of the fleet."""

    spec: CertificateSpec
    record: CertificateRecord
    live: Live
    stubborn_until: datetime
    due: datetime
    version: int = 1


class Fleet:
    """`size` certificates of `lifetime`, issued evenly over the time before BEGIN."""

    def __init__(
        self, size: int, calendar: Calendar, chances: Chances, *, seed: int, lifetime: timedelta, limits: CaLimits
    ) -> None:
        self.tally = Tally()
        self._calendar = calendar
        self._chances = chances
        self._rng = random.Random(seed)
        self._lifetime = lifetime
        self._ca = CaSpec(name="ca", directory=DIRECTORY, limits=limits)
        self._budget = Budget(limits)
        self._account = Registered(DIRECTORY, f"{DIRECTORY}/1", BEGIN, AccountLedger())
        self._account_due = BEGIN
        self._placed = 0
        self._heap: list[tuple[datetime, int]] = []
        policy = OcspPolicy(confirm=False)
        self._certificates = [self._make(number, policy) for number in range(size)]
        self._numbers = {one.spec.name: number for number, one in enumerate(self._certificates)}
        for number, one in enumerate(self._certificates):
            heapq.heappush(self._heap, (one.due, number))

    def run(self, until: datetime, restarts: list[datetime]) -> Tally:
        """Virtual time from BEGIN to `until`; at each restart the permits are forgotten and everything is looked at."""
        restarts = sorted(restarts, reverse=True)
        while self._heap and self._heap[0][0] < until:
            now, number = heapq.heappop(self._heap)
            if restarts and now >= restarts[-1]:
                self._restart(restarts.pop())
            one = self._certificates[number]
            if one.due != now:
                continue  # it was moved
            self._tick_account(now)
            self._move(number, max(self._tick(one, now), now + timedelta(milliseconds=1)))
        for one in self._certificates:
            self.tally.expired += one.live.leaf.not_after <= until
        return self.tally

    # --- one certificate ----------------------------------------------------------------------------------------

    def _tick(self, one: One, now: datetime) -> datetime:
        step: orders.OrderStep | None = None
        while True:
            facts = self._facts(one, now, step)
            action = plan.decide(one.spec, one.record, facts, now)
            self.tally.decisions += 1
            if facts.ca.permit and isinstance(one.record, Idle) and not isinstance(action, do.PlaceOrder):
                self._release(one.spec.name, now, unused_since=now)
            if isinstance(action, do.Wait):
                if action.code == "server":
                    self._swap(one, now)
                    continue
                return action.due
            before = one.record
            one.record = plan.begin(one.spec, one.record, action, facts, now, self._rng.random())
            outcome = self._perform(one, action, now)
            step = None
            if isinstance(outcome, ev.CertificateEvent):
                one.record = advance(one.spec, one.record, outcome, facts, now, self._rng.random())
            else:
                step = outcome
            held_permit = isinstance(before, Ordering) or isinstance(action, do.PlaceOrder)
            if held_permit and not isinstance(one.record, Ordering):
                self._release(one.spec.name, now)

    def _perform(
        self, one: One, action: do.CertificateAction, now: datetime
    ) -> ev.CertificateEvent | orders.OrderStep | None:
        match action:
            case do.DrawJitter(serial):
                return ev.JitterDrawn(serial)
            case do.Defer(retry_after):
                return ev.OrderPending(retry_after)
            case do.NoteSwapped():
                return ev.Swapped(())
            case do.NoteConfirmed():
                return ev.Confirmed()
            case do.AskParked(parked):
                return self._of_a_parked(one, parked, now)
            case do.PlaceOrder():
                self.tally.orders_per_minute[int((now - BEGIN).total_seconds()) // 60] += 1
                self.tally.orders_per_certificate[self._numbers[one.spec.name]] += 1
        if refused := self._refused(one, action, now):
            return refused
        return self._answered(one, action, now)

    def _answered(
        self, one: One, action: do.CertificateAction, now: datetime
    ) -> ev.CertificateEvent | orders.OrderStep:
        assert isinstance(one.record, Ordering)
        match action:
            case do.PlaceOrder():
                self._placed += 1
                return ev.OrderPlaced(f"{DIRECTORY}/order/{self._placed}")
            case do.ReadOrder() if one.record.finalized_at is None:
                fails = now < one.stubborn_until or self._chances.draw(self._rng, self._chances.validation_fails)
                text = "the CA could not connect"
                return (
                    orders.OrderFailed("connection", text, 400, validation=True)
                    if fails
                    else orders.Finalize(DIRECTORY)
                )
            case do.ReadOrder():
                if now - one.record.finalized_at < self._chances.processing:
                    return self._processing()
                return orders.Download(DIRECTORY)
            case do.FinalizeOrder():
                return self._processing()
            case do.DownloadCertificate():
                return ev.Issued(*self._next(one, now))
            case do.EndOrder(failed):
                return ev.OrderEnded(ev.Failed(Step.VALIDATION, Kind.VALIDATION, "connection", failed.text))
            case do.Park():
                self.tally.parked += 1
                return ev.OrderParked()
            case _:
                raise AssertionError(f"the simulator does not know {type(action).__name__}")

    def _processing(self) -> orders.Poll:
        return orders.Poll(processing=True, retry_after=min(self._chances.processing, timedelta(hours=1)))

    def _of_a_parked(self, one: One, parked: Parked, now: datetime) -> ev.CertificateEvent:
        """What became of a finalized order that was put aside: the CA has issued it all the same."""
        if self._calendar.at(now):
            return ev.ParkedAsked(parked.order_url, gone=False)
        issued_at = parked.until - PARKED_MOST  # no later than that
        return ev.ParkedIssued(parked.order_url, *self._next(one, issued_at))

    def _refused(self, one: One, action: do.CertificateAction, now: datetime) -> ev.Failed | None:
        """What an outage, a maintenance window or a rate limit makes of a request."""
        steps = {
            do.PlaceOrder: Step.NEW_ORDER,
            do.ReadOrder: Step.POLL,
            do.FinalizeOrder: Step.FINALIZE,
            do.DownloadCertificate: Step.DOWNLOAD,
        }
        step = steps.get(type(action))
        if step is None:
            return None
        if window := self._calendar.at(now):
            end, away = window
            if away:
                return ev.Failed(step, Kind.TRANSIENT, "transport:connect-failed", "no answer")
            self._tell_account(ev.CaLimited(end - now, "maintenance"), now)
            return ev.Failed(step, Kind.TRANSIENT, "acme:unavailable", "maintenance", end - now)
        if step is Step.NEW_ORDER and self._chances.draw(self._rng, self._chances.rate_limited):
            self._tell_account(ev.CertificateLimited(one.spec.name), now)
            return ev.Failed(step, Kind.RATE_LIMITED, "acme:rateLimited", "too many", timedelta(hours=1))
        return None

    def _facts(self, one: One, now: datetime, step: orders.OrderStep | None) -> CertificateFacts:
        ca = account.ca_facts(self._account, now, permit=True, directory=DIRECTORY)
        facts = CertificateFacts(live=one.live, link=one.live.version, ca=ca, step=step)
        if not isinstance(one.record, Idle):
            return facts
        # As certd.engine.gather does it: a permit is asked for when nothing else stands in the way.
        if (
            plan.need(one.spec, one.record.ledger, facts, now) is None
            or plan.order_blocker(one.spec, one.record.ledger, facts, now) is not None
        ):
            self._budget.release(one.spec.name)
            return replace(facts, ca=_permit(ca, now + timedelta(minutes=1)))
        return replace(facts, ca=_permit(ca, self._budget.reserve(one.spec.name, one.live.leaf.not_after, now)))

    def _swap(self, one: One, now: datetime) -> None:
        """The server's section, at once: the staged leaf is live."""
        left = one.live.leaf.not_after - now
        self.tally.renewals += 1
        self.tally.adopted += one.record.leaf.not_before < one.record.issued_at
        self.tally.expired += left <= timedelta(0)
        self.tally.least_left = min(self.tally.least_left, left)
        leaf = replace(one.record.leaf, ocsp_url=None)  # no daily revocation check: it is no part of the question
        one.live = Live(one.version, leaf)

    def _next(self, one: One, issued_at: datetime) -> tuple[int, Leaf]:
        """A new version and its leaf."""
        one.version += 1
        end = issued_at + self._lifetime
        leaf = Leaf(f"{one.version:x}", issued_at, end, one.spec.domains, KeyType.RSA2048, "http://ocsp.test")
        return one.version, leaf

    # --- the account, permits and restarts ----------------------------------------------------------------------

    def _tick_account(self, now: datetime) -> None:
        """Only what the daemon does while the CA holds the account off: one question an hour."""
        if self._account.ledger.hold is None or now < self._account_due:
            return
        action = account.decide(self._ca, self._account, AccountFacts(key_exists=True), now)
        if isinstance(action, do.ProbeAccount):
            window = self._calendar.at(now)
            if window is None:
                self._advance_account(ev.AccountKnown(self._account.url), now)
            else:
                self._advance_account(ev.Failed(Step.ACCOUNT, Kind.TRANSIENT, "held", "held"), now)
            action = account.decide(self._ca, self._account, AccountFacts(key_exists=True), now)
        self._account_due = action.due if isinstance(action, do.Wait) else now

    def _tell_account(self, event: ev.AccountEvent, now: datetime) -> None:
        self._advance_account(event, now)
        self._account_due = now

    def _advance_account(self, event: ev.AccountEvent, now: datetime) -> None:
        after = account.advance(self._account, event, self._ca, now, self._rng.random())
        assert isinstance(after, Registered)
        self._account = after

    def _release(self, name: str, now: datetime, *, unused_since: datetime | None = None) -> None:
        for waiting in self._budget.release(name, unused_since=unused_since):
            number = self._numbers[waiting]
            if now < self._certificates[number].due:
                self._move(number, now)

    def _move(self, number: int, due: datetime) -> None:
        self._certificates[number].due = due
        heapq.heappush(self._heap, (due, number))

    def _restart(self, now: datetime) -> None:
        self._budget = Budget(self._ca.limits)
        for number, one in enumerate(self._certificates):
            in_flight = one.spec.name if isinstance(one.record, Ordering) else None
            self._budget.restore(in_flight, one.record.ledger.orders)
            self._move(number, now)

    def _make(self, number: int, policy: OcspPolicy) -> One:
        domain = f"c{number}.test"
        spec = CertificateSpec(name=domain, domains=(domain,), ca="ca", ocsp=policy)
        age = self._lifetime * (2 / 3) * self._rng.random()
        begin = BEGIN - age
        leaf = Leaf("1", begin, begin + self._lifetime, (domain,), KeyType.RSA2048)
        stubborn = BEGIN
        if self._chances.draw(self._rng, self._chances.stubborn):
            stubborn = leaf.not_after - self._lifetime / 3 + STUBBORN_FOR
        return One(spec, Idle(), Live(1, leaf), stubborn, BEGIN + timedelta(seconds=self._rng.random()))


def _permit(ca: CaFacts, ask_again: datetime | None) -> CaFacts:
    return replace(ca, permit=ask_again is None, permit_at=ask_again)
