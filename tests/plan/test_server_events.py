"""What an event makes of a server's record."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from strategies import anything, draws, server_facts, server_specs
from views import DAY, NOW, timer

from certd.errors import IllegalTransition
from certd.model import events as ev
from certd.model.codes import Kind
from certd.model.facts import ServerFacts
from certd.model.records import (
    BatchSet,
    Blame,
    Deploying,
    DeployStage,
    Failure,
    Rejection,
    ServerRecord,
    Settled,
    Step,
    Timer,
)
from certd.model.specs import ServerSpec, ServiceReload
from certd.plan.server_events import TRANSITIONS, advance

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
MIDDLE = 0.5
SERVICE, FILES = ServerSpec("web", ServiceReload("httpd")), ServerSpec("files", None)
FACTS = ServerFacts(verify_seconds=20.0, after=("a",))
A, B, C, D = (BatchSet(name, 2, 1, f"new-{name}", f"old-{name}") for name in "abcd")
FIRST = BatchSet("e", 2, None, "new-e")
"""There is nothing that it can go back to."""
QUIET = Settled(wanted=3, confirmed=3)
STAGE = DeployStage


def deploying(stage: DeployStage = STAGE.SWAPPING, **changes: Any) -> Deploying:
    section = Deploying(
        settled=Settled(wanted=4, confirmed=3, attempts=1),
        generation=4,
        batch=(A, B),
        before=(),
        was_active=True,
        fresh=("a", "b"),
        stage=stage,
        began_at=NOW - MINUTE,
    )
    return replace(section, **changes)


def advanced(record: ServerRecord, event: Any, spec: ServerSpec = SERVICE) -> Any:
    return advance(spec, record, event, FACTS, NOW, MIDDLE)


def told(code: str, text: str = "why", step: Step = Step.RELOAD) -> Failure:
    return Failure(step, Kind.OPERATOR, code, text, NOW, NOW)


# --- the table --------------------------------------------------------------------------------------------------

EVENTS = {
    "Reanchored": ev.Reanchored(),
    "ReloadOwed": ev.ReloadOwed(),
    "RetryRequested": ev.RetryRequested("a"),
    "AfterRun": ev.AfterRun("a"),
    "LinksSwapped": ev.LinksSwapped((A, B)),
    "LinksRestored": ev.LinksRestored((A, B)),
    "ReloadReturned": ev.ReloadReturned(),
    "ServerStarted": ev.ServerStarted(),
    "CommandRefused": ev.CommandRefused("why"),
    "SectionConfirmed": ev.SectionConfirmed(),
    "SectionLeft": ev.SectionLeft("reload-ineffective", "why"),
    "TakenBack": ev.TakenBack(Blame.REGRESSION, "why"),
    "BlameSettled": ev.BlameSettled(),
    "Failed": ev.Failed(Step.RELOAD, Kind.BUG, "code", "why"),
}

TABLE = """
                  Settled    Deploying
