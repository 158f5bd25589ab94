"""The operator's words: renew, rollback, forget; and what the engine does with a new configuration."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from authority import DAY, NOW
from bench import CA, SPEC, Bench
from msgspec.structs import replace
from statedir import NAME, issued, placeholder
from views import ordering

from certd.errors import ConfigError, Refused
from certd.model.codes import Because
from certd.model.records import (
    AccountLedger,
    CaHold,
    Draw,
    Idle,
    Installed,
    Ledger,
    OcspCheck,
    OcspWord,
    Ordering,
    Owed,
    Registered,
    Rejection,
    Request,
    Served,
    Settled,
    Staged,
    Timer,
)
from certd.model.specs import CaLimits, CertificateSpec, Deployment, VerifySpec
from certd.model.view import Lane, Subject, SubjectKind

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
SUBJECT = Subject(SubjectKind.CERTIFICATE, NAME)
WEB = Subject(SubjectKind.SERVER, "web")


def staged(version: int, number: int, **changes: Any) -> Staged:
    record = Staged(
        Ledger(draw=Draw("3e9", 0.5)),
        Because.RENEWAL_TIME,
        version,
        issued(number).leaf,
        NOW,
        Timer(NOW, NOW + 10 * MINUTE),
        NOW + HOUR,
    )
    return replace(record, **changes)


def order(**changes: Any) -> Ordering:
    return ordering(domains=(NAME,), key=SPEC.key, directory=CA.directory, **changes)


def saved(bench: Bench, record: Any = None) -> Any:
    """The record on disk; given one, it is put there."""
    if record is not None:
        bench.store.save_certificate(NAME, record)
    return bench.store.load_certificate(NAME)


# --- renew ------------------------------------------------------------------------------------------------------


def test_renew_when_idle(bench):
    """It is recorded durably, and the certificate is woken."""
    bench.version(1, live=True)
    registered(bench)
    assert "is ordered now" in bench.engine().renew(NAME)
    assert saved(bench).ledger.requested == Request(NOW)
    assert SUBJECT in bench.woken


def test_renew_during_an_order(bench):
    """The order is asked at once."""
    saved(bench, order(poll=Timer(NOW, NOW + HOUR)))
    registered(bench)
    assert "it is asked at once" in bench.engine().renew(NAME)
    assert saved(bench).poll == Timer(NOW, NOW)


@pytest.mark.parametrize("record", [Idle(), order()])
def test_renew_that_has_to_wait(bench, record):
    """Nobody is told that it happens now: what is in the way is said, and its end where there is one."""
    saved(bench, record)
    assert bench.engine().renew(NAME).endswith("as it can be. The account on the CA is not registered yet.")
    held = AccountLedger(hold=CaHold(Timer(NOW, NOW + HOUR), "429", Timer(NOW, NOW + HOUR)))
    bench.store.save_account("jprs", Registered(CA.directory, "https://ca/1", NOW, held))
    answer = bench.engine().renew(NAME)
    assert "The CA asked for a pause" in answer
    assert answer.endswith("It ends at 2026-11-23 13:00:00 UTC at the latest.")


def test_renew_at_the_daily_ceiling(bench):
    """The ceiling holds for the operator as well, who is told so."""
    placed = (NOW - HOUR,) * SPEC.orders_per_day
    saved(bench, Idle(Ledger(orders=placed)))
    registered(bench)
    answer = bench.engine().renew(NAME)
    assert "within 24 hours" in answer
    assert answer.endswith("It ends at 2026-11-24 11:00:00 UTC at the latest.")


@pytest.mark.parametrize(
    ("now", "answer", "opened"),
    [(False, "goes live at 2026-11-23 12:10:00 UTC", False), (True, "goes live now", True)],
)
def test_renew_when_staged(bench, now, answer, opened):
    """When it goes live; with --now the gate is open."""
    bench.version(1, live=True)
    saved(bench, staged(bench.version(2), 2))
    assert answer in bench.engine().renew(NAME, now=now)
    assert saved(bench).opened is opened


def test_renew_now_never_opens_for_a_revoked_set(bench):
    """The word of the responder stands above the operator's: that set is abandoned."""
    bench.version(1, live=True)
    saved(bench, staged(bench.version(2), 2, check=OcspCheck(OcspWord.REVOKED, NOW)))
    engine = bench.engine()
    engine.renew(NAME, now=True)
    engine.tick(SUBJECT)
    engine.tick(WEB)
    assert bench.store.live_version(NAME) == 1
    assert saved(bench).ledger.rejected == (2,)


