"""What is to be done for a server: every stage of a deployment, and anything at all."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from msgspec.structs import replace
from strategies import anything, server_facts, server_specs
from views import DAY, NOW, timer

from certd.model import actions as do
from certd.model.codes import Code, Kind
from certd.model.facts import ServerFacts
from certd.model.records import (
    Activity,
    BatchSet,
    Blame,
    Deploying,
    DeployStage,
    Failure,
    Rejection,
    Seen,
    ServerRecord,
    Settled,
    Sight,
    Step,
    Timer,
)
from certd.model.specs import CommandReload, ServerSpec, ServiceReload
from certd.plan import server as plan

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
SERVICE = ServerSpec("web", ServiceReload("httpd"))
COMMAND = ServerSpec("web", CommandReload(("apachectl", "graceful"), ("pidof", "httpd"), ("apachectl", "start")))
FILES = ServerSpec("files", None)

A, B = BatchSet("a", 2, 1, "new-a", "old-a"), BatchSet("b", 5, 4, "new-b", "old-b")
OLD = (Seen("a", Sight.LEAF, "old-a"), Seen("b", Sight.LEAF, "old-b"))
NEW = (Seen("a", Sight.LEAF, "new-a"), Seen("b", Sight.LEAF, "new-b"))
QUIET = Settled(wanted=3, confirmed=3)
OWING = Settled(wanted=4, confirmed=3)
FACTS = ServerFacts(activity=Activity.ACTIVE)
READY = replace(FACTS, ready=(A, B), ready_since=NOW - HOUR)
PAST, LATER = timer(timedelta(0), NOW - MINUTE), timer(HOUR)
RELOAD_FAILED = Failure(Step.RELOAD, Kind.OPERATOR, "reload-refused", "", NOW, NOW)
AFTER_FAILED = replace(RELOAD_FAILED, step=Step.AFTER, code="after-failed")


def decided(record: ServerRecord, facts: ServerFacts = FACTS, spec: ServerSpec = SERVICE, at=NOW) -> Any:
    return plan.decide(spec, record, facts, at)


# --- Settled ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "facts", "expected"),
    [
        (QUIET, FACTS, do.Wait(NOW + DAY, Code.NOTHING_OWED)),
        (QUIET, replace(FACTS, next_gate=NOW + HOUR), do.Wait(NOW + HOUR, Code.GATES_CLOSED)),
        (QUIET, replace(FACTS, next_gate=NOW - HOUR), do.Wait(NOW + SECOND, Code.GATES_CLOSED)),
        (replace(QUIET, after=("a",)), FACTS, do.RunAfter("a")),
        (replace(QUIET, after=("a", "b"), after_failed=("a",), retry=LATER), FACTS, do.RunAfter("b")),
        (
            replace(QUIET, after=("a",), after_failed=("a",), retry=LATER),
            FACTS,
            do.Wait(NOW + DAY, Code.NOTHING_OWED, NOW + HOUR),
        ),
        (replace(QUIET, after=("a",), after_failed=("a",)), FACTS, do.RunAfter("a")),
        (QUIET, READY, do.Look((A, B))),
        (OWING, FACTS, do.Look(())),
        (OWING, replace(FACTS, owed=(A,)), do.Look((A,))),
    ],
)
def test_settled(record, facts, expected):
    """Nothing is owed and no gate open; `after` commands; or work, which begins with a look at what is served."""
    assert decided(record, facts) == expected


def test_a_deployment():
    """What is ready and what is owed, with what was served before; only what is ready moves."""
    facts = replace(READY, ready=(A,), owed=(B,), seen=OLD, owed_generation=9)
    assert decided(QUIET, facts) == do.Deploy((B, A), OLD, True, ("a",), 9)


@pytest.mark.parametrize(
    ("activity", "ready", "expected"),
    [
        (Activity.RELOADING, (A,), do.Wait(NOW + SECOND, Code.SERVER_LOADING)),
        (Activity.INACTIVE, (A,), do.Deploy((A,), (), False, ("a",))),
        (Activity.INACTIVE, (), do.Wait(NOW + MINUTE, Code.SERVER_STOPPED)),
        (Activity.FAILED, (A,), do.Deploy((B, A), (), False, ("a",))),
        (Activity.FAILED, (), do.Deploy((B,), (), False, ())),
        (Activity.UNKNOWN, (A,), do.Look((B, A))),
    ],
)
def test_what_the_service_manager_says(activity, ready, expected):
    """While somebody reloads nothing moves; a stopped server gets its files, no more; a failed one is tried."""
    facts = replace(FACTS, activity=activity, ready=ready, owed=(B,))
    assert decided(OWING, facts) == expected


def test_files_only():
    """Without anything to reload nothing is looked at."""
    assert decided(QUIET, READY, FILES) == do.Deploy((A, B), (), True, ("a", "b"))


@pytest.mark.parametrize(
    ("record", "facts", "until", "code"),
    [
        (QUIET, replace(READY, clock_sure=False), NOW + MINUTE, Code.CLOCK_UNSURE),
        (replace(OWING, retry=LATER, failure=RELOAD_FAILED), READY, NOW + HOUR, Code.RELOAD_BACK_OFF),
        (replace(QUIET, last_reload=timer(8 * SECOND)), READY, NOW + 8 * SECOND, Code.RELOAD_INTERVAL),
        (QUIET, replace(READY, ready_since=NOW, next_gate=NOW + 5 * SECOND), NOW + SECOND, Code.GATES_CLOSED),
        (QUIET, replace(READY, ready_since=NOW, coming=True), NOW + SECOND, Code.GATES_CLOSED),
        (QUIET, replace(READY, shared_busy=True), NOW + SECOND, Code.SERVER_LOADING),
        (QUIET, replace(READY, shared_loading=True), NOW + SECOND, Code.SERVER_LOADING),
    ],
)
def test_what_a_deployment_waits_for(record, facts, until, code):
    """The clock, the back-off, the interval between reloads, a gate or an order that saves a reload, other servers."""
    assert decided(record, facts) == do.Wait(until, code)


@pytest.mark.parametrize(
    "facts",
    [
        replace(READY, ready_since=NOW - 10 * SECOND, next_gate=NOW + 5 * SECOND, coming=True),
        replace(READY, ready_since=NOW, next_gate=NOW + 6 * SECOND),
        replace(READY, ready_since=NOW - 10 * SECOND, coming=True),
    ],
)
def test_one_reload_for_many_is_not_waited_for_long(facts):
    """Ten seconds at most, and only for a gate that opens within five."""
    assert decided(QUIET, facts) == do.Look((A, B))


def test_a_failed_after_command_keeps_nobody_waiting():
    """I6: its back-off is its own; a set that is ready goes live meanwhile."""
    record = replace(QUIET, after=("a",), retry=LATER, failure=AFTER_FAILED)
    assert decided(record, READY) == do.Look((A, B))


def test_rejected_sets_wait():
    """A set that was rejected is left out until it is tried again; another version of it is not."""
    rejecting = replace(QUIET, rejections=(Rejection("a", 2, LATER, ""),))
    assert decided(rejecting, READY) == do.Look((B,))
    assert decided(rejecting, replace(READY, ready=(replace(A, version=3),))) == do.Look((replace(A, version=3),))
    assert decided(rejecting, replace(READY, ready=(A,))) == do.Wait(NOW + DAY, Code.NOTHING_OWED, NOW + HOUR)
    assert decided(replace(QUIET, rejections=(Rejection("a", 2, PAST, ""),)), READY) == do.Look((A, B))


def test_suspects_are_tried_apart():
    """After a batch brought the server down: one group at a time, with what is owed; groups without work are passed."""
    record = replace(QUIET, suspects=(("gone",), ("b",), ("a",)))
    assert decided(record, READY) == do.Look((B,))
    assert decided(record, replace(READY, ready=(A,), owed=(B,))) == do.Look((B, A))
    assert decided(replace(record, suspects=(("gone",),)), READY) == do.Look((A, B))


# --- Deploying --------------------------------------------------------------------------------------------------


def deploying(stage: DeployStage, **changes: Any) -> Deploying:
    section = Deploying(
        settled=OWING,
        generation=4,
        batch=(A, B),
        before=OLD,
        was_active=True,
        fresh=("a", "b"),
        stage=stage,
        began_at=NOW - MINUTE,
        wait=Timer(NOW - 5 * SECOND, NOW + 25 * SECOND),
    )
    return replace(section, **changes)


def now_is(activity: Activity, **changes: Any) -> ServerFacts:
    return replace(FACTS, activity=activity, ready=(A, B), **changes)


LOADING = do.Wait(NOW + SECOND, Code.SERVER_LOADING)
ACTIVE, RELOADING, INACTIVE, FAILED = Activity.ACTIVE, Activity.RELOADING, Activity.INACTIVE, Activity.FAILED
STAGE = DeployStage


@pytest.mark.parametrize("stage", [STAGE.SWAPPING, STAGE.REAPPLYING])
@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (now_is(ACTIVE), do.SwapLinks((A, B))),
        (now_is(FAILED), do.SwapLinks((A, B))),
        (now_is(RELOADING), LOADING),
        (now_is(ACTIVE, shared_loading=True), LOADING),
        (now_is(ACTIVE, clock_sure=False), do.Wait(NOW + MINUTE, Code.CLOCK_UNSURE)),
        (replace(FACTS, ready=(B,)), do.SwapLinks((B,))),
        (replace(FACTS, owed=(A,)), do.SwapLinks((A,))),
        (replace(FACTS, ready=(replace(A, version=3),)), do.SwapLinks(())),
    ],
)
def test_swapping(stage, facts, expected):
    """I2: not while anything loads. After a crash only what is still ready, or already live, is swapped."""
    assert decided(deploying(stage, wait=None), facts) == expected


@pytest.mark.parametrize("stage", [STAGE.RESTORING, STAGE.REAPPLYING])
def test_a_refused_reload_settles_before_links_move(stage):
    """A command that was cut short may have had its effect, and a restart begins only after it has returned."""
    blamed = deploying(stage, blame=Blame.RELOAD_REFUSED, wait=Timer(NOW - SECOND, NOW + SECOND))
    assert decided(blamed, now_is(ACTIVE)) == LOADING


@pytest.mark.parametrize(
    ("stage", "activity", "expected"),
    [
        (STAGE.RELOADING, ACTIVE, do.ReloadServer()),
        (STAGE.RELOADING, RELOADING, LOADING),
        (STAGE.RELOADING, FAILED, do.StartServer()),
        (STAGE.STARTING, FAILED, do.StartServer()),
        (STAGE.STARTING, ACTIVE, do.ReloadServer()),
        (STAGE.RELOADING_OLD, ACTIVE, do.ReloadServer()),
        (STAGE.RELOADING_OLD, RELOADING, LOADING),
        (STAGE.RELOADING_OLD, FAILED, do.StartServer()),
        (STAGE.RELOADING_OLD, INACTIVE, do.SettleBlame()),
        (STAGE.STARTING_OLD, FAILED, do.StartServer()),
        (STAGE.STARTING_OLD, ACTIVE, do.ReloadServer()),
    ],
)
def test_reloading(stage, activity, expected):
    """After a crash it is asked again; a failed server is started; one that was stopped on purpose is not."""
    assert decided(deploying(stage), now_is(activity)) == expected


@pytest.mark.parametrize("stage", [STAGE.RELOADING, STAGE.LOADING])
def test_a_server_that_was_stopped_on_purpose(stage):
    """Its service manager says so: the reload stays owed. A bare command that was up in this section has died."""
    left = decided(deploying(stage), now_is(INACTIVE))
    assert isinstance(left, do.LeaveOwed)
    assert left.code == "server-stopped"
    assert decided(deploying(stage), now_is(INACTIVE), COMMAND) == do.StartServer()
    down = deploying(stage, was_active=False)
    assert decided(down, now_is(INACTIVE), COMMAND).code == "server-stopped"
    assert decided(replace(down, started=True), now_is(INACTIVE), COMMAND) != left


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (now_is(RELOADING), LOADING),
        (now_is(ACTIVE), do.Look((A, B))),
        (now_is(ACTIVE, seen=NEW), do.Confirm()),
        (now_is(ACTIVE, seen=OLD), LOADING),
        (now_is(ACTIVE, seen=(NEW[0], Seen("b", Sight.LEAF, "foreign"))), do.Confirm(("b",))),
        (now_is(FAILED), do.StartServer()),
    ],
)
def test_loading(facts, expected):
    """While there is time: confirmed by what is seen, started when it died, else waited for."""
    assert decided(deploying(STAGE.LOADING), facts) == expected


def test_a_reload_is_not_confirmed_at_once():
    """The new set seen right after the command proves little: the restart may be yet to begin."""
    record = deploying(STAGE.LOADING, wait=Timer(NOW, NOW + 30 * SECOND))
    assert decided(record, now_is(ACTIVE, seen=NEW)) == do.Wait(NOW + 2 * SECOND, Code.SERVER_LOADING)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (NEW, "Confirm"),
        (OLD, "reload-ineffective"),
        ((NEW[0], OLD[1]), "reload-ineffective"),
        ((NEW[0], Seen("b", Sight.REFUSED)), "regression"),
        ((NEW[0], Seen("b", Sight.BROKEN)), "regression"),
        ((NEW[0], Seen("b", Sight.LEAF, "foreign")), "Confirm"),
    ],
)
def test_when_the_time_is_up(seen, expected):
    """A verdict there must be: only what worked before and does not now is harm; the old set is a reload undone."""
    action = decided(deploying(STAGE.LOADING, wait=PAST), now_is(ACTIVE, seen=seen))
    told = getattr(action, "code", None) or getattr(action, "blame", None) or type(action).__name__
    assert told == expected


@pytest.mark.parametrize("stage", [STAGE.LOADING, STAGE.LOADING_OLD])
def test_a_look_that_began_in_time_and_ended_late(stage):
    """Handshakes with many hosts take their time: what they missed is looked at once more before it is called harm."""
    record = deploying(stage, wait=PAST, blame=Blame.REGRESSION)
    down = (Seen("a", Sight.BROKEN), Seen("b", Sight.REFUSED))
    assert decided(record, now_is(ACTIVE, seen=down, seen_from=PAST.until - SECOND)) == LOADING
    assert decided(record, now_is(ACTIVE, seen=down, seen_from=PAST.until)) != LOADING


def test_a_server_that_dies_twice():
    """The second time it is the new set's fault."""
    action = decided(deploying(STAGE.LOADING, started=True), now_is(FAILED))
    assert isinstance(action, do.TakeBack)
    assert action.blame is Blame.SERVER_DOWN


