"""The parts of `certd demo` for themselves: above all, that its proofs can fail."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from parts import LOOPBACK, TestAuthority, eventually, free_port, pem_of
from parts.ports import free_ports as claimed_ports

from certd.challenges import OPTIONS
from certd.config import load
from certd.errors import CommandFailed, Refused
from certd.lab import LabCa
from certd.lab.demo import configuration, place, proofs, running
from certd.lab.demo.place import Place, free_ports
from certd.lab.demo.proofs import NotProven, Wait
from certd.lab.demo.site import SmallSite, make_site
from certd.lab.demo.stage import NAMES
from certd.lab.demo.story import Happening, Story, parse
from certd.lab.demo.timeline import Mark, Timeline
from certd.lab.demo.witness import Sighting, Witness, verified
from certd.lab.objects import Account, Order
from certd.lab.service import LogEntry
from certd.lab.tlsserver import TlsServer
from certd.model.records import OcspWord, Sight
from certd.model.specs import Address
from certd.probe import Probe

BEGIN = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


def _at(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


WAIT = Wait(
    name="a",
    old="01",
    old_is="the old certificate",
    new="02",
    issued_at=_at(4),
    activate_at=_at(12),
    unknown_at=_at(4.1),
    good_at=_at(12.2),
    swapped_at=_at(12.9),
)


def _sighting(seconds: float, serial: str | None) -> Sighting:
    return Sighting("a", _at(seconds), _at(seconds + 0.1), serial, "refused" if serial is None else "")


def _sightings(**changed: str | None) -> list[Sighting]:
    """A look each second: the old serial to the 12th, then the new; `s5="x"` changes the one at 5 s."""
    looks = {f"s{second}": "01" if second < 13 else "02" for second in range(16)} | changed
    return [_sighting(float(name[1:]), serial) for name, serial in looks.items()]


# --- proofs -----------------------------------------------------------------------------------------------------


def test_the_old_serial_until_the_gate_is_proven():
    """Only handshakes within the wait count, from its first to its last moment."""
    text = proofs.prove_service(WAIT, _sightings())
    assert text == ("a: the old certificate (01) was served until the gate opened: 9 of 9 handshakes; 0 of 16 failed")


@pytest.mark.parametrize(
    ("seen", "complaint"),
    [
        (_sightings(s8="02"), "before the gate opened"),
        (_sightings(s2="02"), "before the gate opened"),
        (_sightings(s8=None), "a handshake failed: refused"),
        (_sightings(s14=None), "a handshake failed"),
        (_sightings(s8="03"), "nobody expects, 03"),
        (_sightings(s15="01"), "is not served"),
        ([], "is not served"),
        (_sightings()[:8] + _sightings()[13:], "only 4 handshakes"),
    ],
)
def test_what_was_seen_can_disprove_it(seen, complaint):
    """The new serial too early or not at all, a stranger, a failed handshake, too few to tell."""
    with pytest.raises(NotProven, match=complaint):
        proofs.prove_service(WAIT, seen)


def test_the_gate_is_proven_by_its_times():
    """Unknown, then good at the announced time or later, then the swap."""
    assert "8.2 s after the issue" in proofs.prove_gate(WAIT)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"unknown_at": _at(12.3)}, "not seen unknown"),
        ({"activate_at": _at(13)}, "before its time, 09:00:13Z"),
        ({"swapped_at": _at(12.1)}, "swapped before"),
    ],
)
def test_the_gate_can_be_disproved(changes, complaint):
    """Each of its three claims."""
    with pytest.raises(NotProven, match=complaint):
        proofs.prove_gate(Wait(**{**WAIT.__dict__, **changes}))


LOG = """\
2026-11-23T09:00:03.999Z INFO Reloading. server=web
2026-11-23T09:00:04.000Z INFO Issued. certificate=a serial=02 version=2 activate_at=2026-11-23T09:00:12Z
2026-11-23T09:00:04.100Z INFO OCSP answers unknown. certificate=a
2026-11-23T09:00:12.200Z INFO OCSP answers good. certificate=a
2026-11-23T09:00:12.900Z INFO Swapped: the live link names the new set. certificate=a
2026-11-23T09:00:13.000Z INFO Reloading. server=web
2026-11-23T09:00:13.100Z WARNING A word of warning. certificate=a text="two words"
Traceback (most recent call last):
"""


@pytest.fixture
def story() -> Story:
    told = Story()
    list(told.hear(LOG.splitlines()))
    return told


def test_a_wait_is_gathered_from_the_log(story):
    """And from the status, which told when the gate would open."""
    gathered = {"old": "01", "old_is": "the old certificate", "activate_at": _at(12)}
    assert proofs.wait_of(story, "a", **gathered, since=_at(4)) == WAIT
    with pytest.raises(NotProven, match=r"never said 'Issued\.'"):
        proofs.wait_of(story, "b", **gathered, since=_at(4))
    with pytest.raises(NotProven, match="never said"):
        proofs.wait_of(story, "a", **gathered, since=_at(5))
    with pytest.raises(NotProven, match="never showed it staged"):
        proofs.wait_of(story, "a", **{**gathered, "activate_at": None}, since=_at(4))


def test_one_reload_is_one_by_both_logs(story):
    """The server's count since the act began, and certd's."""
    assert "one reload for 2" in proofs.prove_reload(5, 4, story, _at(4), 2)
    for count, since in ((6, 4), (4, 4), (5, 0), (5, 14)):
        with pytest.raises(NotProven, match="not one"):
            proofs.prove_reload(count, 4, story, _at(since), 2)


def test_the_books_of_the_ca_are_read():
    """One account by its EAB, so many valid orders, nothing refused."""
    account = Account("1", None, [], BEGIN, eab_kid="kid")  # type: ignore[arg-type]
    order = Order("1", account, ("a",), BEGIN, BEGIN, status="valid")
    entry = LogEntry(BEGIN, "POST", "/", "newOrder", "1", 201)

    def prove(accounts=(account,), orders=(order,), log=(entry,)):
        return proofs.prove_books(accounts, orders, log, kid="kid", expected=1)

    assert prove() == "in the CA's books: 1 account, 1 orders, all valid; 0 of 1 requests refused"
    pending = Order("2", account, ("a",), BEGIN, BEGIN)
    refused = LogEntry(BEGIN, "POST", "/", "newOrder", "1", 400, "badNonce")
    for changes, complaint in (
        ({"accounts": (account, account)}, "2 accounts"),
        ({"accounts": ()}, "0 accounts"),
        ({"orders": (order, order)}, "2 orders"),
        ({"orders": (pending,)}, "pending"),
        ({"log": (entry, refused)}, "badNonce at newOrder"),
    ):
        with pytest.raises(NotProven, match=complaint):
            prove(**changes)


# --- story and timeline -----------------------------------------------------------------------------------------


def test_a_line_of_the_log_is_read():
    """Time, level, sentence, fields; quotes hold values with spaces."""
    line = parse('2026-11-23T09:00:04.120Z WARNING It is so. certificate=a text="two words" n=3')
    assert line is not None
    assert (line.at, line.level, line.sentence) == (_at(4.12), "WARNING", "It is so.")
    assert line.fields == {"certificate": "a", "text": "two words", "n": "3"}
    assert line.is_complaint
    assert line.happening is None
    bare = parse("2026-11-23T09:00:04.120Z INFO Reloading.")
    assert bare is not None
    assert (bare.happening, bare.fields, bare.is_complaint) == (Happening.RELOADING, {}, False)
    assert parse("Traceback (most recent call last):") is None


def test_the_words_are_those_of_the_log():
    """Each happening is a sentence that certd's own source says; a changed word must not make the demo wait in vain."""
    import certd.engine.telling

    source = Path(certd.engine.telling.__file__).read_text()
    for happening in set(Happening) - {Happening.UNKNOWN, Happening.GOOD, Happening.REGISTERED}:
        assert f'"{happening.value}"' in source
    assert 'f"OCSP answers {check.word}."' in source
    for happening, word in ((Happening.UNKNOWN, OcspWord.UNKNOWN), (Happening.GOOD, OcspWord.GOOD)):
        assert happening.value == f"OCSP answers {word}."
    assert 'f"The account is registered, {eab}."' in source
    assert '"with external account binding"' in source


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_lines_carry_their_time(monkeypatch):
    """Seconds since the start; without a terminal no colour, and a sign of life only now and then."""
    now = 100.0
    out = io.StringIO()
    timeline = Timeline(out, lambda: now)
    timeline.title("1. Act")
    now = 103.24
    timeline.tell(Mark.EVENT, "issued")
    now = 105
    timeline.waiting("not yet")
    now = 108
    timeline.waiting("still not")
    timeline.waiting("once is enough")
    assert out.getvalue() == "\n1. Act\n  +  3.2s  *  issued\n  +  8.0s  ~  still not\n"


