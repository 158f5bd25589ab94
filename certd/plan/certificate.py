"""The life of a certificate: what to do next (ARCHITECTURE 4a).

    Idle --PlaceOrder--> Ordering --Issued--> Staged --Swapped--> Installed --Confirmed--> Idle
                            |                    |                    |
                            +--ended, parked-----+--abandoned--> Idle +--given back--> Staged

`decide` looks at specification, record and facts, and answers with one action. `begin` is the record that must be
durable before that action's effect; `certd.plan.certificate_events.advance` is the record after it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from certd.model import actions as do
from certd.model import orders
from certd.model.codes import Because, Code, Kind
from certd.model.facts import AccountState, CaFacts, CertificateFacts
from certd.model.records import CertificateRecord, Idle, Installed, Ledger, OcspWord, Ordering, Parked, Staged, Step
from certd.model.specs import CertificateSpec, FirstIssue
from certd.plan import gate, renewal, timers
from certd.plan.backoff import backoff
from certd.plan.goal import goal, mismatch

DAY = timedelta(days=1)
FAR = timedelta(days=1)
"""A wait for something that will wake us anyway."""
SOON = timedelta(minutes=1)
UNFINALIZED_MOST = timedelta(hours=24)
"""An order that was never finalized is dropped after this; nothing is lost with it."""
FIRST_POLL = timedelta(seconds=1)
EMERGENCY_BACKOFF = timedelta(minutes=10)


def decide(
    spec: CertificateSpec, record: CertificateRecord, facts: CertificateFacts, now: datetime
) -> do.CertificateAction:
    """The one thing to do now. Pure: the same arguments, the same answer."""
    # While the clock is doubted nothing goes live, and a gate keeps its time until it is known what time it is.
    if timers.any_in_future(record, now) and (facts.clock_sure or not isinstance(record, Staged)):
        return do.Reanchor()
    match record:
        case Idle():
            return _decide_idle(spec, record, facts, now)
        case Ordering():
            return _decide_ordering(spec, record, facts, now)
        case Staged():
            return _decide_staged(spec, record, facts, now)
        case Installed():
            return _decide_installed(record, facts, now)


def need(spec: CertificateSpec, ledger: Ledger, facts: CertificateFacts, now: datetime) -> Because | None:
    """Why a new certificate is wanted now; None if it is not. Derived from the live leaf, never from a memory."""
    live = facts.live
    if live is None:
        return Because.NO_LIVE_CERTIFICATE
    if ledger.revoked == live.leaf.serial:
        return Because.REVOKED
    if reason := mismatch(spec, live.leaf):
        return reason
    if ledger.requested is not None:
        return Because.REQUESTED
    return Because.RENEWAL_TIME if now >= renewal_due(spec, ledger, facts, now) else None


def renewal_due(spec: CertificateSpec, ledger: Ledger, facts: CertificateFacts, now: datetime) -> datetime:
    """When the live certificate is to be renewed; now if there is none."""
    if facts.live is None:
        return now
    leaf = facts.live.leaf
    drawn = ledger.draw.value if ledger.draw is not None and ledger.draw.serial == leaf.serial else 0.0
    return renewal.renewal_time(spec, leaf, drawn)


def begin(
    spec: CertificateSpec,
    record: CertificateRecord,
    action: do.CertificateAction,
    facts: CertificateFacts,
    now: datetime,
    draw: float,
) -> CertificateRecord:
    """The record that must be durable before the action's effect: the intent (ARCHITECTURE 2.3)."""
    match record, action:
        case Idle(), do.PlaceOrder():
            return _begin_order(spec, record.ledger, action, facts, now, draw)
        case Ordering(), do.PresentChallenges():
            known = {p.token for p in action.places}
            kept = tuple(p for p in record.ledger.presented if p.token not in known)
            return replace(record, ledger=replace(record.ledger, presented=kept + action.places))
        case Ordering(), do.FinalizeOrder() if record.finalized_at is None:
            return replace(record, finalized_at=now, give_up=_give_up(facts, now))
        case Ordering(), do.FinalizeOrder() if not record.finalized_again:
            # Said again to a CA that answers with errors, it does not put off the time to give up.
            return replace(record, finalized_again=True)
        case _:
            return record


