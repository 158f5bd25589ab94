"""Views made up for tests of what is shown: one certificate on one server with one CA, and ways to change it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from certd.model.codes import Because, Kind
from certd.model.facts import AccountState, CaFacts, CertificateFacts, Live
from certd.model.records import (
    AccountLedger,
    Activity,
    CertificateRecord,
    Draw,
    Failure,
    Idle,
    Installed,
    Leaf,
    Ledger,
    Ordering,
    Owed,
    Registered,
    Served,
    Settled,
    Staged,
    Step,
    Timer,
)
from certd.model.specs import (
    CaSpec,
    CertificateSpec,
    Deployment,
    EabSpec,
    HealthPolicy,
    KeyType,
    ServerSpec,
    ServiceReload,
)
from certd.model.view import AccountView, CertificateView, ServerStateView, View

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
DAY = timedelta(days=1)
LIFE = 90 * DAY


def timer(after: timedelta, set_at: datetime = NOW) -> Timer:
    return Timer(set_at, NOW + after)


def leaf(left: timedelta = 60 * DAY, serial: str = "0a1b", life: timedelta = LIFE) -> Leaf:
    """A certificate with that much time left."""
    return Leaf(
        serial=serial,
        not_before=NOW + left - life,
        not_after=NOW + left,
        names=("example.jp", "www.example.jp"),
        key=KeyType.RSA2048,
        ocsp_url="http://ocsp.example.jp/",
        fingerprint="f" * 64,
    )


def failure(kind: Kind = Kind.TRANSIENT, code: str = "transport:connect-failed", text: str = "refused") -> Failure:
    return Failure(Step.NEW_ORDER, kind, code, text, NOW - 2 * DAY, NOW - DAY)


def ledger(serial: str = "0a1b", **changes: Any) -> Ledger:
    """What is recorded of a certificate whose chores are all done."""
    settled = Ledger(
        draw=Draw(serial, 0.0),
        probe=timer(timedelta(hours=3)),
        status_check=timer(timedelta(hours=5)),
        served=Served(serial, NOW - timedelta(hours=3)),
    )
    return replace(settled, **changes)


def spec(**changes: Any) -> CertificateSpec:
    plain = CertificateSpec("example.jp", ("example.jp", "www.example.jp"), "jprs", deploy=(Deployment("web"),))
    return replace(plain, **changes)


def certificate(
    *,
    left: timedelta | None = 60 * DAY,
    record: CertificateRecord | None = None,
    facts: dict[str, Any] | None = None,
    **changes: Any,
) -> CertificateView:
    """One certificate; `left` None: nothing is live."""
    live = Live(7, leaf(left)) if left is not None else None
    seen = CertificateFacts(live=live, link=7, ca=CaFacts(account=AccountState.READY, permit=True))
    view = CertificateView(
        "example.jp", spec(), record if record is not None else Idle(ledger()), replace(seen, **(facts or {}))
    )
    return replace(view, **changes)


def ordering(**changes: Any) -> Ordering:
    begun = Ordering(
        ledger=ledger(attempts=1),
        because=Because.RENEWAL_TIME,
        ca="jprs",
        directory="https://ca.example.jp/",
        key_id="k1",
        domains=("example.jp", "www.example.jp"),
        key=KeyType.RSA2048,
        placed_at=NOW - timedelta(minutes=1),
        poll=timer(timedelta(seconds=20)),
        order_url="https://ca.example.jp/order/1",
    )
    return replace(begun, **changes)


def staged(**changes: Any) -> Staged:
    waiting = Staged(
        ledger=ledger(),
        because=Because.RENEWAL_TIME,
        version=8,
        leaf=leaf(LIFE, serial="beef"),
        issued_at=NOW - timedelta(minutes=2),
        activate=timer(timedelta(minutes=8)),
        deadline=NOW + timedelta(minutes=68),
        next_check=timer(timedelta(seconds=30)),
    )
    return replace(waiting, **changes)


def installed(swapped: timedelta = timedelta(seconds=5)) -> Installed:
    return Installed(ledger(), staged(), (Owed("web", 4),), NOW - swapped)


def server(activity: Activity = Activity.ACTIVE, **changes: Any) -> ServerStateView:
    record = replace(Settled(wanted=3, confirmed=3), **changes)
    return ServerStateView(ServerSpec("web", ServiceReload("httpd")), record, activity)


def ca(issued: date | None = None) -> CaSpec:
    eab = EabSpec("kid", issued=issued) if issued is not None else None
    return CaSpec("jprs", "https://ca.example.jp/", eab=eab)


def account(record: Any = None, issued: date | None = None) -> AccountView:
    registered = Registered("https://ca.example.jp/", "https://ca.example.jp/acct/1", NOW - DAY, AccountLedger())
    return AccountView(ca(issued), record if record is not None else registered)


def view(
    certificates: Sequence[CertificateView] | None = None,
    servers: Sequence[ServerStateView] | None = None,
    accounts: Sequence[AccountView] | None = None,
    **changes: Any,
) -> View:
    whole = View(
        version="0.1.0",
        started_at=NOW - DAY,
        config_loaded_at=NOW - DAY,
        config_error=None,
        clock_sure=True,
        health=HealthPolicy(),
        certificates=[certificate()] if certificates is None else certificates,
        servers=[server()] if servers is None else servers,
        accounts=[account()] if accounts is None else accounts,
        counters={"orders_placed": 3},
    )
    return replace(whole, **changes)
