"""Every act of a run is a numbered step; at the planned ones the run is interrupted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

T = TypeVar("T")


class Interruption(StrEnum):
    """What happens at a step."""

    CRASH_BEFORE = "crash before"
    CRASH_AFTER = "crash after"
    FAIL = "failed"
    ANSWER_LOST = "done, but reported as failed"
    DOWN_HOUR = "crash after, down for an hour"
    DOWN_DAY = "crash after, down for a day"
    DOWN_MONTH = "crash after, down for thirty days"
    FOREIGN_RELOAD = "foreign reload"
    FOREIGN_EARLIER = "foreign reload, begun half a second earlier"
    STOP = "the operator stops the server for two hours"
    KILL = "the server is killed"
    ROLLBACK = "roll-back"
    RENEW = "renew"
    RENEW_NOW = "renew --now"
    ADD_NAME = "a name is added"


CRASHES = frozenset(
    {
        Interruption.CRASH_BEFORE,
        Interruption.CRASH_AFTER,
        Interruption.DOWN_HOUR,
        Interruption.DOWN_DAY,
        Interruption.DOWN_MONTH,
    }
)
WORDS = frozenset({Interruption.ROLLBACK, Interruption.RENEW, Interruption.RENEW_NOW, Interruption.ADD_NAME})
"""What the operator says to certd."""
OUTSIDE = frozenset(Interruption) - CRASHES - {Interruption.FAIL, Interruption.ANSWER_LOST}
"""What somebody else does; the step itself goes on."""


class Act(StrEnum):
    """What kind of step it is."""

    RECORD = "record"
    """Changes the store."""
    EFFECT = "effect"
    """Changes the world."""
    LOOK = "look"
    """Changes nothing."""


KINDS: Mapping[Act, frozenset[Interruption]] = {
    Act.RECORD: frozenset(Interruption) - {Interruption.CRASH_BEFORE},
    Act.EFFECT: frozenset(Interruption),
    Act.LOOK: OUTSIDE | {Interruption.FAIL},
}


class Crash(BaseException):  # nothing in the product may catch it
    """The process ends here. `after`: the step's effect has happened."""

    def __init__(self, kind: Interruption) -> None:
        super().__init__(kind)
        self.kind = kind


class EffectFailed(Exception):
    """A step did not do what it was asked for, or says so."""


@dataclass(frozen=True)
class Step:
    """One step of a run without interruptions. `epoch`: how many durable changes came before it."""

    number: int
    act: Act
    label: str
    epoch: int


@dataclass
class Steps:
    """Counts steps, and interrupts those that the plan names."""

    plan: Mapping[int, Interruption]
    outside: Callable[[Interruption, str], None]
    """Carries out what somebody else does."""
    pause: Callable[[], None]
    """Before each step others have their turn."""
    seen: list[Step] = field(default_factory=list)
    _epoch: int = 0

    def step(self, act: Act, label: str, effect: Callable[[], T]) -> T:
        """Carry out one step, or what the plan has in its stead. Raises Crash, EffectFailed."""
        number = len(self.seen)
        self.seen.append(Step(number, act, label, self._epoch))
        self._epoch += act is not Act.LOOK
        self.pause()
        kind = self.plan.get(number)
        if kind is None:
            return effect()
        if kind in OUTSIDE:
            self.outside(kind, label)
            return effect()
        if kind is Interruption.CRASH_BEFORE:
            raise Crash(kind)
        if kind is Interruption.FAIL:
            raise EffectFailed
        result = effect()
        if kind is Interruption.ANSWER_LOST:
            raise EffectFailed
        if kind in CRASHES:
            raise Crash(kind)
        return result


def worth_interrupting(steps: list[Step]) -> list[tuple[int, Interruption]]:
    """Each step with each kind of interruption that can make a difference there.

    Looks change nothing. So of looks of a kind without a change between them the first stands for all, for the
    operator's words the first look of any kind; and a crash before a record is written is the crash after the change
    before it.
    """
    chosen: list[tuple[int, Interruption]] = []
    seen: set[tuple[str, int]] = set()
    spoken: set[int] = set()
    for step in steps:
        kinds = KINDS[step.act]
        if step.act is Act.LOOK:
            kinds = frozenset() if (step.label, step.epoch) in seen else kinds
            kinds = kinds - WORDS if step.epoch in spoken else kinds
            seen.add((step.label, step.epoch))
            spoken.add(step.epoch)
        chosen += [(step.number, kind) for kind in Interruption if kind in kinds]
    return chosen