def order_blocker(spec: CertificateSpec, ledger: Ledger, facts: CertificateFacts, now: datetime) -> do.Wait | None:
    """What stands in the way of a new order: the first of hold, clock, back-off, ceiling, CA; None if nothing."""
    if ledger.hold is not None and not timers.due(ledger.hold.timer, now):
        return do.Wait(ledger.hold.timer.until, Code.HELD_BY_OPERATOR)
    if not facts.clock_sure:
        return do.Wait(now + SOON, Code.CLOCK_UNSURE)
    if ledger.retry is not None and ledger.goal == goal(spec):
        until = _retry_until(ledger, facts, now)
        if now < until:
            return do.Wait(until, Code.BACK_OFF)
    recent = [at for at in ledger.orders if at > now - DAY]
    if len(recent) >= spec.orders_per_day:
        return do.Wait(min(recent) + DAY, Code.DAILY_CEILING)
    if blocked := ca_blocker(facts.ca, now):
        return blocked
    return None if facts.ca.permit else do.Wait(facts.ca.permit_at or now + SOON, Code.CA_BUDGET)


# --- Idle -------------------------------------------------------------------------------------------------------


def _decide_idle(spec: CertificateSpec, record: Idle, facts: CertificateFacts, now: datetime) -> do.CertificateAction:
    ledger, live = record.ledger, facts.live
    if live is not None and (ledger.draw is None or ledger.draw.serial != live.leaf.serial):
        return do.DrawJitter(live.leaf.serial)
    reason = need(spec, ledger, facts, now)
    if reason is None:
        wait = do.Wait(min(renewal_due(spec, ledger, facts, now), now + 30 * DAY), Code.NOT_DUE)
    else:
        blocker = order_blocker(spec, ledger, facts, now)
        if blocker is None:
            return do.PlaceOrder(reason)
        wait = blocker
    return _chore(spec, ledger, facts, now) or replace(wait, wake=_next_chore(spec, ledger, facts, now))


def _chore(
    spec: CertificateSpec, ledger: Ledger, facts: CertificateFacts, now: datetime
) -> do.CertificateAction | None:
    """Work that no goal waits for; the first that is due."""
    if ledger.presented and timers.due(ledger.clean_up, now):
        return do.CleanUp(ledger.presented)
    live = facts.live
    if live is not None and _probes(spec) and timers.due(ledger.probe, now):
        return do.ProbeServed(live.version)
    if (
        live is not None
        and _asks_status(live.leaf.ocsp_url, ledger, live.leaf.serial)
        and timers.due(ledger.status_check, now)
    ):
        return do.CheckRevocation(live.version, live.leaf.serial)
    for parked in ledger.parked:
        if now >= _parked_due(parked, ledger, facts, now):
            return do.AskParked(parked)
    return None


def _parked_due(parked: Parked, ledger: Ledger, facts: CertificateFacts, now: datetime) -> datetime:
    """When a parked order is asked: not while the CA is held, nor in a roll-back's hold, which adopts nothing.

    Nor by a clock that may be wrong: its time may seem to be over.
    """
    times = [parked.ask.until] if facts.clock_sure else [parked.ask.until, now + SOON]
    if (blocked := ca_blocker(facts.ca, now)) is not None:
        times.append(blocked.until)
    if ledger.hold is not None:
        times.append(ledger.hold.timer.until)
    return max(times)


def _next_chore(spec: CertificateSpec, ledger: Ledger, facts: CertificateFacts, now: datetime) -> datetime | None:
    due = [_parked_due(parked, ledger, facts, now) for parked in ledger.parked]
    if ledger.presented and ledger.clean_up:
        due.append(ledger.clean_up.until)
    live = facts.live
    if live is not None:
        if _probes(spec) and ledger.probe:
            due.append(ledger.probe.until)
        if ledger.status_check and _asks_status(live.leaf.ocsp_url, ledger, live.leaf.serial):
            due.append(ledger.status_check.until)
    return min(due, default=None)


def _probes(spec: CertificateSpec) -> bool:
    return any(deployment.verify is not None for deployment in spec.deploy)


def _asks_status(ocsp_url: str | None, ledger: Ledger, serial: str) -> bool:
    return ocsp_url is not None and ledger.revoked != serial


# --- Ordering ---------------------------------------------------------------------------------------------------