def test_renew_when_installed(bench):
    """It is there, and about to be loaded."""
    saved(bench, Installed(Ledger(), staged(bench.version(1, live=True), 1), (Owed("web", 1),), NOW))
    before = saved(bench)
    assert "already in place" in bench.engine().renew(NAME)
    assert saved(bench) == before


@pytest.mark.parametrize("live", [1, 2])
def test_renew_when_the_server_refused(bench, live):
    """What kept the server from it is taken to be mended: the back-off and the rejection of this set end."""
    bench.version(1, live=True)
    record = staged(bench.version(2, live=live == 2), 2, activate=Timer(NOW - HOUR, NOW - HOUR))
    saved(bench, record if live == 1 else Installed(Ledger(), record, (Owed("web", 1),), NOW))
    later = Timer(NOW, NOW + HOUR)
    rejections = (Rejection(NAME, 2, later, "why"), Rejection("other.jp", 2, later, "why"))
    bench.store.save_server("web", Settled(1, 0, 3, later, rejections=rejections))
    answer = bench.engine().renew(NAME)
    assert ("once responder and server allow it" in answer) is (live == 1)
    assert bench.store.load_server("web") == Settled(1, 0, 3, None, rejections=rejections[1:])


def test_a_name_that_is_not_configured(bench):
    """It is refused, with what to do."""
    engine = bench.engine()
    for word in (engine.renew, engine.rollback):
        with pytest.raises(Refused, match="not in the configuration; `certd status`"):
            word("other.jp")


# --- rollback ---------------------------------------------------------------------------------------------------


def test_rollback(bench):
    """The version before is staged with its gate open; its server swaps and loads it, and a hold keeps it there."""
    bench.version(1)
    bench.version(2, live=True)
    engine = bench.engine()
    answer = engine.rollback(NAME)
    assert "going back to version 1" in answer
    assert "version 2 is not used again" in answer
    assert "until 2026-11-30 12:00:00 UTC" in answer
    engine.tick(WEB)
    engine.tick(SUBJECT)
    bench.times.passes(30 * timedelta(seconds=1))
    engine.tick(WEB)
    bench.times.passes(30 * timedelta(seconds=1))
    engine.tick(WEB)
    engine.tick(SUBJECT)
    assert bench.store.live_version(NAME) == 1
    assert "reload" in bench.world.done
    after = saved(bench)
    assert isinstance(after, Idle)
    assert (after.ledger.hold.rejected, after.ledger.rejected) == (2, (2,))


def test_the_hold_ends_before_the_certificate_does(bench):
    """A version with little left is held until an eighth of its life is left, not for a week."""
    bench.version(1, days=5)
    bench.version(2, live=True)
    bench.engine().rollback(NAME)
    leaf = issued(1, 5).leaf
    assert saved(bench).ledger.hold.timer.until == leaf.not_after - (leaf.not_after - leaf.not_before) / 8


def test_rollback_to_what_is_about_to_expire(bench):
    """The operator may go back to whatever has not expired, although certd itself would not."""
    bench.version(1, days=2)
    bench.version(2, live=True)
    assert "going back to version 1" in bench.engine().rollback(NAME)


def test_no_rollback_to_what_has_expired(bench):
    """An expired version is nowhere to go back to."""
    bench.version(1, days=2)
    bench.version(2, live=True)
    bench.times.passes(3 * DAY)
    with pytest.raises(Refused, match="no earlier version"):
        bench.engine().rollback(NAME)


@pytest.mark.parametrize("rejected", [(), (2,)])
def test_no_rollback_to_a_set_that_was_never_live(bench, rejected):
    """A set that an interrupted run left behind is not an earlier one: not before the next order, nor after it."""
    bench.version(1, live=not rejected)
    bench.version(2)
    if rejected:
        bench.version(3, live=True)
    saved(bench, Idle(Ledger(rejected=rejected)))
    if rejected:
        assert "going back to version 1" in bench.engine().rollback(NAME)
    else:
        with pytest.raises(Refused, match="no earlier version"):
            bench.engine().rollback(NAME)


def test_rollback_of_a_staged_set(bench):
    """What is only staged is dropped: what is live stays live."""
    bench.version(1, live=True)
    saved(bench, staged(bench.version(2), 2))
    assert "going back to version 1" in bench.engine().rollback(NAME)
    after = saved(bench)
    assert isinstance(after, Idle)
    assert after.ledger.rejected == (2,)


