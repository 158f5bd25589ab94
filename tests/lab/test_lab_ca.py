"""The lab CA as a whole: issuance, fences, connections, and what it leaves behind."""

from __future__ import annotations

import http.client
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import verification
from lab_client import Client, b64
from parts import eventually

from certd.errors import Refused
from certd.lab import LabCa, LabOptions


def test_a_certificate_is_issued_as_at_jprs(ca, client, steps, moment):
    """After finalize three polls answer `processing`, then the chain can be downloaded and verifies to the root."""
    names = ("www.example.jp", "example.jp")
    url = steps.validated(*names)
    assert steps.status(url) == "ready"
    assert steps.finalize(url, *names).json["status"] == "processing"
    assert [steps.status(url) for _ in range(3)] == ["processing"] * 3
    order = client.post(url).json
    assert order["status"] == "valid"
    answer = client.post(order["certificate"])
    assert answer.headers["content-type"] == "application/pem-certificate-chain"
    leaf, issuer = x509.load_pem_x509_certificates(answer.body)
    store = verification.Store(x509.load_pem_x509_certificates(ca.root_path.read_bytes()))
    verifier = verification.PolicyBuilder().store(store).time(moment.now).build_server_verifier(x509.DNSName(names[0]))
    assert len(verifier.verify(leaf, [issuer])) == 3
    assert leaf.not_valid_before_utc == moment.now
    assert leaf.not_valid_after_utc == moment.now + timedelta(days=199)
    access = leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    assert [entry.access_location.value for entry in access] == [ca.ocsp_url]
    (issued,) = ca.issued
    assert (issued.serial, issued.names, issued.at) == (f"{leaf.serial_number:x}", names, moment.now)


@pytest.mark.parametrize("polls", [0, 1, 5])
def test_the_number_of_polls_is_configurable(ca, steps, polls):
    """With none, finalize itself answers `valid`."""
    ca.options.processing_polls = polls
    url = steps.validated("example.jp")
    answers = [steps.finalize(url, "example.jp").json["status"]]
    while answers[-1] != "valid":
        answers.append(steps.status(url))
    assert answers == ["processing"] * (len(answers) - 1) + ["valid"]
    assert answers.count("processing") == (polls + 1 if polls else 0)


def test_the_lifetime_may_be_minutes(ca, client, steps):
    """Short-lived certificates are made for rehearsals of renewal."""
    ca.options.lifetime = timedelta(minutes=7)
    leaf = x509.load_pem_x509_certificates(client.post(steps.issued("example.jp")).body)[0]
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc == timedelta(minutes=7)


def test_every_key_type_can_be_certified(ca, steps):
    """RSA keys get key encipherment in their usage, EC keys do not."""
    for key in (rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())):
        steps.key = key
        steps.issued("example.jp")
        usage = ca.issued[-1].certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        assert usage.key_encipherment == isinstance(key, rsa.RSAPrivateKey)


@pytest.mark.parametrize("address", ["0.0.0.0", "::1", "192.0.2.1", "localhost", ""])
def test_it_listens_on_the_loopback_only(address):
    """Any other address is refused before a port is opened."""
    with pytest.raises(Refused, match=r"127\.0\.0\.1 only"):
        LabCa(LabOptions(address=address))


def test_its_roots_are_fresh_and_say_that_they_are_untrusted(start_ca):
    """Two instances share no key, and each name tells what it is."""
    first, second = start_ca(), start_ca()
    pems = [path.read_bytes() for ca in (first, second) for path in (ca.trust_path, ca.root_path)]
    roots = [x509.load_pem_x509_certificate(pem) for pem in pems]
    assert len({root.fingerprint(root.signature_hash_algorithm) for root in roots}) == 4
    assert all("UNTRUSTED" in root.subject.rfc4514_string() for root in roots)


def test_stop_leaves_nothing_behind(moment):
    """With open connections, a validation under way and a delayed answer it ends at once: no thread, no file."""
    before = set(threading.enumerate())
    ca = LabCa(LabOptions(eab_required=False, http_port=9), clock=moment)
    ca.start()
    directory = ca.trust_path.parent
    clients = [Client(ca) for _ in range(4)]
    ca.faults.slow("newNonce", 3600)
    outcomes = []

    def ask() -> None:
        with pytest.raises((OSError, http.client.HTTPException)) as caught:
            clients[0].nonce()
        outcomes.append(caught.type)

    asking = threading.Thread(target=ask)
    asking.start()
    eventually(lambda: ca.faults.waiting == 0, "the delayed request to be under way")
    ca.faults.slow("validation", 3600)
    assert clients[1].register().status == 201
    order = clients[1].order("example.jp")
    clients[1].post(clients[1].challenges(order)[0]["url"], {})
    ca.stop()
    asking.join(10)
    assert outcomes
    assert set(threading.enumerate()) == before
    assert not directory.exists()
    for client in clients:
        client.close()


def test_it_comes_back_after_an_outage(ca, client, steps, new_client):
    """Stopped and started again it has the same URLs, the same trust, and remembers accounts and orders."""
    url, trust = steps.validated("example.jp"), ca.trust_path.read_bytes()
    place = (ca.directory_url, ca.ocsp_url, ca.trust_path)
    ca.stop()
    with pytest.raises(OSError):
        client.post(url)
    ca.start()
    assert place == (ca.directory_url, ca.ocsp_url, ca.trust_path)
    assert ca.trust_path.read_bytes() == trust
    again = new_client(key=client.key)
    again.kid = client.kid
    assert again.post(url).json["status"] == "ready"


