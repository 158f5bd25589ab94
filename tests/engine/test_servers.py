"""The loop around a server's life, where it meets other servers."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from authority import NOW
from bench import SERVER, SPEC, Bench
from msgspec.structs import replace
from statedir import NAME, issued

from certd.engine import Engine
from certd.errors import CommandFailed, StateError
from certd.model.codes import Because
from certd.model.records import BatchSet, Deploying, DeployStage, Ledger, Settled, Staged, Timer
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
