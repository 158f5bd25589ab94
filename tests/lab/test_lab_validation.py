"""http-01 as the lab CA validates it: for real, and on the loopback alone."""

from __future__ import annotations

import hashlib

import pytest
from lab_client import b64, thumbprint
from parts import LOOPBACK, eventually, free_port

from certd.lab.web import LoopbackServer, Reply


@pytest.fixture
def serve(ca):
    """Answers the validations with a handler: `serve(handle)`."""
    servers = []

    def start(handle):
        server = LoopbackServer(handle, address=LOOPBACK, port=free_port())
        server.start()
        servers.append(server)
        ca.options.http_port = server.port

    yield start
    for server in servers:
        server.stop()


def _decided(client, *names, respond=lambda challenge: None):
    """The challenge after its validation."""
    order = client.order(*names)
    (challenge,) = client.challenges(order)
    respond(challenge)
    assert client.post(challenge["url"], {}).json["status"] in ("processing", "valid", "invalid")
    return eventually(
        lambda: (one := client.post(challenge["url"]).json)["status"] in ("valid", "invalid") and one, "a decision"
    )


def test_the_host_asked_for_is_the_name(client, serve):
    """The request goes to the webroot's port with the name as Host, for the token and nothing else."""
    asked = []

    def handle(request):
        asked.append((request.method, request.headers["host"], request.path))
        token = request.path.rpartition("/")[2]
        return Reply(200, f"{token}.{thumbprint(client.key)}".encode())

    serve(handle)
    challenge = _decided(client, "www.example.jp")
    assert challenge["status"] == "valid"
    assert challenge["validated"] == "2026-11-23T09:00:00Z"
    assert asked == [("GET", "www.example.jp", f"/.well-known/acme-challenge/{challenge['token']}")]


def test_an_unreachable_server(ca, client):
    """Row 9 names the target; order and authorization are invalid."""
    ca.options.http_port = free_port()
    challenge = _decided(client, "example.jp")
    assert challenge["error"] == {
        "type": "urn:ietf:params:acme:error:connection",
        "status": 400,
        "detail": "The server could not connect to validation target : [example.jp]",
    }
    assert ca.orders[0].status == "invalid"


def test_a_server_without_the_file(client):
    """404 there is unauthorized here, with 403: inside an authorization that is a failed validation."""
    error = _decided(client, "example.jp")["error"]
    assert (error["type"].rpartition(":")[2], error["status"]) == ("unauthorized", 403)


def test_a_wrong_answer(client, serve):
    """Another text than the key authorization is an incorrect response."""
    serve(lambda request: Reply(200, b"token.thumbprint"))
    assert _decided(client, "example.jp")["error"]["type"].endswith(":incorrectResponse")


def test_redirects_are_followed(client, serve):
    """To paths and to other names, which are all on the loopback."""

    def handle(request):
        if request.headers["host"] == "example.jp":
            return Reply(302, headers={"Location": f"http://other.example.jp/x/{request.path.rpartition('/')[2]}"})
        if request.path.startswith("/x/"):
            return Reply(301, headers={"Location": request.path.replace("/x/", "/y/")})
        return Reply(200, f"{request.path.rpartition('/')[2]}.{thumbprint(client.key)}\r\n".encode())

    serve(handle)
    assert _decided(client, "example.jp")["status"] == "valid"


@pytest.mark.parametrize(
    "location",
    [
        *("http://192.0.2.1/", "http://[2001:db8::1]/", "https://example.jp/", "http://example.jp:22/"),
        *("ftp://example.jp/", "http://example.jp/again", "//example.jp/", "x", "http://example.jp:x/", "http://[x/"),
    ],
)
def test_redirects_that_are_not_followed(client, serve, location):
    """Off the loopback, to other schemes or ports, in a circle, or nonsense: no connection."""
    asked = []

    def handle(request):
        asked.append(request.path)
        return Reply(302, headers={"Location": location})

    serve(handle)
    assert _decided(client, "example.jp")["error"]["type"].endswith(":connection")
    assert len(asked) <= 11


