"""One trial after the other: strike at a place, look at what is recorded, relent, and see all go well again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from parts import Ask, Fault, FaultProxy
from siege import Siege

from certd.acme.judgements import KINDS, ORDER_VANISHED
from certd.model.codes import Kind
from certd.model.records import Failure

SHORTEST = timedelta(seconds=40)
"""The floor of the back-off is a minute, less its jitter."""
SHORT = timedelta(seconds=10)
"""Until a young order that is not found is asked for again: a slow replica."""

ACCOUNT = ("directory", "newNonce", "newAccount")
ORDER = ("order", "authorization", "challenge", "finalize", "order-finalized")
PLACES = (*ACCOUNT, "newOrder", *ORDER, "certificate")
WITH_BODY = tuple(place for place in PLACES if place != "newNonce")


@dataclass(frozen=True)
class Row:
    """One way of answering badly; `code` is what it is recorded as, or one of these."""

    name: str
    fault: Fault
    codes: frozenset[str]

    def __str__(self) -> str:
        return self.name


def rows(faults: Mapping[str, Fault], *codes: str) -> list[Row]:
    return [Row(name, fault, frozenset(codes)) for name, fault in faults.items()]


def strike(siege: Siege, place: str, fault: Fault) -> None:
    siege.proxy.strike(where(siege.proxy, place), fault)


def where(proxy: FaultProxy, place: str) -> str | Callable[[Ask], bool]:
    if place != "order-finalized":
        return place
    return lambda ask: ask.endpoint == "order" and proxy.count("finalize") > 0


def codes_at(place: str, row: Row) -> frozenset[str]:
    return frozenset({ORDER_VANISHED}) if row.name.startswith("404") and place in ORDER else row.codes


def finalized_most(place: str, *names: str) -> int:
    """How many orders are finalized at most: what the CA says it does not have is parked, and another one made."""
    return 2 if place == "order-finalized" and any(name.startswith("404") for name in names) else 1


def fail(siege: Siege, place: str, row: Row) -> Failure:
    """Let it fail once more: what is recorded of it, and that it is not tried again at once."""
    before = siege.failure()
    strike(siege, place, row.fault)
    siege.until(lambda: siege.failure() != before, f"the failure by {row}")
    failure = siege.failure()
    assert failure is not None, f"{row} did no harm"
    assert failure.code in codes_at(place, row), (row, failure)
    assert failure.kind is _kind(failure.code) or row.name.startswith("401"), (row, failure)
    asked = siege.proxy.count()
    siege.sleep((SHORT if failure.code == ORDER_VANISHED else SHORTEST) - timedelta(seconds=1))
    assert siege.proxy.count() == asked, f"asked again at once after {row}"
    return failure


def _kind(code: str) -> Kind:
    # What a CA delivered may be better the next time, and a finalized order is not dropped for it (I5).
    return Kind.TRANSIENT if code.startswith("pki:") else KINDS[code]


def assert_told_well(siege: Siege, failure: Failure) -> None:
    """One printable sentence in record, status and health, with a remedy."""
    assert failure.text.isprintable()
    assert 20 <= len(failure.text) <= 600, failure.text
    assert siege.problems(), "health tells of it"
    for problem in siege.problems().values():
        assert problem.text.isprintable()
        assert problem.remedy


def recover(siege: Siege, *, finalized: int = 1) -> None:
    """Without the fault all goes well: no more orders were finalized, and every trace is where it belongs."""
    siege.proxy.relent()
    siege.settle()
    assert len(siege.issued()) <= finalized
    live = siege.state().live
    assert live is not None
    assert live.serial in siege.issued()
    assert siege.problems() == {}
    assert siege.files_outside() == []
    assert siege.challenge_files() == []


def one_after_the_other(siege: Siege, place: str, rows: Iterable[Row], *, finalized: int = 1) -> None:
    """Each of them at this place: told for what it is, never tried again at once, and none is the last."""
    for row in rows:
        assert_told_well(siege, fail(siege, place, row))
        siege.proxy.relent()
        siege.again()
    recover(siege, finalized=finalized)