def test_nothing_to_verify_by():
    """Without a handshake a reload is taken to have loaded after two seconds."""
    facts = now_is(ACTIVE, verifiable=False, seen=())
    assert decided(deploying(STAGE.LOADING, wait=Timer(NOW - SECOND, NOW + MINUTE)), facts) == LOADING
    assert decided(deploying(STAGE.LOADING, wait=Timer(NOW - 2 * SECOND, NOW + MINUTE)), facts) == do.Confirm()


@pytest.mark.parametrize(
    ("blame", "facts", "expected"),
    [
        (Blame.REGRESSION, now_is(ACTIVE), do.RestoreLinks((A,))),
        (Blame.SERVER_DOWN, now_is(FAILED), do.RestoreLinks((A,))),
        (Blame.RELOAD_REFUSED, now_is(ACTIVE), do.RestoreLinks((A,))),
        (Blame.REGRESSION, now_is(RELOADING), LOADING),
        (Blame.REGRESSION, now_is(ACTIVE, shared_loading=True), LOADING),
    ],
)
def test_restoring(blame, facts, expected):
    """Links go back where there is something worth going back to, and only while nothing loads (I2)."""
    record = deploying(STAGE.RESTORING, batch=(A, replace(B, previous=None)), blame=blame, wait=None)
    assert decided(record, facts) == expected
    assert decided(replace(record, wait=timer(SECOND)), facts) == LOADING