def test_rollback_of_a_set_that_was_swapped_and_not_noted(bench):
    """The link is the fact: what it names is what is abandoned."""
    bench.version(1)
    saved(bench, staged(bench.version(2, live=True), 2))
    assert "going back to version 1" in bench.engine().rollback(NAME)
    after = saved(bench)
    assert (after.version, after.because, after.ledger.rejected) == (1, Because.ROLLBACK, (2,))


def test_rollback_of_an_installed_set(bench):
    """Before its server has confirmed it."""
    bench.version(1)
    version = bench.version(2, live=True)
    saved(bench, Installed(Ledger(), staged(version, 2), (Owed("web", 1),), NOW))
    bench.engine().rollback(NAME)
    assert saved(bench).version == 1


def test_a_roll_back_is_not_rolled_back(bench):
    """The same word twice does not undo itself."""
    bench.version(1)
    bench.version(2, live=True)
    engine = bench.engine()
    engine.rollback(NAME)
    before = saved(bench)
    with pytest.raises(Refused, match="version 1 is under way already"):
        engine.rollback(NAME)
    assert saved(bench) == before


def test_renew_ends_a_roll_back(bench):
    """It is brought to its end, and then a new certificate is ordered."""
    bench.version(1)
    bench.version(2, live=True)
    engine = bench.engine()
    engine.rollback(NAME)
    assert "brought to its end first" in engine.renew(NAME)
    assert saved(bench).ledger.hold is None


@pytest.mark.parametrize("live", [True, False])
def test_nothing_to_go_back_to(bench, live):
    """With one version, or none, or a placeholder alone."""
    bench.add(placeholder(), live=True)
    if live:
        bench.version(1, live=True)
    with pytest.raises(Refused, match="no earlier version"):
        bench.engine().rollback(NAME)


@pytest.mark.parametrize(
    ("days", "ledger"),
    [(1, Ledger()), (90, Ledger(revoked="3e9")), (90, Ledger(rejected=(1,)))],
    ids=["expired", "revoked", "rejected"],
)
def test_never_back_to(bench, days, ledger):
    """What has expired, was revoked, or was rejected before."""
    bench.version(1, days=days)
    bench.version(2, live=True)
    saved(bench, Idle(ledger))
    bench.times.wall = NOW + 2 * DAY
    with pytest.raises(Refused, match="no earlier version"):
        bench.engine().rollback(NAME)


def test_the_newest_that_is_fit(bench):
    """Of several, the last one before."""
    for number in (1, 2, 3):
        bench.version(number)
    bench.version(4, live=True)
    saved(bench, Idle(Ledger(rejected=(3,))))
    assert "version 2" in bench.engine().rollback(NAME)


def test_no_rollback_during_an_order(bench):
    """First the one thing, then the other."""
    saved(bench, order())
    with pytest.raises(Refused, match="a renewal is under way"):
        bench.engine().rollback(NAME)


# --- forget -----------------------------------------------------------------------------------------------------


def test_forget(bench):
    """Everything that is kept of a name that is no longer configured."""
    bench.version(1, live=True)
    saved(bench, Idle())
    engine = bench.engine(certificates={})
    assert [one.name for one in engine.view().certificates] == [NAME]
    assert "are deleted" in engine.forget(NAME)
    assert bench.store.names() == []
    assert bench.store.live_version(NAME) is None
    assert engine.view().certificates == []


def test_forget_is_refused(bench):
    """For a name that is configured, and for one that nobody knows."""
    engine = bench.engine()
    with pytest.raises(Refused, match="still in the configuration"):
        engine.forget(NAME)
    with pytest.raises(Refused, match=r"nothing is kept of other\.jp"):
        engine.forget("other.jp")


# --- a new configuration ----------------------------------------------------------------------------------------


def test_subjects_and_lanes(bench):
    """Accounts and servers first; servers never queue behind a CA."""
    engine = bench.engine()
    subjects = list(engine.subjects())
    assert subjects == [Subject(SubjectKind.ACCOUNT, "jprs"), WEB, SUBJECT]
    assert [engine.lane_of(subject) for subject in subjects] == [Lane.CA, Lane.LOCAL, Lane.CA]


def test_a_directory_that_changed(bench):
    """An account belongs to the CA that it was made at: neither a start nor a reload takes another URL for it."""
    bench.store.save_account("jprs", Registered(CA.directory, "https://ca/1", NOW, AccountLedger()))
    engine = bench.engine()
    assert "use https://ca/1" in bench.world.done
    moved = {"jprs": replace(CA, directory="https://other.example.jp/")}
    with pytest.raises(ConfigError, match="needs another name"):
        engine.replace_config(replace(bench.config, cas=moved))
    assert engine.config.cas == {"jprs": CA}
    with pytest.raises(ConfigError, match=r"cas\.jprs\.directory"):
        bench.engine(cas=moved)


