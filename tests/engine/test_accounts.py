"""When a refused account is tried again: what the operator changed counts, not only the time."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from authority import NOW
from bench import CA, Bench
from msgspec.structs import replace

from certd.model import events as ev
from certd.model.codes import Kind
from certd.model.records import AccountLedger, AccountRefused, Registered, Step
from certd.model.specs import EabSpec
from certd.model.view import Subject, SubjectKind

ACCOUNT = Subject(SubjectKind.ACCOUNT, "jprs")
REFUSED = ev.Failed(Step.ACCOUNT, Kind.OPERATOR, "acme:registration-refused", "the MAC is wrong")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "eab.key"
    path.touch(0o600)
    path.write_text("d3Jvbmcta2V5LXdyb25nLWtleQ")
    return path


@pytest.mark.parametrize("restart", [True, False], ids=["after a restart", "by the running daemon"])
def test_a_key_file_that_was_corrected_in_place_is_a_new_offer(bench: Bench, key: Path, restart: bool) -> None:
    """Same path, same key identifier, another key: the CA is asked at the next tick, not a day later."""
    cas = {"jprs": replace(CA, eab=EabSpec("kid", hmac_key_file=key))}
    engine = bench.engine(cas=cas)
    bench.world.on_account = lambda _, action: ev.KeyMade() if type(action).__name__ == "WriteKey" else REFUSED
    engine.tick(ACCOUNT)
    assert isinstance(bench.store.load_account("jprs"), AccountRefused)
    bench.world.done.clear()
    engine.tick(ACCOUNT)
    assert bench.world.done == [], "nothing has changed"

    key.write_text("cmlnaHQta2V5LXJpZ2h0LWtleQ")
    bench.world.on_account = lambda _, __: ev.AccountKnown("https://ca/1")
    if restart:
        engine = bench.engine(cas=cas)
    engine.tick(ACCOUNT)
    assert isinstance(bench.store.load_account("jprs"), Registered)


def test_a_clock_that_is_put_back_behind_the_start(bench: Bench) -> None:
    """One probe answers for now, not for a start that lies in a future: the CA is not asked without an end."""
    bench.store.save_account("jprs", Registered(CA.directory, "https://ca/1", NOW, AccountLedger()))
    engine = bench.engine()
    bench.world.on_account = lambda _, __: ev.AccountKnown("https://ca/1")
    bench.times.wall -= timedelta(hours=3)
    due = engine.tick(ACCOUNT)
    assert bench.world.done.count("ProbeAccount") == 1
    assert due == bench.times.wall + timedelta(minutes=1), "while the clock is doubted"


def test_nothing_of_the_key_is_in_the_record(bench: Bench, key: Path) -> None:
    """Not even a digest of it alone, which could be compared with another one's."""
    engine = bench.engine(cas={"jprs": replace(CA, eab=EabSpec("kid", hmac_key_file=key))})
    bench.world.on_account = lambda _, action: ev.KeyMade() if type(action).__name__ == "WriteKey" else REFUSED
    engine.tick(ACCOUNT)
    record = bench.store.layout.account_record("jprs").read_text()
    assert key.read_text() not in record
    (offer,) = {bench.store.load_account("jprs").ledger.offer}  # type: ignore[union-attr]
    assert len(offer) == 16
