"""SIGKILL at any moment of a first issue and of a renewal: the certificate is installed and served all the same.

The whole daemon: threads, sockets, Pebble. (`tests/killpoints` has every single call, in one thread and without waits.)
`killed_certd.py` dies at a chosen moment. The suite takes a sample of the moments, another one at each run; `make
kill-daemon` takes every one and prints how many there were.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from parts import Apache, Process, Site, eventually

NAME = "one.test"
SAMPLE = 3
SHARES = int(os.environ.get("CERTD_KILL_SHARES", "0"))
"""0: a sample in one go. Else every moment, divided into so many tests."""
RENEWALS_A_DAY = 15
"""A killed renewal costs up to three orders, and no configuration allows more than 50 a day."""
WAITS_FOR_AN_OPERATOR = ("back-off", "not-due")
"""certd was killed before it had a URL for its order, or before it had noted the request: then `renew` is asked again
rather than a minute, or two months, waited for. Neither has finalized anything."""


class Bench:
    """One site whose daemon dies at will, and a second Apache that proves that the files on disk are enough."""

    def __init__(self, site: Site, spare: Apache) -> None:
        self.site = site
        self._spare = spare
        self._root = site.certd.root
        self._deaths: list[str] = []

    @property
    def deaths(self) -> list[str]:
        """The moments at which it was killed, in words."""
        return self._deaths

    def forget_everything(self) -> None:
        """The state of a new machine; Apache, the CA and the configuration stay."""
        shutil.rmtree(self.site.certd.state_dir)

    def kill_at(self, moment: int) -> list[str]:
        """Let a daemon that dies at its `moment`-th moment renew, then another one finish; the moments that passed.

        0 never comes. What must hold afterwards is asserted.
        """
        site = self.site
        since, before = site.pebble.mark(), self._live_serial()
        victim, log = self._victim(moment)
        victim.start()
        try:
            self._drive(before, victim)
        finally:
            victim.kill()
        passed = log.read_text().splitlines()
        if len(passed) == moment:
            self._deaths.append(passed[-1])
        self._assert_apache_can_start()
        site.certd.start()
        self._drive(before, site.certd.process)
        serial = self._live_serial()
        died = f"killed at: {passed[-1]}" if len(passed) == moment else "not killed"
        assert serial != before, died
        assert site.apache.served(NAME) == serial, died
        assert site.pebble.issued(since) == [serial], f"one order finalized, one certificate issued; {died}"
        assert site.certd.problems() == set(), died
        assert {entry.name for entry in site.certd.runtime_dir.iterdir()} == {"status.sock", "control.sock"}, died
        site.certd.stop()
        return passed

    def _drive(self, before: str | None, daemon: Process) -> None:
        """Until another certificate than `before` is live, confirmed and served; or until the daemon dies."""
        eventually(lambda: not daemon.is_running() or self._renewed(before), "the renewal, or the end", 90)

    def _renewed(self, before: str | None) -> bool:
        certd = self.site.certd
        try:
            one = certd.certificate(NAME)
            renewed = one["phase"] == "idle" and one["live"] is not None and one["live"]["serial"] != before
            if not renewed and one["phase"] == "idle" and (one["waiting"] or {}).get("code") in WAITS_FOR_AN_OPERATOR:
                certd.renew(NAME)
        except (OSError, ValueError):  # it is starting, or dying at this moment
            return False
        return renewed

    def _live_serial(self) -> str | None:
        """As Apache would load it now."""
        live = self.site.certd.live_dir / NAME / "cert.pem"
        if not live.exists():
            return None
        shown = subprocess.run(["openssl", "x509", "-noout", "-serial", "-in", live], capture_output=True, text=True)
        return shown.stdout.strip().removeprefix("serial=").lower().lstrip("0")

    def _victim(self, moment: int) -> tuple[Process, Path]:
        log = self._root / "moments"
        log.unlink(missing_ok=True)
        certd = self.site.certd
        argv = [sys.executable, str(Path(__file__).with_name("killed_certd.py")), "-c", str(certd.config_path), "run"]
        return Process("victim", argv, certd.log, {"KILL_AT": str(moment), "KILL_LOG": str(log)}), log

    def _assert_apache_can_start(self) -> None:
        """With what lies on disk now, as at the boot of this machine: `certd prepare` runs before httpd."""
        self.site.prepare()
        tested = subprocess.run(self._spare.httpd.argv("-t"), capture_output=True, text=True, check=False)
        assert tested.returncode == 0, tested.stderr
        self._spare.start()
        assert self._spare.served(NAME) is not None
        self._spare.stop()


@pytest.fixture
def bench(make_site: Callable[..., Site], start_apache: Callable[..., Apache]) -> Bench:
    limits = {"orders_per_day": 50, "reload_min_interval": "1s"}
    # No nonce is rejected here: the k-th moment is to be the same one each time, or some would never be chosen.
    site = make_site(
        [NAME],
        pebble={"nonce_reject": 0},
        defaults={"key": "p256"},
        ocsp={"propagation_delay": "1s"},
        top={"limits": limits},
    )
    site.start_around()
    return Bench(site, start_apache([NAME], site.certd.live_dir, start=False))


@pytest.mark.timeout(7200 if SHARES else 900)
@pytest.mark.parametrize("share", range(SHARES or 1))
def test_a_killed_first_issue_is_finished(bench: Bench, share: int) -> None:
    """From nothing, account and key included: one account, one order finalized, its certificate served."""
    bench.forget_everything()
    moments = len(bench.kill_at(0))
    for moment in _chosen(moments, share):
        bench.forget_everything()
        since = bench.site.pebble.mark()
        bench.kill_at(moment)
        assert bench.site.pebble.log(since).count("accounts in memory") == 1, bench.deaths
    _tell("first issue", bench, moments)


@pytest.mark.timeout(7200 if SHARES else 900)
@pytest.mark.parametrize("share", range(SHARES or 1))
def test_a_killed_renewal_is_finished(bench: Bench, share: int) -> None:
    """The old certificate or the new one is served at every moment, and in the end the new one."""
    bench.kill_at(0)
    moments = len(bench.kill_at(0))
    for number, moment in enumerate(_chosen(moments, share), 1):
        bench.kill_at(moment)
        if number % RENEWALS_A_DAY == 0:
            bench.forget_everything()
            bench.kill_at(0)
    _tell("renewal", bench, moments)


def test_kills_at_any_time_do_not_cost_a_second_order(make_site: Callable[..., Site]) -> None:
    """Three certificates, killed at random times again and again: each is issued once."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    site = make_site(["one.test", "two.test", "three.test"], defaults={"key": "p256"})
    site.start()
    site.certd.wait_settled()
    old, since = site.certd.live_serials(), site.pebble.mark()
    for name in old:
        site.certd.renew(name)
    for _ in range(6):
        time.sleep(rng.uniform(0.0, 2.0))
        site.certd.kill()
        site.certd.start()
    eventually(lambda: _all_renewed(site, old), "the renewal of all", 120)
    new = site.certd.live_serials()
    assert site.served() == new
    assert sorted(site.pebble.issued(since)) == sorted(str(serial) for serial in new.values())
    assert site.certd.problems() == set()


def _all_renewed(site: Site, old: dict[str, str | None]) -> bool:
    certificates = site.certd.status()["certificates"]
    for one in certificates:
        if one["phase"] == "idle" and (one["waiting"] or {}).get("code") == "back-off":
            site.certd.renew(one["name"])
    return all(one["phase"] == "idle" and one["live"]["serial"] != old[one["name"]] for one in certificates)


def _chosen(moments: int, share: int) -> list[int]:
    if SHARES:
        return list(range(1 + share, moments + 1, SHARES))
    step = moments / SAMPLE
    return [int(step * (part + random.random())) + 1 for part in range(SAMPLE)]


def _tell(what: str, bench: Bench, moments: int) -> None:
    print(f"{what}: {moments} moments, killed at {len(bench.deaths)}:", *bench.deaths, sep="\n  ")
