"""Servers that die, were stopped or crashed: what was up is up at the end, and nobody's order is placed again."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from datetime import timedelta

import pytest
from parts import LabSite, eventually
from system.reloading import deaths
from system.renewing import GATE, Renewal, script

MakeSite = Callable[..., LabSite]

DEMANDING = ["SSLCipherSuite DEFAULT:@SECLEVEL=3"]
"""OpenSSL then takes P-256 and no RSA key of 2048 bits: Apache's parent exits when it loads one, and does not start."""
NAMES = ["a.test", "b.test", "bad.test", "c.test"]


def test_a_set_that_kills_the_server(make_labsite: MakeSite) -> None:
    """A set that Apache cannot load kills all sites at once: it is started with the old sets, the guilty one is found
    by halves and rejected, the others go live.
    """
    renewal = Renewal(make_labsite, NAMES, extra={"bad.test": DEMANDING})
    site = renewal.site
    # Another type of key than the live one's is wanted, so its order needs no word of the operator.
    renewal.start(certificates={"bad.test": {"key": "rsa2048"}})
    renewal.renew()

    def found() -> bool:
        return bool(renewal.server()["rejected"] == ["bad.test"])

    assert renewal.wait_for_failure("server-down")["severity"] == "critical"
    while not found():
        assert None not in site.served().values()
        renewal.retry()
        eventually(lambda: found() or renewal.backs_off(), "the next group is tried", 60)
    renewal.certd.wait_settled(["a.test", "b.test", "c.test"])
    assert site.served() == site.issued() | {"bad.test": renewal.before["bad.test"]}
    assert renewal.problem("set-rejected")["certificate"] == "bad.test"

    site.apache.extra = {}
    site.apache.write()
    renewal.certd.renew("bad.test")
    renewal.wait_well()
    assert renewal.all_new()
    assert renewal.orders() == len(NAMES)


def test_a_first_set_that_kills_the_server(make_labsite: MakeSite) -> None:
    """A new site must not cost the others theirs, though it has nothing but a placeholder to go back to."""
    renewal = Renewal(make_labsite, ["a.test", "bad.test"], extra={"bad.test": DEMANDING})
    apache = renewal.site.apache
    renewal.start(live=["a.test"], certificates={"bad.test": {"key": "rsa2048"}})
    eventually(lambda: renewal.server()["rejected"] == ["bad.test"], "the set is rejected", 60)
    eventually(lambda: renewal.server()["phase"] == "settled" and not renewal.owed(), "the server is at rest")
    assert apache.is_running()
    assert renewal.site.served() == renewal.before
    assert renewal.problem("set-rejected")["certificate"] == "bad.test"
    assert renewal.orders() == 1


@pytest.mark.parametrize("plain_paths", [False, True])
def test_a_server_that_was_stopped_on_purpose(make_labsite: MakeSite, plain_paths: bool) -> None:
    """It stays stopped, with the new files in place; once the operator starts it, it is confirmed."""
    renewal = Renewal(make_labsite, ["a.test", "b.test"], plain_paths=plain_paths)
    apache = renewal.site.apache
    renewal.start()
    renewal.issue()
    apache.stop()
    renewal.certd.skip(GATE)
    renewal.wait_for_phase("installed")
    problem = renewal.problem("server-stopped")
    assert problem["severity"] == "warning"
    assert renewal.certd.problems() == {"server-stopped"}
    renewal.certd.skip(timedelta(hours=3))
    eventually(lambda: renewal.server()["phase"] == "settled", "certd has looked again")
    assert not apache.is_running()

    apache.start()
    renewal.certd.skip(timedelta(minutes=2))
    renewal.wait_well()
    assert renewal.all_new()
    assert renewal.orders() == 2


def test_a_server_that_crashed(make_labsite: MakeSite) -> None:
    """Its pid file lies there and it does not run: it is started, with the new files."""
    renewal = Renewal(make_labsite, ["a.test", "b.test"])
    apache = renewal.site.apache
    renewal.start()
    renewal.issue()
    apache.kill()
    renewal.certd.skip(GATE)
    renewal.wait_well()
    assert apache.is_running()
    assert renewal.all_new()
    assert renewal.orders() == 2


def test_a_server_that_dies_of_somebody_elses_reload(make_labsite: MakeSite) -> None:
    """Down after certd's own reload, and well with the new files: it is started, and no set is blamed."""
    renewal = Renewal(make_labsite, ["a.test", "b.test"])
    site, once = renewal.site, renewal.site.root / "once"
    ends, reloads = (shlex.join(site.apache.command(word)) for word in ("stop", "graceful"))
    dies = f"[ -e {once} ] || {{ touch {once}; exec {ends}; }}"
    site.servers["web"]["reload"]["command"] = script(site.root, f"{dies}\nexec {reloads}")
    renewal.start()
    renewal.renew()
    renewal.wait_well()
    assert once.exists()
    assert renewal.all_new()
    assert deaths(site.apache) == 1
    assert renewal.server()["rejected"] == []
    assert renewal.orders() == 2
