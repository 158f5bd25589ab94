"""What certd does for an account, against a CA with the ways of JPRS."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest
from issuance import Issuance
from msgspec.structs import replace

from certd.acme.jws import AccountKey
from certd.lab.faults import LabProblem
from certd.lab.web import Reply
from certd.model import actions as do
from certd.model import events as ev
from certd.model.codes import Kind
from certd.model.facts import AccountFacts
from certd.model.records import AccountLedger, Registered, Step, Unusable
from certd.plan import account as plan

FIRST, AGAIN = do.Register(find_first=False), do.Register(find_first=True)


@pytest.fixture
def keyed(issuance: Issuance) -> Issuance:
    """A world with an account key that no CA has seen."""
    issuance.world.account(issuance.ca, do.WriteKey())
    return issuance


def asked(issuance: Issuance) -> list[str]:
    """What the CA was asked for on its newAccount."""
    return [entry.path.rpartition("/")[2] for entry in issuance.lab.log if "ccount" in entry.path]


def test_a_key_is_made_once(keyed: Issuance):
    """I7: the second time the first key stays."""
    key = keyed.store.read_account_key("jprs")
    assert key is not None
    AccountKey.from_pem(key)
    assert keyed.world.account(keyed.ca, do.WriteKey()) == ev.KeyMade()
    assert keyed.store.read_account_key("jprs") == key


def test_a_registration(keyed: Issuance, caplog: pytest.LogCaptureFixture):
    """The account's URL, and the contacts that were sent; the log has the URL of the terms that were agreed to."""
    with caplog.at_level(logging.INFO):
        known = keyed.world.account(keyed.ca, FIRST)
    (terms,) = [r.certd_fields["url"] for r in caplog.records if "terms of service" in r.getMessage()]  # type: ignore[attr-defined]
    assert terms.startswith("https://")
    (account,) = keyed.lab.accounts
    assert isinstance(known, ev.AccountKnown)
    assert known.url.endswith(account.id)
    assert known.contact == ("ops@example.jp",)
    assert account.contact == ["mailto:ops@example.jp"]


def test_a_lost_answer_costs_no_second_account(keyed: Issuance):
    """The key is looked for first, without contacts or credentials: their fate is not known, so none are told."""
    keyed.lab.faults.lose("newAccount")
    failed = keyed.world.account(keyed.ca, FIRST)
    assert (failed.step, failed.kind) == (Step.ACCOUNT, Kind.TRANSIENT)
    known = keyed.world.account(keyed.ca, AGAIN)
    assert isinstance(known, ev.AccountKnown)
    assert known.contact is None
    assert len(keyed.lab.accounts) == 1


def test_a_lost_answer_costs_no_credentials(keyed: Issuance):
    """EAB credentials are good for one registration: spent by the answer that got lost, they are not offered again."""
    keyed.lab.options.eab_required = True
    spec = keyed.with_eab(*keyed.lab.new_eab())
    keyed.lab.faults.lose("newAccount")
    assert isinstance(keyed.world.account(spec, FIRST), ev.Failed)
    assert isinstance(keyed.world.account(spec, AGAIN), ev.AccountKnown)
    (account,) = keyed.lab.accounts
    assert account.eab_kid == spec.eab.kid


def test_looking_first_registers_in_the_end(keyed: Issuance):
    """A key that nobody knows is registered with what is configured."""
    known = keyed.world.account(keyed.ca, AGAIN)
    assert known.contact == ("ops@example.jp",)


@pytest.mark.parametrize(
    ("change", "kind"),
    [({"terms_of_service_agreed": False}, Kind.OPERATOR), ({"contact": ("nobody",)}, Kind.OPERATOR)],
)
def test_what_the_ca_refuses(keyed: Issuance, change: dict[str, Any], kind: Kind):
    """A refusal is for the operator."""
    failed = keyed.world.account(replace(keyed.ca, **change), FIRST)
    assert isinstance(failed, ev.Failed)
    assert failed.kind is kind


@pytest.mark.parametrize("spent", [True, False])
def test_credentials_that_are_no_good(keyed: Issuance, spent: bool):
    """Spent or unknown: the operator has to ask the reseller; no byte of the key is told."""
    keyed.lab.options.eab_required = True
    kid, mac = keyed.lab.new_eab()
    if spent:
        keyed.lab.records.eab[kid].spent = True
    failed = keyed.world.account(keyed.with_eab(kid if spent else "nobody", mac), FIRST)
    assert (failed.kind, failed.code) == (Kind.OPERATOR, "jprs:eab-invalid")
    assert mac not in failed.text