Reanchored        Settled    Deploying
ReloadOwed        Settled    Deploying
RetryRequested    Settled    Deploying
AfterRun          Settled    -
LinksSwapped      -          Deploying
LinksRestored     -          Deploying
ReloadReturned    -          Deploying
ServerStarted     -          Deploying
CommandRefused    -          Settled
SectionConfirmed  -          Settled
SectionLeft       -          Settled
TakenBack         -          Deploying
BlameSettled      -          Settled
Failed            -          -
"""

PHASES = {"Settled": QUIET, "Deploying": deploying()}
ROWS = [
    (phase, row.split()[0], after)
    for row in TABLE.strip().splitlines()[1:]
    for phase, after in zip(TABLE.split()[:2], row.split()[1:], strict=True)
]


def test_the_table_is_complete():
    """Every event of a server has its row."""
    assert {name for _, name, _ in ROWS} == set(EVENTS) == {kind.__name__ for kind in ev.ServerEvent.__args__}


@pytest.mark.parametrize(("phase", "event", "after"), ROWS)
def test_a_row_of_the_table(phase, event, after):
    """A legal event leads to the phase that the table names; any other is an IllegalTransition."""
    if after == "-":
        with pytest.raises(IllegalTransition, match=f"{phase} knows no {event}"):
            advanced(PHASES[phase], EVENTS[event])
    else:
        assert type(advanced(PHASES[phase], EVENTS[event])).__name__ == after


# --- swapping ---------------------------------------------------------------------------------------------------


def test_swapped():
    """The reload comes next."""
    assert advanced(deploying(), ev.LinksSwapped((A, B))) == deploying(STAGE.RELOADING)


def test_some_were_not_fit():
    """I1: a set that may not go live is rejected, the others go on; a refused reload is not laid to its charge."""
    after = advanced(deploying(), ev.LinksSwapped((A,), (("b", 2, "expired"),)))
    assert (after.stage, after.batch, after.fresh) == (STAGE.RELOADING, (A,), ("a",))
    assert after.settled.rejections == (Rejection("b", 2, Timer(NOW, NOW + DAY), "expired"),)


def test_nothing_moved():
    """Then nothing is owed, unless something was owed before."""
    refused = ev.LinksSwapped((), (("a", 2, "expired"), ("b", 2, "expired")))
    after = advanced(deploying(), refused)
    assert (after.wanted, after.confirmed, len(after.rejections)) == (4, 4, 2)
    owing = deploying(settled=Settled(wanted=5, confirmed=3), generation=5)
    assert advanced(owing, refused).stage is STAGE.RELOADING


def test_files_only():
    """Without anything to reload the swap is the confirmation."""
    after = advanced(deploying(), ev.LinksSwapped((A, B)), FILES)
    assert (after.wanted, after.confirmed, after.after) == (4, 4, ("a",))


# --- reloading --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "after"),
    [
        (STAGE.RELOADING, STAGE.LOADING),
        (STAGE.STARTING, STAGE.LOADING),
        (STAGE.RELOADING_OLD, STAGE.LOADING_OLD),
        (STAGE.STARTING_OLD, STAGE.LOADING_OLD),
    ],
)
@pytest.mark.parametrize("event", [ev.ReloadReturned(), ev.ServerStarted()])
def test_loading_begins(stage, after, event):
    """With a time to give up, and the interval until the next reload."""
    loading = advanced(deploying(stage), event)
    assert (loading.stage, loading.wait) == (after, Timer(NOW, NOW + 20 * SECOND))
    assert loading.settled.last_reload == Timer(NOW, NOW + 10 * SECOND)


@pytest.mark.parametrize(
    ("record", "code"),
    [
        (deploying(STAGE.RELOADING, batch=(FIRST,)), "server-config-broken"),
        (deploying(STAGE.STARTING, batch=(FIRST,), was_active=False), "server-down"),
        (deploying(STAGE.STARTING_OLD, blame=Blame.SERVER_DOWN), "rollback-failed"),
        (deploying(STAGE.RELOADING_OLD, blame=Blame.REGRESSION), "rollback-failed"),
    ],
)
def test_a_command_was_refused_for_good(record, code):
    """The section ends with the reload owed: there is nothing to go back to, or the old sets fail as well."""
    after = advanced(record, ev.CommandRefused("why"))
    assert after == replace(record.settled, failure=told(code), retry=Timer(NOW, NOW + MINUTE))


@pytest.mark.parametrize(
    ("record", "stage", "blame"),
    [
        (deploying(STAGE.RELOADING), STAGE.RESTORING, Blame.RELOAD_REFUSED),
        (deploying(STAGE.RELOADING, fresh=()), STAGE.RESTORING, Blame.RELOAD_REFUSED),
        (deploying(STAGE.STARTING), STAGE.RESTORING, Blame.SERVER_DOWN),
        (deploying(STAGE.STARTING, was_active=False), STAGE.RESTORING, Blame.SERVER_DOWN),
        (
            deploying(STAGE.STARTING_OLD, was_active=False, blame=Blame.SERVER_DOWN),
            STAGE.REAPPLYING,
            Blame.SERVER_DOWN,
        ),
        (deploying(STAGE.RELOADING_OLD, blame=Blame.RELOAD_REFUSED), STAGE.REAPPLYING, Blame.RELOAD_REFUSED),
    ],
)
def test_a_command_was_refused(record, stage, blame):
    """Links go back; if the old sets are refused too, the new ones are not to blame and go live again."""
    after = advanced(record, ev.CommandRefused("why"))
    assert (after.stage, after.blame, after.blame_text) == (stage, blame, "why")


@pytest.mark.parametrize(
    "record",
    [
        deploying(STAGE.RELOADING),
        deploying(STAGE.RELOADING, batch=(FIRST,)),
        deploying(STAGE.STARTING, batch=(FIRST,), was_active=False),
    ],
)
def test_what_certd_may_not_do_blames_no_set(record):
    """Nothing was done to the server: the links stay, the reload stays owed, nothing is rejected."""
    after = advanced(record, ev.CommandRefused("who may", denied=True))
    assert after == replace(record.settled, failure=told("reload-denied", "who may"), retry=Timer(NOW, NOW + MINUTE))


def test_the_way_back_is_gone_whether_or_not_certd_may_start_the_server():
    """Who starts it by hand finds the old sets."""
    died = advanced(deploying(STAGE.STARTING), ev.CommandRefused("who may", denied=True))
    assert (died.stage, died.blame) == (STAGE.RESTORING, Blame.SERVER_DOWN)


@pytest.mark.parametrize("stage", [STAGE.RELOADING, STAGE.STARTING])
def test_there_is_always_the_last_resort(stage):
    """A first set that the server does not load is taken back for its placeholder: other sites are on this server."""
    first = replace(FIRST, last_resort=1)
    refused = advanced(deploying(stage, batch=(first,)), ev.CommandRefused("why"))
    assert refused.stage is STAGE.RESTORING
    assert [rejection.name for rejection in blamed(first).rejections] == [first.name]


def test_a_refused_reload_is_waited_out():
    """A command that was cut short may have begun a restart: links stay for two seconds."""
    assert advanced(deploying(STAGE.RELOADING), ev.CommandRefused("why")).wait == Timer(NOW, NOW + 2 * SECOND)


def test_the_configuration_of_the_server_is_broken():
    """The new sets are live again, the reload stays owed."""
    record = deploying(STAGE.REAPPLYING, blame=Blame.RELOAD_REFUSED, blame_text="syntax error")
    after = advanced(record, ev.LinksSwapped((A, B)))
    assert after == replace(
        record.settled, failure=told("server-config-broken", "syntax error"), retry=Timer(NOW, NOW + MINUTE)
    )


# --- the end of a section ---------------------------------------------------------------------------------------


def test_confirmed():
    """What was owed is paid; failures, suspicion and rejections of these sets end; `after` commands are due."""
    settled = Settled(
        wanted=4,
        confirmed=3,
        attempts=3,
        retry=timer(HOUR),
        failure=told("server-down"),
        suspects=(("a", "x"), ("b",)),
        rejections=(Rejection("a", 1, timer(HOUR), ""), Rejection("x", 1, timer(HOUR), "")),
        after=("x",),
        not_served=("a", "x"),
    )
    after = advanced(deploying(STAGE.LOADING, settled=settled), ev.SectionConfirmed(("b",)))
    assert after == Settled(
        wanted=4,
        confirmed=4,
        suspects=(("x",),),
        rejections=(Rejection("x", 1, timer(HOUR), ""),),
        after=("x", "a"),
        not_served=("x", "b"),
    )


def test_a_reload_that_came_to_be_owed_meanwhile():
    """I3: links that another server's section moved are not confirmed by this one."""
    owing = advanced(deploying(STAGE.LOADING), ev.ReloadOwed())
    after = advanced(owing, ev.SectionConfirmed())
    assert (after.wanted, after.confirmed) == (5, 4)
    assert advanced(QUIET, ev.ReloadOwed()).wanted == 4


