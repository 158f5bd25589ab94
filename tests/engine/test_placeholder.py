"""A self-signed set, so that a server's configuration loads before the first certificate exists."""

from __future__ import annotations

import shutil

import pytest
from authority import DAY, NOW
from bench import SPEC
from statedir import NAME, placeholder

from certd.engine.placeholder import ensure
from certd.errors import StateError
from certd.model.view import Tally


def test_made_once(bench):
    """Where nothing is there; a second time nothing is done."""
    assert ensure(bench.store, SPEC, NOW)
    version = bench.store.live_version(NAME)
    assert bench.store.is_placeholder(NAME, version)
    assert not ensure(bench.store, SPEC, NOW)
    assert bench.store.versions(NAME) == [version]


@pytest.mark.parametrize("damage", [None, "privkey.pem", "fullchain.pem"])
def test_a_live_link_is_left_alone(bench, damage):
    """Whatever it names, as long as that exists: a broken version is for a person to judge."""
    bench.version(1)
    version = bench.version(2, live=True)
    if damage is not None:
        (bench.store.layout.version(NAME, version) / damage).write_bytes(b"")
    assert not ensure(bench.store, SPEC, NOW + 100 * DAY)
    assert bench.store.live_version(NAME) == version


@pytest.mark.parametrize("lost", ["", "apache.conf"], ids=["version", "file"])
def test_a_live_link_to_nothing(bench, lost):
    """What it names is lost: the newest version that is usable goes live, and Apache finds what it includes."""
    older = bench.version(1)
    path = bench.store.layout.version(NAME, bench.version(2, live=True)) / lost
    if lost:
        path.unlink()
    else:
        shutil.rmtree(path)
    assert ensure(bench.store, SPEC, NOW)
    assert bench.store.live_version(NAME) == older
    assert (bench.store.layout.live(NAME) / "apache.conf").is_file()
    assert not ensure(bench.store, SPEC, NOW)


def test_a_live_link_to_nothing_without_another_version(bench):
    """A placeholder goes live. Its number is a new one: the link that is lost must not come to name it by accident."""
    lost = bench.version(1, live=True)
    shutil.rmtree(bench.store.layout.version(NAME, lost))
    assert ensure(bench.store, SPEC, NOW)
    version = bench.store.live_version(NAME)
    assert version == lost + 1
    assert bench.store.is_placeholder(NAME, version)


def test_a_disk_that_does_not_tell(bench):
    """An error while looking for the live version moves nothing: it may well be there."""
    bench.version(1)
    version = bench.version(2, live=True)
    path = bench.store.layout.version(NAME, version) / "apache.conf"
    path.unlink()
    path.symlink_to(path)
    with pytest.raises(StateError, match="cannot look at"):
        ensure(bench.store, SPEC, NOW)
    assert bench.store.live_version(NAME) == version


def test_a_lost_link_comes_back(bench):
    """The newest version that is usable goes live again, before any placeholder is thought of."""
    bench.version(1)
    newest = bench.version(2)
    broken = bench.version(3)
    (bench.store.layout.version(NAME, broken) / "privkey.pem").unlink()
    assert ensure(bench.store, SPEC, NOW)
    assert bench.store.live_version(NAME) == newest


def test_an_expired_version_is_no_use(bench):
    """Then the placeholder it is."""
    bench.version(1, days=1)
    assert ensure(bench.store, SPEC, NOW + 2 * DAY)
    assert bench.store.is_placeholder(NAME, bench.store.live_version(NAME))


def test_a_placeholder_that_lost_its_link(bench):
    """It gets it back; no second one is made."""
    version = bench.add(placeholder())
    assert ensure(bench.store, SPEC, NOW)
    assert bench.store.live_version(NAME) == version


def test_prepare(bench):
    """The engine makes one for each certificate, and knows it at once."""
    engine = bench.engine()
    engine.prepare()
    (shown,) = engine.view().certificates
    assert shown.placeholder
    assert shown.facts.live is None
    assert bench.store.layout.live(NAME).is_symlink()


def test_what_is_known_of_live_links_outlives_a_reload(bench):
    """Each configuration that is read prepares again: it must not cost the reading of ten thousand sets."""
    bench.version(1, live=True)
    engine = bench.engine()
    engine.prepare()
    assert engine.tally() == Tally(managed=1, live=0, busy=0, unread=1, config_error=False)
    engine.view()
    engine.prepare()
    assert engine.tally() == Tally(managed=1, live=1, busy=0, unread=0, config_error=False)