def test_a_terminal_gets_colours_and_a_line_that_moves(monkeypatch):
    """NO_COLOR takes the colours, a dumb terminal gets neither."""
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "30")

    def shown() -> str:
        out = _Terminal()
        timeline = Timeline(out, lambda: 0.0)
        timeline.waiting("x" * 100)
        timeline.tell(Mark.PROVEN, "ok")
        return out.getvalue()

    moving = "\r\x1b[K" + "  +  0.0s  ~  " + "x" * 15
    assert shown() == f"{moving}\r\x1b[K  +  0.0s  \x1b[32m=\x1b[0m  ok\n"
    monkeypatch.setenv("NO_COLOR", "1")
    assert shown() == f"{moving}\r\x1b[K  +  0.0s  =  ok\n"
    monkeypatch.setenv("TERM", "dumb")
    assert shown() == "  +  0.0s  =  ok\n"


# --- witness ----------------------------------------------------------------------------------------------------


def test_the_witness_remembers_what_it_saw():
    """One handshake for each certificate, with its times; the last one tells what is served."""
    moments = iter(range(100))
    probes = iter([Probe(Sight.LEAF, "f", "01"), Probe(Sight.REFUSED, text="refused"), Probe(Sight.LEAF, "f", "02")])
    witness = Witness(
        Address(LOOPBACK, 1), {"a": "a.example"}, lambda: _at(next(moments)), lambda address, domain: next(probes)
    )
    for _ in range(3):
        witness.look()
    assert witness.serial("a") == "02"
    assert witness.serial("b") is None
    assert witness.count() == 3
    assert [(one.serial, one.text) for one in witness.seen("a", _at(2))] == [(None, "refused"), ("02", "")]