def test_the_operator_has_mended_what_was_wrong():
    """The back-off ends and this certificate's set is no longer rejected, during a deployment as well."""
    rejections = tuple(Rejection(name, 2, timer(HOUR), "why") for name in ("a", "b"))
    record = replace(QUIET, retry=timer(HOUR), rejections=rejections, attempts=3)
    after = advanced(record, ev.RetryRequested("a"))
    assert after == replace(record, retry=None, rejections=rejections[1:])
    assert advanced(deploying(STAGE.LOADING, settled=record), ev.RetryRequested("a")).settled == after


@pytest.mark.parametrize(("attempts", "wait"), [(1, MINUTE), (3, 4 * MINUTE), (50, HOUR)])
def test_left_owed(attempts, wait):
    """It is tried again, later each time, after an hour at most."""
    record = deploying(STAGE.LOADING, settled=Settled(wanted=4, confirmed=3, attempts=attempts))
    after = advanced(record, ev.SectionLeft("reload-ineffective", "why"))
    assert (after.failure, after.retry) == (told("reload-ineffective"), Timer(NOW, NOW + wait))
    assert after.wanted > after.confirmed


def test_stopped_is_nobodys_failure():
    """The reload stays owed, without a back-off: the next start is noticed soon."""
    record = deploying(STAGE.LOADING, settled=Settled(4, 3, attempts=5, retry=timer(HOUR), failure=told("server-down")))
    after = advanced(record, ev.SectionLeft("server-stopped", "it is stopped"))
    assert after == Settled(wanted=4, confirmed=3)


