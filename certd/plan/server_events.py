"""The life of a server: what an event makes of the record (ARCHITECTURE 4b). TRANSITIONS is the whole machine."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from certd.errors import IllegalTransition
from certd.model import events as ev
from certd.model.codes import Kind
from certd.model.facts import ServerFacts
from certd.model.records import (
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
from certd.model.specs import ServerSpec
from certd.plan import timers, verdict
from certd.plan.backoff import FLOOR, backoff

REJECTED_FOR = timedelta(hours=24)
RELOAD_MOST = timedelta(hours=1)
"""A reload is cheap and local: it is never left alone for longer."""
REFUSED_SETTLES = timedelta(seconds=2)
"""A reload command that was cut short may have had its effect: a restart that begins is seen by then."""

_BLAME_CODES = {
    Blame.RELOAD_REFUSED: "reload-refused",
    Blame.SERVER_DOWN: "server-down",
    Blame.REGRESSION: "server-down",
}


class Context:
    """What every transition may look at besides record and event."""

    __slots__ = ("draw", "facts", "now", "spec")

    def __init__(self, spec: ServerSpec, facts: ServerFacts, now: datetime, draw: float) -> None:
        self.spec, self.facts, self.now, self.draw = spec, facts, now, draw


def advance(
    spec: ServerSpec, record: ServerRecord, event: ev.ServerEvent, facts: ServerFacts, now: datetime, draw: float
) -> ServerRecord:
    """The record after the event.

    Raises:
        IllegalTransition: the phase does not know the event.
    """
    transition = TRANSITIONS.get((type(record), type(event)))
    if transition is None:
        raise IllegalTransition(f"a server that is {type(record).__name__} knows no {type(event).__name__}")
    after: ServerRecord = transition(record, event, Context(spec, facts, now, draw))
    assert _owed(after) or not _owed(record) or isinstance(event, ev.SectionConfirmed | ev.LinksSwapped), (
        "I3: a swap without a confirmed reload would be forgotten"
    )
    return after


def _owed(record: ServerRecord) -> bool:
    settled = record if isinstance(record, Settled) else record.settled
    return settled.wanted > settled.confirmed


# --- both phases ------------------------------------------------------------------------------------------------


def _reanchored(record: ServerRecord, _: ev.Reanchored, at: Context) -> ServerRecord:
    return timers.reanchor(record, at.now)


def _reload_owed(record: ServerRecord, _: ev.ReloadOwed, __: Context) -> ServerRecord:
    if isinstance(record, Settled):
        return replace(record, wanted=record.wanted + 1)
    return replace(record, settled=replace(record.settled, wanted=record.settled.wanted + 1))


def _retry_requested(record: ServerRecord, event: ev.RetryRequested, _: Context) -> ServerRecord:
    """The back-off ends, and a rejected set of this certificate is tried once more (ARCHITECTURE 4d)."""
    if isinstance(record, Deploying):
        return replace(record, settled=_with_another_try(record.settled, event.name))
    return _with_another_try(record, event.name)


def _with_another_try(settled: Settled, name: str) -> Settled:
    return replace(settled, retry=None, rejections=tuple(r for r in settled.rejections if r.name != name))


def _after_run(record: Settled, event: ev.AfterRun, at: Context) -> Settled:
    if event.failure is None:
        left = tuple(name for name in record.after if name != event.name)
        return replace(record, after=left) if left else replace(record, after=(), attempts=0, retry=None, failure=None)
    failure = _failure(record, Step.AFTER, "after-failed", f"{event.name}: {event.failure}", at)
    attempts = record.attempts if record.after_failed else record.attempts + 1
    return replace(
        record,
        after_failed=(*record.after_failed, event.name),
        attempts=attempts,
        retry=_retry(attempts, at),
        failure=failure,
    )


# --- Deploying --------------------------------------------------------------------------------------------------


def _links_swapped(record: Deploying, event: ev.LinksSwapped, at: Context) -> ServerRecord:
    if record.stage is DeployStage.REAPPLYING:
        # Not the new sets' fault: the old ones are refused as well.
        return _left(record, "server-config-broken", record.blame_text, at)
    rejections = tuple(
        Rejection(name, version, timers.after(at.now, REJECTED_FOR), text) for name, version, text in event.refused
    )
    settled = replace(record.settled, rejections=(*record.settled.rejections, *rejections))
    if not event.batch and settled.confirmed == record.generation - 1:
        return replace(settled, confirmed=record.generation)  # nothing moved, so nothing is owed
    names = {part.name for part in event.batch}
    swapped = replace(record, settled=settled, batch=event.batch, fresh=tuple(n for n in record.fresh if n in names))
    if at.spec.reload is None:
        return _section_confirmed(swapped, ev.SectionConfirmed(), at)
    return replace(swapped, stage=DeployStage.RELOADING)


def _links_restored(record: Deploying, event: ev.LinksRestored, at: Context) -> ServerRecord:
    if not event.batch:
        return _left(record, _BLAME_CODES[record.blame or Blame.SERVER_DOWN], record.blame_text, at)
    return replace(record, stage=DeployStage.RELOADING_OLD, started=False)


def _loading(record: Deploying, _: ev.ReloadReturned | ev.ServerStarted, at: Context) -> Deploying:
    old = record.stage in (DeployStage.RELOADING_OLD, DeployStage.STARTING_OLD)
    settled = replace(record.settled, last_reload=timers.after(at.now, at.spec.reload_min_interval))
    return replace(
        record,
        settled=settled,
        stage=DeployStage.LOADING_OLD if old else DeployStage.LOADING,
        wait=timers.after(at.now, timedelta(seconds=at.facts.verify_seconds)),
    )


def _command_refused(record: Deploying, event: ev.CommandRefused, at: Context) -> ServerRecord:
    match record.stage:
        case DeployStage.RELOADING if event.denied:
            # Nothing was done to the server, so nothing speaks against the new sets, and the next reload takes them up.
            return _left(record, "reload-denied", event.text, at)
        case DeployStage.RELOADING if verdict.going_back(record.batch, Blame.RELOAD_REFUSED):
            back = _taken_back(record, ev.TakenBack(Blame.RELOAD_REFUSED, event.text), at)
            return replace(back, wait=timers.after(at.now, REFUSED_SETTLES))
        case DeployStage.RELOADING:
            return _left(record, "server-config-broken", event.text, at)
        case DeployStage.STARTING if verdict.going_back(record.batch, Blame.SERVER_DOWN):
            return _taken_back(record, ev.TakenBack(Blame.SERVER_DOWN, event.text), at)
        case DeployStage.RELOADING_OLD | DeployStage.STARTING_OLD if (
            record.blame is Blame.RELOAD_REFUSED or not record.was_active
        ):
            settles = timers.after(at.now, REFUSED_SETTLES)
            return replace(record, stage=DeployStage.REAPPLYING, blame_text=event.text, wait=settles)
        case DeployStage.RELOADING_OLD | DeployStage.STARTING_OLD:
            return _left(record, "rollback-failed", event.text, at)
        case _:
            return _left(record, "reload-denied" if event.denied else "server-down", event.text, at)


def _taken_back(record: Deploying, event: ev.TakenBack, _: Context) -> Deploying:
    return replace(record, stage=DeployStage.RESTORING, blame=event.blame, blame_text=event.text, wait=None)


def _section_confirmed(record: Deploying, event: ev.SectionConfirmed, at: Context) -> Settled:
    names = {part.name for part in record.batch}
    settled = record.settled
    return replace(
        settled,
        confirmed=record.generation,
        attempts=0,
        retry=None,
        failure=None,
        suspects=_without(settled.suspects, names),
        rejections=tuple(r for r in settled.rejections if r.name not in names),
        after=tuple(dict.fromkeys((*settled.after, *at.facts.after))),
        not_served=(*(n for n in settled.not_served if n not in names), *event.not_served),
    )


def _section_left(record: Deploying, event: ev.SectionLeft, at: Context) -> Settled:
    if event.code == "server-stopped":
        # Nobody's failure: the operator stopped it. Its next start loads the new files.
        return replace(record.settled, attempts=0, retry=None, failure=None)
    return _left(record, event.code, event.text, at)


def _left(record: Deploying, code: str, text: str, at: Context) -> Settled:
    settled = record.settled
    failure = _failure(settled, Step.RELOAD, code, text, at)
    return replace(settled, failure=failure, retry=_retry(settled.attempts, at))


def _blame_settled(record: Deploying, _: ev.BlameSettled, at: Context) -> Settled:
    """The old sets serve: one new set alone is rejected, several are tried in halves."""
    settled = record.settled
    failure = _failure(settled, Step.RELOAD, _BLAME_CODES[record.blame or Blame.SERVER_DOWN], record.blame_text, at)
    # Those that moved here, and those that another server's section moved.
    suspects = verdict.going_back(record.batch, record.blame)
    changes: dict[str, Any] = {"failure": failure, "retry": _retry(settled.attempts, at)}
    if len(suspects) == 1:
        guilty = suspects[0]
        rejection = Rejection(guilty.name, guilty.version, timers.after(at.now, REJECTED_FOR), record.blame_text)
        others = tuple(r for r in settled.rejections if r.name != guilty.name)
        # It is found: nobody else has to wait for it.
        changes |= {
            "rejections": (*others, rejection),
            "suspects": _without(settled.suspects, {guilty.name}),
            "retry": None,
            "attempts": 0,
        }
    elif suspects:
        names = tuple(part.name for part in suspects)
        middle = len(names) // 2
        rest = _without(settled.suspects, set(names))
        changes |= {
            "suspects": (names[:middle], names[middle:], *rest),
            "retry": timers.after(at.now, FLOOR),
        }
    return replace(settled, **changes)


def _without(groups: tuple[tuple[str, ...], ...], names: set[str]) -> tuple[tuple[str, ...], ...]:
    left = (tuple(name for name in group if name not in names) for group in groups)
    return tuple(group for group in left if group)


def _retry(attempts: int, at: Context) -> Timer:
    return timers.after(at.now, min(backoff(Kind.TRANSIENT, attempts, at.draw), RELOAD_MOST))


def _failure(settled: Settled, step: Step, code: str, text: str, at: Context) -> Failure:
    first = settled.failure.first_at if settled.failure is not None else at.now
    return Failure(step=step, kind=Kind.OPERATOR, code=code, text=text, first_at=first, at=at.now)


_Transition = Callable[[Any, Any, Context], Any]

TRANSITIONS: dict[tuple[type, type], _Transition] = {
    (Settled, ev.Reanchored): _reanchored,
    (Settled, ev.ReloadOwed): _reload_owed,
    (Settled, ev.RetryRequested): _retry_requested,
    (Settled, ev.AfterRun): _after_run,
    (Deploying, ev.Reanchored): _reanchored,
    (Deploying, ev.ReloadOwed): _reload_owed,
    (Deploying, ev.RetryRequested): _retry_requested,
    (Deploying, ev.LinksSwapped): _links_swapped,
    (Deploying, ev.LinksRestored): _links_restored,
    (Deploying, ev.ReloadReturned): _loading,
    (Deploying, ev.ServerStarted): _loading,
    (Deploying, ev.CommandRefused): _command_refused,
    (Deploying, ev.SectionConfirmed): _section_confirmed,
    (Deploying, ev.SectionLeft): _section_left,
    (Deploying, ev.TakenBack): _taken_back,
    (Deploying, ev.BlameSettled): _blame_settled,
}
