"""certd.acme and certd.challenges against a strict Pebble: from a new key to a certificate, over real HTTP."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from parts import Pebble, Webroot, eventually

from certd.acme.client import Client
from certd.acme.jws import AccountKey
from certd.acme.order import next_step
from certd.acme.problems import judge, judge_order
from certd.challenges.http01 import Http01, WebrootOptions
from certd.errors import ProblemError
from certd.http import Exchanger
from certd.model.codes import Kind
from certd.model.orders import Download, Finalize, OrderFailed, OrderStep, Present, Respond
from certd.model.records import Step

NAMES = ["a.example.test", "b.example.test"]
MAC_KEY = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"


def account_key() -> AccountKey:
    key = ec.generate_private_key(ec.SECP256R1())
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return AccountKey.from_pem(key.private_bytes(pem, pkcs8, serialization.NoEncryption()))


def csr() -> bytes:
    names = x509.SubjectAlternativeName([x509.DNSName(name) for name in NAMES])
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(names, critical=False)
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(
        serialization.Encoding.DER
    )


def client_of(pebble: Pebble, key: AccountKey) -> Client:
    exchanger = Exchanger(trust=pebble.trust_path)
    return Client(exchanger, pebble.directory_url, key, clock=lambda: datetime.now(UTC))


class Driver:
    """Does what `next_step` says, one step at a call."""

    def __init__(self, client: Client, key: AccountKey, solver: Http01, url: str) -> None:
        self.client, self.key, self.solver, self.url = client, key, solver, url
        self.places: dict[str, str] = {}
        self.responded: set[str] = set()
        self.kinds: list[str] = []

    def step(self) -> OrderStep:
        order = self.client.fetch_order(self.url)
        step = next_step(
            order,
            [self.client.fetch_authorization(one) for one in order.authorizations],
            solver_for=lambda name, wildcard: self.solver.type,
            presented=self.places,
            responded=self.responded,
        )
        self.kinds.append(type(step).__name__)
        match step:
            case Present():
                for task in step.tasks:
                    answer = self.key.key_authorization(task.token)
                    self.places[task.token] = self.solver.place(task, answer)
                    self.solver.present(task, answer, self.places[task.token])
            case Respond():
                for task in step.tasks:
                    self.client.respond(task.url)
                    self.responded.add(task.token)
            case Finalize():
                self.client.finalize(step.url, csr())
        return step

    def end(self) -> OrderStep | None:
        step = self.step()
        return step if isinstance(step, Download | OrderFailed) else None


@pytest.mark.parametrize("nonce_reject", [0, 50])
def test_from_a_key_to_a_certificate(start_pebble: Callable[..., Pebble], webroot: Webroot, nonce_reject: int) -> None:
    """With EAB, two names at once, and a CA that refuses half of all nonces; nothing stays in the web root."""
    pebble = start_pebble(http_port=webroot.port, eab={"kid-1": MAC_KEY}, nonce_reject=nonce_reject)
    key = account_key()
    client = client_of(pebble, key)
    with pytest.raises(ProblemError) as caught:
        client.new_account(only_return_existing=True)
    assert judge(caught.value, Step.ACCOUNT).code == "acme:account-does-not-exist"
    with pytest.raises(ProblemError) as caught:
        client.new_account(["ops@example.test"], terms_agreed=True)
    assert judge(caught.value, Step.ACCOUNT).code == "acme:external-account-required"
    eab = ("kid-1", base64.urlsafe_b64decode(MAC_KEY))
    made = client.new_account(["ops@example.test"], terms_agreed=True, eab=eab)
    found = client.new_account(only_return_existing=True)
    assert (made.created, found.created, made.url) == (True, False, found.url)

    driver = Driver(client, key, Http01(WebrootOptions(str(webroot.path))), client.new_order(NAMES))
    end = eventually(driver.end, "the order comes to its end")
    assert isinstance(end, Download)
    assert driver.kinds[:2] == ["Present", "Respond"]
    assert driver.kinds.count("Respond") == driver.kinds.count("Finalize") == 1
    leaf = x509.load_pem_x509_certificates(client.download(end.url))[0]
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert sorted(names.get_values_for_type(x509.DNSName)) == NAMES
    for place in driver.places.values():
        Http01.clean_up(place)
    assert [path for path in webroot.path.rglob("*") if path.is_file()] == []


def test_a_failed_validation_is_told_as_the_ca_saw_it(start_pebble: Callable[..., Pebble], webroot: Webroot) -> None:
    """The web server shows another directory: the order fails with the challenge's own error, as a validation."""
    pebble = start_pebble(http_port=webroot.port)
    key = account_key()
    client = client_of(pebble, key)
    client.new_account(terms_agreed=True)
    elsewhere = webroot.path.parent / "elsewhere"
    elsewhere.mkdir()
    driver = Driver(client, key, Http01(WebrootOptions(str(elsewhere))), client.new_order(NAMES[:1]))
    end = eventually(driver.end, "the order comes to its end")
    assert isinstance(end, OrderFailed)
    assert end.identifier == NAMES[0]
    verdict = judge_order(end)
    assert verdict.kind is Kind.VALIDATION
    assert "404" in verdict.text
