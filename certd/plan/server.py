"""The life of a server: one reload target that many certificates share (ARCHITECTURE 4b).

    Settled --Deploy--> SWAPPING -> RELOADING -> LOADING --Confirm--> Settled
                           |           |            |
                           |           +-- died --> STARTING -> LOADING
                           |           |            |
                           |           +-- harm --> RESTORING -> RELOADING_OLD / STARTING_OLD -> LOADING_OLD -> Settled
                           |                                        |
                           +-- stopped on purpose: Settled, owed    +-- refused as well: REAPPLYING -> Settled, owed

A reload is a fact about a server. From the moment that a reload is asked for until it is seen to be loaded, no link
of that server moves (I2), and what is owed is a number in the record, never a hope (I3).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from certd.model import actions as do
from certd.model.codes import Code
from certd.model.facts import ServerFacts
from certd.model.records import Activity, BatchSet, Blame, Deploying, DeployStage, ServerRecord, Settled, Sight, Step
from certd.model.specs import CommandReload, ServerSpec
from certd.plan import timers, verdict

SOON = timedelta(seconds=1)
LOOK_AGAIN = timedelta(minutes=1)
FAR = timedelta(days=1)
GATHER = timedelta(seconds=5)
"""A gate that opens this soon is waited for: one reload instead of two."""
GATHER_MOST = timedelta(seconds=10)
SETTLE = timedelta(seconds=2)
"""How long a reload is taken to be loading whatever is seen: it may begin after the command has returned, and what
is served may be new already from an earlier one."""

DEAD = (Activity.FAILED, Activity.INACTIVE)


def decide(spec: ServerSpec, record: ServerRecord, facts: ServerFacts, now: datetime) -> do.ServerAction:
    """The one thing to do now. Pure: the same arguments, the same answer."""
    if timers.any_in_future(record, now):
        return do.Reanchor()
    if isinstance(record, Settled):
        return _decide_settled(spec, record, facts, now)
    return _STAGES[record.stage](spec, record, facts, now)


def begin(record: ServerRecord, action: do.ServerAction, now: datetime) -> ServerRecord:
    """The record that must be durable before the action's effect."""
    match record, action:
        case Settled(), do.Deploy():
            wanted = max(record.wanted, action.owed_generation) + 1
            return Deploying(
                settled=replace(record, wanted=wanted, attempts=record.attempts + 1),
                generation=wanted,
                batch=action.batch,
                before=action.before,
                was_active=action.was_active,
                fresh=action.fresh,
                stage=DeployStage.SWAPPING,
                began_at=now,
            )
        case Settled(), do.RunAfter() if action.name in record.after_failed:
            return replace(record, after_failed=())  # another round
        case Deploying(), do.StartServer() if record.stage in _TO_STARTING:
            return replace(record, stage=_TO_STARTING[record.stage], started=True, wait=None)
        case _:
            return record


# --- Settled ----------------------------------------------------------------------------------------------------


def _decide_settled(spec: ServerSpec, record: Settled, facts: ServerFacts, now: datetime) -> do.ServerAction:
    batch = _choose(record, facts, now)
    if not batch and record.wanted == record.confirmed:
        if (name := _next_after(record, now)) is not None:
            return do.RunAfter(name)
        return _nothing_to_do(record, facts, now)
    if (waits := _not_yet(spec, record, facts, now)) is not None:
        return waits
    if facts.shared_busy or facts.shared_loading:
        return do.Wait(now + SOON, Code.SERVER_LOADING)
    fresh = tuple(s.name for s in facts.ready if s in batch)
    if spec.reload is None:
        return do.Deploy(batch, (), True, fresh, facts.owed_generation)
    if facts.activity is Activity.RELOADING:
        return do.Wait(now + SOON, Code.SERVER_LOADING)
    if facts.activity is Activity.INACTIVE:
        # Stopped on purpose: the files change, the reload stays owed, the server stays stopped.
        if fresh:
            moving = tuple(s for s in batch if s.name in fresh)
            return do.Deploy(moving, (), False, fresh, facts.owed_generation)
        return do.Wait(now + LOOK_AGAIN, Code.SERVER_STOPPED)
    if facts.activity is Activity.FAILED:
        return do.Deploy(batch, (), False, fresh, facts.owed_generation)
    if facts.seen is None:
        return do.Look(batch)
    return do.Deploy(batch, facts.seen, True, fresh, facts.owed_generation)


def _next_after(record: Settled, now: datetime) -> str | None:
    """Whose `after` commands run now: all once, then, after the wait, those that failed."""
    fresh = [name for name in record.after if name not in record.after_failed]
    if fresh:
        return fresh[0]
    return record.after[0] if record.after and timers.due(record.retry, now) else None


