"""What the demo claims, held against what was seen; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from certd.errors import CertdError
from certd.lab.demo.story import Happening, Line, Story
from certd.lab.demo.witness import Sighting
from certd.lab.objects import Account, Order
from certd.lab.service import LogEntry

LEAST = 5
"""Handshakes within a wait that make it a proof."""


class NotProven(CertdError):
    """Something that the demo is there to show was not so."""

    code = "not-proven"


@dataclass(frozen=True)
class Wait:
    """One certificate between its issue and its swap, by certd's own word."""

    name: str
    old: str
    """The serial that is to be served until the gate opens."""
    old_is: str
    """What it is: the placeholder, or the old certificate."""
    new: str
    issued_at: datetime
    activate_at: datetime
    """As the status socket showed it, cut to whole seconds."""
    unknown_at: datetime
    good_at: datetime
    swapped_at: datetime


def wait_of(story: Story, name: str, *, old: str, old_is: str, activate_at: datetime | None, since: datetime) -> Wait:
    """Gather one from the log. Raises `NotProven` where a part of it is missing."""

    def first(happening: Happening) -> Line:
        found = story.find(happening, since, name)
        if not found:
            raise NotProven(f"{name}: certd never said {happening.value!r}")
        return found[0]

    if activate_at is None:
        raise NotProven(f"{name}: the status socket never showed it staged")
    issued = first(Happening.ISSUED)
    return Wait(
        name=name,
        old=old,
        old_is=old_is,
        new=issued.fields.get("serial", ""),
        issued_at=issued.at,
        activate_at=activate_at,
        unknown_at=first(Happening.UNKNOWN).at,
        good_at=first(Happening.GOOD).at,
        swapped_at=first(Happening.SWAPPED).at,
    )


def prove_gate(wait: Wait) -> str:
    """Unknown first, good no sooner than the delay, swapped after it. Raises `NotProven`."""
    if not wait.unknown_at < wait.good_at:
        raise NotProven(f"{wait.name}: OCSP was not seen unknown before it was good")
    if wait.good_at < wait.activate_at:
        raise NotProven(f"{wait.name}: the gate opened before its time, {wait.activate_at:%H:%M:%S}Z")
    if wait.swapped_at < wait.good_at:
        raise NotProven(f"{wait.name}: swapped before OCSP was good")
    delay = (wait.good_at - wait.issued_at).total_seconds()
    return f"{wait.name}: OCSP unknown at first; good, and the gate open, {delay:.1f} s after the issue; then the swap"


def prove_service(wait: Wait, seen: Sequence[Sighting]) -> str:
    """The old serial until the gate opened, the new one at the end, and never anything else. Raises `NotProven`."""
    for sighting in seen:
        if sighting.serial is None:
            raise NotProven(f"{wait.name}: a handshake failed: {sighting.text}")
        if sighting.serial not in (wait.old, wait.new):
            raise NotProven(f"{wait.name}: served with a serial that nobody expects, {sighting.serial}")
        if sighting.serial == wait.new and sighting.ended < wait.good_at:
            raise NotProven(f"{wait.name}: the new certificate was served before the gate opened")
    if not seen or seen[-1].serial != wait.new:
        raise NotProven(f"{wait.name}: the new certificate is not served")
    within = sum(1 for one in seen if wait.issued_at <= one.began and one.ended < wait.good_at)
    if within < LEAST:
        raise NotProven(f"{wait.name}: only {within} handshakes while the gate was closed prove nothing")
    return (
        f"{wait.name}: {wait.old_is} ({short(wait.old)}) was served until the gate opened: "
        f"{within} of {within} handshakes; 0 of {len(seen)} failed"
    )


def prove_reload(count: int, before: int, story: Story, since: datetime, names: int) -> str:
    """One reload for all. `count` and `before`: by the server's own log. Raises `NotProven`."""
    asked = len(story.find(Happening.RELOADING, since))
    if (count - before, asked) != (1, 1):
        raise NotProven(f"{count - before} reloads by the server's log and {asked} by certd's, not one")
    return f"one reload for {names} certificates, by the web server's own log"


def prove_books(
    accounts: Sequence[Account], orders: Sequence[Order], log: Sequence[LogEntry], *, kid: str, expected: int
) -> str:
    """What the CA has on record. Raises `NotProven`."""
    if [account.eab_kid for account in accounts] != [kid]:
        raise NotProven(f"the CA knows {len(accounts)} accounts, and not the one of {kid} alone")
    if [order.status for order in orders] != ["valid"] * expected:
        raise NotProven(
            f"the CA has {len(orders)} orders ({', '.join(o.status for o in orders)}), not {expected} valid"
        )
    refused = [entry for entry in log if entry.problem is not None]
    if refused:
        raise NotProven(f"the CA refused {len(refused)} requests: {refused[0].problem} at {refused[0].endpoint}")
    return f"in the CA's books: 1 account, {expected} orders, all valid; 0 of {len(log)} requests refused"


def short(serial: str) -> str:
    """A serial for people."""
    return serial if len(serial) <= 12 else f"{serial[:10]}.."
