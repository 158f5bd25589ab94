"""Servers that hang, that lost a virtual host, or that somebody else reloads while a new set waits."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from datetime import timedelta

import pytest
from parts import LabSite, eventually
from system.renewing import GATE, Renewal, script
from system.watching import Visitor

MakeSite = Callable[..., LabSite]


def test_a_server_that_hangs_after_the_reload(make_labsite: MakeSite) -> None:
    """It takes connections and never answers: the old sets come back, that this did not help is told at once, and once
    it moves again the new ones go live.
    """
    renewal = Renewal(make_labsite, ["a.test"])
    site = renewal.site
    reload, hung = shlex.join(site.apache.command("graceful")), site.root / "hung"
    halt = f"touch {hung}; kill -STOP $(pgrep -f {shlex.quote(str(site.apache.httpd.configuration))} | grep -vx $$)"
    site.servers["web"]["reload"]["command"] = script(site.root, f"{reload} && sleep 1 && {halt}; exit 0")
    site.servers["web"]["verify"]["timeout"] = "4s"
    renewal.start()
    renewal.renew()
    problem = renewal.wait_for_failure("rollback-failed")
    assert problem["severity"] == "critical"
    assert renewal.certd.ask("GET", "/healthz")[0] == 503
    assert hung.exists()

    script(site.root, f"exec {reload}")
    site.apache.wake()
    eventually(lambda: site.served() == renewal.before or renewal.all_new(), "it answers again")
    renewal.retry()
    renewal.wait_well()
    assert renewal.all_new()
    assert renewal.orders() == 1


def test_a_server_that_shows_another_host(make_labsite: MakeSite) -> None:
    """Somebody took the virtual host away, and the first host's certificate is shown: a warning, no roll-back, and the
    other site goes on.
    """
    renewal = Renewal(make_labsite, ["a.test", "gone.test"])
    site, apache = renewal.site, renewal.site.apache
    site.servers["web"]["verify"]["timeout"] = "3s"
    renewal.start()
    renewal.issue()
    domains = apache.names.pop("gone.test")
    apache.write()
    renewal.certd.skip(GATE)
    renewal.certd.wait_settled()
    assert renewal.problem("not-served")["severity"] == "warning"
    assert site.served() == dict.fromkeys(site.names, site.issued()["a.test"])
    assert renewal.server()["rejected"] == []

    apache.names["gone.test"] = domains
    apache.write()
    apache.reload()
    renewal.certd.skip(timedelta(hours=7))
    renewal.wait_well()
    assert renewal.all_new()
    assert renewal.orders() == 2


@pytest.mark.parametrize("plain_paths", [False, True])
def test_somebody_reloads_in_the_middle_of_the_wait(make_labsite: MakeSite, plain_paths: bool) -> None:
    """What waits for its gate is not on the server's path: each load brings the old set, until the gate opens."""
    renewal = Renewal(make_labsite, ["a.test", "b.test"], plain_paths=plain_paths)
    site, apache = renewal.site, renewal.site.apache
    renewal.start()
    renewal.issue()
    with Visitor(apache.tls_port, site.names) as visitor:
        for _ in range(3):
            apache.reload()
            renewal.certd.skip(timedelta(minutes=2))
        assert site.served() == renewal.before
        renewal.certd.skip(GATE)
        renewal.wait_well()
    assert renewal.all_new()
    assert {name: visitor.serials(name) for name in site.names} == {
        name: [renewal.before[name], serial] for name, serial in site.issued().items()
    }
    assert apache.reloads() == 4
    assert renewal.orders() == 2
