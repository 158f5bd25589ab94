"""What `certd.acme.order.next_step` answers: the one thing to do next for an order (RFC 8555 section 7.1.6)."""

from __future__ import annotations

from datetime import timedelta

import msgspec


class Task(msgspec.Struct, frozen=True):
    """One challenge to be answered."""

    identifier: str
    """The domain without `*.`, or the IP address."""
    wildcard: bool
    type: str
    url: str
    token: str
    authorization_url: str


class Present(msgspec.Struct, frozen=True, tag=True):
    """These responses must be put in place before the CA is told."""

    tasks: tuple[Task, ...]


class WaitReady(msgspec.Struct, frozen=True, tag=True):
    """Presented, but the solver does not see them published yet (dns-01)."""

    tasks: tuple[Task, ...]


class Respond(msgspec.Struct, frozen=True, tag=True):
    """The CA may be told to validate these (RFC 8555 section 7.5.1)."""

    tasks: tuple[Task, ...]


class Poll(msgspec.Struct, frozen=True, tag=True):
    """Read again later. `processing`: the CA is issuing, else it is validating."""

    processing: bool
    retry_after: timedelta | None = None


class Finalize(msgspec.Struct, frozen=True, tag=True):
    url: str


class Download(msgspec.Struct, frozen=True, tag=True):
    url: str


class OrderFailed(msgspec.Struct, frozen=True, tag=True):
    """The order is invalid. `problem_type` is empty where the CA gave none."""

    problem_type: str
    text: str
    status: int = 0
    identifier: str | None = None
    validation: bool = False
    """An authorization failed, as against the order itself."""


OrderStep = Present | WaitReady | Respond | Poll | Finalize | Download | OrderFailed
