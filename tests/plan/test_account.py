"""The life of an account: what is done, and what comes of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from strategies import account_facts, anything, ca_specs, draws
from views import DAY, NOW, timer

from certd.errors import IllegalTransition
from certd.model import actions as do
from certd.model import events as ev
from certd.model.codes import Code, Kind
from certd.model.facts import AccountFacts, AccountState, CaFacts
from certd.model.records import (
    AccountLedger,
    AccountRecord,
    AccountRefused,
    CaHold,
    Failure,
    KeyWritten,
    NoKey,
    Registered,
    Step,
    Timer,
    Unusable,
)
from certd.model.specs import CaSpec, EabSpec
from certd.plan import account as plan

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
MIDDLE = 0.5
URL, ACCOUNT = "https://ca.example.jp/", "https://ca.example.jp/acct/1"
MAIL = ("ops@example.jp",)
SPEC = CaSpec("jprs", URL, contact=MAIL)
WITH_EAB = replace(SPEC, eab=EabSpec("kid"))
OFFER = AccountLedger(offer="offer")
FACTS = AccountFacts(key_exists=True, offer="offer", contact=MAIL)
WRITTEN = KeyWritten(URL, OFFER, fresh=False)
REGISTERED = Registered(URL, ACCOUNT, NOW - DAY, OFFER, contact=MAIL)
REFUSED = AccountRefused(URL, OFFER, timer(HOUR))
UNUSABLE = Unusable(URL, ACCOUNT, OFFER, timer(HOUR))


def hold(until: timedelta, probe: timedelta = HOUR) -> CaHold:
    return CaHold(timer(until), "slow down", timer(probe))


def held(record: Any, until: timedelta, probe: timedelta = HOUR) -> Any:
    return replace(record, ledger=replace(record.ledger, hold=hold(until, probe)))


def decided(record: AccountRecord, spec: CaSpec = SPEC, **facts: Any) -> Any:
    return plan.decide(spec, record, replace(FACTS, **facts), NOW)


def advanced(record: AccountRecord, event: Any, spec: CaSpec = SPEC) -> Any:
    return plan.advance(record, event, spec, NOW, MIDDLE)


def failed(kind: Kind = Kind.TRANSIENT, retry_after: timedelta | None = None) -> ev.Failed:
    return ev.Failed(Step.ACCOUNT, kind, "code", "what happened", retry_after)


# --- what is done -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "facts", "expected"),
    [
        (NoKey(), {}, do.WriteKey()),
        (KeyWritten(URL, OFFER), {}, do.Register(find_first=False)),
        (WRITTEN, {}, do.Register(find_first=True)),
        (replace(WRITTEN, retry=timer(timedelta(0))), {}, do.Register(find_first=True)),
        (replace(WRITTEN, retry=timer(HOUR)), {}, do.Wait(NOW + HOUR, Code.BACK_OFF)),
        (REFUSED, {}, do.Wait(NOW + HOUR, Code.ACCOUNT_REFUSED)),
        (REFUSED, {"offer": "other"}, do.Register(find_first=True)),
        (replace(REFUSED, retry=timer(timedelta(0))), {}, do.Register(find_first=True)),
        (UNUSABLE, {}, do.Wait(NOW + HOUR, Code.CA_UNUSABLE)),
        (UNUSABLE, {"offer": "other"}, do.ProbeAccount()),
        (replace(UNUSABLE, retry=timer(timedelta(0))), {}, do.ProbeAccount()),
        (REGISTERED, {}, do.Wait(NOW + DAY, Code.REGISTERED)),
        (REGISTERED, {"verify": True}, do.ProbeAccount()),
        (replace(REGISTERED, doubt=timer(HOUR)), {"verify": True}, do.Wait(NOW + DAY, Code.REGISTERED, NOW + HOUR)),
        (REGISTERED, {"contact": ("new@example.jp",)}, do.UpdateContact(("new@example.jp",))),
        (replace(REGISTERED, doubt=timer(HOUR), doubts=1), {}, do.Wait(NOW + HOUR, Code.REGISTERED)),
        (replace(REGISTERED, doubt=timer(-HOUR), doubts=1), {}, do.ProbeAccount()),
        (held(REGISTERED, 3 * HOUR), {}, do.Wait(NOW + 3 * HOUR, Code.CA_HELD, NOW + HOUR)),
        (held(REGISTERED, 3 * HOUR, -MINUTE), {}, do.ProbeAccount()),
        (held(REGISTERED, -MINUTE), {}, do.Wait(NOW + DAY, Code.REGISTERED)),
    ],
)
def test_what_is_done(record, facts, expected):
    """One row per phase and situation: a key that may be known is looked for before credentials are spent."""
    assert decided(record, **facts) == expected


def test_new_credentials_revive_an_account():
    """An unusable account registers anew when other EAB credentials are configured; it is looked for first."""
    assert decided(UNUSABLE, WITH_EAB, offer="other") == do.Register(find_first=True)
    assert decided(UNUSABLE, WITH_EAB) == do.Wait(NOW + HOUR, Code.CA_UNUSABLE)


def test_an_attempt_is_written_ahead():
    """Before the CA hears of the key, it is recorded that it may know it, what was offered, and how often."""
    record = plan.begin(KeyWritten(URL, AccountLedger(attempts=2)), do.Register(find_first=False), FACTS)
    assert record == KeyWritten(URL, AccountLedger(attempts=3, offer="offer"), fresh=False)
    for old in (REFUSED, UNUSABLE):
        other = replace(FACTS, offer="other")
        for action in (do.Register(find_first=True), do.ProbeAccount()):
            assert plan.begin(old, action, other).ledger.offer == "other"
    assert plan.begin(REGISTERED, do.ProbeAccount(), FACTS) is REGISTERED


@pytest.mark.parametrize(
    ("record", "state"),
    [
        (None, AccountState.PENDING),
        (NoKey(), AccountState.PENDING),
        (WRITTEN, AccountState.PENDING),
        (REGISTERED, AccountState.READY),
        (REFUSED, AccountState.UNUSABLE),
        (UNUSABLE, AccountState.UNUSABLE),
    ],
)
def test_what_certificates_are_told(record, state):
    """Whether the account can be used, and until when the CA holds it off."""
    assert plan.ca_facts(record, NOW, permit=True, directory=URL) == CaFacts(URL, state, None, permit=True)
    if record is not None:
        assert plan.ca_facts(held(record, HOUR), NOW, permit=False, directory=URL).held_until == NOW + HOUR
        assert plan.ca_facts(held(record, timedelta(0)), NOW, permit=False, directory=URL).held_until is None


# --- the table --------------------------------------------------------------------------------------------------

EVENTS = {
    "KeyMade": ev.KeyMade(),
    "AccountKnown": ev.AccountKnown(ACCOUNT),
    "AccountUnknown": ev.AccountUnknown("code", "unknown"),
    "Failed": failed(),
    "AccountDoubted": ev.AccountDoubted(),
    "CaLimited": ev.CaLimited(HOUR, "slow down"),
    "CertificateLimited": ev.CertificateLimited("a"),
    "Reanchored": ev.Reanchored(),
}

TABLE = """
                    NoKey       KeyWritten      AccountRefused  Registered  Unusable