# --- roll-back --------------------------------------------------------------------------------------------------


def test_taken_back():
    """Links go back first; then the server loads the old sets, and may be started once for it."""
    back = advanced(deploying(STAGE.LOADING, started=True, wait=timer(HOUR)), ev.TakenBack(Blame.REGRESSION, "why"))
    assert (back.stage, back.blame, back.blame_text, back.wait) == (STAGE.RESTORING, Blame.REGRESSION, "why", None)
    again = advanced(back, ev.LinksRestored((A,)))
    assert (again.stage, again.started, again.batch) == (STAGE.RELOADING_OLD, False, (A, B))


@pytest.mark.parametrize(
    ("blame", "code"),
    [
        (Blame.RELOAD_REFUSED, "reload-refused"),
        (Blame.SERVER_DOWN, "server-down"),
        (Blame.REGRESSION, "server-down"),
    ],
)
def test_nothing_to_go_back_to(blame, code):
    """The reload stays owed, and is told by what happened."""
    after = advanced(deploying(STAGE.RESTORING, blame=blame, blame_text="why"), ev.LinksRestored(()))
    assert (after.failure, after.wanted > after.confirmed) == (told(code), True)


def blamed(*batch: BatchSet, fresh: tuple[str, ...] | None = None, **changes: Any) -> Settled:
    names = tuple(part.name for part in batch) if fresh is None else fresh
    settled = replace(Settled(wanted=4, confirmed=3, attempts=3), **changes)
    record = deploying(
        STAGE.LOADING_OLD, batch=batch, fresh=names, settled=settled, blame=Blame.SERVER_DOWN, blame_text="why"
    )
    return advanced(record, ev.BlameSettled())  # type: ignore[no-any-return]


def test_a_set_that_does_it_alone():
    """It is rejected for a day, whatever was thought of it before; the others go on at once."""
    after = blamed(A, suspects=(("a",), ("b", "c")), rejections=(Rejection("a", 1, timer(HOUR), ""),))
    assert after.rejections == (Rejection("a", 2, Timer(NOW, NOW + DAY), "why"),)
    assert (after.suspects, after.retry, after.attempts) == ((("b", "c"),), None, 0)
    assert after.failure == told("server-down")


def test_what_another_server_moved_is_suspected_as_well():
    """A set that was only owed may be to blame; one that there is no way back from was not taken back."""
    after = blamed(A, B, fresh=("b",))
    assert (after.rejections, after.suspects) == ((), (("a",), ("b",)))
    alone = blamed(A, FIRST, fresh=("e",))
    assert [r.name for r in alone.rejections] == ["a"]
    nobody = blamed(FIRST)
    assert (nobody.rejections, nobody.suspects) == ((), ())
    assert nobody.retry == Timer(NOW, NOW + 4 * MINUTE)