def _choose(record: Settled, facts: ServerFacts, now: datetime) -> tuple[BatchSet, ...]:
    """What is ready and what is owed; after a batch brought the server down, one group of suspects at a time."""
    rejected = {(r.name, r.version) for r in record.rejections if not timers.due(r.timer, now)}
    ready = tuple(s for s in facts.ready if (s.name, s.version) not in rejected)
    for group in record.suspects:
        if suspects := tuple(s for s in ready if s.name in group):
            return (*facts.owed, *suspects)
    return (*facts.owed, *ready)


def _nothing_to_do(record: Settled, facts: ServerFacts, now: datetime) -> do.Wait:
    wakes = [r.timer.until for r in record.rejections if r.timer.until > now]
    if record.after and record.retry:
        wakes.append(record.retry.until)
    wake = min(wakes, default=None)
    if facts.next_gate is not None:
        return do.Wait(min(max(facts.next_gate, now + SOON), now + FAR), Code.GATES_CLOSED, wake)
    return do.Wait(now + FAR, Code.NOTHING_OWED, wake)


def _not_yet(spec: ServerSpec, record: Settled, facts: ServerFacts, now: datetime) -> do.Wait | None:
    """Reasons to leave a server alone a little longer, although there is work for it."""
    if not facts.clock_sure and facts.ready:
        return do.Wait(now + LOOK_AGAIN, Code.CLOCK_UNSURE)
    # An `after` command that failed is tried again later; a deployment does not wait for it (I6).
    only_after = record.failure is not None and record.failure.step is Step.AFTER
    if record.retry is not None and not only_after and not timers.due(record.retry, now):
        return do.Wait(record.retry.until, Code.RELOAD_BACK_OFF)
    if not timers.due(record.last_reload, now):
        assert record.last_reload is not None
        return do.Wait(record.last_reload.until, Code.RELOAD_INTERVAL)
    since = facts.ready_since
    if since is None or record.suspects:
        return None
    soon = facts.next_gate is not None and facts.next_gate <= now + GATHER
    if soon and now < since + GATHER_MOST:
        return do.Wait(now + SOON, Code.GATES_CLOSED)
    if facts.coming and now < since + min(spec.reload_min_interval, GATHER_MOST):
        return do.Wait(now + SOON, Code.GATES_CLOSED)
    return None


# --- Deploying --------------------------------------------------------------------------------------------------


def _swapping(spec: ServerSpec, record: Deploying, facts: ServerFacts, now: datetime) -> do.ServerAction:
    if facts.shared_loading or (spec.reload is not None and facts.activity is Activity.RELOADING):
        return do.Wait(now + SOON, Code.SERVER_LOADING)
    if not facts.clock_sure:
        return do.Wait(now + LOOK_AGAIN, Code.CLOCK_UNSURE)
    # After a crash the gates are judged anew: only what is still ready, or already live, stays in the batch.
    fit = {(s.name, s.version) for s in (*facts.ready, *facts.owed)}
    return do.SwapLinks(tuple(s for s in record.batch if (s.name, s.version) in fit))


def _reloading(spec: ServerSpec, record: Deploying, facts: ServerFacts, now: datetime) -> do.ServerAction:
    if facts.activity is Activity.RELOADING:
        return do.Wait(now + SOON, Code.SERVER_LOADING)
    if _stopped(spec, record, facts.activity):
        return do.LeaveOwed("server-stopped", "the server is stopped; the new files are in place for its next start")
    return do.StartServer() if facts.activity in DEAD else do.ReloadServer()


def _loading(spec: ServerSpec, record: Deploying, facts: ServerFacts, now: datetime) -> do.ServerAction:
    assert record.wait is not None
    if _stopped(spec, record, facts.activity):
        return do.LeaveOwed("server-stopped", "the server was stopped while it loaded")
    if facts.activity in DEAD:
        if record.started:
            return do.TakeBack(Blame.SERVER_DOWN, "the server died while it loaded the new files, twice")
        return do.StartServer()
    timed_out = now >= record.wait.until
    if facts.activity is Activity.RELOADING and not timed_out:
        return do.Wait(now + SOON, Code.SERVER_LOADING)
    if facts.seen is None:
        return do.Look(record.batch)
    judged = verdict.judge(record.batch, record.before, facts.seen, final=_final(record, facts, now))
    match judged:
        case verdict.Served(not_served):
            loaded = record.wait.set_at + SETTLE
            return do.Confirm(not_served) if now >= loaded else do.Wait(loaded, Code.SERVER_LOADING)
        case verdict.Harmed(names):
            nobody = all(seen.sight is Sight.REFUSED for seen in facts.seen)
            blame = Blame.SERVER_DOWN if nobody else Blame.REGRESSION
            return do.TakeBack(blame, f"served before, but not after the reload: {_listed(names)}")
        case verdict.StillOld(names):
            return do.LeaveOwed("reload-ineffective", f"the old certificate is still served: {_listed(names)}")
        case verdict.Unclear():
            return do.Wait(now + SOON, Code.SERVER_LOADING)


