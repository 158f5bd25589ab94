"""Ways of answering a challenge: one module per way, one class per challenge type, all behind `Solver`.

The order of calls is: `place` (pure; the answer is recorded durably), `present`, the CA validates, `clean_up`. What was
presented is cleaned up by the recorded place alone, so a changed configuration or a restart leaves nothing behind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import msgspec

from certd.challenges.http01 import Http01, WebrootOptions
from certd.errors import ChallengeError
from certd.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from certd.challenges.fetch import Route, Send
    from certd.model.orders import Task
    from certd.model.specs import SolverSpec


class Solver(Protocol):
    """One way of answering one type of challenge. Instances hold options only and may be shared between threads."""

    type: ClassVar[str]
    """The challenge type (RFC 8555 section 9.7.8)."""

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Solver:
        """The solver for the options of the configuration. Raises ChallengeError where they are wrong."""
        ...

    def place(self, task: Task, key_authorization: str) -> str:
        """Where the response will be put, as JSON for `clean_up`. Pure; holds no secret. Raises ChallengeError."""
        ...

    def present(self, task: Task, key_authorization: str, place: str) -> None:
        """Put the response in place; doing it twice is doing it once. Raises ChallengeError."""
        ...

    @staticmethod
    def clean_up(place: str) -> None:
        """Take the response away, by the recorded place alone; idempotent. Raises ChallengeError."""
        ...

    def self_check(self, task: Task, key_authorization: str, send: Send, *, route: Route | None = None) -> str | None:
        """Look at the response as the CA would. A sentence of warning, or None; never a reason to stop."""
        ...


SOLVERS: dict[str, type[Solver]] = {Http01.type: Http01}
"""By challenge type. `SOLVERS[presented.solver].clean_up(presented.place)` needs no configuration."""

OPTIONS: dict[str, type[msgspec.Struct]] = {Http01.type: WebrootOptions}
"""The options that each solver takes in the configuration, by the same key."""


def make_solver(spec: SolverSpec) -> Solver:
    """The solver that the configuration asks for. Raises ChallengeError for an unknown type or wrong options."""
    solver = SOLVERS.get(spec.type)
    if solver is None:
        known = ", ".join(sorted(SOLVERS))
        raise ChallengeError(f"challenge type {printable(spec.type, 60)} is not known; known: {known}")
    return solver.from_options(spec.options)


def written_below(spec: SolverSpec) -> str | None:
    """The directory that this way of solving writes to; None for one that writes no files."""
    webroot = spec.options.get("webroot")
    return webroot if isinstance(webroot, str) else None