KeyMade             KeyWritten  -               -               -           -
AccountKnown        -           Registered      Registered      Registered  Registered
AccountUnknown      -           AccountRefused  AccountRefused  Registered  Unusable
Failed              -           KeyWritten      KeyWritten      Registered  Unusable
AccountDoubted      NoKey       KeyWritten      AccountRefused  Registered  Unusable
CaLimited           NoKey       KeyWritten      AccountRefused  Registered  Unusable
CertificateLimited  NoKey       KeyWritten      AccountRefused  Registered  Unusable
Reanchored          NoKey       KeyWritten      AccountRefused  Registered  Unusable
"""

PHASES = {
    "NoKey": NoKey(),
    "KeyWritten": WRITTEN,
    "AccountRefused": REFUSED,
    "Registered": REGISTERED,
    "Unusable": UNUSABLE,
}
ROWS = [
    (phase, row.split()[0], after)
    for row in TABLE.strip().splitlines()[1:]
    for phase, after in zip(TABLE.split()[:5], row.split()[1:], strict=True)
]


def test_the_table_is_complete():
    """Every event of an account has its row."""
    assert {name for _, name, _ in ROWS} == set(EVENTS) == {kind.__name__ for kind in ev.AccountEvent.__args__}


@pytest.mark.parametrize(("phase", "event", "after"), ROWS)
def test_a_row_of_the_table(phase, event, after):
    """A legal event leads to the phase that the table names; any other is an IllegalTransition."""
    if after == "-":
        with pytest.raises(IllegalTransition, match=f"{phase} knows no {event}"):
            advanced(PHASES[phase], EVENTS[event])
    else:
        assert type(advanced(PHASES[phase], EVENTS[event])).__name__ == after


# --- what comes of it -------------------------------------------------------------------------------------------


def test_registered():
    """Failure, attempts and hold are forgotten; the contacts are those that were sent."""
    tried = replace(held(WRITTEN, HOUR), retry=timer(HOUR))
    tried = replace(tried, ledger=replace(tried.ledger, attempts=3))
    after = advanced(tried, ev.AccountKnown(ACCOUNT, MAIL))
    assert after == Registered(URL, ACCOUNT, NOW, OFFER, contact=MAIL)


@pytest.mark.parametrize("record", [WRITTEN, REFUSED, UNUSABLE])
def test_an_account_that_was_found_is_told_its_contacts(record):
    """What the CA knows of it is not known: it may be an older configuration's."""
    after = advanced(record, ev.AccountKnown(ACCOUNT))
    assert decided(after) == do.UpdateContact(MAIL)
    told = advanced(after, ev.AccountKnown(ACCOUNT, MAIL))
    assert decided(told) == do.Wait(NOW + DAY, Code.REGISTERED)
    assert advanced(REGISTERED, ev.AccountKnown(ACCOUNT)).contact == MAIL


