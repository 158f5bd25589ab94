"""certd.plan.alarms: what is told of changes in health, when, and until when it stays to be delivered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from certd.model.alarms import AlarmRecord, Change, Key, Level, Notice, Outlet, Sighting
from certd.plan import alarms as plan
from certd.plan.alarms import HOLD_DOWN, PATIENCE, QUEUE_MOST, REMIND, Watcher

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
KEY = Key("expiring", "certificate", "example.jp")
ALL = (Watcher("all", Level.WARNING),)
O, W, C = Level.OK, Level.WARNING, Level.CRITICAL  # noqa: E741 - a row of levels reads like a picture
RECORD: msgspec.json.Decoder[AlarmRecord] = msgspec.json.Decoder(AlarmRecord)


def sightings(level: Level, key: Key = KEY) -> list[Sighting]:
    return [] if level is O else [Sighting(key, level, "twenty days left", NOW)]


def told(levels: Sequence[tuple[int, Level]], watcher: Watcher = ALL[0], key: Key = KEY) -> list[tuple[int, str]]:
    """What is told, and in which minute, of a problem seen at these levels from these minutes on."""
    record, found = AlarmRecord(), []
    seen = dict(levels)
    level = O
    for minute in range(max(seen) + 1):
        level = seen.get(minute, level)
        record = plan.observe(record, sightings(level, key), [watcher], NOW + minute * MINUTE)
        notices = record.outlets[0].pending
        found += [(minute, f"{one.change} {one.before}>{one.level}") for one in notices]
        record = plan.delivered(record, watcher.id, notices, 0)
    return found


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ([(0, O), (60, O)], []),
        ([(3, W), (60, W)], [(3, "raised ok>warning")]),
        ([(3, C), (60, C)], [(3, "raised ok>critical")]),
        ([(0, W), (7, C), (60, C)], [(0, "raised ok>warning"), (7, "changed warning>critical")]),
        # Better is told after it has lasted.
        ([(0, W), (5, O), (60, O)], [(0, "raised ok>warning"), (15, "cleared warning>ok")]),
        ([(0, C), (5, W), (60, W)], [(0, "raised ok>critical"), (15, "changed critical>warning")]),
        # From critical by way of a warning to nothing, within the hold-down: what is so at its end.
        ([(0, C), (5, W), (9, O), (60, O)], [(0, "raised ok>critical"), (15, "cleared critical>ok")]),
        # What flaps stays told; the hold-down begins anew each time that it is back.
        (
            [(0, W), (1, O), (2, W), (3, O), (4, W), (9, O), (60, O)],
            [(0, "raised ok>warning"), (19, "cleared warning>ok")],
        ),
        ([(0, C), (1, W), (2, C), (3, W), (4, C), (60, C)], [(0, "raised ok>critical")]),
        # What comes back after it was cleared is new.
        (
            [(0, W), (5, O), (16, W), (60, W)],
            [(0, "raised ok>warning"), (15, "cleared warning>ok"), (16, "raised ok>warning")],
        ),
    ],
)
def test_what_is_told_and_when(levels: list[tuple[int, Level]], expected: list[tuple[int, str]]) -> None:
    """Worse at once, better after ten minutes, nothing twice."""
    assert told(levels) == expected


def test_only_what_is_critical_is_told_daily() -> None:
    """A reminder a day; a warning that stays is told once."""
    day = 24 * 60
    assert told([(0, C), (2 * day + 1, C)]) == [
        (0, "raised ok>critical"),
        (day, "reminder critical>critical"),
        (2 * day, "reminder critical>critical"),
    ]
    assert told([(0, W), (2 * day, W)]) == [(0, "raised ok>warning")]


def test_warnings_of_a_first_issue_may_pass() -> None:
    """On the way to its first certificate nothing is wrong yet: minutes of it are not told; a failure is."""
    key = Key("placeholder-served", "certificate", "example.jp")
    patience = PATIENCE // MINUTE
    assert told([(0, W), (patience - 1, O), (60, O)], key=key) == []
    assert told([(0, W), (60, W)], key=key) == [(patience, "raised ok>warning")]
    assert told([(0, W), (2, C), (60, C)], key=key) == [(2, "raised ok>critical")]


def test_a_minimum_of_critical() -> None:
    """What never was critical is not told; that something no longer is, is."""
    watcher = Watcher("critical", Level.CRITICAL)
    assert told([(0, W), (60, O), (90, O)], watcher) == []
    assert told([(0, W), (5, C), (10, W), (60, O), (90, O)], watcher) == [
        (5, "changed warning>critical"),
        (20, "changed critical>warning"),
    ]


def test_two_of_the_same_are_one() -> None:
    """Health may name a code twice for one certificate: the worse one counts."""
    both = [*sightings(W), *sightings(C), *sightings(W)]
    record = plan.observe(AlarmRecord(), both, ALL, NOW)
    assert [(one.key, one.level) for one in record.outlets[0].pending] == [(KEY, C)]


def test_nothing_new_is_nothing_to_write() -> None:
    """The very record comes back, so that no look costs a write."""
    record = plan.observe(AlarmRecord(), sightings(W), ALL, NOW)
    assert plan.observe(record, sightings(W), ALL, NOW + MINUTE) is record


def test_a_failed_delivery_backs_off_and_loses_nothing() -> None:
    """A minute, then longer, an hour at most; a success ends it."""
    record = plan.observe(AlarmRecord(), sightings(W), ALL, NOW)
    waits = []
    for _ in range(12):
        record = plan.failed(record, "all", "no answer", NOW, 0.5)
        (outlet,) = record.outlets
        assert outlet.retry is not None
        assert plan.batch(outlet, NOW) == ()
        assert len(plan.batch(outlet, outlet.retry.until)) == 1
        waits.append((outlet.retry.until - NOW) / MINUTE)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60]
    assert (record.outlets[0].failure, record.outlets[0].failing_since) == ("no answer", NOW)
    assert plan.delivered(record, "all", record.outlets[0].pending, 0).outlets == (Outlet("all"),)


@pytest.mark.parametrize(("wish", "wait"), [(0, 1), (30, 30), (600, 60)])
def test_a_receiver_may_ask_for_a_pause(wish: int, wait: int) -> None:
    """Retry-After counts where it is longer than the back-off, up to an hour."""
    record = plan.failed(plan.observe(AlarmRecord(), [], ALL, NOW), "all", "429", NOW, 0.5, wish * MINUTE)
    retry = record.outlets[0].retry
    assert retry is not None
    assert retry.until - NOW == wait * MINUTE


def test_the_queue_is_bounded() -> None:
    """Beyond a thousand the least serious are left out and counted; what is critical stays, in its order."""
    record = plan.observe(AlarmRecord(), sightings(W), ALL, NOW)
    many = [Sighting(Key("expiring", "certificate", f"n{n}"), C if n % 2 else W, "x") for n in range(1500)]
    record = plan.observe(record, [*sightings(W), *many], ALL, NOW)
    (outlet,) = record.outlets
    assert (len(outlet.pending), outlet.left_out) == (QUEUE_MOST, 501)
    assert sum(one.level is C for one in outlet.pending) == 750
    assert outlet.pending[0].key == KEY, "the oldest of its kind"
    assert [one.id for one in outlet.pending] == sorted((o.id for o in outlet.pending), key=lambda i: int(i[17:]))
    first = plan.batch(outlet, NOW)
    assert len(first) == plan.BATCH
    after = plan.delivered(record, "all", first, 501).outlets[0]
    assert after == Outlet("all", outlet.pending[plan.BATCH :]), "what was not in the message waits for the next"


def test_a_new_outlet_is_told_what_stands() -> None:
    """And nothing of what is over."""
    other = Key("caa", "certificate", "b.jp")
    record = plan.observe(AlarmRecord(), [*sightings(C), *sightings(W, other)], ALL, NOW)
    later = NOW + MINUTE
    watchers = (*ALL, Watcher("new", Level.WARNING), Watcher("critical", Level.CRITICAL))
    record = plan.observe(record, sightings(C), watchers, later)
    assert len(record.outlets[0].pending) == 2
    assert [[(n.key, n.change, n.at) for n in one.pending] for one in record.outlets[1:]] == [
        [(KEY, Change.RAISED, later)],
        [(KEY, Change.RAISED, later)],
    ]


def test_a_corrected_outlet_takes_over() -> None:
    """What waited for the wrong URL goes to the right one, at once."""
    record = plan.observe(AlarmRecord(), sightings(W), (Watcher("wrong", W), *ALL), NOW)
    record = plan.failed(record, "wrong", "404", NOW, 0.5)
    waiting = record.outlets[0].pending
    record = plan.observe(record, sightings(W), (*ALL, Watcher("right", W)), NOW)
    assert record.outlets[1] == Outlet("right", waiting)
    assert plan.observe(record, [], (), NOW).outlets == ()


def test_an_outlet_is_not_told_of_its_own_failure() -> None:
    """The others are."""
    watchers = (*ALL, Watcher("works", Level.WARNING))
    record = plan.failed(plan.observe(AlarmRecord(), [], watchers, NOW), "all", "no answer", NOW, 0.5)
    record = plan.observe(record, sightings(W, Key(plan.NOTIFY_FAILED)), watchers, NOW)
    assert [len(one.pending) for one in record.outlets] == [0, 1]


def test_a_clock_that_is_set_back_does_not_silence_it() -> None:
    """Waits begin anew; none lasts longer than it should."""
    record = plan.observe(AlarmRecord(), sightings(C), ALL, NOW)
    back = NOW - timedelta(days=300)
    record = plan.observe(record, [], ALL, back)
    record = plan.observe(record, [], ALL, back + HOLD_DOWN)
    assert [one.change for one in record.outlets[0].pending] == [Change.RAISED, Change.CLEARED]


# --- at least once, and never twice within the hold-down, whatever happens

_KEYS = [KEY, Key("caa", "certificate", "b.jp"), Key("server-down", "server", "web"), Key("placeholder-served")]
_STEP = st.tuples(
    st.integers(0, 700),  # seconds that pass
    st.fixed_dictionaries({key: st.sampled_from([O, O, W, C]) for key in _KEYS}),
    st.sampled_from(["nothing", "delivers", "fails", "crashes before the record"]),
    st.booleans(),  # a restart
)


@settings(max_examples=200, deadline=None)
@given(st.lists(_STEP, min_size=1, max_size=40))
def test_at_least_once_and_not_again_within_the_hold_down(steps: list[tuple[int, dict[Key, Level], str, bool]]) -> None:
    """Random problems, deliveries that fail, crashes between delivery and record, restarts."""
    record, now = AlarmRecord(), NOW
    made: dict[str, Notice] = {}
    received: list[Notice] = []
    for seconds, levels, outcome, restart in steps:
        now += timedelta(seconds=seconds)
        seen = [one for key, level in levels.items() for one in sightings(level, key)]
        record = plan.observe(record, seen, ALL, now)
        made |= {one.id: one for one in record.outlets[0].pending}
        batch = plan.batch(record.outlets[0], now)
        if batch and outcome != "nothing":
            if outcome == "fails":
                record = plan.failed(record, "all", "x", now, 0.5)
            else:
                received += batch
            if outcome == "delivers":
                record = plan.delivered(record, "all", batch, 0)
        if restart:
            record = RECORD.decode(msgspec.json.encode(record))
    while waiting := record.outlets[0].pending:
        now += timedelta(hours=1)
        batch = plan.batch(record.outlets[0], now)
        received += batch
        record = plan.delivered(record, "all", batch, 0)
        assert len(record.outlets[0].pending) < len(waiting)
    assert {one.id for one in received} == made.keys(), "each at least once, and nothing made up"
    assert len({one.id for one in made.values()}) == len(made)
    last: dict[tuple[Key, Level], datetime] = {}
    for one in sorted(made.values(), key=lambda n: n.at):
        gap = REMIND if one.change is Change.REMINDER else HOLD_DOWN
        assert one.at - last.get((one.key, one.level), NOW - REMIND) >= gap, f"{one.key} {one.level} told twice"
        last[one.key, one.level] = one.at


@given(st.lists(st.tuples(st.integers(0, 700), st.sampled_from([O, W, C])), max_size=20), st.sampled_from([O, W, C]))
def test_what_lasts_is_told_in_the_end(past: list[tuple[int, Level]], last: Level) -> None:
    """Whatever was before: after the hold-down the operator knows what is so."""
    record, now, known = AlarmRecord(), NOW, O
    for seconds, level in [*past, (0, last), (int(HOLD_DOWN.total_seconds()), last)]:
        now += timedelta(seconds=seconds)
        record = plan.observe(record, sightings(level), ALL, now)
        for one in record.outlets[0].pending:
            assert one.before is known, "each notice goes on from the one before"
            known = one.level
        record = plan.delivered(record, "all", record.outlets[0].pending, 0)
    assert known is last
