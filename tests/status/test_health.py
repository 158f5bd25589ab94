"""Health: what is a problem, how bad, and since when."""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction
from typing import Any

import pytest
import views
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from views import DAY, NOW, account, certificate, failure, ledger, server, timer, view

from certd.model.codes import Code, Kind
from certd.model.facts import ServerView
from certd.model.records import (
    AccountLedger,
    AccountRefused,
    Activity,
    CaHold,
    Hold,
    Idle,
    KeyWritten,
    NoKey,
    Served,
    Unconfirmed,
    Unusable,
)
from certd.model.view import CertificateView, Subject, SubjectKind, Trouble, View
from certd.status import Severity, Standing, health

HOUR = timedelta(hours=1)


def codes(seen: View) -> dict[str, str]:
    return {p.code: p.severity.value for p in health(seen, NOW).problems}


def idle(**changes: Any) -> CertificateView:
    left = changes.pop("left", 60 * DAY)
    return certificate(left=left, record=Idle(ledger(**changes)))


def test_all_is_well() -> None:
    """A live, served, fresh certificate, a running server and a registered account: no problem."""
    judged = health(view(), NOW)
    assert judged.status is Standing.OK
    assert judged.problems == ()


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (60 * DAY, {}),
        (22.6 * DAY, {}),
        (22.5 * DAY, {"expiring": "warning"}),
        (11.3 * DAY, {"expiring": "warning"}),
        (11.25 * DAY, {"expiring": "critical"}),
        (timedelta(seconds=1), {"expiring": "critical"}),
        (timedelta(0), {"expired": "critical"}),
        (-DAY, {"expired": "critical"}),
    ],
)
def test_expiry_is_judged_by_fractions_of_the_lifetime(left: timedelta, expected: dict[str, str]) -> None:
    """A quarter of 90 days left is a warning, an eighth critical."""
    assert codes(view([idle(left=left)])) == expected


def test_a_certificate_renewed_late_on_purpose_raises_no_alarm_before_its_renewal() -> None:
    """With renew_before 1/12 nothing is due at an eighth; the same share of its own window counts."""
    late = views.spec(renew_before=Fraction(1, 12))
    assert codes(view([certificate(left=8 * DAY, spec=late)])) == {}
    assert codes(view([certificate(left=5 * DAY, spec=late)])) == {"expiring": "warning"}
    assert codes(view([certificate(left=2 * DAY, spec=late)])) == {"expiring": "critical"}


@given(st.integers(0, 95), st.integers(0, 95))
def test_less_time_is_never_healthier(a: int, b: int) -> None:
    """Severity grows as time runs out."""
    rank = {Standing.OK: 0, Standing.WARNING: 1, Standing.CRITICAL: 2}
    more, less = max(a, b), min(a, b)
    assert (
        rank[health(view([idle(left=less * DAY)]), NOW).status]
        >= rank[health(view([idle(left=more * DAY)]), NOW).status]
    )


@pytest.mark.parametrize(
    ("kind", "attempts", "left", "expected"),
    [
        (Kind.TRANSIENT, 9, 29 * DAY, {}),
        (Kind.RATE_LIMITED, 9, 29 * DAY, {}),
        (Kind.VALIDATION, 1, 29 * DAY, {}),
        (Kind.VALIDATION, 3, 29 * DAY, {"x": "warning"}),
        (Kind.OPERATOR, 1, 29 * DAY, {"x": "warning"}),
        (Kind.ACCOUNT, 1, 29 * DAY, {"x": "warning"}),
        (Kind.BUG, 1, 29 * DAY, {"x": "warning"}),
        (Kind.TRANSIENT, 9, 20 * DAY, {"expiring": "warning", "x": "warning"}),
        (Kind.TRANSIENT, 9, 5 * DAY, {"expiring": "critical", "x": "critical"}),
        (Kind.OPERATOR, 1, 5 * DAY, {"expiring": "critical", "x": "critical"}),
    ],
)
def test_failures_by_kind(kind: Kind, attempts: int, left: timedelta, expected: dict[str, str]) -> None:
    """What needs a person is told at once; what passes by itself only once it eats into the margin."""
    assert codes(view([idle(left=left, failure=failure(kind, "x"), attempts=attempts)])) == expected


