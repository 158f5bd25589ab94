"""What handshakes before and after a reload prove."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import anything

from certd.model.records import BatchSet, Seen, Sight
from certd.plan import verdict
from certd.plan.verdict import Harmed, Served, StillOld, Unclear

A, B = BatchSet("a", 2, 1, "new-a", "old-a"), BatchSet("b", 2, 1, "new-b", "old-b")


def seen(name: str, what: str) -> Seen:
    """`what`: a fingerprint, or the kind of sight."""
    if what in set(Sight):
        return Seen(name, Sight(what))
    return Seen(name, Sight.LEAF, what)


def judged(before: dict[str, str], after: dict[str, str], final: bool, batch=(A, B)):
    return verdict.judge(
        batch, [seen(n, w) for n, w in before.items()], [seen(n, w) for n, w in after.items()], final=final
    )


OLD = {"a": "old-a", "b": "old-b"}


@pytest.mark.parametrize(
    ("before", "after", "early", "final"),
    [
        (OLD, {"a": "new-a", "b": "new-b"}, Served(), Served()),
        (OLD, {"a": "new-a", "b": "old-b"}, Unclear(), StillOld(("b",))),
        (OLD, {"a": "old-a", "b": "old-b"}, Unclear(), StillOld(("a", "b"))),
        (OLD, {"a": "refused", "b": "new-b"}, Unclear(), Harmed(("a",))),
        (OLD, {"a": "broken", "b": "old-b"}, Unclear(), Harmed(("a",))),
        ({"a": "no-leaf"}, {"a": "refused", "b": "new-b"}, Unclear(), Harmed(("a",))),
        ({"a": "refused"}, {"a": "refused", "b": "new-b"}, Served(("a",)), Served(("a",))),
        ({}, {"a": "refused", "b": "refused"}, Unclear(), Served(("a", "b"))),
        (OLD, {"a": "foreign", "b": "new-b"}, Served(("a",)), Served(("a",))),
        (OLD, {"a": "foreign", "b": "foreign"}, Unclear(), Served(("a", "b"))),
        (OLD, {"a": "no-leaf", "b": "no-leaf"}, Served(), Served()),
        (OLD, {"a": "new-a"}, Served(), Served()),
        (OLD, {}, Unclear(), Served()),
    ],
)
def test_the_table(before, after, early, final):
    """Only what was up and is down now is harm; the old one is a reload that did nothing; the rest has no host.

    While there is time, nothing but new certificates is believed.
    """
    assert judged(before, after, False) == early
    assert judged(before, after, True) == final


sights = st.lists(st.sampled_from(["new-a", "old-a", "foreign", *Sight]), max_size=1)


@given(sights, sights, st.booleans())
def test_harm_is_a_regression(before, after, final):
    """For one set: harm only if it was up before and is down after, at the end of the time."""
    result = verdict.judge((A,), [seen("a", w) for w in before], [seen("a", w) for w in after], final=final)
    was_up = before and before[0] not in (Sight.BROKEN, Sight.REFUSED)
    is_down = after and after[0] in (Sight.BROKEN, Sight.REFUSED)
    assert isinstance(result, Harmed) == bool(final and was_up and is_down)


@given(st.lists(anything(BatchSet), max_size=3), st.lists(anything(Seen), max_size=4), st.lists(anything(Seen)))
def test_the_end_is_an_answer(batch, before, after):
    """When the time is up there is always a verdict; before that never a bad one."""
    assert not isinstance(verdict.judge(batch, before, after, final=True), Unclear)
    assert isinstance(verdict.judge(batch, before, after, final=False), Served | Unclear)


def test_reversed():
    """Seen from its roll-back, the old set is what is hoped for."""
    assert verdict.reversed_set(A) == BatchSet("a", 1, 2, "old-a", "new-a")
    assert verdict.reversed_set(verdict.reversed_set(A)) == A