def test_a_client_that_trusts_one_root_only(tmp_path):
    """It is content with the right name below that root, and says what is wrong with anything else."""
    authority, other = TestAuthority(), TestAuthority()
    authority.write(tmp_path / "a", "a.example.jp")
    (tmp_path / "htdocs").mkdir()
    for name, one in (("root.pem", authority), ("other.pem", other)):
        (tmp_path / name).write_bytes(pem_of(one.certificate))
    server = TlsServer(0, 0, tmp_path / "htdocs", [(tmp_path / "a" / "fullchain.pem", tmp_path / "a" / "privkey.pem")])
    server.start()
    try:
        address = Address(LOOPBACK, server.tls_port)
        assert verified(address, "a.example.jp", tmp_path / "root.pem") is None
        assert "b.example.jp: " in str(verified(address, "b.example.jp", tmp_path / "root.pem"))
        assert "a.example.jp: " in str(verified(address, "a.example.jp", tmp_path / "other.pem"))
    finally:
        server.stop()
    assert "refused" in str(verified(address, "a.example.jp", tmp_path / "root.pem"))


# --- place, site, configuration ---------------------------------------------------------------------------------


def test_the_place_is_short_and_open_to_others():
    """Sockets below it have room, Apache's children may pass, secrets are born closed; removed, it is gone."""
    here = Place()
    try:
        assert here.root.stat().st_mode & 0o777 == 0o755
        assert len(str(here.root / "run" / "control.sock")) < 108
        assert here.write("key", "x", mode=0o600).stat().st_mode & 0o777 == 0o600
    finally:
        here.remove()
    assert not here.root.exists()


def test_a_long_temporary_directory_is_passed_over(monkeypatch, tmp_path):
    """The names of Unix sockets would not fit below it."""
    long = tmp_path / ("x" * 80)
    long.mkdir()
    monkeypatch.setattr(place.tempfile, "gettempdir", lambda: str(long))
    here = Place()
    here.remove()
    assert not here.root.is_relative_to(long)
    monkeypatch.setattr(place, "LONGEST", 3)
    with pytest.raises(Refused, match="set TMPDIR"):
        Place()