def test_files_lie_where_the_caller_wants_them(tmp_path, moment):
    """In a directory that the caller gave only the CA's own files are removed."""
    (tmp_path / "mine").write_text("mine")
    with LabCa(LabOptions(), clock=moment, directory=tmp_path) as ca:
        assert ca.trust_path == tmp_path / "trust.pem"
        assert {file.name for file in tmp_path.iterdir()} == {"mine", "trust.pem", "root.pem"}
    assert {file.name for file in tmp_path.iterdir()} == {"mine"}


def test_a_taken_port_leaves_nothing_running(ca, moment):
    """The start fails as a whole."""
    before = set(threading.enumerate())
    second = LabCa(LabOptions(port=int(ca.directory_url.split(":")[2].split("/")[0])), clock=moment)
    with pytest.raises(OSError):
        second.start()
    assert set(threading.enumerate()) == before


def test_32_connections_at_once(ca, new_client):
    """Each of 32 clients keeps one connection for all its requests, and none gets another's answer."""
    clients = [new_client() for _ in range(32)]
    sockets = [client.connection.sock for client in clients]

    def work(client: Client) -> list[str]:
        assert client.register().status == 201
        return [client.order(f"n{number}.example.jp").json["identifiers"][0]["value"] for number in range(5)]

    with ThreadPoolExecutor(32) as pool:
        results = list(pool.map(work, clients))
    assert results == [[f"n{number}.example.jp" for number in range(5)]] * 32
    assert [client.connection.sock for client in clients] == sockets
    assert len({client.kid for client in clients}) == 32


def test_the_log_tells_what_was_asked(ca, client, moment):
    """Method, path, the RFC's name, account, time, outcome; and the reason that a bare `malformed` hides."""
    client.post(client.directory["newOrder"], {"identifiers": []})
    entry = ca.log[-1]
    assert (entry.method, entry.path, entry.endpoint) == ("POST", "/DV/newOrder", "newOrder")
    assert (entry.at, entry.status, entry.problem, entry.why) == (moment.now, 400, "malformed", "no identifiers")
    assert client.order("example.jp").status == 201
    assert f"/account/{ca.log[-1].account}" in client.kid
    assert ca.log[0].endpoint == "directory"


def test_the_date_header_is_the_labs_own_clock(client, moment):
    """A client that compares clocks by the Date header sees the time that the test set."""
    moment.pass_(days=400)
    assert client.ask("GET", client.ca.directory_url).headers["date"] == "Tue, 28 Dec 2027 09:00:00 GMT"


def test_the_directory_says_what_the_ca_wants(start_ca, new_client):
    """RFC 8555 section 7.1.1; the terms can be read at their URL."""
    client = new_client(start_ca())
    meta = client.directory["meta"]
    assert meta["externalAccountRequired"] is True
    assert client.ask("GET", meta["termsOfService"]).status == 200
    assert client.ca.directory_url.endswith("/DV/getDirectory")


def test_nonces_are_handed_out(client):
    """RFC 8555 section 7.2: 200 to HEAD, 204 to GET, never cached, a new one each time."""
    url = client.directory["newNonce"]
    answers = [client.ask("HEAD", url), client.ask("GET", url)]
    assert [answer.status for answer in answers] == [200, 204]
    assert len({answer.headers["replay-nonce"] for answer in answers}) == 2
    assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}


@pytest.mark.parametrize("path", ["/", "/DV/", "/DV/order", "/DV/order/x/y", "/DV/nothing/1", "/DV/account/1/finalize"])
def test_unknown_paths_are_not_found(client, path):
    """404 with a problem document."""
    assert client.ask("POST", path).problem == (404, "malformed", "Not found")


def test_a_certificate_can_be_revoked(ca, client, steps, new_client):
    """By the account, by its key, once; by nobody else (rows 2, 6, 21 and 27)."""
    chains = [client.post(steps.issued("example.jp")).body for _ in range(2)]
    leaves = [x509.load_pem_x509_certificates(chain)[0] for chain in chains]
    ders = [b64(leaf.public_bytes(Encoding.DER)) for leaf in leaves]
    url, serial = client.directory["revokeCert"], f"{leaves[0].serial_number:x}"
    stranger = new_client()
    stranger.register()
    assert stranger.post(url, {"certificate": ders[0]}).problem[:2] == (401, "unauthorized")
    refused = client.post(url, {"certificate": ders[0], "reason": 7}).problem
    assert refused == (400, "badRevocationReason", "The revocation reason provided is not allowed by the server: [7]")
    assert client.post(url, {"certificate": ders[0], "reason": 4}).status == 200
    assert client.post(url, {"certificate": ders[0]}).problem == (
        400,
        "alreadyRevoked",
        f"The request specified a certificate to be revoked that has already been revoked: [{serial}]",
    )
    assert client.post(url, {"certificate": ders[1]}, key=steps.key, use_jwk=True).status == 200
    assert all(issued.revoked_at is not None for issued in ca.issued)
    foreign = b64(ca.authority.issuer.public_bytes(Encoding.DER))
    assert client.post(url, {"certificate": foreign}).problem[2].startswith("The certificate does not exist: [")
    with pytest.raises(Refused):
        ca.revoke("0")
