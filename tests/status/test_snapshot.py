"""The status as JSON: the contract's fields, and what comes next, when and why."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

import msgspec
import pytest
import views
from msgspec.structs import replace
from views import DAY, NOW, account, certificate, failure, ledger, server, timer, view

from certd.model.codes import Because, Kind
from certd.model.facts import CaFacts
from certd.model.records import (
    CertificateRecord,
    Deploying,
    DeployStage,
    Hold,
    Idle,
    NoKey,
    OcspCheck,
    OcspWord,
    Settled,
)
from certd.status import Snapshot, explain_next, report, snapshot
from certd.status.shape import CertificateState
from certd.status.snapshot import action_name


def one(record: CertificateRecord | None = None, **changes: Any) -> CertificateState:
    return snapshot(view([certificate(record=record, **changes)]), NOW).certificates[0]


def test_the_contract_s_fields_are_there() -> None:
    """Names and forms of the JSON are what monitoring relies on."""
    whole = json.loads(msgspec.json.encode(snapshot(view([certificate(record=views.staged())]), NOW)))
    assert whole["schema"] == 1
    assert whole["status"] == "ok"
    assert whole["problems"] == []
    assert (
        whole["daemon"].items()
        >= {
            "version": "0.1.0",
            "started_at": "2026-11-22T12:00:00Z",
            "config_loaded_at": "2026-11-22T12:00:00Z",
            "config_error": None,
            "clock": "sure",
        }.items()
    )
    assert (
        whole["cas"][0].items()
        >= {"name": "jprs", "account": "registered", "eab_deadline": None, "held_until": None}.items()
    )
    assert whole["servers"][0].items() >= {"name": "web", "active": "active", "wanted": 3, "confirmed": 3}.items()
    shown = whole["certificates"][0]
    assert (
        shown.items()
        >= {
            "name": "example.jp",
            "domains": ["example.jp", "www.example.jp"],
            "phase": "staged",
            "reason": "renewal-time",
            "next_action": "swap-links",
            "next_at": "2026-11-23T12:08:00Z",
            "placeholder": False,
            "failure": None,
        }.items()
    )
    assert shown["waiting"] == {"code": "ocsp-delay", "until": "2026-11-23T12:08:00Z"}
    assert (
        shown["live"].items()
        >= {"serial": "0a1b", "not_before": "2026-10-24T12:00:00Z", "not_after": "2027-01-22T12:00:00Z"}.items()
    )
    assert (
        shown["staged"].items()
        >= {
            "serial": "beef",
            "activate_at": "2026-11-23T12:08:00Z",
            "deadline": "2026-11-23T13:08:00Z",
            "ocsp": "not-asked",
        }.items()
    )
    assert shown["served"] == {"serial": "0a1b", "at": "2026-11-23T09:00:00Z"}


def test_it_decodes_to_what_it_was() -> None:
    """Commands read the same types back."""
    whole = snapshot(view(), NOW)
    assert msgspec.json.decode(msgspec.json.encode(whole), type=Snapshot) == whole


def test_nothing_live_is_null() -> None:
    """The placeholder is no live certificate."""
    shown = one(left=None, placeholder=True)
    assert shown.live is None
    assert shown.placeholder


def test_not_due_shows_the_renewal_and_not_the_next_chore() -> None:
    """What an operator waits for is the renewal, though the daemon looks more often."""
    shown = one(left=85 * DAY)
    assert (shown.reason, shown.next_action, shown.next_at) == ("not-due", "place-order", NOW + 55 * DAY)
    assert shown.next == "Renewal begins 2027-01-17 12:00 UTC (in 55 days)."


def test_a_failure_shows_attempts_remedy_and_the_next_try() -> None:
    """Everything needed to help is in one place."""
    record = Idle(ledger(attempts=3, failure=failure(), retry=timer(timedelta(hours=2)), goal=_goal()))
    shown = one(record, left=20 * DAY)
    assert shown.failure is not None
    assert (shown.failure.kind, shown.failure.code, shown.failure.attempts) == ("transient", failure().code, 3)
    assert shown.failure.first_at == NOW - 2 * DAY
    assert shown.failure.next_at == NOW + timedelta(hours=2)
    assert shown.failure.remedy
    assert shown.waiting is not None
    assert (shown.waiting.code, shown.next_at) == ("back-off", NOW + timedelta(hours=2))
    assert "2026-11-23 14:00 UTC (in 2 hours)" in shown.next


def _goal() -> str:
    from certd.plan.goal import goal

    return goal(views.spec())


def test_an_order_that_is_due_now() -> None:
    """Without anything in the way the next action is now, with its reason."""
    shown = one(left=20 * DAY)
    assert (shown.waiting, shown.next_action, shown.next_at) == (None, "place-order", NOW)
    assert shown.reason == Because.RENEWAL_TIME
    assert shown.next == "A certificate is ordered now. Its renewal time has come."


@pytest.mark.parametrize(
    ("record", "facts", "code", "action"),
    [
        (views.ordering(), {}, "ca-validating", "read-order"),
        (views.ordering(finalized_at=NOW, give_up=NOW + DAY), {}, "ca-processing", "read-order"),
        (views.installed(), {"link": 8, "servers": ()}, None, "note-confirmed"),
        (Idle(ledger(hold=Hold(timer(DAY), 8))), {"live": None}, "held-by-operator", "place-order"),
        (Idle(ledger()), {"live": None, "ca": CaFacts()}, "account-pending", "place-order"),
        (Idle(ledger()), {"live": None, "clock_sure": False}, "clock-unsure", "place-order"),
    ],
)
def test_phases_and_waits(record: CertificateRecord, facts: dict[str, Any], code: str | None, action: str) -> None:
    """Each wait says what follows it, in words as well."""
    shown = one(record, facts=facts)
    assert (shown.waiting.code if shown.waiting else None) == code
    assert shown.next_action == action
    assert shown.next
    assert explain_next(shown, NOW, "ja") != shown.next


def test_a_gate_that_waits_for_the_responder_says_its_deadline() -> None:
    """An unknown answer keeps the gate closed; the deadline opens it all the same."""
    record = views.staged(
        activate=timer(timedelta(minutes=-1), NOW - timedelta(minutes=11)),
        check=OcspCheck(OcspWord.UNKNOWN, NOW - timedelta(seconds=9)),
    )
    shown = one(record)
    assert shown.staged is not None
    assert shown.staged.ocsp == "unknown"
    assert shown.waiting is not None
    assert shown.waiting.code == "ocsp-unknown"
    assert "at the latest 2026-11-23 13:08 UTC" in shown.next


def test_unmanaged_and_broken_are_listed() -> None:
    """What cannot be worked on is shown with its reason, not left out."""
    shown = one(spec=None)
    assert (shown.managed, shown.reason, shown.next_at) == (False, "unmanaged", None)
    assert "certd forget example.jp" in shown.next
    broken = snapshot(view([replace(certificate(), record=None, broken="not JSON")]), NOW).certificates[0]
    assert (broken.phase, broken.reason, broken.broken) == ("broken", "record-broken", "not JSON")
    assert broken.next


def test_a_server_at_work_and_a_broken_one() -> None:
    """A deployment shows its stage; a record that cannot be read shows as broken."""
    deploying = Deploying(Settled(4, 3), 4, (), (), True, (), DeployStage.LOADING, NOW)
    states = snapshot(
        view(servers=[replace(server(), record=deploying), replace(server(), record=None, broken="x")]), NOW
    ).servers
    assert (states[0].phase, states[0].stage, states[0].wanted, states[0].confirmed) == ("deploying", "loading", 4, 3)
    assert states[1].phase == "broken"


def test_the_deadline_of_unused_credentials() -> None:
    """Fourteen days after their issue, shown until they are spent."""
    assert snapshot(view(accounts=[account(NoKey(), date(2026, 11, 20))]), NOW).cas[0].eab_deadline == (
        NOW.replace(hour=0, month=12, day=4)
    )
    assert snapshot(view(accounts=[account(None, date(2026, 11, 20))]), NOW).cas[0].eab_deadline is None


def test_a_report_of_one_certificate() -> None:
    """/status/NAME: that certificate and its problems; nothing for a name nobody knows."""
    found = report(view([certificate(left=-DAY)]), "example.jp", NOW)
    assert found is not None
    assert found.certificate.name == "example.jp"
    assert [p.code for p in found.problems] == ["expired"]
    assert report(view(), "other.jp", NOW) is None


def test_action_names_are_kebab_case() -> None:
    """The class name is the code."""
    assert action_name(Kind) == "kind"
    assert action_name(Hold) == "hold"
    assert action_name(CertificateState) == "certificate-state"
