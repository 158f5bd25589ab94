"""The 29 rows of the JPRS error list, word for word and on demand."""

from __future__ import annotations

import csv
import http.client
import json
from pathlib import Path

import pytest
from lab_client import make_csr
from parts import eventually

from certd.lab import ROWS, LabProblem, Reply, row

LIST = Path(__file__).parents[1] / "acme" / "jprs_errors.csv"

with LIST.open(encoding="utf-8", newline="") as _file:
    JPRS = list(csv.DictReader(_file))


def test_the_rows_are_those_of_the_list():
    """Number, type, HTTP status and message of every row."""
    ours = [(str(one.n), one.type, str(one.status), one.message) for one in ROWS]
    assert ours == [(line["n"], line["type"], line["http_status"], line["message"]) for line in JPRS]
    assert len(ours) == 29
    assert [row(one.n) for one in ROWS] == list(ROWS)


def _request(client, steps, on):
    """A well-formed request for `on`."""
    directory = client.directory
    if on == "newAccount":
        return client.register()
    if on == "newOrder":
        return client.order("example.jp")
    if on == "revokeCert":
        return client.post(directory["revokeCert"], {"certificate": "AA"})
    order = client.order("example.jp")
    if on == "finalize":
        return client.post(order.json["finalize"], {"csr": make_csr(steps.key, "example.jp")})
    return client.post(client.challenges(order)[0]["url"], {})


@pytest.mark.parametrize("line", JPRS, ids=lambda line: f"{line['n']}-{line['type']}")
def test_each_row_can_be_injected(ca, client, steps, line):
    """The next request of its kind gets exactly this status, type and message, and the one after it is as before."""
    n = int(line["n"])
    ca.faults.inject(n, "challenge" if n == 9 else None, value="www.example.jp")
    on = "challenge" if n == 9 else row(n).on
    answer = _request(client, steps, on)
    assert answer.problem == (int(line["http_status"]), line["type"], line["message"].replace("%s", "www.example.jp"))
    assert answer.headers["replay-nonce"]
    assert ca.faults.waiting == 0
    again = _request(client, steps, on)
    assert n == 24 or again.body != answer.body  # what 24 says is so of itself: the order is not ready


def test_a_fault_strikes_as_often_as_asked(ca, client):
    """`times` counts; None is for ever, until cleared."""
    ca.faults.inject(26, times=2)
    assert [client.order("example.jp").status for _ in range(3)] == [500, 500, 201]
    ca.faults.inject(26, times=None)
    assert [client.order("example.jp").status for _ in range(3)] == [500] * 3
    ca.faults.clear()
    assert client.order("example.jp").status == 201


def test_a_fault_may_be_meant_for_one_name(ca, client):
    """Other orders go on undisturbed."""
    ca.faults.inject(25, name="bad.example.jp", times=None)
    assert client.order("good.example.jp").status == 201
    assert client.order("good.example.jp", "bad.example.jp").problem[1] == "rejectedIdentifier"


def test_a_fault_may_strike_every_exchange(ca, client):
    """Maintenance: 503 with Retry-After whatever is asked, the directory included."""
    maintenance = LabProblem("serverInternal", 503, "Maintenance")
    ca.faults.inject(maintenance, None, times=None, headers={"Retry-After": "3600"})
    answers = [client.ask("GET", ca.directory_url), client.ask("HEAD", client.directory["newNonce"])]
    assert [answer.status for answer in answers] == [503, 503]
    assert answers[0].headers["retry-after"] == "3600"


def test_rate_limits_are_told_with_their_end(ca, client):
    """A problem that is not of the list, with headers of its own."""
    ca.faults.inject(LabProblem("rateLimited", 429, "Too many"), "newOrder", headers={"Retry-After": "120"})
    answer = client.order("example.jp")
    assert answer.problem == (429, "rateLimited", "Too many")
    assert answer.headers["retry-after"] == "120"


def test_a_lost_answer_has_done_its_work(start_ca, new_client):
    """The account exists and the credentials are spent, though the client never heard of it."""
    ca = start_ca()
    client = new_client(ca)
    credentials = ca.new_eab()
    ca.faults.lose("newAccount")
    with pytest.raises((http.client.HTTPException, OSError)):
        client.register(credentials)
    client.connection.close()
    assert len(ca.accounts) == 1
    assert ca.log[-1].status == 0
    assert client.register(onlyReturnExisting=True).status == 200


def test_hostile_bytes_can_be_answered(ca, client):
    """Whatever body and type a test wants to throw at its client."""
    ca.faults.answer(Reply(200, b"\xff not json", "application/json"), "newOrder")
    assert client.order("example.jp").body == b"\xff not json"


def test_a_slow_answer_is_the_right_one(ca, client):
    """A delay alone changes nothing else."""
    ca.faults.slow("newOrder", 0.01)
    assert client.order("example.jp").status == 201
    assert ca.faults.waiting == 0


@pytest.mark.parametrize("n", [8, 9, 27])
def test_validations_can_fail_on_demand(ca, client, steps, n):
    """The problem stands in the challenge; authorization and order turn invalid."""
    ca.faults.inject(n, "validation", value="example.jp")
    url = steps.validated("example.jp")
    order = client.post(url).json
    authorization = client.post(order["authorizations"][0]).json
    assert (order["status"], authorization["status"]) == ("invalid", "invalid")
    assert authorization["challenges"][0]["error"] == row(n).problem("example.jp").document()


def test_issuance_can_fail_on_demand(ca, client, steps):
    """A finalized order turns invalid after its polls and carries the problem."""
    ca.faults.inject(8, "issuance")
    url = steps.validated("example.jp")
    assert steps.finalize(url, "example.jp").json["status"] == "processing"
    eventually(lambda: steps.status(url) == "invalid", "the order to fail")
    assert json.dumps(client.post(url).json["error"]) == json.dumps(row(8).problem().document())
    assert not ca.issued
