"""What the live links name."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
from authority import DAY, NOW
from statedir import NAME, issued, placeholder

from certd.engine.lives import Life, Lives
from certd.errors import StateError
from certd.model.facts import Live


@pytest.fixture
def lives(bench) -> Lives:
    return Lives(bench.store)


def test_no_link(lives):
    """Nothing is live, and nobody knows better without looking."""
    assert lives.of(NAME) == Life()
    assert lives.known("other") == Life()


def test_a_live_certificate(bench, lives):
    """Its version, its leaf, its fingerprint."""
    version = bench.version(1, live=True)
    leaf = issued(1).leaf
    assert lives.of(NAME) == Life(version, Live(version, leaf))
    assert lives.of(NAME).fingerprint == leaf.fingerprint
    assert lives.leaf(NAME, version) == leaf


def test_a_placeholder_is_no_certificate(bench, lives):
    """It is linked, but never live."""
    version = bench.add(placeholder(), live=True)
    assert lives.of(NAME) == Life(version, None, placeholder().leaf.fingerprint)
    assert lives.of(NAME).fingerprint == placeholder().leaf.fingerprint


def test_a_broken_set_is_told(bench, lives, caplog):
    """A live link to a set that is not complete counts as nothing live, and is said loudly."""
    version = bench.version(1, live=True)
    (bench.store.layout.version(NAME, version) / "privkey.pem").unlink()
    with caplog.at_level(logging.ERROR):
        assert lives.of(NAME) == Life(version)
    assert "cannot be used" in caplog.text
    assert lives.leaf(NAME, version) is None


def test_a_foreign_link(bench, lives):
    """A link that certd did not make is an error, not a state."""
    bench.store.layout.live(NAME).symlink_to("/etc")
    with pytest.raises(StateError, match="did not make"):
        lives.of(NAME)


def test_read_once_until_forgotten(bench, lives):
    """The disk is asked again only after the link has moved."""
    first = bench.version(1, live=True)
    assert lives.of(NAME).link == first
    second = bench.version(2, live=True)
    assert lives.of(NAME).link == lives.known(NAME).link == first
    lives.forget(NAME)
    assert lives.of(NAME).link == second


@pytest.mark.parametrize(
    ("days", "at", "worth"),
    [
        (90, NOW + 87 * DAY, True),
        (90, NOW + 87 * DAY + timedelta(seconds=1), False),
        (5, NOW + 3 * DAY, True),
        (5, NOW + 4 * DAY, False),
        (90, NOW + 91 * DAY, False),
    ],
)
def test_worth_returning(bench, lives, days, at, worth):
    """72 hours must be left, or a quarter of a short life."""
    version = bench.version(1, days=days)
    assert (lives.worth_returning(NAME, version, revoked=None, now=at) is not None) is worth


def test_never_worth_returning(bench, lives):
    """Neither to what is revoked, nor to a placeholder, nor to what is broken or gone."""
    version = bench.version(1)
    serial = issued(1).leaf.serial
    assert lives.worth_returning(NAME, version, revoked=serial, now=NOW) is None
    assert lives.worth_returning(NAME, version, revoked="other", now=NOW) == issued(1).leaf
    empty = bench.add(placeholder())
    assert lives.worth_returning(NAME, empty, revoked=None, now=NOW) is None
    assert lives.worth_returning(NAME, 99, revoked=None, now=NOW) is None
