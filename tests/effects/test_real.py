"""The real world as a whole: what it hears in passing, the clock, the disk, servers and commands."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from issuance import START, Issuance
from msgspec.structs import replace
from statedir import NAME, issued, staged

from certd.errors import CommandFailed, PkiError
from certd.lab.faults import LabProblem
from certd.model import actions as do
from certd.model import events as ev
from certd.model.codes import Because
from certd.model.records import Activity, OcspWord, Served
from certd.model.specs import AfterCommand, CommandReload, Deployment, ServerSpec

PLACE = do.PlaceOrder(Because.NO_LIVE_CERTIFICATE)
LATER = {"Retry-After": "600"}


def add(issuance: Issuance, number: int = 1, days: int = 90) -> int:
    return issuance.store.add_version(NAME, issued(number, days), group=None, combined=True)


# --- what an error says of the account --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("problem", "on", "heard"),
    [
        (LabProblem("rateLimited", 429, "slow"), "newOrder", ev.CertificateLimited(NAME)),
        (LabProblem("rateLimited", 429, "slow", headers=LATER), "order", timedelta(minutes=10)),
        (LabProblem("rateLimited", 429, "slow"), "order", timedelta(minutes=5)),
        (LabProblem("rateLimited", 429, "slow", headers=LATER), "newNonce", timedelta(minutes=10)),
        (LabProblem("serverInternal", 503, "busy", headers=LATER), "newOrder", timedelta(minutes=10)),
        (LabProblem("serverInternal", 503, "busy"), "newOrder", None),
        (LabProblem("serverInternal", 500, "oops", headers=LATER), "newOrder", None),
        (LabProblem("accountDoesNotExist", 400, "who?"), "newOrder", ev.AccountUnknown),
        (LabProblem("unauthorized", 401, "who?"), "newOrder", ev.AccountUnknown),
        (LabProblem("malformed", 400, "The kid is not one of mine"), "newOrder", ev.AccountDoubted()),
        (LabProblem("malformed", 400, "The kid is not one of mine"), "order", None),
    ],
)
def test_what_is_heard_of_the_account(registered: Issuance, problem: LabProblem, on: Any, heard: Any):
    """429 for one certificate, or for all; a CA that asks for time; one that no longer knows us. No other error."""
    record = registered.placed() if on == "order" else registered.begun()
    registered.heard.clear()
    if on == "newNonce":
        registered.world.close()
        registered.world = registered.new_world()
        registered.world.use_account("jprs", f"{registered.lab.directory_url}/x")
    registered.lab.faults.inject(problem, on)
    registered.do(record, do.ReadOrder() if on == "order" else PLACE)
    if heard is None:
        assert registered.heard == []
        return
    ((ca, event),) = registered.heard
    assert ca == "jprs"
    if isinstance(heard, timedelta):
        assert isinstance(event, ev.CaLimited)
        assert event.delay == heard
    elif isinstance(heard, type):
        assert isinstance(event, heard)
    else:
        assert event == heard


def test_the_time_of_the_ca_is_heard(registered: Issuance):
    """Every answer's Date header reaches the clock."""
    registered.dates.clear()
    registered.placed()
    assert set(registered.dates) == {START}


def test_a_new_configuration(registered: Issuance):
    """A CA that changed gets a client of its own; one that went away has none."""
    registered.placed()
    url = registered.world.account(registered.ca, do.ProbeAccount()).url
    registered.world.replace_config(registered.config(replace(registered.ca, contact=("new@example.jp",))))
    registered.world.use_account("jprs", url)
    registered.placed()
    registered.world.replace_config(registered.config())
    failed = registered.do(registered.begun(), PLACE)
    assert isinstance(failed, ev.Failed)
    assert "no longer has" in failed.text


# --- the responder ----------------------------------------------------------------------------------------------


def test_the_status_of_a_staged_set(registered: Issuance):
    """Unknown while the responder lags, good after it, revoked once it is."""
    new = registered.issued()
    record = staged(new.version, new.leaf)

    def word(by_get: bool = True) -> OcspWord:
        asked = registered.world.ask_status(registered.spec, record, do.ConfirmStatus(by_get), registered.times())
        assert asked.check.asked_at == registered.times()
        return asked.check.word

    assert word() is OcspWord.UNKNOWN
    registered.times.now += timedelta(minutes=11)
    assert word(by_get=False) is OcspWord.GOOD
    assert word() is OcspWord.GOOD
    registered.lab.revoke(new.leaf.serial)
    assert word() is OcspWord.REVOKED
    registered.lab.stop()
    assert word() is OcspWord.UNREACHABLE


def test_the_status_of_a_live_set(registered: Issuance):
    """Asked by its version; a set that cannot be read is not asked about."""
    new = registered.issued()
    registered.times.now += timedelta(minutes=11)
    action = do.CheckRevocation(new.version, new.leaf.serial)
    good = ev.RevocationChecked(new.leaf.serial, OcspWord.GOOD)
    assert registered.world.check_revocation(registered.spec, action, registered.times()) == good
    gone = do.CheckRevocation(99, new.leaf.serial)
    nothing = ev.RevocationChecked(new.leaf.serial, OcspWord.NOT_ASKED)
    assert registered.world.check_revocation(registered.spec, gone, registered.times()) == nothing


# --- the machine ------------------------------------------------------------------------------------------------


def test_a_link_moves(issuance: Issuance):
    """To a set that is complete and not expired (I1), and to no other."""
    version = add(issuance)
    issuance.world.switch(NAME, version, START)
    assert issuance.store.live_version(NAME) == version
    old = add(issuance, 2, days=1)
    with pytest.raises(PkiError, match="expired"):
        issuance.world.switch(NAME, old, START + timedelta(days=5))
    assert issuance.store.live_version(NAME) == version


def script(path: Path, code: str) -> tuple[str, ...]:
    """An argv that runs some Python."""
    path.write_text(code)
    return (sys.executable, str(path))


def test_a_server_by_argv(issuance: Issuance, tmp_path: Path):
    """Asked, reloaded and started by the configured commands."""
    note = script(tmp_path / "note.py", f"open({str(tmp_path / 'done')!r}, 'a').write('x')")
    stopped = script(tmp_path / "stopped.py", "raise SystemExit(3)")
    server = ServerSpec("web", CommandReload(note, active=stopped, start=note))
    assert issuance.world.activity(server) is Activity.INACTIVE
    issuance.world.reload(server)
    issuance.world.start(server)
    assert (tmp_path / "done").read_text() == "xx"
    with pytest.raises(CommandFailed):
        issuance.world.reload(ServerSpec("web", CommandReload(stopped)))


def test_after_commands(issuance: Issuance, tmp_path: Path):
    """They run in their order, know what went live, and the first that fails ends it."""
    tell = f"import os; open({str(tmp_path / 'told')!r}, 'a').write(os.environ['CERTD_NAME'])"
    good = AfterCommand(script(tmp_path / "good.py", tell))
    bad = AfterCommand(script(tmp_path / "bad.py", "raise SystemExit(1)"))
    with pytest.raises(CommandFailed):
        issuance.world.after(issuance.spec, (good, bad, good), 1)
    assert (tmp_path / "told").read_text() == NAME


def test_nothing_to_probe(issuance: Issuance):
    """Without verification nothing is looked at."""
    spec = replace(issuance.spec, deploy=(Deployment("web", verify=None),))
    assert issuance.world.probe(spec, START) == ev.Probed(Served(None, START))
    assert issuance.world.look(()) == ()