def _decide_ordering(
    spec: CertificateSpec, record: Ordering, facts: CertificateFacts, now: datetime
) -> do.CertificateAction:
    if dropped := _drop(spec, record, facts, now):
        return dropped
    # A clock that may be wrong gives nothing up: the CA is asked, and its answer brings the time.
    give_up = record.give_up if facts.clock_sure else None
    blocked = ca_blocker(facts.ca, now)
    if give_up is not None and now >= give_up and (blocked or _nothing_came(record, facts, now)):
        return do.Park()
    if blocked:
        return replace(blocked, wake=give_up)
    if facts.step is None:
        if timers.due(record.poll, now):
            return do.ReadOrder()
        return do.Wait(record.poll.until, _polling_code(record), give_up)
    return _pursue(facts, now)


def _nothing_came(record: Ordering, facts: CertificateFacts, now: datetime) -> bool:
    """Whether there is nothing to be had of an order whose time is over. After a downtime it is asked once before."""
    if facts.step is None:
        return not timers.due(record.poll, now)
    return not isinstance(facts.step, orders.Download | orders.OrderFailed)


def _pursue(facts: CertificateFacts, now: datetime) -> do.CertificateAction:
    match facts.step:
        case orders.Present(tasks):
            return do.PresentChallenges(tasks, facts.places)
        case orders.Respond(tasks):
            return do.RespondToChallenges(tasks)
        case orders.Finalize(url):
            return do.FinalizeOrder(url) if facts.clock_sure else do.Wait(now + SOON, Code.CLOCK_UNSURE)
        case orders.Download(url):
            return do.DownloadCertificate(url)
        case orders.OrderFailed() as failed:
            return do.EndOrder(failed)
        case orders.WaitReady():
            return do.Defer(settling=True)
        case orders.Poll(_, retry_after):
            return do.Defer(retry_after)
        case None:  # the caller has made sure of a step
            raise AssertionError("no step to pursue")


def _drop(spec: CertificateSpec, record: Ordering, facts: CertificateFacts, now: datetime) -> do.DropOrder | None:
    """Before finalize an order is cheap: drop it when it is old, or for other names. After it, never (I5)."""
    if record.order_url is None:
        return do.DropOrder("no-answer", "certd was interrupted before the CA's answer to newOrder was recorded")
    if record.finalized_at is not None:
        return None
    if _issued_to_another(facts.step):
        return do.DropOrder("order-taken", "the CA issues this order to somebody else, who finalized it")
    if set(record.domains) != set(spec.domains) or record.key is not spec.key or record.ca != spec.ca:
        return do.DropOrder("names-changed", "the configuration asks for something else now")
    if facts.clock_sure and now >= record.placed_at + UNFINALIZED_MOST:
        return do.DropOrder("order-too-old", "the order did not become ready within a day")
    return None


def _issued_to_another(step: orders.OrderStep | None) -> bool:
    """Whether an order that we never finalized has been: some CAs hand out the order that is pending for these names,
    and another certificate (of another key type, most often) asked for the same."""
    return isinstance(step, orders.Download) or (isinstance(step, orders.Poll) and step.processing)


def poll_delay(record: Ordering, retry_after: timedelta | None, now: datetime) -> timedelta:
    """The CA's Retry-After (RFC 8555 section 7.5.1), else a quarter of the time waited so far, 1 s to 1 min."""
    if retry_after is not None:
        return min(max(retry_after, FIRST_POLL), timedelta(hours=1))
    waited = now - (record.finalized_at or record.placed_at)
    return min(max(waited / 4, FIRST_POLL), SOON)


def _polling_code(record: Ordering) -> Code:
    if record.settling:
        return Code.CHALLENGE_SETTLING
    return Code.CA_PROCESSING if record.finalized_at else Code.CA_VALIDATING


# --- Staged and Installed ---------------------------------------------------------------------------------------


def _decide_staged(
    spec: CertificateSpec, record: Staged, facts: CertificateFacts, now: datetime
) -> do.CertificateAction:
    if facts.link == record.version:
        return do.NoteSwapped()
    if abandoned := _abandon(spec, record, facts, now):
        return abandoned
    if record.servers != facts.server_ids:
        return do.NoteServers(facts.server_ids)
    if record.ledger.presented and timers.due(record.ledger.clean_up, now):
        return do.CleanUp(record.ledger.presented)
    state = gate.judge(spec, record, record.ledger, facts, now)
    # By a wrong clock no answer can be judged, nor is it known when it was asked for.
    asks = facts.clock_sure and wants_answer(spec, record, facts, now)
    if asks and timers.due(record.next_check, now):
        return do.ConfirmStatus(by_get=now >= record.activate.until)
    wake = record.next_check.until if asks and record.next_check else None
    if isinstance(state, gate.Open):
        return do.Wait(now + SOON, Code.SERVER, wake)
    return do.Wait(min(state.until, now + FAR), state.code, wake)


