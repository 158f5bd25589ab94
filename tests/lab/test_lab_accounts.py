"""Registration at the lab CA: external account binding, contacts, terms, and the life of an account."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from lab_client import Client, jwk_of, jws

UNABLE = (400, "malformed", "Unable to create account")


@pytest.fixture
def jprs(start_ca):
    """A lab CA that wants EAB."""
    return start_ca()


@pytest.fixture
def newcomer(new_client, jprs) -> Client:
    """A client of `jprs` that is not registered."""
    return new_client(jprs)


def test_registration_needs_a_binding(jprs, newcomer):
    """Row 10 without EAB; with fresh credentials the account is made."""
    assert newcomer.register().problem == (
        400,
        "externalAccountRequired",
        "The request must include a value for the externalAccountBinding field",
    )
    answer = newcomer.register(jprs.new_eab())
    assert (answer.status, answer.json["status"]) == (201, "valid")
    assert newcomer.post(newcomer.kid).json["contact"] == ["mailto:ops@example.jp"]


def test_one_registration_spends_the_credentials(jprs, newcomer, new_client):
    """Row 13 for the second account, while the first key may ask again and again."""
    credentials = jprs.new_eab()
    assert newcomer.register(credentials).status == 201
    second = new_client(jprs)
    assert second.register(credentials).problem == UNABLE
    assert jprs.log[-1].why == "binding: spent"
    assert newcomer.register(credentials).status == 200


def test_a_refused_registration_does_not_spend_them(jprs, newcomer):
    """Terms and contacts are put right, and the same credentials serve."""
    credentials = jprs.new_eab()
    assert newcomer.register(credentials, termsOfServiceAgreed=False).status == 400
    assert newcomer.register(credentials, contact=[]).status == 400
    assert newcomer.register(credentials).status == 201


def test_credentials_live_14_days(jprs, newcomer, moment):
    """One second before the end they serve, at the end they do not."""
    early, late = jprs.new_eab(), jprs.new_eab()
    moment.pass_(days=14, seconds=-1)
    assert newcomer.register(early).status == 201
    moment.pass_(seconds=1)
    newcomer.key = ec.generate_private_key(ec.SECP256R1())
    assert newcomer.register(late).problem == UNABLE
    assert jprs.log[-1].why == "binding: expired"


def test_a_binding_must_hold(jprs, newcomer):
    """Row 13 for a wrong MAC, an unknown kid, another URL, another key, a nonce, or no JWS at all."""
    kid, key = jprs.new_eab()
    other_key = jprs.new_eab()[1]
    good = {"kid": kid, "url": newcomer.directory["newAccount"]}
    raw = b"k" * 32
    bindings = {
        "the MAC does not match": newcomer.binding((kid, other_key)),
        "unknown kid": newcomer.binding(("nobody", key)),
        "another url": newcomer.binding((kid, key), url=newcomer.directory["newOrder"]),
        "a nonce in the binding": newcomer.binding((kid, key), nonce="n"),
    }
    for why, binding in bindings.items():
        assert newcomer.register(externalAccountBinding=binding).problem == UNABLE
        assert jprs.log[-1].why == f"binding: {why}"
    for binding in ({}, "x", jws(newcomer.key, good, jwk_of(newcomer.key)), jws(raw, good, "x")):
        assert newcomer.register(externalAccountBinding=binding).problem == UNABLE
    stranger = ec.generate_private_key(ec.SECP256R1())
    newcomer.key, mine = stranger, newcomer.key
    foreign = newcomer.binding((kid, key))
    newcomer.key = mine
    assert newcomer.register(externalAccountBinding=foreign).problem == UNABLE
    assert jprs.log[-1].why == "binding: the payload is not the account key"


MAILS = [f"mailto:ops{n}@example.jp" for n in range(7)]


@pytest.mark.parametrize(
    ("contact", "problem"),
    [
        ([], "The contact information is invalid:"),
        (None, "The contact information is invalid:"),
        (MAILS, "The contact information is invalid:"),
        ([MAILS[0], MAILS[0].upper()], "The contact information is invalid:"),
        (["ops@example.jp"], "A contact URL for an account was invalid: [ops@example.jp]"),
        (["mailto:ops"], "A contact URL for an account was invalid: [mailto:ops]"),
        (["tel:+81"], "A contact URL for an account used an unsupported protocol scheme: [tel:+81]"),
        ("mailto:ops@example.jp", "The request information is invalid"),
    ],
)
def test_contacts_are_checked(ca, new_client, contact, problem):
    """Rows 11, 14 and 28: one to six addresses, no duplicate, mailto only."""
    answer = new_client().register(contact=contact)
    assert (answer.status, answer.json["detail"]) == (400, problem)
    assert not ca.accounts


def test_six_contacts_are_accepted(new_client):
    """The most that JPRS takes."""
    assert new_client().register(contact=MAILS[:6]).status == 201


def test_the_terms_must_be_agreed_to(new_client):
    """Row 15."""
    for agreed in (None, False, "yes"):
        answer = new_client().register(termsOfServiceAgreed=agreed)
        assert answer.problem == (400, "malformed", "Please agree to the term of service.")


def test_an_existing_account_is_found_by_its_key(jprs, newcomer):
    """RFC 8555 section 7.3.1: onlyReturnExisting never makes one and needs no EAB."""
    only = {"onlyReturnExisting": True, "contact": None, "termsOfServiceAgreed": None}
    assert newcomer.register(**only).problem[1] == "accountDoesNotExist"
    created = newcomer.register(jprs.new_eab())
    found = newcomer.register(**only)
    assert (found.status, found.headers["location"]) == (200, created.headers["location"])


def test_contacts_can_be_changed(client):
    """RFC 8555 section 7.3.2, with the same checks."""
    assert client.post(client.kid, {"contact": MAILS[:2]}).json["contact"] == MAILS[:2]
    assert client.post(client.kid, {"contact": MAILS}).status == 400
    assert client.post(client.kid).json["contact"] == MAILS[:2]


def test_a_deactivated_account_can_do_nothing(client):
    """RFC 8555 section 7.3.6; row 27, with the 401 of JPRS."""
    assert client.post(client.kid, {"status": "deactivated"}).json["status"] == "deactivated"
    lacking = (401, "unauthorized", "The client lacks sufficient authorization")
    assert client.order("example.jp").problem == lacking
    assert client.register().problem == lacking


def test_a_key_can_be_changed(client, new_client):
    """RFC 8555 section 7.3.5: the account stays, the old key knows it no more; a key in use elsewhere is a conflict."""
    new, old = ec.generate_private_key(ec.SECP384R1()), client.key
    url = client.directory["keyChange"]

    def change(to, **fields):
        payload = {"account": client.kid, "oldKey": jwk_of(client.key), **fields}
        return client.post(url, jws(to, {"jwk": jwk_of(to), "url": url}, payload))

    assert change(new, account=f"{client.kid}0").status == 400
    assert change(new, oldKey=jwk_of(new)).status == 400
    assert change(new).status == 200
    assert client.order("example.jp").status == 400
    client.key = new
    assert client.order("example.jp").status == 201
    other = new_client(key=old)
    assert other.register().status == 201
    conflict = change(old)
    assert (conflict.status, conflict.headers["location"]) == (409, other.kid)


def test_orders_are_listed(client, new_client):
    """RFC 8555 section 7.1.2.1, for their owner only."""
    orders = [client.order(name).headers["location"] for name in ("a.example.jp", "b.example.jp")]
    url = client.post(client.kid).json["orders"]
    assert client.post(url).json["orders"] == orders
    stranger = new_client()
    stranger.register()
    assert stranger.post(url).status == 401
    assert stranger.post(client.kid).status == 401
