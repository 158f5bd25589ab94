"""A new configuration may come at any moment, also between a question and its answer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from unittest.mock import ANY

import pytest
from authority import DAY, NOW
from bench import CA, SERVER, SPEC, Bench
from msgspec.structs import replace
from statedir import NAME, issued, staged

from certd.errors import ConfigError, Refused
from certd.model import events as ev
from certd.model.codes import Kind
from certd.model.facts import AccountState, CaFacts
from certd.model.records import AccountLedger, Idle, Installed, Ledger, Owed, Registered, Settled, Step, Timer
from certd.model.specs import Deployment
from certd.model.view import Subject, SubjectKind

SUBJECT = Subject(SubjectKind.CERTIFICATE, NAME)
RENAMED = replace(CA, name="renamed")
URL = "https://ca.example.jp/order/1"


@pytest.fixture
def engine(bench: Bench) -> Any:
    bench.store.save_account("jprs", Registered(CA.directory, "https://ca/1", NOW, AccountLedger()))
    return bench.engine()


def test_a_ca_that_is_renamed_during_an_exchange(bench: Bench, engine: Any) -> None:
    """What the CA answered is recorded all the same; the next step looks at what is configured now."""
    config = replace(bench.config, cas={"renamed": RENAMED}, certificates={NAME: replace(SPEC, ca="renamed")})
    seen = []

    def place(*_: Any) -> Any:
        engine.replace_config(config)
        return ev.OrderPlaced(URL)

    def end(_: Any, record: Any, __: Any) -> Any:
        seen.append(record.order_url)
        return ev.OrderEnded(ev.Failed(Step.NEW_ORDER, Kind.NEW_ORDER, "names-changed", "other"))

    answers = iter([place, end])
    bench.world.on_order = lambda *given: next(answers)(*given)
    engine.tick(SUBJECT)
    assert seen == [URL]
    assert bench.world.done[-2:] == ["PlaceOrder", "DropOrder"]


def test_a_ca_that_left_takes_no_order(bench: Bench, engine: Any) -> None:
    """Nor is the account asked about: whoever still holds the old specification waits for its next look."""
    shared, gone = engine._shared, replace(bench.config, cas={"renamed": RENAMED}, certificates={})
    engine.replace_config(gone)
    facts = shared.gather.certificate(gone, SPEC, Idle(), NOW, deciding=True)
    assert facts.ca == CaFacts(account=AccountState.PENDING)


def test_a_ca_that_comes_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its account is on the disk: the world knows CA and account before anything is ticked by the new configuration."""
    two = replace(CA, name="two", directory="https://two.example.jp/")
    bench.store.save_account("two", Registered(two.directory, "https://two/1", NOW, AccountLedger()))
    engine, old = bench.engine(), bench.config
    new = replace(old, cas={"jprs": CA, "two": two}, certificates={NAME: replace(SPEC, ca="two")})
    seen: list[Any] = []
    bench.world.on_config = lambda config: seen.append((config, engine.config))
    monkeypatch.setattr(bench.world, "use_account", lambda *account: seen.append((account, engine.config)))
    engine.replace_config(new)
    assert seen == [(new, old), (("two", "https://two/1"), old)]
    assert engine.config == new


def test_a_configuration_that_is_refused(bench: Bench, engine: Any) -> None:
    """The account of a CA was made elsewhere: the world keeps the old configuration, as the engine does."""
    seen: list[Any] = []
    bench.world.on_config = seen.append
    before = engine.config
    moved = {"jprs": replace(CA, directory="https://other.example.jp/")}
    with pytest.raises(ConfigError, match="needs another name"):
        engine.replace_config(replace(bench.config, cas=moved))
    assert (engine.config, seen) == (before, [])


