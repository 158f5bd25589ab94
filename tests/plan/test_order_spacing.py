"""I4 over years: whatever fails, crashes and is asked for, orders keep their distance and their daily ceiling."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from msgspec.structs import replace
from strategies import draws
from views import DAY, NOW, leaf, spec

from certd.model import actions as do
from certd.model import events as ev
from certd.model import orders
from certd.model.codes import Kind
from certd.model.facts import AccountState, CaFacts, CertificateFacts, Live
from certd.model.records import CertificateRecord, Idle, OcspCheck, OcspWord, Ordering, Served, Staged, Step
from certd.plan import certificate as plan
from certd.plan import gate
from certd.plan.backoff import backoff
from certd.plan.certificate_events import advance, needs_saving
from certd.plan.goal import goal
from certd.plan.renewal import emergency_time

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
LIFE = 90 * DAY
STEPS_MOST = 400
"""Actions in one stretch of time; a machine that never waits would go on for ever."""

kinds = st.sampled_from([kind for kind in Kind if kind is not Kind.SUCCESS])
steps = st.sampled_from([Step.NEW_ORDER, Step.POLL, Step.PRESENT, Step.FINALIZE, Step.DOWNLOAD])
retries = st.none() | st.sampled_from([timedelta(0), timedelta(seconds=5), HOUR, 30 * DAY])


class Crash(Exception):
    """The process is gone."""


class Orders(RuleBasedStateMachine):
    """One certificate, its CA and its operator; the record on disk is all that survives a restart."""

    @initialize(per_day=st.sampled_from([2, 10]), draw=draws)
    def begin(self, per_day: int, draw: float) -> None:
        self.now, self.draw = NOW, draw
        self.spec = spec(orders_per_day=per_day, deploy=())
        self.record: CertificateRecord = Idle()
        self.disk: CertificateRecord = self.record
        self.live: Live | None = None
        self.link: int | None = None
        self.version = 0
        self.word = OcspWord.GOOD
        self.failing: tuple[Step, Kind, timedelta | None] | None = None
        self.crash: str | None = None
        self.placed: list[Any] = []
        self.row = 0
        """Orders since the last confirmed certificate, for one goal."""
        self.goal = ""
        self.cleared = True

    # --- what happens -------------------------------------------------------------------------------------------

    @rule(step=steps, kind=kinds, retry_after=retries)
    def something_breaks(self, step: Step, kind: Kind, retry_after: timedelta | None) -> None:
        self.failing = (step, kind, retry_after)

    @rule(word=st.sampled_from(OcspWord))
    def the_responder_says(self, word: OcspWord) -> None:
        self.word = word

    @rule()
    def all_is_well(self) -> None:
        self.failing, self.word = None, OcspWord.GOOD

    @rule(hours=st.sampled_from([0.05, 1, 20, 24 * 10, 24 * 70]), draw=draws)
    def time_goes_by(self, hours: float, draw: float) -> None:
        self.draw = draw
        self.live_on(self.now + hours * HOUR)

    @rule(when=st.sampled_from(["before", "after"]))
    def it_crashes(self, when: str) -> None:
        """At the next effect: before it is done, or before its outcome is recorded."""
        self.crash = when
        self.live_on(self.now + DAY)

    @rule()
    def it_restarts(self) -> None:
        self.record = msgspec.json.decode(msgspec.json.encode(self.disk), type=CertificateRecord)

    @rule(now=st.booleans())
    def the_operator_asks(self, now: bool) -> None:
        self.keep(advance(self.spec, self.record, ev.RenewRequested(now), self.facts(), self.now, self.draw))
        self.cleared = True

    @rule(domains=st.sampled_from([("example.jp",), ("example.jp", "www.example.jp")]))
    def the_configuration_changes(self, domains: tuple[str, ...]) -> None:
        self.spec = replace(self.spec, domains=domains)

    # --- how it goes on -----------------------------------------------------------------------------------------

    def live_on(self, end: Any) -> None:
        for _ in range(STEPS_MOST):
            facts = self.facts()
            action = plan.decide(self.spec, self.record, facts, self.now)
            if isinstance(action, do.Wait):
                if self.swap(facts):
                    continue
                if action.due >= end:
                    break
                assert action.due > self.now
                self.now = action.due
                continue
            try:
                self.act(action, facts)
            except Crash:
                self.it_restarts()
        self.now = max(self.now, end)

    def act(self, action: Any, facts: CertificateFacts) -> None:
        begun = plan.begin(self.spec, self.record, action, facts, self.now, self.draw)
        if begun is not self.record:
            self.record = self.disk = begun
        outcome = self.effect(action, facts)
        while isinstance(outcome, orders.Poll | orders.Finalize | orders.Download | orders.OrderFailed):
            facts = replace(facts, step=outcome)
            action = plan.decide(self.spec, self.record, facts, self.now)
            if isinstance(action, do.Wait):
                return
            begun = plan.begin(self.spec, self.record, action, facts, self.now, self.draw)
            if begun is not self.record:
                self.record = self.disk = begun
            outcome = self.effect(action, facts)
        self.keep(advance(self.spec, self.record, outcome, facts, self.now, self.draw))

    def keep(self, after: CertificateRecord) -> None:
        if needs_saving(self.record, after):
            self.disk = after
        self.record = after

    def facts(self) -> CertificateFacts:
        ca = CaFacts("https://ca.example.jp/", AccountState.READY, permit=True)
        return CertificateFacts(live=self.live, link=self.link, ca=ca)

    def swap(self, facts: CertificateFacts) -> bool:
        """The server's part: it moves the link once the gate is open."""
        if not isinstance(self.record, Staged):
            return False
        if not isinstance(gate.judge(self.spec, self.record, self.record.ledger, facts, self.now), gate.Open):
            return False
        self.link = self.record.version
        self.live = Live(self.record.version, self.record.leaf)
        return True

    def effect(self, action: Any, facts: CertificateFacts) -> Any:
        crash, self.crash = self.crash, None
        if crash == "before":
            raise Crash
        outcome = self.outcome(action, facts)
        if crash == "after":
            raise Crash
        return outcome

    def outcome(self, action: Any, facts: CertificateFacts) -> Any:
        match action:
            case do.PlaceOrder():
                self.an_order_is_placed()
                return self.broken(Step.NEW_ORDER) or ev.OrderPlaced("https://ca/o")
            case do.ReadOrder():
                return self.broken(Step.POLL) or self.broken(Step.PRESENT) or self.read()
            case do.FinalizeOrder():
                return self.broken(Step.FINALIZE) or orders.Poll(True)
            case do.DownloadCertificate():
                return self.broken(Step.DOWNLOAD) or self.issued()
            case do.Defer(retry_after):
                return ev.OrderPending(retry_after)
            case do.EndOrder() | do.DropOrder():
                return ev.OrderEnded(ev.Failed(Step.VALIDATION, Kind.VALIDATION, "order:invalid", "invalid"))
            case do.Park():
                return ev.OrderParked()
            case do.AskParked(parked):
                return ev.ParkedAsked(parked.order_url, gone=True)
            case do.ConfirmStatus():
                return ev.StatusChecked(OcspCheck(self.word, self.now))
            case do.CheckRevocation(_, serial):
                return ev.RevocationChecked(serial, self.word)
            case do.ProbeServed():
                return ev.Probed(Served(None, self.now))
            case do.DrawJitter(serial):
                return ev.JitterDrawn(serial)
            case do.Abandon(code, text):
                return ev.Abandoned(code, text)
            case do.NoteSwapped():
                return ev.Swapped(())
            case do.NoteConfirmed():
                self.row = 0
                return ev.Confirmed()
        raise AssertionError(f"no outcome for {action}")

    def broken(self, step: Step) -> ev.Failed | None:
        if self.failing is None or self.failing[0] is not step:
            return None
        _, kind, retry_after = self.failing
        return ev.Failed(step, kind, "code", "what happened", retry_after)

    def read(self) -> orders.OrderStep:
        assert isinstance(self.record, Ordering)
        if self.record.finalized_at is None:
            return orders.Finalize("https://ca/f")
        return orders.Download("https://ca/d") if self.now > self.record.finalized_at else orders.Poll(True)

    def issued(self) -> ev.Issued:
        assert isinstance(self.record, Ordering)
        self.version += 1
        made = replace(
            leaf(),
            serial=f"{self.version:x}",
            names=tuple(sorted(self.record.domains)),
            not_before=self.now - HOUR,
            not_after=self.now + LIFE,
        )
        return ev.Issued(self.version, made)

    # --- what must hold -----------------------------------------------------------------------------------------

    def an_order_is_placed(self) -> None:
        recent = [at for at in self.placed if at > self.now - DAY]
        assert len(recent) < self.spec.orders_per_day, "more orders within a day than allowed"
        if goal(self.spec) != self.goal:
            self.goal, self.row, self.cleared = goal(self.spec), 0, True
        if self.placed and self.row and not self.cleared:
            gap, least = self.now - self.placed[-1], self.least()
            assert gap >= least, f"order {self.row + 1} in a row came after {gap}, not {least}"
        self.placed.append(self.now)
        self.row += 1
        self.cleared = False

    def least(self) -> timedelta:
        """The floor of the back-off after so many orders in a row."""
        left = self.live.leaf.not_after - self.now if self.live else None
        waits = [backoff(kind, self.row, 0.0, life_left=left) for kind in Kind]
        if self.live is not None and self.now >= emergency_time(self.live.leaf):
            waits.append(10 * MINUTE)
        return min(waits)


Orders.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestOrders = Orders.TestCase


def _years(broken: tuple[Step, Kind, timedelta | None] | None, days: int) -> Orders:
    machine = Orders()
    machine.begin(10, 0.5)
    machine.failing = broken
    for _ in range(days):
        machine.live_on(machine.now + DAY)
    return machine


def test_years_without_trouble():
    """Ten years of 90-day certificates: one order each, a third of life before its end, and always one live."""
    machine = _years(None, 3650)
    assert 3650 / 62 <= len(machine.placed) <= 3650 / 58
    assert machine.live is not None
    assert machine.live.leaf.not_after > machine.now


def test_years_of_refusals():
    """A CA that refuses for two years is asked four times a day at the end, and every time in the same way."""
    machine = _years((Step.NEW_ORDER, Kind.TRANSIENT, None), 730)
    assert len([at for at in machine.placed if at > machine.now - 100 * DAY]) in range(395, 402)
    operator = _years((Step.NEW_ORDER, Kind.OPERATOR, None), 365)
    assert len(operator.placed) in range(360, 367)