@pytest.mark.parametrize("stage", [STAGE.RESTORING, STAGE.LOADING_OLD])
@pytest.mark.parametrize("blame", list(Blame))
def test_the_last_resort(stage, blame):
    """A placeholder is no better for its own site, but it is for all the others of a server that does not run."""
    placeholder = replace(B, previous=None, last_resort=4)
    action = decided(deploying(stage, batch=(A, placeholder), blame=blame, wait=PAST), now_is(ACTIVE))
    expected = ["a"] if blame is Blame.REGRESSION else ["a", "b"]
    assert [part.name for part in action.batch] == expected
    assert {part.version if stage is STAGE.LOADING_OLD else part.previous for part in action.batch} <= {1, 4}


def test_nobody_listens_any_more():
    """It is the server that is down, though nothing but handshakes tells so."""
    gone = (Seen("a", Sight.REFUSED), Seen("b", Sight.REFUSED))
    action = decided(deploying(STAGE.LOADING, wait=PAST), now_is(Activity.UNKNOWN, seen=gone))
    assert action.blame is Blame.SERVER_DOWN


def test_a_reload_refused_by_a_stopped_server():
    """Nobody is to blame: the files stay for its next start."""
    record = deploying(STAGE.RESTORING, blame=Blame.RELOAD_REFUSED, wait=None)
    assert decided(record, now_is(INACTIVE)).code == "server-stopped"


