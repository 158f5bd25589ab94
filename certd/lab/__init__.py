"""A CA for the loopback, servers to deploy to, and faults on demand: for `certd demo`, rehearsals and tests.

Nothing here is part of the daemon, and nothing here shares code with its ACME client: what the client gets wrong
must not be mirrored by what it is tested against.

The names are loaded when they are first used: `python -m certd.lab.apache` is asked once a second while a server loads,
and needs no CA.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from certd.lab.ca import LabCa
    from certd.lab.faults import ROWS, Faults, LabProblem, Row, row
    from certd.lab.options import LabOptions
    from certd.lab.web import Reply

__all__ = ["ROWS", "Faults", "LabCa", "LabOptions", "LabProblem", "Reply", "Row", "row"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from certd.lab import ca, faults, options, web

    return next(getattr(home, name) for home in (ca, faults, options, web) if hasattr(home, name))
