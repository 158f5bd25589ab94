"""The daemon as a process: its lock, its start without a CA, its memory, its signals and its service manager."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from parts import Background, Behaviour, Certd, Process, Site, eventually, free_port
from parts.site import KID, MAC

from certd.lab import LabCa, LabOptions

RSS_BOUND = 55 * 1024
"""KiB that a daemon with one certificate may hold when it is idle."""
SECONDS_TO_STOP = 30
"""A generous bound: what is asserted is that nobody waits for the CA's or the gate's minutes."""


class Manager(Background):
    """The service manager's end of the notification socket: all messages, in order, as dictionaries."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.messages: list[dict[str, str]] = []
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))

    def environment(self, watchdog: timedelta | None = None) -> dict[str, str]:
        usec = {"WATCHDOG_USEC": str(int(watchdog.total_seconds() * 1_000_000))} if watchdog else {}
        return {"NOTIFY_SOCKET": str(self.path), **usec}

    def count(self, word: str) -> int:
        return sum(1 for message in self.messages if message.get(word) == "1")

    def words(self) -> list[str]:
        """READY, RELOADING and STOPPING in the order in which they came."""
        return [word for message in self.messages for word in ("READY", "RELOADING", "STOPPING") if word in message]

    def statuses(self) -> list[str]:
        return [message["STATUS"] for message in self.messages if "STATUS" in message]

    def _run(self) -> None:
        with self._socket:
            while datagram := self._socket.recv(65536):
                self.messages.append(dict(line.partition("=")[::2] for line in datagram.decode().splitlines()))

    def _end(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", str(self.path))


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    with Manager(tmp_path / "notify") as manager:
        yield manager


@pytest.fixture
def start_certd(part_dir: Callable[[str], Path]) -> Iterator[Callable[..., Certd]]:
    """Starts a daemon alone: `start_certd(config, env)`; it is ended with the test."""
    started: list[Certd] = []

    def start(config: Mapping[str, Any], env: Mapping[str, str] | None = None) -> Certd:
        certd = Certd(part_dir("certd"), config, env)
        started.append(certd)
        certd.start()
        return certd

    yield start
    for certd in started:
        certd.stop()


def lonely(directory: str, webroot: Path, **more: Any) -> dict[str, Any]:
    """A configuration whose CA is not there, and that has no server."""
    return {
        "cas": {"away": {"directory": directory, "contact": ["ops@example.jp"], "terms_of_service_agreed": True}},
        "defaults": {"ca": "away", "challenge": {"type": "http-01", "webroot": str(webroot)}},
        "certificates": [{"domains": ["one.test"]}],
        **more,
    }


def nobody_there() -> str:
    return f"https://127.0.0.1:{free_port()}/dir"


def problem(certd: Certd, code: str) -> dict[str, Any]:
    """The one problem of this code, waited for: a busy daemon gives the same answer again for a moment."""

    def found() -> list[dict[str, Any]]:
        return [one for one in certd.health()["problems"] if one["code"] == code]

    (one,) = eventually(found, f"the problem {code} in health")
    return one


# --- the lock ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [["run"], ["once"], ["once", "--no-wait"], ["prepare"]], ids=" ".join)
def test_a_second_process_on_a_state_directory_refuses_and_names_the_holder(
    start_certd: Callable[..., Certd], tmp_path: Path, command: list[str]
) -> None:
    """Exit 1 with one sentence: by whom it is held, what for, and since when; the holder is not disturbed.

    A SIGKILL frees it at once.
    """
    certd = start_certd(lonely(nobody_there(), tmp_path))
    second = subprocess.run(certd.argv(*command), capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert f"pid {certd.pid}" in second.stderr
    assert "certd run" in second.stderr
    assert "Traceback" not in second.stderr
    assert certd.health()["schema"] == 1, "the holder still answers on its sockets"

    certd.kill()
    certd.start()


# --- a CA that is away, or refuses ------------------------------------------------------------------------------


def test_it_is_ready_without_its_ca(start_certd: Callable[..., Certd], manager: Manager, tmp_path: Path) -> None:
    """READY waits for no CA; a placeholder is there for the web server, and health says what is missing."""
    certd = start_certd(lonely(nobody_there(), tmp_path), manager.environment())
    eventually(lambda: manager.count("READY"), "READY=1")
    assert (certd.live_dir / "one.test" / "apache.conf").exists()
    assert certd.certificate("one.test")["placeholder"] is True
    eventually(lambda: certd.status()["cas"][0]["failure"], "the failure of the account to be told")
    assert certd.status()["cas"][0]["account"] == "key-written"
    eventually(lambda: "placeholder-served" in certd.problems(), "the problem in health")


def test_wrong_credentials_are_told_at_start_and_harm_no_certificate(make_site: Callable[..., Site]) -> None:
    """A CA that refuses the external account binding: log, status and health say so with a remedy.

    What is live stays live, served and without a problem of its own; the daemon is ready and stays up. When the key
    is corrected in its file, a reload of the configuration tries again at once.
    """
    site = make_site(["one.test"])
    site.start()
    site.certd.wait_settled()
    live = site.certd.live_serials()
    site.certd.stop()

    key = site.certd.root / "wrong.key"
    key.touch(0o600)
    key.write_text("d3Jvbmcga2V5LCBidXQgbG9uZyBlbm91Z2ggdG8gYmUgb25lLCByZWFsbHk")
    config = site.config()
    good = config["cas"]["pebble"]
    bad = {**good, "eab": {"kid": KID, "hmac_key_file": str(key)}}
    site.certd.configure({**config, "cas": {"other": bad}, "defaults": {**config["defaults"], "ca": "other"}})
    with Manager(site.certd.root / "notify") as manager:
        site.certd.env.update(manager.environment())
        site.certd.start()
        _see_the_refusal(site.certd, manager, "other")
        assert site.served() == live
        assert site.certd.live_serials() == live
        assert not [one for one in site.certd.health()["problems"] if one.get("certificate")]

        key.write_text(MAC)
        site.certd.reload()
        eventually(lambda: site.certd.status()["cas"][0]["account"] == "registered", "another try with the right key")
        assert site.certd.problems() == set()
        assert len(site.pebble.orders()) == 1, "an account needs no order to be made"


def test_expired_credentials_are_told_at_start(start_certd: Callable[..., Certd], tmp_path: Path) -> None:
    """JPRS's credentials live 14 days: after that the daemon says so at its start, and what to do."""
    clock = [datetime.now(UTC)]
    with Manager(tmp_path / "notify") as manager, LabCa(LabOptions(), clock=lambda: clock[0]) as ca:
        kid, mac = ca.new_eab()
        key = tmp_path / "mac.key"
        key.touch(0o600)
        key.write_text(mac)
        clock[0] += timedelta(days=15)
        spec = {
            "directory": ca.directory_url,
            "contact": ["ops@example.jp"],
            "terms_of_service_agreed": True,
            "eab": {"kid": kid, "hmac_key_file": str(key)},
            "trust": str(ca.trust_path),
        }
        certd = start_certd(lonely("", tmp_path, cas={"away": spec}), manager.environment())
        _see_the_refusal(certd, manager, "away")


def _see_the_refusal(certd: Certd, manager: Manager, ca: str) -> None:
    eventually(lambda: certd.status()["cas"][0]["account"] == "refused", "the account to be refused")
    assert manager.count("READY") == 1
    told = problem(certd, "account-refused")
    assert told["ca"] == ca
    assert told["severity"] == "critical", "its certificates cannot be renewed"
    assert told["remedy"]
    # An error by the priority that journald reads. The log comes a moment after the record.
    told_in_log = rf"<3>.*ca={ca}\b"
    eventually(lambda: re.search(told_in_log, certd.log.read_text()), "the refusal in the log")
    assert certd.process.is_running()


# --- memory -----------------------------------------------------------------------------------------------------


def test_an_idle_daemon_is_small(make_site: Callable[..., Site]) -> None:
    """With one certificate, issued and deployed by this very process, it holds less than 55 MiB."""
    site = make_site(["one.test"])
    site.start()
    site.certd.wait_settled()
    site.certd.ask("GET", "/metrics")
    status = Path(f"/proc/{site.certd.pid}/status").read_text()
    resident = int(status.partition("VmRSS:")[2].split()[0])
    print(f"VmRSS {resident} KiB")
    assert resident < RSS_BOUND


# --- signals ----------------------------------------------------------------------------------------------------


def test_it_stops_while_a_ca_keeps_it_waiting(start_certd: Callable[..., Certd], tmp_path: Path) -> None:
    """SIGTERM in the middle of an exchange whose answer never comes: orderly, and without waiting for the CA."""
    with socket.create_server(("127.0.0.1", 0)) as silent, Manager(tmp_path / "notify") as manager:
        directory = f"https://127.0.0.1:{silent.getsockname()[1]}/dir"
        certd = start_certd(lonely(directory, tmp_path), manager.environment())
        silent.settimeout(SECONDS_TO_STOP)
        connection, _ = silent.accept()
        with connection:
            os.kill(certd.pid, signal.SIGTERM)
            assert certd.process.wait(SECONDS_TO_STOP) == 0
        assert manager.words() == ["READY", "STOPPING"]
        assert not list(certd.runtime_dir.glob("*.sock"))


def test_it_stops_in_an_order_and_in_a_gate_and_takes_both_up_again(make_site: Callable[..., Site]) -> None:
    """SIGTERM while the responder does not know the new certificate yet: the wait goes on at the next start."""
    site = make_site(["one.test"], ocsp={"propagation_delay": "4s"})
    site.start()
    eventually(lambda: site.certd.certificate("one.test")["phase"] == "ordering", "an order")
    _stop_and_start(site)
    site.certd.wait_settled()
    assert len(site.pebble.issued()) == 1

    site.responder.behaviour = Behaviour.UNKNOWN
    site.certd.renew("one.test")
    eventually(lambda: site.certd.certificate("one.test")["phase"] == "staged", "the certificate to be issued")
    before = site.certd.certificate("one.test")["staged"]
    _stop_and_start(site)
    after = site.certd.certificate("one.test")["staged"]
    for field in ("serial", "activate_at", "deadline"):
        assert after[field] == before[field]

    site.responder.behaviour = Behaviour.HONEST
    site.certd.renew("one.test", now=True)
    eventually(lambda: site.certd.live_serials() == {"one.test": before["serial"]}, "the certificate to go live")
    assert len(site.pebble.issued()) == 2


def _stop_and_start(site: Site) -> None:
    os.kill(site.certd.pid, signal.SIGTERM)
    assert site.certd.process.wait(SECONDS_TO_STOP) == 0
    site.certd.start()


def test_a_reload_of_a_broken_file_changes_nothing_and_says_where(make_site: Callable[..., Site]) -> None:
    """SIGHUP: mistakes are told as FILE:LINE in log, status and health, and the old configuration stays at work.

    Once the file is mended, another SIGHUP takes it: the certificate that it adds is issued, by the same account, whose
    contacts change.
    """
    one, two = ({"domains": [name]} for name in ("one.test", "two.test"))
    site = make_site(["one.test"], top={"certificates": [one]})
    with Manager(site.certd.root / "notify") as manager:
        site.certd.env.update(manager.environment())
        site.start()
        site.certd.wait_settled()

        site.certd.configure(site.config(certificates=[one, {**two, "domain": ["two.test"], "key": "rsa1024"}]))
        lines = site.certd.config_path.read_text().splitlines()
        places = [number for number, line in enumerate(lines, 1) if "domain:" in line or "rsa1024" in line]
        site.certd.reload()
        told = eventually(lambda: site.certd.status()["daemon"]["config_error"], "the mistakes to be told")
        eventually(lambda: "The new configuration is not used" in site.certd.log.read_text(), "the same in the log")
        assert len(places) == 2
        for place in places:
            assert f"{site.certd.config_path}:{place}: " in told
            assert f"{site.certd.config_path}:{place}: " in site.certd.log.read_text()
        in_health = problem(site.certd, "config-error")
        assert (in_health["severity"], in_health["text"]) == ("warning", told)
        assert site.certd.settled(["one.test"])
        assert len(site.certd.status()["certificates"]) == 1

        # Its virtual host is written before its files exist: Apache reads it at certd's reload, and by then they do.
        site.apache.names["two.test"] = ("two.test",)
        site.apache.write()
        mended = site.config(certificates=[one, two])
        mended["cas"]["pebble"] |= {"contact": ["new@example.jp"], "limits": {"in_flight": 3}}
        site.certd.configure(mended)
        site.certd.reload()
        eventually(lambda: len(site.certd.status()["certificates"]) == 2, "the second certificate")
        site.certd.wait_settled()
        assert site.apache.served("two.test") == site.certd.live_serials()["two.test"]
        assert site.pebble.log().count("accounts in memory") == 1
        assert site.pebble.count("account") >= 1, "the contacts are updated"
        assert site.certd.status()["daemon"]["config_error"] is None
        assert "config-error" not in site.certd.problems()
        eventually(lambda: any("2 of 2" in status for status in manager.statuses()), "the manager's line to follow")
        site.certd.stop()
        assert manager.words() == ["READY", *["RELOADING", "READY"] * 2, "STOPPING"]
        reloading = [message for message in manager.messages if "RELOADING" in message]
        assert all(int(message["MONOTONIC_USEC"]) > 0 for message in reloading)
        assert any("mistakes" in status for status in manager.statuses())


def test_the_watchdog_is_fed_until_the_engine_hangs(part_dir: Callable[[str], Path], manager: Manager) -> None:
    """While a tick does not return, systemd is told nothing and restarts the service; once it does, it is fed again."""
    root = part_dir("certd")
    wedge = root / "wedge"
    certd = Certd(root, lonely(nobody_there(), root))
    argv = [sys.executable, str(Path(__file__).with_name("wedged_certd.py")), "-c", str(certd.config_path), "run"]
    env = {**manager.environment(timedelta(seconds=0.4)), "WEDGE": str(wedge)}
    daemon = Process("certd", argv, certd.log, env)
    daemon.start()
    try:
        eventually(lambda: manager.count("WATCHDOG") >= 5, "the watchdog to be fed")
        wedge.touch()
        eventually(lambda: _quiet(manager), "the feeding to stop")
        wedge.unlink()
        fed = manager.count("WATCHDOG")
        eventually(lambda: manager.count("WATCHDOG") > fed, "the feeding to go on")
    finally:
        daemon.stop()


def _quiet(manager: Manager) -> bool:
    """Three times the interval passes without a sign of life."""
    before = manager.count("WATCHDOG")
    time.sleep(1.2)
    return manager.count("WATCHDOG") == before


# --- its configuration ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["run", "check", "prepare", "once"])
def test_a_bad_configuration_is_refused_with_every_mistake(tmp_path: Path, command: str) -> None:
    """Exit 2, and one line for each mistake with its place; nothing is created."""
    config = lonely("http://insecure.test/dir", tmp_path, limits={"workers": 0}, unknown=1)
    config["certificates"] += [{"domains": ["two.test"], "ocsp": {"propagation_delay": "soon"}}, {"domains": []}]
    certd = Certd(tmp_path, config)
    done = subprocess.run(certd.argv(command), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    mistakes = [line for line in done.stderr.splitlines() if line.startswith(f"{certd.config_path}:")]
    for what in ("directory", "workers", "unknown", "propagation_delay", "domains"):
        assert any(what in line.split(": ")[1] for line in mistakes), (what, done.stderr)
    assert "Traceback" not in done.stderr
    assert not certd.state_dir.exists()


def test_ten_thousand_certificates_are_checked(tmp_path: Path) -> None:
    """A configuration of this size is read and found good."""
    config = lonely(nobody_there(), tmp_path)
    config["certificates"] = [{"domains": [f"host{n}.test", f"www.host{n}.test"]} for n in range(10_000)]
    certd = Certd(tmp_path, config)
    began = time.monotonic()
    done = subprocess.run(certd.argv("check"), capture_output=True, text=True, check=False)
    print(f"certd check of 10,000 certificates: {time.monotonic() - began:.1f} s")
    assert done.returncode == 0, done.stderr[:2000]
