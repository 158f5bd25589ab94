"""A CA for the loopback, servers to deploy to, and faults on demand: for `certd demo`, rehearsals and tests.

Nothing here is part of the daemon, and nothing here shares code with its ACME client: what the client gets wrong
must not be mirrored by what it is tested against.
"""

from __future__ import annotations

from certd.lab.ca import LabCa
from certd.lab.faults import ROWS, Faults, LabProblem, Row, row
from certd.lab.options import LabOptions
from certd.lab.web import Reply

__all__ = ["ROWS", "Faults", "LabCa", "LabOptions", "LabProblem", "Reply", "Row", "row"]
