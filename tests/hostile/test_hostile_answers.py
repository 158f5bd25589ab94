"""Every way in which an answer can be bad, at every place of the conversation with a CA.

Each time the failure is recorded with the code expected and told in one clean sentence, nothing lies where it should
not, the CA is asked less and less, and when the fault is gone the certificate is there, by one finalized order.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from datetime import timedelta

import pytest
from hostility import CONNECTIONS, FLOODS, LABELS, LOST, NONSENSE, PROBLEMS, REDIRECTS, STALLS, STATUSES, acme_problem
from siege import Siege
from trials import PLACES, WITH_BODY, Row, assert_told_well, fail, finalized_most, one_after_the_other, recover, rows

HOUR = timedelta(hours=1)
ASKED_MOST = 200
"""In the first hour: some seven attempts of at most a dozen requests, or a young order that is looked for."""
PEAK_MOST = 24 * 1024 * 1024
"""Bytes at most in use because of an answer that never ends."""

Besiege = Callable[..., Siege]

BROKEN, CONNECT, TOO_LARGE = "protocol:broken-answer", "transport:connect-failed", "transport:body-too-large"
REFUSED = "http:refused"
FAMILIES: dict[str, tuple[tuple[str, ...], list[Row]]] = {
    # A HEAD has no body that could be torn: what arrives then is an answer without a nonce.
    "connections": (PLACES, rows(CONNECTIONS, CONNECT, BROKEN)),
    "statuses": (PLACES, [Row(name, fault, frozenset({code})) for name, (fault, code) in STATUSES.items()]),
    "redirects": (PLACES, rows(REDIRECTS, BROKEN)),
    "nonsense": (WITH_BODY, rows(NONSENSE, BROKEN)),
    "problems": (WITH_BODY, rows(PROBLEMS, REFUSED)),
}
BATCHES = [(place, family) for family, (places, _) in FAMILIES.items() for place in places]
LASTING = [
    *rows(LOST, CONNECT, BROKEN),
    *(row for row in FAMILIES["statuses"][1] if row.name in ("404-html", "500-html", "503-retry-after")),
    # A HEAD has no body to tell the type in.
    Row("unknown-acme", acme_problem(400, "somethingNew"), frozenset({"acme:unknown", REFUSED})),
]


@pytest.mark.parametrize(("place", "family"), BATCHES)
def test_bad_answers(besiege: Besiege, place: str, family: str) -> None:
    """One after the other, at this place: each is told for what it is, and none is the last."""
    trials = FAMILIES[family][1]
    one_after_the_other(besiege(), place, trials, finalized=finalized_most(place, *(row.name for row in trials)))


@pytest.mark.parametrize("row", LASTING, ids=str)
@pytest.mark.parametrize("place", PLACES)
def test_a_bad_answer_that_lasts(besiege: Besiege, place: str, row: Row) -> None:
    """For an hour the CA answers so, always: it is asked less and less."""
    siege = besiege()
    assert_told_well(siege, fail(siege, place, row))
    siege.sleep(HOUR)
    assert siege.proxy.count() <= ASKED_MOST
    recover(siege, finalized=finalized_most(place, row.name))


@pytest.mark.parametrize("place", ["directory", "newOrder", "order", "certificate"])
def test_an_endless_answer(besiege: Besiege, place: str) -> None:
    """It is read up to its cap and no further, whatever part of it has no end."""
    siege = besiege()
    for row in rows(FLOODS, TOO_LARGE, CONNECT):
        tracemalloc.start()
        try:
            failure = fail(siege, place, row)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak <= PEAK_MOST, row
        assert_told_well(siege, failure)
        siege.proxy.relent()
        siege.again()
    recover(siege)


@pytest.mark.parametrize("place", ["directory", "newOrder", "finalize", "certificate"])
def test_an_answer_that_never_comes_to_its_end(besiege: Besiege, place: str) -> None:
    """However slowly it drips, the deadline of the whole exchange ends it."""
    siege = besiege(http_timeout=timedelta(seconds=2))
    one_after_the_other(siege, place, rows(STALLS, "transport:deadline-exceeded"))


@pytest.mark.parametrize("label", LABELS)
def test_a_wrong_label_does_no_harm(besiege: Besiege, label: str) -> None:
    """Content types and other headers that the CA gets wrong change nothing, wherever they are."""
    siege = besiege()
    siege.proxy.strike(lambda ask: True, LABELS[label])
    siege.settle()
    assert siege.failure() is None
    assert len(siege.issued()) == siege.orders() == 1