def test_servers_look_while_a_configuration_is_taken(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody who stays leaves a server's index for a moment: a look right then would drop its batch."""
    bench.store.save_certificate(NAME, staged(1, issued().leaf))
    engine = bench.engine()
    shared, seen = engine._shared, []
    index = shared.index
    monkeypatch.setattr(shared, "index", lambda *given: (seen.append(shared.deployable("web")), index(*given)))
    engine.replace_config(bench.config)
    assert seen == [{NAME}]
    moved = replace(SPEC, deploy=(Deployment("other", verify=None),))
    other = {"other": replace(SERVER, id="other")}
    engine.replace_config(replace(bench.config, servers=other, certificates={NAME: moved}))
    assert (shared.deployable("web"), shared.deployable("other")) == (set(), {NAME})


def test_a_server_that_is_renamed_while_it_owes_a_reload(bench: Bench) -> None:
    """The debt is the new name's: what was swapped is loaded after all (I3), though nobody asks the old name again."""
    version = bench.version(1, live=True)
    swapped = Installed(Ledger(), staged(version, issued().leaf), (Owed("web", 1),), NOW)
    bench.store.save_certificate(NAME, swapped)
    bench.store.save_server("web", Settled(wanted=1, retry=Timer(NOW, NOW + DAY)))
    engine = bench.engine()
    engine.tick(SUBJECT)
    assert isinstance(bench.store.load_certificate(NAME), Installed)
    moved = replace(SPEC, deploy=(Deployment("www", verify=None),))
    engine.replace_config(replace(bench.config, servers={"www": replace(SERVER, id="www")}, certificates={NAME: moved}))
    engine.tick(SUBJECT)
    assert isinstance(bench.store.load_certificate(NAME), Idle)
    for _ in range(3):
        engine.tick(Subject(SubjectKind.SERVER, "www"))
        bench.times.passes(timedelta(seconds=3))
    assert bench.world.done.count("reload") == 1
    assert bench.store.load_server("www") == Settled(wanted=2, confirmed=2, last_reload=ANY)


def test_a_server_that_is_renamed_before_a_swap_is_noted(bench: Bench) -> None:
    """The same after a crash: the link has moved, and the record does not say so yet."""
    bench.version(1)
    version = bench.version(2, live=True)
    bench.store.save_certificate(NAME, staged(version, issued(2).leaf))
    moved = replace(SPEC, deploy=(Deployment("www", verify=None),))
    engine = bench.engine(servers={"www": replace(SERVER, id="www")}, certificates={NAME: moved})
    engine.tick(SUBJECT)
    assert bench.store.load_certificate(NAME).owed == (Owed("www", 1),)
    for _ in range(3):
        engine.tick(Subject(SubjectKind.SERVER, "www"))
        bench.times.passes(timedelta(seconds=3))
    assert bench.world.done == ["reload"]
    engine.tick(SUBJECT)
    assert isinstance(bench.store.load_certificate(NAME), Idle)


@pytest.mark.parametrize("deploy", [("www",), ("web", "www")])
def test_a_server_that_others_use_comes_before_a_swap_is_noted(bench: Bench, deploy: tuple[str, ...]) -> None:
    """It has loaded much for certd, but not this: nobody told it before the link moved."""
    bench.version(1)
    version = bench.version(2, live=True)
    bench.store.save_certificate(NAME, staged(version, issued(2).leaf))
    bench.store.save_server("web", Settled(wanted=3, confirmed=3))
    bench.store.save_server("www", Settled(wanted=5, confirmed=5))
    reloaded: list[str] = []
    bench.world.reload = lambda server: reloaded.append(server.id)
    moved = replace(SPEC, deploy=tuple(Deployment(server, verify=None) for server in deploy))
    servers = {server: replace(SERVER, id=server) for server in deploy}
    engine = bench.engine(servers=servers, certificates={NAME: moved})
    for _ in range(5):
        for subject in (SUBJECT, *(Subject(SubjectKind.SERVER, server) for server in deploy)):
            engine.tick(subject)
        bench.times.passes(timedelta(seconds=30))
    assert reloaded == ["www"]
    assert isinstance(bench.store.load_certificate(NAME), Idle)


def test_a_link_moves_once_it_is_recorded_who_hears_of_it(bench: Bench) -> None:
    """A server that came to the certificate a moment ago is noted first."""
    bench.version(1, live=True)
    record = replace(staged(bench.version(2), issued(2).leaf), opened=True)
    bench.store.save_certificate(NAME, record)
    both = replace(SPEC, deploy=(Deployment("web", verify=None), Deployment("www", verify=None)))
    engine = bench.engine(servers={"web": SERVER, "www": replace(SERVER, id="www")}, certificates={NAME: both})
    web, www = (Subject(SubjectKind.SERVER, server) for server in ("web", "www"))
    engine.tick(web)
    assert bench.world.done == []
    engine.tick(SUBJECT)
    assert bench.store.load_certificate(NAME).servers == ("web", "www")
    for _ in range(4):
        for subject in (web, www, SUBJECT):
            engine.tick(subject)
        bench.times.passes(timedelta(seconds=5))
    assert bench.world.done == [f"switch {NAME} 2", "reload", "reload"]


def test_nothing_is_forgotten_in_the_middle_of_an_exchange(bench: Bench, engine: Any) -> None:
    """What the exchange brings would be written after the deletion: it is refused until the tick has ended."""
    bench.version(1, live=True)
    said = []

    def place(*_: Any) -> Any:
        engine.replace_config(replace(bench.config, certificates={}))
        with pytest.raises(Refused) as refused:
            engine.forget(NAME)
        said.append(str(refused.value))
        return ev.OrderPlaced(URL)

    bench.world.on_order = place
    engine.renew(NAME)
    engine.tick(SUBJECT)
    assert "try again in a minute" in said[0]
    assert "deleted" in engine.forget(NAME)
    assert not bench.store.layout.certificate(NAME).exists()
