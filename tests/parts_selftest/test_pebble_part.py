"""The test bench's Pebble does what its options say, driven by a client that shares nothing with certd."""

from __future__ import annotations

import dns.resolver
import pytest
import requests
from acme_by_hand import HandClient
from cryptography import x509
from parts import LOOPBACK

MAC_KEY = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"


@pytest.fixture
def client(pebble):
    with HandClient(pebble) as client:
        yield client


def test_it_issues_validates_on_its_port_and_counts(webroot, start_pebble):
    """A certificate is issued after a real http-01 validation, and the log tells how often each thing was asked."""
    pebble = start_pebble(http_port=webroot.port)
    with HandClient(pebble) as client:
        client.register()
        mark = pebble.mark()
        leaf = client.issue(webroot.path, "www.example.jp", "example.jp")
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert sorted(names.get_values_for_type(x509.DNSName)) == ["example.jp", "www.example.jp"]
    assert (pebble.count("newAccount"), pebble.count("newAccount", mark)) == (1, 0)
    assert (pebble.count("newOrder"), pebble.count("finalize"), pebble.count("challenge")) == (1, 1, 2)
    assert len(pebble.orders()) == 1
    assert pebble.issued() == [f"{leaf.serial_number:x}"]
    assert pebble.asked(mark)[0] == "HEAD /nonce-plz"
    assert {host.partition("/")[0] for host in webroot.asked} == {
        f"example.jp:{webroot.port}",
        f"www.example.jp:{webroot.port}",
    }
    leaf.verify_directly_issued_by(pebble.intermediate)
    pebble.intermediate.verify_directly_issued_by(pebble.root_certificate)
    assert pebble.intermediate.public_key() == pebble.intermediate_key.public_key()


def test_it_demands_the_external_account_binding(start_pebble):
    """With EAB keys set, an account without a binding is refused and one with it is made."""
    pebble = start_pebble(eab={"kid-1": MAC_KEY})
    with HandClient(pebble) as client:
        assert client.directory["meta"]["externalAccountRequired"] is True
        assert client.register().json()["type"] == "urn:ietf:params:acme:error:externalAccountRequired"
        assert client.register(("kid-1", MAC_KEY[::-1])).status_code >= 400
        assert client.register(("kid-1", MAC_KEY)).status_code == 201


def test_nonces_are_rejected_as_asked(start_pebble):
    """At 100 percent every good nonce is refused as badNonce, and such requests are counted."""
    pebble = start_pebble(nonce_reject=100)
    with HandClient(pebble) as client:
        assert client.register().json()["type"] == "urn:ietf:params:acme:error:badNonce"
    assert pebble.count("newAccount") == 1


def test_a_restart_keeps_the_address_and_forgets_the_accounts(pebble, client):
    """After restart() the same directory URL answers, the account is unknown, and the issuer is a new one."""
    client.register()
    issuer = pebble.intermediate
    pebble.restart()
    with HandClient(pebble) as again:
        again.key, again.kid = client.key, client.kid
        assert again.post(client.kid, None).json()["type"] == "urn:ietf:params:acme:error:accountDoesNotExist"
    assert pebble.intermediate != issuer


def test_an_outage_refuses_connections(pebble):
    """stop_ca() closes the port."""
    pebble.stop_ca()
    assert not pebble.is_running()
    with pytest.raises(requests.ConnectionError):
        requests.get(pebble.directory_url, verify=str(pebble.trust_path), timeout=10)


def test_its_dns_can_be_told(pebble):
    """challtestsrv takes TXT records."""
    pebble.dns("set-txt", host="_acme-challenge.example.jp.", value="abc")
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = [LOOPBACK], pebble.dns_port
    assert [answer.to_text() for answer in resolver.resolve("_acme-challenge.example.jp.", "TXT")] == ['"abc"']
    assert [answer.to_text() for answer in resolver.resolve("any.example.jp.", "A")] == [LOOPBACK]