@pytest.mark.parametrize(
    ("attempts", "event", "wait"),
    [
        (1, failed(), MINUTE),
        (4, failed(), 8 * MINUTE),
        (1, failed(retry_after=3 * HOUR), 3 * HOUR),
        (1, failed(retry_after=30 * DAY), 7 * DAY),
    ],
)
def test_a_registration_that_failed(attempts, event, wait):
    """It is tried again with the same key, later each time, or when the CA says; looked for first."""
    record = replace(WRITTEN, ledger=replace(OFFER, attempts=attempts))
    after = advanced(record, event)
    assert (after.fresh, after.retry) == (False, Timer(NOW, NOW + wait))
    assert after.ledger.failure == Failure(Step.ACCOUNT, Kind.TRANSIENT, "code", "what happened", NOW, NOW)


@pytest.mark.parametrize("kind", [Kind.OPERATOR, Kind.ACCOUNT, Kind.BUG])
def test_a_registration_that_was_refused(kind):
    """It waits for a person, and tries again by itself in the end."""
    after = advanced(WRITTEN, failed(kind))
    assert isinstance(after, AccountRefused)
    assert NOW < after.retry.until <= NOW + DAY


def test_a_ca_that_is_away_is_not_doubted():
    """A failed verification leaves the account registered, and is repeated later."""
    after = advanced(REGISTERED, failed())
    assert after == replace(REGISTERED, doubt=Timer(NOW, NOW + MINUTE), ledger=after.ledger)
    assert (after.doubts, after.ledger.hold) == (0, None)


