"""Anything that the model can hold, for hypothesis: made from the structs themselves, so a new field is attacked too.

Values come from small sets, so that names, serials, versions and times meet each other.
"""

from __future__ import annotations

import types
from datetime import date, datetime, timedelta
from enum import Enum
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
from hypothesis import strategies as st
from views import NOW

from certd.model.facts import AccountFacts, CertificateFacts, Live, ServerFacts
from certd.model.records import Deploying, DeployStage, Leaf, Ordering, Staged, Timer
from certd.model.specs import CaSpec, CertificateSpec, OcspPolicy, ServerSpec

WORDS = ("example.jp", "www.example.jp", "other.jp", "jprs", "web", "a", "b", "0a1b")
SPAN = 100 * 24 * 3600
"""Seconds around NOW in which everything happens."""

moments = st.integers(-SPAN, SPAN).map(lambda seconds: NOW + timedelta(seconds=seconds))
delays = st.integers(0, SPAN).map(lambda seconds: timedelta(seconds=seconds))
draws = st.floats(0, 1, exclude_max=True)
_near = st.integers(-1200, 1200).map(lambda seconds: NOW + timedelta(seconds=seconds))

_PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    datetime: moments | _near,
    timedelta: delays,
    date: st.none(),
    Fraction: st.fractions(Fraction(1, 20), Fraction(19, 20)),
    Path: st.just(Path("/etc/ssl/ca.pem")),
    str: st.sampled_from(WORDS),
    int: st.integers(0, 5),
    float: draws,
    bool: st.booleans(),
    type(None): st.none(),
    dict: st.just({}),
    Any: st.none(),
}


@cache
def anything(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a type of the model: a struct, a union of them, an enumeration, a tuple or a plain type."""
    if kind in _SPECIAL:
        return _SPECIAL[kind]()
    if kind in _PLAIN:
        return _PLAIN[kind]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return st.one_of([anything(one) for one in arguments])
    if origin is tuple and arguments[-1] is Ellipsis:
        return st.lists(anything(arguments[0]), max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*(anything(one) for one in arguments))
    if origin is dict:
        return st.just({})
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from(list(kind))
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return struct(kind)
    raise AssertionError(f"no values are known for {kind}")


def struct(kind: type[Any], **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Structs of one type; `fields` replaces the strategies of some."""
    hints = get_type_hints(kind)
    known = {field.name: anything(hints[field.name]) for field in msgspec.structs.fields(kind)}
    return st.builds(kind, **(known | fields))


def _timers() -> st.SearchStrategy[Timer]:
    return st.tuples(moments | _near, delays).map(lambda pair: Timer(pair[0], pair[0] + pair[1]))


def _leaves() -> st.SearchStrategy[Leaf]:
    ends = st.tuples(moments, st.integers(3600, 200 * 24 * 3600))
    return st.tuples(struct(Leaf), ends).map(
        lambda pair: msgspec.structs.replace(
            pair[0], not_before=pair[1][0], not_after=pair[1][0] + timedelta(seconds=pair[1][1])
        )
    )


def _orderings() -> st.SearchStrategy[Ordering]:
    """An order is finalized only once it has a URL, and gets its time to give up at that moment."""

    def sensible(record: Ordering) -> Ordering:
        if record.order_url is None or record.finalized_at is None:
            return msgspec.structs.replace(record, finalized_at=None, give_up=None)
        return msgspec.structs.replace(record, give_up=record.give_up or record.finalized_at + timedelta(days=1))

    return struct(Ordering).map(sensible)


def _deployings() -> st.SearchStrategy[Deploying]:
    """Whoever loads has a time to give up, and whoever goes back somebody to blame."""

    def sensible(record: Deploying) -> Deploying:
        loading = record.stage in (DeployStage.LOADING, DeployStage.LOADING_OLD)
        wait = record.wait or (Timer(record.began_at, record.began_at + timedelta(seconds=30)) if loading else None)
        settled = msgspec.structs.replace(record.settled, wanted=max(record.settled.wanted, record.generation))
        owed = msgspec.structs.replace(settled, confirmed=min(settled.confirmed, record.generation - 1))
        return msgspec.structs.replace(record, wait=wait, settled=owed)

    return struct(Deploying, generation=st.integers(1, 5)).map(sensible)


def _specs() -> st.SearchStrategy[CertificateSpec]:
    names = st.lists(st.sampled_from(WORDS[:3]), min_size=1, max_size=3, unique=True).map(tuple)
    return struct(CertificateSpec, domains=names, orders_per_day=st.integers(1, 10))


def _policies() -> st.SearchStrategy[OcspPolicy]:
    short = st.integers(0, 7200).map(lambda seconds: timedelta(seconds=seconds))
    return struct(OcspPolicy, propagation_delay=short, max_wait=short)


_SPECIAL: dict[Any, Any] = {
    Timer: _timers,
    Leaf: _leaves,
    Ordering: _orderings,
    Deploying: _deployings,
    CertificateSpec: _specs,
    OcspPolicy: _policies,
}

specs = anything(CertificateSpec)
server_specs = anything(ServerSpec)
ca_specs = anything(CaSpec)
certificate_facts = anything(CertificateFacts)
server_facts = anything(ServerFacts)
account_facts = anything(AccountFacts)
lives = anything(Live)
staged_records = anything(Staged)