def test_no_live_certificate() -> None:
    """On the way to the first certificate a warning; critical once an attempt has failed."""
    assert codes(view([idle(left=None)])) == {"no-live-certificate": "warning"}
    failed = idle(left=None, failure=failure(Kind.TRANSIENT, "x"))
    assert codes(view([failed])) == {"no-live-certificate": "critical", "x": "critical"}
    assert codes(view([replace(failed, placeholder=True)])) == {"placeholder-served": "critical", "x": "critical"}


def test_a_deadline_without_a_good_answer() -> None:
    """A warning with the responder's code, for as long as that certificate is live and was not called good."""
    doubt = Unconfirmed("0a1b", Code.OCSP_UNKNOWN, NOW - HOUR)
    judged = health(view([idle(unconfirmed=doubt)]), NOW).problems
    assert [(p.code, p.severity.value, p.since) for p in judged] == [("ocsp-unknown", "warning", NOW - HOUR)]
    assert codes(view([idle(unconfirmed=replace(doubt, serial="dead"))])) == {}


def test_revoked_before_it_was_live() -> None:
    """certd goes on by itself, but a CA that does this is told of at once."""
    assert codes(view([idle(failure=failure(code="revoked"))])) == {"revoked": "warning"}


def test_revoked() -> None:
    """A live certificate that the responder calls revoked is critical; an older one's revocation is history."""
    assert codes(view([idle(revoked="0a1b")])) == {"revoked": "critical"}
    assert codes(view([idle(revoked="dead")])) == {}


def test_what_is_served_counts() -> None:
    """Another certificate at the handshake than the live one is critical, unless nothing looked since the swap."""
    other = Served("dead", NOW - HOUR)
    assert codes(view([idle(served=other)])) == {"served-differs": "critical"}
    assert codes(view([idle(served=other, probe=None)])) == {}
    assert codes(view([idle(served=Served(None, NOW))])) == {}


def test_a_name_without_a_virtual_host() -> None:
    """It is shown the first host's certificate; the server tells what it is, and that is a warning."""
    facts = {"servers": (ServerView("web", 2, 2, not_served=True),)}
    bare = certificate(record=Idle(ledger(served=Served("dead", NOW))), facts=facts)
    assert codes(view([bare])) == {}


def test_installed_but_unconfirmed() -> None:
    """A moment after the swap is nothing; minutes later the missing proof is a warning."""
    assert codes(view([certificate(record=views.installed(timedelta(minutes=9)))])) == {}
    assert codes(view([certificate(record=views.installed(timedelta(minutes=11)))])) == {"unconfirmed": "warning"}


def test_hold_and_rejection_are_warnings_while_time_remains() -> None:
    """A roll-back's hold and a set that its server rejects are told, not hidden."""
    assert codes(view([idle(hold=Hold(timer(DAY), 8))])) == {"held": "warning"}
    assert codes(view([idle(hold=Hold(timer(-DAY, NOW - 2 * DAY), 8))])) == {}
    facts = {"servers": (ServerView("web", 3, 3, rejection=timer(HOUR)),)}
    assert codes(view([certificate(facts=facts)])) == {"set-rejected": "warning"}
    assert codes(view([certificate(left=5 * DAY, facts=facts)])) == {"expiring": "critical", "set-rejected": "critical"}


def test_a_broken_record_is_critical_and_quoted() -> None:
    """The reason why it cannot be read is the text; the subject is named by its kind."""
    broken = replace(certificate(), record=None, broken="certs/example.jp/state.json: not JSON")
    problem = health(view([broken]), NOW).problems[0]
    assert (problem.code, problem.severity) == ("record-broken", Severity.CRITICAL)
    assert problem.text == "certs/example.jp/state.json: not JSON"
    assert problem.certificate == "example.jp"
    assert problem.remedy