def test_several_are_tried_in_halves():
    """A minute later, half of them; those that were suspected before come after them."""
    after = blamed(A, B, C, suspects=(("a", "b", "c"), ("d",)))
    assert after.suspects == (("a",), ("b", "c"), ("d",))
    assert after.retry == Timer(NOW, NOW + MINUTE)


@given(st.integers(1, 12), st.data())
def test_the_guilty_is_found(size, data):
    """Whichever set of a batch brings the server down: halving finds that one, and every other one goes live."""
    names = [f"n{number:02}" for number in range(size)]
    guilty = data.draw(st.sampled_from(names))
    waiting = {name: BatchSet(name, 2, 1, "new", "old") for name in names}
    record: Any = Settled()
    for _ in range(4 * size):
        groups = [tuple(name for name in group if name in waiting) for group in record.suspects]
        group = next((g for g in groups if g), tuple(waiting))
        batch = tuple(waiting[name] for name in group)
        section = deploying(
            STAGE.LOADING,
            settled=replace(record, wanted=record.wanted + 1),
            generation=record.wanted + 1,
            batch=batch,
            fresh=group,
        )
        if guilty in group:
            section = replace(section, stage=STAGE.LOADING_OLD, blame=Blame.SERVER_DOWN)
            record = advanced(section, ev.BlameSettled())
        else:
            record = advanced(section, ev.SectionConfirmed())
            waiting = {name: part for name, part in waiting.items() if name not in group}
        if record.rejections:
            waiting.pop(guilty, None)
        if not waiting:
            break
    assert [r.name for r in record.rejections] == [guilty]
    assert not waiting
    assert record.suspects == ()


# --- after commands ---------------------------------------------------------------------------------------------


def test_after_commands():
    """One after the other; those that failed are tried again, later each time; at the end nothing is left of it."""
    record = replace(QUIET, after=("a", "b", "c"), attempts=2)
    failed = advanced(record, ev.AfterRun("a", "exit 1"))
    assert (failed.after, failed.after_failed) == (("a", "b", "c"), ("a",))
    assert (failed.retry, failed.attempts) == (Timer(NOW, NOW + 4 * MINUTE), 3)
    assert failed.failure == told("after-failed", "a: exit 1", Step.AFTER)
    both = advanced(failed, ev.AfterRun("b", "exit 2"))
    assert (both.after_failed, both.attempts) == (("a", "b"), 3)
    waiting = advanced(both, ev.AfterRun("c"))
    assert (waiting.after, waiting.after_failed) == (("a", "b"), ("a", "b"))
    again = replace(waiting, after_failed=())
    assert advanced(advanced(again, ev.AfterRun("a")), ev.AfterRun("b")) == QUIET


# --- for anything at all ----------------------------------------------------------------------------------------


@given(server_specs, anything(ServerRecord), anything(ev.ServerEvent), server_facts, draws)
def test_every_event_has_an_outcome(spec, record, event, facts, draw):
    """A record or an IllegalTransition, nothing else; what is owed is forgotten by a confirmation alone (I3)."""
    if (type(record), type(event)) not in TRANSITIONS:
        with pytest.raises(IllegalTransition):
            advance(spec, record, event, facts, NOW, draw)
        return
    after = advance(spec, record, event, facts, NOW, draw)
    before, settled = (r.settled if isinstance(r, Deploying) else r for r in (record, after))
    assert settled.wanted >= before.wanted
    if settled.confirmed != before.confirmed:
        assert isinstance(event, ev.SectionConfirmed | ev.LinksSwapped)
        assert settled.confirmed == record.generation
    if isinstance(after, Settled) and after.retry is not None and after.retry.set_at == NOW:
        if isinstance(event, ev.Reanchored) and before.retry is not None:
            # Anchored anew, a wait keeps its length, which here may be any.
            assert after.retry.until - NOW <= before.retry.until - before.retry.set_at
        else:
            assert after.retry.until <= NOW + HOUR or after.retry == before.retry