BACK = (replace(A, version=1, previous=2, fingerprint="old-a", previous_fingerprint="new-a"),)


@pytest.mark.parametrize(
    ("wait", "facts", "expected"),
    [
        (None, now_is(ACTIVE), do.Look(BACK)),
        (None, now_is(RELOADING), LOADING),
        (None, now_is(FAILED), LOADING),
        (None, now_is(ACTIVE, seen=OLD), do.SettleBlame()),
        (None, now_is(ACTIVE, seen=NEW), LOADING),
        (PAST, now_is(ACTIVE, seen=NEW), do.SettleBlame()),
        (PAST, now_is(FAILED), "rollback-failed"),
        (PAST, now_is(ACTIVE, seen=(Seen("a", Sight.REFUSED),)), "rollback-failed"),
    ],
)
def test_loading_the_old_sets(wait, facts, expected):
    """Seen again, the blame is settled; a server that stays down is told of."""
    record = deploying(STAGE.LOADING_OLD, batch=(A, replace(B, previous=None)), blame=Blame.REGRESSION)
    action = decided(replace(record, wait=wait or record.wait), facts)
    assert (action.code if isinstance(action, do.LeaveOwed) else action) == expected


# --- what is recorded before an effect --------------------------------------------------------------------------


def test_a_deployment_is_written_ahead():
    """I3: which sets, from where, and the generation that is owed from now on, before the first link moves."""
    deploy = do.Deploy((A, B), OLD, True, ("a",), 0)
    record = plan.begin(replace(OWING, attempts=2), deploy, NOW)
    assert record == Deploying(
        settled=Settled(wanted=5, confirmed=3, attempts=3),
        generation=5,
        batch=(A, B),
        before=OLD,
        was_active=True,
        fresh=("a",),
        stage=STAGE.SWAPPING,
        began_at=NOW,
    )