def registered(bench: Bench) -> None:
    bench.store.save_account("jprs", Registered(CA.directory, "https://ca/1", NOW, AccountLedger()))


def names(*wanted: str) -> dict[str, CertificateSpec]:
    return {name: replace(SPEC, name=name, domains=(name,)) for name in wanted}


def placing(bench: Bench, engine: Any, *wanted: str) -> list[str]:
    """Which of these begin an order when they are ticked."""

    class Placed(Exception):
        pass

    def refuse(*_: Any) -> Any:
        raise Placed

    bench.world.on_order = refuse
    begun = []
    for name in wanted:
        try:
            engine.tick(Subject(SubjectKind.CERTIFICATE, name))
        except Placed:
            begun.append(name)
    return begun


def test_permits_of_who_left(bench):
    """A certificate that is configured no longer holds no permit; when it comes back, its order counts again."""
    registered(bench)
    bench.config = replace(bench.config, certificates=names("a.jp", "b.jp"))
    engine = bench.engine()
    assert placing(bench, engine, "a.jp", "b.jp") == ["a.jp"]
    engine.replace_config(replace(bench.config, certificates=names("b.jp")))
    assert placing(bench, engine, "b.jp") == ["b.jp"]
    engine.replace_config(replace(bench.config, certificates=names("a.jp", "b.jp", "c.jp")))
    assert placing(bench, engine, "c.jp") == []


def test_permits_after_a_restart(bench):
    """Orders in flight count from the records; new limits count at once."""
    registered(bench)
    bench.store.save_certificate("a.jp", order())
    bench.config = replace(bench.config, certificates=names("a.jp", "b.jp"))
    engine = bench.engine()
    assert placing(bench, engine, "b.jp") == []
    wider = {"jprs": replace(CA, limits=CaLimits(in_flight=2))}
    engine.replace_config(replace(bench.config, cas=wider))
    bench.times.passes(HOUR)
    assert placing(bench, engine, "b.jp") == ["b.jp"]


def test_nobody_waits_for_hosts_of_who_left(bench):
    """What has no virtual host yet is told of while it is deployed there, and no longer."""
    bench.store.save_server("web", Settled(not_served=("a.jp", "b.jp")))
    bench.config = replace(bench.config, certificates=names("a.jp", "b.jp"))
    engine = bench.engine()
    assert engine.view().servers[0].record.not_served == ("a.jp", "b.jp")
    engine.replace_config(replace(bench.config, certificates=names("a.jp")))
    assert engine.view().servers[0].record.not_served == ("a.jp",)


@pytest.mark.parametrize(("served", "verify", "awaited"), [(1, True, False), (2, True, True), (1, False, True)])
def test_a_host_that_was_waited_for(bench, served, verify, awaited):
    """Once a look has shown the live certificate there, nobody is told of a missing virtual host any more."""
    bench.version(1, live=True)
    seen = Served(issued(served).leaf.serial, NOW)
    saved(bench, Idle(Ledger(served=seen, probe=Timer(NOW, NOW + HOUR))))
    bench.store.save_server("web", Settled(not_served=(NAME,)))
    spec = replace(SPEC, deploy=(Deployment("web", VerifySpec() if verify else None),))
    engine = bench.engine(certificates={NAME: spec})
    assert engine.view().servers[0].record.not_served == ((NAME,) if awaited else ())


def test_a_clock_that_is_doubted_is_asked_about(bench):
    """Every account is woken, once, since a CA's Date settles it."""
    engine = bench.engine()
    account = Subject(SubjectKind.ACCOUNT, "jprs")
    bench.woken.clear()
    engine.note_time()
    assert bench.woken == []
    bench.times.wall += 3 * HOUR
    engine.note_time()
    engine.note_time()
    assert bench.woken == [account]


def test_the_time_is_remembered(bench):
    """Once an hour, and a start before it is not believed."""
    engine = bench.engine()
    engine.note_time()
    bench.times.passes(59 * MINUTE)
    engine.note_time()
    assert bench.store.load_daemon().last_seen == NOW
    bench.times.passes(MINUTE)
    engine.note_time()
    assert bench.store.load_daemon().last_seen == NOW + HOUR
    bench.times.wall = NOW - DAY
    later = bench.engine()
    assert not later.view().clock_sure
    later.note_time()
    assert bench.store.load_daemon().last_seen == NOW + HOUR