def test_leftovers_end_and_strangers_live():
    """A Python that names the directory goes; another program that names it, and other Pythons, do not."""
    here = Place()
    sleep = "import time; time.sleep(60)"
    ours = subprocess.Popen([sys.executable, "-c", sleep, str(here.root / "x")])
    strangers = [
        subprocess.Popen([sys.executable, "-c", sleep]),
        subprocess.Popen(["/usr/bin/env", "tail", "-f", "/dev/null", str(here.write("log", ""))]),
    ]
    try:
        eventually(lambda: b"tail" in Path(f"/proc/{strangers[1].pid}/cmdline").read_bytes()[:5], "tail to run")
        here.end_leftovers()
        assert ours.wait(10) < 0
        assert [one.poll() for one in strangers] == [None, None]
    finally:
        for one in (ours, *strangers):
            one.kill()
            one.wait()
        here.remove()


def test_ports_are_free_and_different(monkeypatch):
    """One that somebody listens on is not given away; none left is said."""
    assert len(set(free_ports(20))) == 20
    (taken,) = claimed_ports(1)
    monkeypatch.setattr(place, "PORTS", range(taken, taken + 1))
    assert free_ports(1) == [taken]
    with pytest.raises(Refused, match="no 2 free ports"):
        free_ports(2)


def test_a_server_runs_died_or_was_stopped(tmp_path):
    """LSB codes by pid file; a pid that is another program's by now is none."""
    pid_file = tmp_path / "web.pid"
    argv = [sys.executable, "-I", "-S", running.__file__, str(pid_file)]

    def code() -> int:
        assert running.status(str(pid_file)) == subprocess.run(argv, check=False).returncode
        return running.status(str(pid_file))

    assert code() == 3
    server = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", str(tmp_path)])
    try:
        pid_file.write_text(f"{server.pid}\n")
        eventually(lambda: running.status(str(pid_file)) == 0, "the process to have its arguments")
        assert code() == 0
        pid_file.write_text(f"{os.getppid()}\n")
        assert code() == 1
        pid_file.write_text("")
        assert code() == 1
    finally:
        server.kill()
        server.wait()
    pid_file.write_text(f"{server.pid}\n")
    assert code() == 1


def test_an_apache_that_cannot_be_used_is_named(monkeypatch, tmp_path):
    """The small server takes its place, and the reason is kept for the timeline."""
    from certd.lab import apache

    monkeypatch.setattr(apache, "find_binary", lambda: None)
    here = Place()
    try:
        site, why = make_site(here, NAMES, tmp_path, apache=True)
    finally:
        here.remove()
    assert isinstance(site, SmallSite)
    assert "no httpd or apache2" in why


def test_the_configuration_is_one(tmp_path):
    """certd reads it without an error or a warning, and finds in it what the demo promises."""
    site = SmallSite(tmp_path / "web", free_port(), free_port(), NAMES, tmp_path / "live")
    with LabCa(directory=tmp_path / "ca") as ca:
        kid, key = ca.new_eab()
        key_file = tmp_path / "key"
        key_file.touch(0o600)
        key_file.write_text(key)
        path = tmp_path / "config.yaml"
        path.write_text(configuration.render(ca, site, NAMES, root=tmp_path, kid=kid, key_file=key_file))
        config = load(path, solvers=OPTIONS)
    assert config.warnings == ()
    assert {name: spec.domains for name, spec in config.certificates.items()} == NAMES
    delay = config.certificates["example.test"].ocsp.propagation_delay
    assert delay == timedelta(seconds=configuration.DELAY)
    assert configuration.OCSP_LAG < configuration.DELAY


def test_a_small_server_that_does_not_start_is_told(tmp_path):
    """Its own words, fit to be shown; and to stop what does not run is no error."""
    live = tmp_path / "live"
    for name in NAMES:
        TestAuthority().write(live / name, name)
    (live / "example.test" / "privkey.pem").write_bytes(b"broken")
    site = SmallSite(tmp_path / "web", free_port(), free_port(), NAMES, live)
    with pytest.raises(CommandFailed, match="does not start"):
        site.start()
    site.stop()
