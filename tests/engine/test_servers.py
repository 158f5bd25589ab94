"""The loop around a server's life, where it meets other servers."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from authority import NOW
from bench import CA, SERVER, SPEC, Bench
from msgspec.structs import replace
from statedir import NAME, issued, staged

from certd.engine import Engine
from certd.engine.servers import LOOK_EVERY
from certd.errors import CommandFailed, StateError
from certd.model import events as ev
from certd.model.codes import Because
from certd.model.records import (
    AccountLedger,
    Activity,
    BatchSet,
    Deploying,
    DeployStage,
    Idle,
    Ledger,
    Registered,
    Settled,
    Staged,
    Timer,
)
from certd.model.specs import CommandReload, Deployment
from certd.model.view import Subject, SubjectKind

CERTIFICATE = Subject(SubjectKind.CERTIFICATE, NAME)
WEB, MAIL = Subject(SubjectKind.SERVER, "web"), Subject(SubjectKind.SERVER, "mail")


def settle(bench: Bench, engine: Engine) -> None:
    """Tick everybody, until nobody has anything to do for a while."""
    for _ in range(12):
        for subject in (CERTIFICATE, WEB, MAIL):
            engine.tick(subject)
        bench.times.passes(timedelta(seconds=5))


def test_a_link_that_two_servers_load(tmp_path: Path) -> None:
    """It moves once, each of them reloads once, and nobody owes anything."""
    bench = Bench(tmp_path)
    bench.version(1, live=True)
    times = (NOW, Timer(NOW, NOW), NOW + timedelta(hours=1))
    record = Staged(Ledger(), Because.RENEWAL_TIME, bench.version(2), issued(2).leaf, *times, opened=True)
    bench.store.save_certificate(NAME, record)
    deploy = (Deployment("web", verify=None), Deployment("mail", verify=None))
    mail = replace(SERVER, id="mail", reload=CommandReload(("true",)))
    engine = bench.engine(servers={"web": SERVER, "mail": mail}, certificates={NAME: replace(SPEC, deploy=deploy)})
    settle(bench, engine)
    assert bench.world.done == [f"switch {NAME} 2", "reload", "reload"]
    for server in ("web", "mail"):
        settled = engine.view().servers[server == "mail"].record
        assert settled.wanted == settled.confirmed, server


def test_what_is_gone_back_to_was_live(tmp_path: Path) -> None:
    """Not the number before, which an interrupted run left behind; also where the swap was not noted yet."""
    bench = Bench(tmp_path)
    bench.version(1)
    bench.version(2)
    swapped = bench.version(2, live=True)
    times = (NOW, Timer(NOW, NOW), NOW + timedelta(hours=1))
    record = Staged(Ledger(), Because.RENEWAL_TIME, swapped, issued(2).leaf, *times, opened=True, previous=1)
    bench.store.save_certificate(NAME, record)
    bench.store.save_server("web", Settled(wanted=1))

    def refuse_the_new_one() -> None:
        if bench.store.live_version(NAME) != 1:
            raise CommandFailed("the set is refused")

    bench.world.on_reload = refuse_the_new_one
    engine = bench.engine()
    for _ in range(12):
        engine.tick(WEB)
        bench.times.passes(timedelta(seconds=5))
    assert bench.store.live_version(NAME) == 1
    assert bench.world.done[:3] == ["reload", f"switch {NAME} 1", "reload"]


def test_a_link_that_moved_on_a_disk_that_then_failed(tmp_path: Path) -> None:
    """The move is reported as failed, and for a while nobody can tell where the link leads: its reload stays owed (I3),
    and is done as soon as the disk is well."""
    bench = Bench(tmp_path)
    bench.version(1, live=True)
    times = (NOW, Timer(NOW, NOW), NOW + timedelta(hours=1))
    bench.store.save_certificate(
        NAME, Staged(Ledger(), Because.RENEWAL_TIME, bench.version(2), issued(2).leaf, *times, opened=True)
    )
    link, aside = bench.store.layout.live(NAME), tmp_path / "aside"

    def fail() -> None:
        link.rename(aside)
        link.mkdir()  # nothing that could be read as a link
        raise StateError("the directory cannot be synced")

    bench.world.on_switch = fail
    engine = bench.engine(certificates={NAME: replace(SPEC, deploy=(Deployment("web", verify=None),))})
    for _ in range(3):
        for subject in (WEB, CERTIFICATE):
            engine.tick(subject)
        bench.times.passes(timedelta(minutes=2))
    assert bench.world.done == [f"switch {NAME} 2"]
    link.rmdir()
    aside.rename(link)
    settle(bench, engine)
    assert bench.world.done == [f"switch {NAME} 2", "reload"]
    assert engine.view().certificates[0].record.ledger.attempts == 0


def test_a_link_that_moved_before_its_certificate_left_the_configuration(tmp_path: Path) -> None:
    """certd died when the link had moved, and does not find the certificate any more: Apache may still include it, so
    the section goes on to its reload (I3)."""
    bench = Bench(tmp_path)
    bench.version(1)
    bench.version(2, live=True)
    batch = (BatchSet(NAME, 2, 1, issued(2).leaf.fingerprint, issued(1).leaf.fingerprint),)
    swapping = Deploying(
        settled=Settled(wanted=1),
        generation=1,
        batch=batch,
        before=(),
        was_active=True,
        fresh=(NAME,),
        stage=DeployStage.SWAPPING,
        began_at=NOW,
    )
    bench.store.save_server("web", swapping)
    engine = bench.engine(certificates={})
    for _ in range(12):
        engine.tick(WEB)
        bench.times.passes(timedelta(seconds=5))
    assert bench.world.done == ["reload"]
    settled = engine.view().servers[0].record
    assert settled.wanted == settled.confirmed == 1


@pytest.mark.parametrize("how", ["a file is missing", "all is missing", "a file is empty"])
def test_a_staged_set_that_is_broken_on_the_disk(tmp_path: Path, how: str) -> None:
    """It is given up before its gate opens, and another certificate ordered: it never goes live, and waiting for it
    would cost the one that is."""
    bench = Bench(tmp_path)
    bench.version(1, live=True, days=30)
    version = bench.version(2)
    bench.store.save_certificate(NAME, staged(version, issued(2).leaf))
    bench.store.save_account("jprs", Registered(CA.directory, "https://ca/1", NOW, AccountLedger()))
    directory = bench.store.layout.version(NAME, version)
    if how == "all is missing":
        shutil.rmtree(directory)
    elif how == "a file is missing":
        (directory / "fullchain.pem").unlink()
    else:
        (directory / "privkey.pem").chmod(0o600)
        (directory / "privkey.pem").write_bytes(b"")
    bench.world.on_order = lambda *_: ev.OrderPlaced("https://ca/order/1")
    engine = bench.engine()
    engine.tick(CERTIFICATE)
    record = bench.store.load_certificate(NAME)
    assert isinstance(record, Idle)
    assert (record.ledger.rejected, record.ledger.failure.code) == ((version,), "set-broken")
    bench.times.passes(timedelta(minutes=3))
    engine.renew(NAME)
    engine.tick(CERTIFICATE)
    assert bench.world.done.count("PlaceOrder") == 1


def test_a_server_that_owes_a_reload_is_asked_how_it_is(tmp_path: Path) -> None:
    """Also where none of its certificates has anything to do any more: what it was when certd started says nothing."""
    bench = Bench(tmp_path)
    bench.world.active = Activity.RELOADING
    bench.store.save_server("web", Settled(wanted=1))
    engine = bench.engine(certificates={})
    engine.tick(WEB)
    bench.world.active = Activity.ACTIVE
    for _ in range(5):
        engine.tick(WEB)
        bench.times.passes(timedelta(seconds=5))
    assert bench.world.done == ["reload"]


@pytest.mark.parametrize(("first", "later"), [(Activity.FAILED, Activity.ACTIVE), (Activity.ACTIVE, Activity.FAILED)])
def test_how_an_idle_server_is_becomes_known(tmp_path: Path, first: Activity, later: Activity) -> None:
    """Whoever starts it, or finds it dead, is told the truth after a few minutes."""
    bench = Bench(tmp_path)
    bench.world.active = first
    engine = bench.engine(certificates={})
    engine.tick(WEB)
    bench.world.active = later
    engine.tick(WEB)
    assert engine.view().servers[0].activity is first, "not asked at every tick"
    bench.times.passes(LOOK_EVERY)
    engine.tick(WEB)
    assert engine.view().servers[0].activity is later