def test_unmanaged_is_told_only_while_somebody_may_rely_on_it() -> None:
    """Files without a configuration are a warning when they are about to expire, not before and not after."""
    managed = replace(certificate(), name="other.jp")
    for left, expected in ((60 * DAY, {}), (10 * DAY, {"unmanaged": "warning"}), (-DAY, {})):
        assert codes(view([managed, certificate(left=left, spec=None)])) == expected


def test_a_failed_self_check_is_told_during_the_order() -> None:
    """Afterwards it is of no more interest."""
    assert codes(view([certificate(record=views.ordering(), warning="no answer")])) == {"self-check": "warning"}
    assert codes(view([certificate(warning="no answer")])) == {}


def test_zero_certificates_is_a_warning() -> None:
    """So is a configuration that names none of those on disk."""
    assert codes(view([])) == {"no-certificates": "warning"}
    assert codes(view([certificate(spec=None)])) == {"no-certificates": "warning"}


def test_the_daemon_itself() -> None:
    """A broken new configuration and an unsure clock are warnings; the old configuration works on."""
    seen = view(config_error="config.yaml:3: x: unknown key", clock_sure=False)
    assert codes(seen) == {"config-error": "warning", "clock-unsure": "warning"}


@pytest.mark.parametrize(
    ("activity", "changes", "expected"),
    [
        (Activity.ACTIVE, {"wanted": 4}, {}),
        (Activity.ACTIVE, {"wanted": 4, "attempts": 2}, {"reload-owed": "warning"}),
        (Activity.INACTIVE, {"wanted": 4}, {"server-stopped": "warning"}),
        (Activity.INACTIVE, {}, {}),
        (Activity.FAILED, {}, {"server-down": "critical"}),
        (Activity.UNKNOWN, {}, {}),
        (
            Activity.ACTIVE,
            {"failure": failure(Kind.OPERATOR, "reload-ineffective")},
            {"reload-ineffective": "critical"},
        ),
        (Activity.FAILED, {"failure": failure(Kind.OPERATOR, "rollback-failed")}, {"rollback-failed": "critical"}),
        (Activity.ACTIVE, {"failure": failure(Kind.TRANSIENT, "after-failed")}, {"after-failed": "warning"}),
        (Activity.ACTIVE, {"not_served": ("a.jp",)}, {"not-served": "warning"}),
    ],
)
def test_servers(activity: Activity, changes: dict[str, Any], expected: dict[str, str]) -> None:
    """A stopped server is the operator's choice; one that failed, or does not serve what it should, is critical."""
    assert codes(view(servers=[server(activity, **changes)])) == expected


def ca_ledger(kind: Kind = Kind.OPERATOR, **changes: Any) -> AccountLedger:
    return AccountLedger(failure=failure(kind, "jprs:eab-invalid"), **changes)


@pytest.mark.parametrize(
    ("record", "issued", "expected"),
    [
        (AccountRefused("https://d/", ca_ledger(), timer(HOUR)), None, {"account-refused": "critical"}),
        (Unusable("https://d/", "https://d/1", ca_ledger(), timer(HOUR)), None, {"account-unusable": "critical"}),
        (KeyWritten("https://d/", ca_ledger()), None, {"jprs:eab-invalid": "critical"}),
        (KeyWritten("https://d/", ca_ledger(Kind.TRANSIENT)), None, {"jprs:eab-invalid": "warning"}),
        (NoKey(), date(2026, 11, 20), {}),
        (NoKey(), date(2026, 11, 16), {"eab-expiring": "warning"}),
        (NoKey(), date(2026, 11, 10), {"eab-expiring": "critical"}),
        (NoKey(), date(2026, 11, 1), {"eab-expired": "critical"}),
        (None, date(2026, 11, 1), {}),
    ],
)
def test_accounts(record: Any, issued: date | None, expected: dict[str, str]) -> None:
    """An account that cannot order is critical while certificates use it; EAB credentials matter until registration."""
    assert codes(view(accounts=[account(record, issued)])) == expected