def _final(record: Deploying, facts: ServerFacts, now: datetime) -> bool:
    """Whether the verdict is due. Many handshakes take long: what is held against a server was seen after its time."""
    assert record.wait is not None
    if not facts.verifiable:
        return now >= record.wait.set_at + SETTLE
    return (facts.seen_from or now) >= record.wait.until


def _restoring(spec: ServerSpec, record: Deploying, facts: ServerFacts, now: datetime) -> do.ServerAction:
    if record.blame is Blame.RELOAD_REFUSED and _stopped(spec, record, facts.activity):
        return do.LeaveOwed("server-stopped", "the server was stopped before it reloaded")
    if not timers.due(record.wait, now) or facts.shared_loading or facts.activity is Activity.RELOADING:
        return do.Wait(now + SOON, Code.SERVER_LOADING)
    return do.RestoreLinks(verdict.going_back(record.batch, record.blame))


def _reloading_old(spec: ServerSpec, record: Deploying, facts: ServerFacts, now: datetime) -> do.ServerAction:
    if facts.activity is Activity.RELOADING:
        return do.Wait(now + SOON, Code.SERVER_LOADING)
    if _stopped(spec, record, facts.activity):
        return do.SettleBlame()
    return do.StartServer() if facts.activity in DEAD else do.ReloadServer()


def _loading_old(spec: ServerSpec, record: Deploying, facts: ServerFacts, now: datetime) -> do.ServerAction:
    assert record.wait is not None
    if facts.activity in DEAD and not _stopped(spec, record, facts.activity):
        if now < record.wait.until:
            return do.Wait(now + SOON, Code.SERVER_LOADING)
        return do.LeaveOwed("rollback-failed", f"the old files did not bring the server back: {record.blame_text}")
    timed_out = now >= record.wait.until
    if facts.activity is Activity.RELOADING and not timed_out:
        return do.Wait(now + SOON, Code.SERVER_LOADING)
    back = tuple(verdict.reversed_set(part) for part in verdict.going_back(record.batch, record.blame))
    if facts.seen is None:
        return do.Look(back)
    judged = verdict.judge(back, record.before, facts.seen, final=_final(record, facts, now))
    if isinstance(judged, verdict.Unclear):
        return do.Wait(now + SOON, Code.SERVER_LOADING)
    if now < record.wait.set_at + SETTLE:
        return do.Wait(record.wait.set_at + SETTLE, Code.SERVER_LOADING)
    if isinstance(judged, verdict.Harmed):
        return do.LeaveOwed("rollback-failed", f"not served after the roll-back: {_listed(judged.names)}")
    return do.SettleBlame()


def _reapplying(spec: ServerSpec, record: Deploying, facts: ServerFacts, now: datetime) -> do.ServerAction:
    # As at the first time: neither while a reload may run, nor a set that has been revoked or rolled back since.
    if not timers.due(record.wait, now):
        return do.Wait(now + SOON, Code.SERVER_LOADING)
    return _swapping(spec, record, facts, now)


def _stopped(spec: ServerSpec, record: Deploying, activity: Activity) -> bool:
    """Stopped on purpose. A service manager says so; a bare command that was up in this section has died."""
    if activity is not Activity.INACTIVE:
        return False
    died_here = isinstance(spec.reload, CommandReload) and (record.was_active or record.started)
    return not died_here


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"


_STAGES = {
    DeployStage.SWAPPING: _swapping,
    DeployStage.RELOADING: _reloading,
    DeployStage.STARTING: _reloading,
    DeployStage.LOADING: _loading,
    DeployStage.RESTORING: _restoring,
    DeployStage.RELOADING_OLD: _reloading_old,
    DeployStage.STARTING_OLD: _reloading_old,
    DeployStage.LOADING_OLD: _loading_old,
    DeployStage.REAPPLYING: _reapplying,
}

_TO_STARTING = {
    DeployStage.RELOADING: DeployStage.STARTING,
    DeployStage.STARTING: DeployStage.STARTING,
    DeployStage.LOADING: DeployStage.STARTING,
    DeployStage.RELOADING_OLD: DeployStage.STARTING_OLD,
    DeployStage.STARTING_OLD: DeployStage.STARTING_OLD,
}