@pytest.mark.parametrize(
    ("attempts", "event", "wait"),
    [
        (3, failed(), 8 * MINUTE),
        (8, failed(), HOUR),
        (0, failed(Kind.OPERATOR), DAY),
        (0, failed(retry_after=3 * HOUR), HOUR),
        (0, failed(retry_after=2 * MINUTE), 2 * MINUTE),
        (8, failed(Kind.RATE_LIMITED), HOUR),
    ],
)
def test_a_ca_that_stays_away(attempts, event, wait):
    """Later each time, but never above an hour, as the clock may wait for the answer; a refusal is an answer."""
    after = advanced(replace(REGISTERED, ledger=replace(OFFER, attempts=attempts)), event)
    assert (after.ledger.attempts, after.doubt) == (attempts + 1, Timer(NOW, NOW + wait))
    assert advanced(after, ev.AccountKnown(ACCOUNT)).ledger.attempts == 0


@pytest.mark.parametrize("draw", [0.0, MIDDLE, 0.999])
@pytest.mark.parametrize("facts", [{"verify": True}, {"contact": ("new@example.jp",)}], ids=["probe", "contact"])
def test_a_day_without_the_ca(facts, draw):
    """The account stays registered, and is asked about a few dozen times, not every minute."""
    record: Any = REGISTERED
    facts, now, asked = replace(FACTS, **facts), NOW, 0
    while now < NOW + DAY:
        action = plan.decide(SPEC, record, facts, now)
        if isinstance(action, do.Wait):
            now = action.due
            continue
        asked += 1
        record = plan.advance(plan.begin(record, action, facts), failed(), SPEC, now, draw)
    assert isinstance(record, Registered)
    assert 24 <= asked < 40


def test_two_denials_ten_minutes_apart():
    """One may be a replica, and a second one right after it as well; after ten minutes it is meant."""
    denied = ev.AccountUnknown("code", "who?")
    once = advanced(REGISTERED, denied)
    assert (once.doubts, once.doubt) == (1, Timer(NOW, NOW + 10 * MINUTE))
    assert advanced(once, denied) == once
    assert decided(once) == do.Wait(NOW + 10 * MINUTE, Code.REGISTERED)
    twice = plan.advance(once, denied, SPEC, NOW + 10 * MINUTE, MIDDLE)
    assert isinstance(twice, Unusable)
    assert twice.retry == Timer(NOW + 10 * MINUTE, NOW + 6 * HOUR + 10 * MINUTE)
    assert advanced(once, ev.AccountKnown(ACCOUNT)).doubts == 0


def test_an_unusable_account_is_probed_every_six_hours():
    """Whether the CA denies it or is away."""
    for event in (failed(), failed(Kind.OPERATOR), ev.AccountUnknown("code", "who?")):
        assert advanced(UNUSABLE, event).retry == Timer(NOW, NOW + 6 * HOUR)


@pytest.mark.parametrize(("delay", "wait"), [(HOUR, HOUR), (timedelta(0), MINUTE), (30 * DAY, 7 * DAY)])
def test_the_ca_holds_the_account_off(delay, wait):
    """As long as it says, between a minute and seven days; it is asked hourly whether it still does."""
    after = advanced(REGISTERED, ev.CaLimited(delay, "slow down")).ledger.hold
    assert after == CaHold(Timer(NOW, NOW + wait), "slow down", Timer(NOW, NOW + HOUR))


@pytest.mark.parametrize("event", [failed(retry_after=2 * HOUR), failed(Kind.RATE_LIMITED)])
def test_a_verification_that_is_limited_holds_the_account(event):
    """A 503 with Retry-After, or a 429, to a question about the account is about all of its certificates."""
    after = advanced(REGISTERED, event).ledger.hold
    assert after is not None
    assert after.timer == Timer(NOW, NOW + (event.retry_after or MINUTE))