def test_a_key_file_that_is_missing(keyed: Issuance):
    """It is named, and nothing is asked of the CA."""
    spec = keyed.with_eab("kid", "c2VjcmV0LXNlY3JldC1zZWNyZXQ")
    (keyed.root / "kid.key").unlink()
    failed = keyed.world.account(spec, FIRST)
    assert (failed.kind, failed.code) == (Kind.OPERATOR, "config:config")
    assert "kid.key" in failed.text
    assert keyed.lab.accounts == []


# --- known and unknown ------------------------------------------------------------------------------------------


def test_a_probe(registered: Issuance):
    """Asked without credentials; the contacts stay as they are."""
    (account,) = registered.lab.accounts
    known = registered.world.account(registered.ca, do.ProbeAccount())
    assert isinstance(known, ev.AccountKnown)
    assert (known.contact, account.contact) == (None, ["mailto:ops@example.jp"])


def test_an_account_that_the_ca_forgot(registered: Issuance):
    """It is unknown, not failed."""
    registered.lab.forget_account(registered.lab.accounts[0])
    unknown = registered.world.account(registered.ca, do.ProbeAccount())
    assert isinstance(unknown, ev.AccountUnknown)
    assert unknown.code == "acme:account-does-not-exist"


@pytest.mark.parametrize("action", [do.ProbeAccount(), AGAIN, do.UpdateContact(("new@example.jp",))])
def test_an_account_that_was_deactivated(registered: Issuance, action: Any):
    """Whatever is asked: the account cannot be used."""
    registered.lab.accounts[0].status = "deactivated"
    assert isinstance(registered.world.account(registered.ca, action), ev.AccountUnknown)


@pytest.mark.parametrize("action", [do.ProbeAccount(), AGAIN, do.UpdateContact(("new@example.jp",))])
@pytest.mark.parametrize("status", [401, 403])
def test_the_status_of_a_denial_does_not_matter(registered: Issuance, action: Any, status: int):
    """RFC 8555 has 401 for a deactivated account, Boulder and Pebble have 403: it cannot be used either way."""
    registered.lab.faults.inject(LabProblem("unauthorized", status, "deactivated"), times=1)
    unknown = registered.world.account(registered.ca, action)
    assert isinstance(unknown, ev.AccountUnknown)
    assert unknown.code == "acme:account-status"


def test_something_in_between_that_denies_access(registered: Issuance):
    """Not every 401 and 403 is about the account: a gateway's is no problem document of the CA's."""
    for status in (401, 403):
        registered.lab.faults.answer(Reply(status, b"<html>"), "newAccount")
        failed = registered.world.account(registered.ca, do.ProbeAccount())
        assert (failed.kind, failed.code) == (Kind.TRANSIENT, "http:refused")


def test_a_day_of_an_account_that_was_deactivated(registered: Issuance):
    """It ends as unusable after the second denial, and is asked about every six hours."""
    registered.lab.faults.inject(LabProblem("unauthorized", 403, "deactivated"), "newAccount", times=None)
    begin = registered.times.now
    record: Any = Registered(
        registered.ca.directory, "https://ca/1", begin, AccountLedger(), contact=("ops@example.jp",)
    )
    facts = AccountFacts(key_exists=True, verify=True, contact=record.contact)
    asked = 0
    while (now := registered.times.now) < begin + timedelta(days=1):
        action = plan.decide(registered.ca, record, facts, now)
        if isinstance(action, do.Wait):
            registered.times.now = action.due
            continue
        asked += 1
        event = registered.world.account(registered.ca, action)
        record = plan.advance(plan.begin(record, action, facts), event, registered.ca, now, 0.5)
    assert isinstance(record, Unusable)
    assert asked <= 6


def test_contacts_are_told(registered: Issuance):
    """And confirmed with what was sent."""
    known = registered.world.account(registered.ca, do.UpdateContact(("new@example.jp",)))
    assert known.contact == ("new@example.jp",)
    assert registered.lab.accounts[0].contact == ["mailto:new@example.jp"]


@pytest.mark.parametrize("action", [do.ProbeAccount(), AGAIN])
def test_a_ca_that_asks_for_time(registered: Issuance, action: Any):
    """Its Retry-After is passed on."""
    busy = LabProblem("serverInternal", 503, "maintenance", headers={"Retry-After": "7200"})
    registered.lab.faults.inject(busy, "newAccount")
    failed = registered.world.account(registered.ca, action)
    assert (failed.kind, failed.retry_after) == (Kind.TRANSIENT, timedelta(hours=2))


def test_a_ca_that_is_away(registered: Issuance):
    """It is a failure that passes, and no word about the account."""
    registered.lab.stop()
    failed = registered.world.account(registered.ca, do.ProbeAccount())
    assert isinstance(failed, ev.Failed)
    assert failed.kind is Kind.TRANSIENT