def test_a_registration_that_sites_wait_for_is_told_at_once() -> None:
    """A passing failure needs hours to be worth a word, unless a certificate has nothing live meanwhile."""
    young = replace(failure(Kind.TRANSIENT, "x"), first_at=NOW - timedelta(minutes=1))
    failing = account(KeyWritten("https://d/", AccountLedger(failure=young)))
    assert codes(view(accounts=[failing])) == {}
    bare = idle(left=None)
    assert codes(view([bare], accounts=[failing])) == {"no-live-certificate": "warning", "x": "warning"}


def test_a_registered_account_that_needs_a_person() -> None:
    """It still orders, so it is a warning; but at once. What passes by itself is none."""
    for kind, expected in ((Kind.OPERATOR, {"x": "warning"}), (Kind.ACCOUNT, {"x": "warning"}), (Kind.TRANSIENT, {})):
        failing = AccountLedger(failure=failure(kind, "x"))
        registered = replace(account(), record=replace(account().record, ledger=failing))
        assert codes(view(accounts=[registered])) == expected


def test_a_record_that_cannot_be_written_is_told() -> None:
    """A full disk: everything is known and nothing can be done. As pressing as its certificate is."""
    full = "cannot write state.json: the file system is full"
    assert codes(view([certificate(broken=full)])) == {"record-unsaved": "warning"}
    assert codes(view([certificate(left=5 * DAY, broken=full)]))["record-unsaved"] == "critical"
    assert codes(view(servers=[replace(server(), broken=full)])) == {"record-unsaved": "warning"}
    assert codes(view(accounts=[replace(account(), broken=full)])) == {"record-unsaved": "warning"}
    (problem,) = health(view([certificate(broken=full)]), NOW).problems
    assert (problem.text, problem.certificate) == (full, "example.jp")


@pytest.mark.parametrize(
    ("kind", "named"),
    [(SubjectKind.CERTIFICATE, "certificate"), (SubjectKind.SERVER, "server"), (SubjectKind.ACCOUNT, "ca"), (None, "")],
)
def test_faults_of_the_daemon_are_told(kind: SubjectKind | None, named: str) -> None:
    """A tick that raises, alarms that cannot be delivered: since when, and of whom where it is of one."""
    subject = Subject(kind, "x") if kind is not None else None
    (problem,) = health(view(troubles=(Trouble("bug:error", "ValueError: odd", NOW, subject),)), NOW).problems
    assert (problem.code, problem.severity, problem.text) == ("bug:error", Severity.WARNING, "ValueError: odd")
    assert problem.since == NOW
    assert {key: getattr(problem, key) for key in ("certificate", "server", "ca")} == {
        key: ("x" if key == named else None) for key in ("certificate", "server", "ca")
    }


def test_an_account_that_nobody_uses_is_a_warning() -> None:
    """What no certificate depends on breaks no site."""
    refused = account(AccountRefused("https://d/", AccountLedger(), timer(HOUR)))
    assert codes(view([certificate(spec=views.spec(ca="other"))], accounts=[refused])) == {"account-refused": "warning"}


def test_a_long_pause_of_the_ca_is_told() -> None:
    """Minutes of a rate limit are daily life; days are not."""
    for length, expected in ((HOUR, {}), (2 * DAY, {"ca-held": "warning"})):
        held = replace(
            account(),
            record=replace(account().record, ledger=AccountLedger(CaHold(timer(length), "429", timer(DAY)))),
        )
        assert codes(view(accounts=[held])) == expected


def test_critical_problems_come_first_and_set_the_standing() -> None:
    """The worst problem is the answer."""
    judged = health(view([idle(hold=Hold(timer(DAY), 8)), replace(idle(left=-DAY), name="b.jp")]), NOW)
    assert judged.status is Standing.CRITICAL
    assert [p.severity for p in judged.problems] == [Severity.CRITICAL, Severity.WARNING]
    assert all(p.text and p.remedy for p in judged.problems)