def test_an_endless_body(client, serve):
    """64 KiB are enough for a key authorization."""
    serve(lambda request: Reply(200, b"x" * (1 << 17)))
    assert _decided(client, "example.jp")["error"]["type"].endswith(":connection")


def test_names_lead_to_the_loopback_only(ca, client, serve):
    """`resolve` may name other addresses of the loopback and no others."""
    serve(lambda request: Reply(200, b"wrong"))
    ca.options.resolve = {"a.example.jp": "127.0.0.2", "b.example.jp": "192.0.2.1", "c.example.jp": "localhost"}
    for name in ca.options.resolve:
        assert _decided(client, name)["error"]["type"].endswith(":connection")
    ca.options.resolve = {"a.example.jp": LOOPBACK}
    assert _decided(client, "a.example.jp")["error"]["type"].endswith(":incorrectResponse")


def test_asking_again_changes_nothing(ca, client):
    """RFC 8555 section 7.5.1: a challenge under way is shown as it is, and validated once."""
    ca.faults.slow("validation", 3600)
    (challenge,) = client.challenges(client.order("example.jp"))
    answers = [client.post(challenge["url"], {}) for _ in range(3)]
    assert [answer.json["status"] for answer in answers] == ["processing"] * 3
    assert "/authorization/" in answers[0].headers["link"]
    eventually(lambda: ca.faults.waiting == 0, "the validation to begin")


def test_an_interrupted_validation_is_taken_up_again(ca, client, steps, webroot):
    """After an outage the CA goes on where it was."""
    ca.faults.slow("validation", 3600)
    order = client.order("example.jp")
    (challenge,) = client.challenges(order)
    client.present(webroot.path, challenge["token"])
    client.post(challenge["url"], {})
    eventually(lambda: ca.faults.waiting == 0, "the validation to begin")
    ca.stop()
    assert ca.orders[0].status == "pending"
    ca.start()
    eventually(lambda: ca.orders[0].status == "ready", "the validation")


def test_dns_01_is_offered_where_txt_records_can_be_read(ca, client):
    """Then wildcards can be ordered too, by dns-01 alone."""
    zone: dict[str, list[str]] = {}
    ca.options.txt = lambda name: zone.get(name, [])
    order = client.order("example.jp", "*.example.jp")
    plain, wild = (client.post(url).json for url in order.json["authorizations"])
    assert [one["type"] for one in plain["challenges"]] == ["http-01", "dns-01"]
    assert [one["type"] for one in wild["challenges"]] == ["dns-01"]
    assert (wild["identifier"]["value"], wild["wildcard"]) == ("example.jp", True)
    tokens = [plain["challenges"][1], wild["challenges"][0]]
    values = [hashlib.sha256(f"{one['token']}.{thumbprint(client.key)}".encode()).digest() for one in tokens]
    zone["_acme-challenge.example.jp"] = [b64(value) for value in values]
    for one in tokens:
        client.post(one["url"], {})
    url = order.headers["location"]
    eventually(lambda: client.post(url).json["status"] == "ready", "the order to be ready")
    zone.clear()
    failing = client.order("*.example.jp")
    challenge = client.post(failing.json["authorizations"][0]).json["challenges"][0]
    client.post(challenge["url"], {})
    eventually(lambda: client.post(failing.headers["location"]).json["status"] == "invalid", "the order to fail")


def test_a_fault_of_the_lab_itself_shows(ca, client):
    """An exception in a validation ends it as an internal error instead of leaving it undecided."""

    def broken(name):
        raise RuntimeError("broken zone")

    ca.options.txt = broken
    order = client.order("*.example.jp")
    challenge = client.post(order.json["authorizations"][0]).json["challenges"][0]
    client.post(challenge["url"], {})
    error = eventually(lambda: client.post(challenge["url"]).json.get("error"), "an outcome")
    assert error["type"].endswith(":serverInternal")
    assert "broken zone" in error["cause"]