def wants_answer(spec: CertificateSpec, record: Staged, facts: CertificateFacts, now: datetime) -> bool:
    """Whether the responder is to be asked about this staged set at all."""
    if record.leaf.ocsp_url is None or record.opened:
        return False
    live = gate.valid_live(facts, now)
    if live is None and spec.ocsp.first_issue is FirstIssue.IMMEDIATE:
        return False
    return spec.ocsp.confirm or gate.asks_early(spec.ocsp, record.ledger, live)


def _abandon(spec: CertificateSpec, record: Staged, facts: CertificateFacts, now: datetime) -> do.Abandon | None:
    if facts.broken:
        return do.Abandon("set-broken", f"the new set of files can not go live: {facts.broken}", Step.STORE)
    if record.check is not None and record.check.word is OcspWord.REVOKED:
        return do.Abandon("revoked", "the CA's responder calls the new certificate revoked")
    if facts.clock_sure and now >= record.leaf.not_after:
        return do.Abandon("expired", "the staged certificate expired before it could go live")
    if record.because is not Because.ROLLBACK and mismatch(spec, record.leaf):
        return do.Abandon("names-changed", "the configuration asks for something else now")
    return None


def _decide_installed(record: Installed, facts: CertificateFacts, now: datetime) -> do.CertificateAction:
    if facts.link != record.staged.version:
        return do.NoteGivenBack()
    confirmed = {view.id: view.confirmed for view in facts.servers}
    # A server that is no longer configured for this certificate owes nothing.
    if all(confirmed[owed.server] >= owed.generation for owed in record.owed if owed.server in confirmed):
        return do.NoteConfirmed()
    return do.Wait(now + SOON, Code.SERVER)


# --- shared -----------------------------------------------------------------------------------------------------


def ca_blocker(ca: CaFacts, now: datetime) -> do.Wait | None:
    """What keeps this CA from being asked about any order; None if nothing."""
    if ca.account is AccountState.UNUSABLE:
        return do.Wait(now + timedelta(hours=1), Code.CA_UNUSABLE)
    if ca.account is AccountState.PENDING:
        return do.Wait(now + SOON, Code.ACCOUNT_PENDING)
    if ca.held_until is not None and now < ca.held_until:
        return do.Wait(ca.held_until, Code.CA_HELD)
    return None


def _retry_until(ledger: Ledger, facts: CertificateFacts, now: datetime) -> datetime:
    """The stored back-off; ours (not a CA's Retry-After) is cut short in an emergency."""
    assert ledger.retry is not None
    until = ledger.retry.until
    rate_limited = ledger.failure is not None and ledger.failure.kind is Kind.RATE_LIMITED
    if facts.live is not None and not rate_limited and now >= renewal.emergency_time(facts.live.leaf):
        return min(until, ledger.retry.set_at + EMERGENCY_BACKOFF)
    return until


def _give_up(facts: CertificateFacts, now: datetime) -> datetime:
    latest = now + DAY
    if facts.live is None:
        return latest
    emergency = renewal.emergency_time(facts.live.leaf)
    return min(latest, emergency) if emergency > now + timedelta(hours=1) else latest


def _begin_order(
    spec: CertificateSpec, ledger: Ledger, action: do.PlaceOrder, facts: CertificateFacts, now: datetime, draw: float
) -> Ordering:
    assert order_blocker(spec, ledger, facts, now) is None, "I4: an order before its time"
    wanted = goal(spec)
    attempts = ledger.attempts + 1 if ledger.goal == wanted else 1
    life_left = facts.live.leaf.not_after - now if facts.live else None
    begun = replace(
        ledger,
        goal=wanted,
        attempts=attempts,
        orders=(*(at for at in ledger.orders if at > now - DAY), now),
        # Written ahead, so that a crash loop backs off like a failure (ARCHITECTURE 2.3).
        retry=timers.after(now, backoff(Kind.TRANSIENT, attempts, draw, life_left=life_left)),
    )
    return Ordering(
        ledger=begun,
        because=action.because,
        ca=spec.ca,
        directory=facts.ca.directory,
        key_id=f"{now:%Y%m%d-%H%M%S-%f}",
        domains=spec.domains,
        key=spec.key,
        placed_at=now,
        poll=timers.after(now, timedelta(0)),
    )