def test_an_answer_ends_the_hold():
    """The hourly question finds out that it is over; another failure asks again in an hour."""
    asking = held(REGISTERED, 3 * DAY, -MINUTE)
    assert advanced(asking, ev.AccountKnown(ACCOUNT)).ledger.hold is None
    again = advanced(asking, failed())
    assert again.ledger.hold == CaHold(timer(3 * DAY), "slow down", Timer(NOW, NOW + HOUR))
    assert decided(again).due == NOW + HOUR


def test_an_account_that_is_doubted_is_found_anew():
    """Its URL may be what is malformed: it is asked for by its key, at once, and only once."""
    doubted = advanced(REGISTERED, ev.AccountDoubted())
    assert doubted.verified_at < NOW - 1000 * HOUR
    assert decided(doubted, verify=True) == do.ProbeAccount()
    assert advanced(doubted, ev.AccountKnown(f"{ACCOUNT}/other")).url == f"{ACCOUNT}/other"
    assert advanced(UNUSABLE, ev.AccountDoubted()) == UNUSABLE


def test_three_limited_certificates_within_ten_minutes():
    """Two 429 are about two certificates; a third one is about the account. One certificate counts once."""
    record: Any = REGISTERED
    for name in ("a", "b", "b", "a"):
        record = advanced(record, ev.CertificateLimited(name))
        assert record.ledger.hold is None
    record = advanced(record, ev.CertificateLimited("c"))
    assert record.ledger.hold.timer == Timer(NOW, NOW + 15 * MINUTE)
    assert record.ledger.limited == ()


def test_old_limits_do_not_count():
    """What happened more than ten minutes ago is forgotten."""
    old = replace(REGISTERED, ledger=replace(OFFER, limited=(("a", NOW - 10 * MINUTE), ("b", NOW - 9 * MINUTE))))
    assert advanced(old, ev.CertificateLimited("c")).ledger.limited == (("b", NOW - 9 * MINUTE), ("c", NOW))


def test_a_longer_hold_is_not_cut_short():
    """Certificates that meet a 429 on top of what the CA asked for do not shorten it."""
    record = held(REGISTERED, 3 * DAY)
    for name in ("a", "b", "c"):
        record = advanced(record, ev.CertificateLimited(name))
    assert record.ledger.hold == hold(3 * DAY)


# --- for anything at all ----------------------------------------------------------------------------------------

records = anything(AccountRecord).map(
    lambda record: replace(record, doubt=record.doubt or timer(HOUR)) if isinstance(record, Registered) else record
)


@given(ca_specs, records, account_facts)
def test_there_is_always_an_answer(spec, record, facts):
    """An action, its intent, and a wait only for something to come; nobody loses a key (I7)."""
    action = plan.decide(spec, record, facts, NOW)
    if isinstance(action, do.Wait):
        assert action.due > NOW
    begun = plan.begin(record, action, facts)
    assert type(begun) is type(record)
    assert isinstance(action, do.WriteKey) == (isinstance(record, NoKey) and not isinstance(action, do.Reanchor))
    if isinstance(action, do.Register) and not action.find_first:
        assert record.fresh
        assert not begun.fresh


@given(ca_specs, records, anything(ev.AccountEvent), draws)
def test_every_event_has_an_outcome(spec, record, event, draw):
    """A record or an IllegalTransition, nothing else; a key is never forgotten (I7)."""
    try:
        after = plan.advance(record, event, spec, NOW, draw)
    except IllegalTransition:
        assert isinstance(record, NoKey) or isinstance(event, ev.KeyMade)
        return
    assert isinstance(record, NoKey) or not isinstance(after, NoKey)
    assert isinstance(record, NoKey) or not getattr(after, "fresh", False) or record.fresh
    assert plan.ca_facts(after, NOW, permit=True, directory=URL).directory == URL


@given(st.one_of(records))
def test_records_survive_the_disk(record):
    """JSON and back is the same record, in every phase."""
    assert msgspec.json.decode(msgspec.json.encode(record), type=AccountRecord) == record
