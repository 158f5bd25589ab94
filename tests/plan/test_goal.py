"""What is wanted of a certificate, and whether a leaf is that."""

from __future__ import annotations

import pytest
from hypothesis import given
from msgspec.structs import replace
from strategies import specs
from views import leaf, spec

from certd.model.codes import Because
from certd.model.specs import KeyType, OcspPolicy
from certd.plan.goal import goal, mismatch


@pytest.mark.parametrize(
    "change",
    [
        {"domains": ("example.jp",)},
        {"domains": ("example.jp", "www.example.jp", "new.example.jp")},
        {"key": KeyType.P256},
        {"ca": "other"},
    ],
)
def test_another_goal(change):
    """Other names, another key type or another CA make earlier failures meaningless."""
    assert goal(spec(**change)) != goal(spec())


@pytest.mark.parametrize(
    "change", [{"domains": ("www.example.jp", "example.jp")}, {"ocsp": OcspPolicy(early=True)}, {"name": "x"}]
)
def test_the_same_goal(change):
    """The order of names, the gate and the name of the entry do not."""
    assert goal(spec(**change)) == goal(spec())


@given(specs, specs)
def test_goal_is_names_key_and_ca(one, other):
    """Two goals are the same exactly if names, key type and CA are."""
    same = set(one.domains) == set(other.domains) and (one.key, one.ca) == (other.key, other.ca)
    assert (goal(one) == goal(other)) is same


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"names": ("example.jp",)}, Because.NAMES_CHANGED),
        ({"names": ("a.example.jp", "example.jp", "www.example.jp")}, Because.NAMES_CHANGED),
        ({"key": KeyType.P256}, Because.KEY_TYPE_CHANGED),
        ({"key": None}, Because.KEY_TYPE_CHANGED),
    ],
)
def test_mismatch(change, reason):
    """A leaf must cover exactly the configured names, with the configured key type."""
    assert mismatch(spec(), replace(leaf(), **change)) is reason