def test_a_generation_is_never_given_twice():
    """A record that was lost does not confirm what certificates wait for with a number of its past."""
    record = plan.begin(Settled(), do.Deploy((A,), (), True, (), owed_generation=7), NOW)
    assert isinstance(record, Deploying)
    assert record.generation == 8


@pytest.mark.parametrize(
    ("stage", "after"),
    [
        (STAGE.RELOADING, STAGE.STARTING),
        (STAGE.STARTING, STAGE.STARTING),
        (STAGE.LOADING, STAGE.STARTING),
        (STAGE.RELOADING_OLD, STAGE.STARTING_OLD),
        (STAGE.STARTING_OLD, STAGE.STARTING_OLD),
    ],
)
def test_a_start_is_written_ahead(stage, after):
    """A server is started once per section: the second death is told from the first."""
    record = plan.begin(deploying(stage), do.StartServer(), NOW)
    assert (record.stage, record.started, record.wait) == (after, True, None)


# --- for anything at all ----------------------------------------------------------------------------------------

MOVING = (do.SwapLinks, do.RestoreLinks)


@given(server_specs, anything(ServerRecord), server_facts)
def test_there_is_always_an_answer(spec, record, facts):
    """An action, its intent, and a wait only for something to come."""
    action = plan.decide(spec, record, facts, NOW)
    if isinstance(action, do.Wait):
        assert action.due > NOW
    begun = plan.begin(record, action, NOW)
    settled = begun.settled if isinstance(begun, Deploying) else begun
    before = record.settled if isinstance(record, Deploying) else record
    assert settled.confirmed == before.confirmed
    assert settled.wanted >= before.wanted
    if isinstance(action, do.Deploy):
        assert settled.wanted > settled.confirmed or before.confirmed > before.wanted


@given(server_specs, anything(ServerRecord), server_facts)
def test_no_link_moves_while_the_server_loads(spec, record, facts):
    """I2: neither in the stages of loading, nor while the service manager speaks of a reload, nor elsewhere."""
    action = plan.decide(spec, record, facts, NOW)
    if not isinstance(action, MOVING):
        return
    assert isinstance(record, Deploying)
    assert record.stage in (STAGE.SWAPPING, STAGE.RESTORING, STAGE.REAPPLYING)
    assert not facts.shared_loading
    assert facts.activity is not RELOADING or (spec.reload is None and record.stage is not STAGE.RESTORING)
    if isinstance(action, do.SwapLinks):
        assert facts.clock_sure
        assert {*action.batch} <= {*record.batch}
    else:
        assert all(part.previous is not None for part in action.batch)


@given(server_specs, anything(ServerRecord), server_facts)
def test_a_stopped_server_is_never_started(spec, record, facts):
    """Stopped on purpose stays stopped, unless it is a bare command that was up in this very section."""
    action = plan.decide(spec, record, facts, NOW)
    if isinstance(action, do.StartServer):
        died = isinstance(spec.reload, CommandReload) and (record.was_active or record.started)
        assert facts.activity is FAILED or (facts.activity is INACTIVE and died)


@given(anything(ServerRecord))
def test_records_survive_the_disk(record):
    """JSON and back is the same record, in every phase."""
    assert msgspec.json.decode(msgspec.json.encode(record), type=ServerRecord) == record
