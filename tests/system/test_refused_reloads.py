"""Reload commands that fail, hang, say too much or do nothing: no site goes down, and no order is placed again."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from datetime import timedelta

import pytest
from parts import LabSite, eventually
from system.renewing import Renewal, script

MakeSite = Callable[..., LabSite]


def links(renewal: Renewal) -> dict[str, str]:
    """Name to the version that its live link names."""
    return {name: (renewal.site.live_dir / name).readlink().name for name in renewal.site.names}


def test_a_configuration_that_somebody_broke(make_labsite: MakeSite) -> None:
    """The sets are not to blame: they stay live on disk, the reload is owed, and is done once the file is mended."""
    renewal = Renewal(make_labsite, ["a.test", "b.test"])
    renewal.start()
    renewal.site.apache.break_config()
    renewal.renew()
    problem = renewal.wait_for_failure("server-config-broken")
    assert problem["severity"] == "critical"
    assert "NoSuchDirective" in problem["text"]
    assert links(renewal) == {"a.test": "0002", "b.test": "0002"}
    renewal.wait_for_phase("installed")
    assert renewal.server()["wanted"] > renewal.server()["confirmed"]
    assert renewal.site.served() == renewal.before
    renewal.retry()
    eventually(lambda: renewal.server()["failure"]["attempts"] == 2, "the reload is tried again")
    renewal.wait_for_failure("server-config-broken")
    assert renewal.site.served() == renewal.before

    renewal.site.apache.mend_config()
    renewal.retry()
    renewal.wait_well()
    assert renewal.all_new()
    assert renewal.orders() == 2


def test_a_set_that_alone_is_refused(make_labsite: MakeSite) -> None:
    """It is found by halves and rejected, the others go live; corrected, it goes live when the operator asks for it."""
    names = ["a.test", "b.test", "bad.test", "c.test"]
    renewal = Renewal(make_labsite, names)
    site = renewal.site
    reload = shlex.join(site.apache.command("graceful"))
    refuses = f"[ $(readlink {site.live_dir}/bad.test) != ../certs/bad.test/versions/0002 ] || {{ echo odd; exit 1; }}"
    site.servers["web"]["reload"]["command"] = script(site.root, f"{refuses}\nexec {reload}")
    renewal.start()
    renewal.renew()

    def found() -> bool:
        return bool(renewal.server()["rejected"] == ["bad.test"])

    assert renewal.wait_for_failure("reload-refused")["severity"] == "critical"
    while not found():
        assert None not in site.served().values()
        renewal.retry()
        eventually(lambda: found() or renewal.backs_off(), "the next group is tried")
    renewal.certd.wait_settled(["a.test", "b.test", "c.test"])
    assert links(renewal) == {"a.test": "0002", "b.test": "0002", "bad.test": "0001", "c.test": "0002"}
    assert site.served() == site.issued() | {"bad.test": renewal.before["bad.test"]}
    problem = renewal.problem("set-rejected")
    assert problem["certificate"] == "bad.test"
    assert "certd renew" in problem["remedy"]

    script(site.root, f"exec {reload}")
    renewal.certd.renew("bad.test")
    renewal.wait_well()
    assert renewal.all_new()
    assert renewal.orders() == 4


def test_a_reload_that_does_nothing(make_labsite: MakeSite) -> None:
    """The old certificate is still served: critical; the swap is kept, and the reload alone is tried again."""
    renewal = Renewal(make_labsite, ["a.test", "b.test"])
    site = renewal.site
    site.servers["web"]["reload"]["command"] = script(site.root, "exit 0")
    site.servers["web"]["verify"]["timeout"] = "3s"
    renewal.start()
    renewal.renew()
    problem = renewal.wait_for_failure("reload-ineffective")
    assert problem["severity"] == "critical"
    assert renewal.certd.ask("GET", "/healthz")[0] == 503
    assert links(renewal) == {"a.test": "0002", "b.test": "0002"}
    assert site.served() == renewal.before

    script(site.root, f"exec {shlex.join(site.apache.command('graceful'))}")
    renewal.retry()
    renewal.wait_well()
    assert renewal.all_new()
    assert renewal.orders() == 2


def test_a_reload_that_hangs(make_labsite: MakeSite) -> None:
    """It is ended after its time and counts as refused; the site goes on, and the next one that returns heals it."""
    renewal = Renewal(make_labsite, ["a.test"])
    site = renewal.site
    site.servers["web"]["reload"]["command"] = script(site.root, "echo thinking; sleep 1000 & wait")
    renewal.start(command_timeout=timedelta(seconds=2))
    renewal.renew()
    assert "did not end within 2 s: thinking" in renewal.wait_for_failure("server-config-broken")["text"]
    assert site.served() == renewal.before

    script(site.root, f"exec {shlex.join(site.apache.command('graceful'))}")
    renewal.retry()
    renewal.wait_well()
    assert renewal.all_new()
    assert renewal.orders() == 1


@pytest.mark.parametrize("code", [0, 1])
def test_a_reload_that_says_too_much(make_labsite: MakeSite, code: int) -> None:
    """Megabytes of output with control characters block nothing; what is kept of them is short and harmless."""
    renewal = Renewal(make_labsite, ["a.test"])
    site = renewal.site
    reload = shlex.join(site.apache.command("graceful"))
    flood = r"yes $(printf 'a\033[31m%0500d' 7) | head -c 20000000"
    site.servers["web"]["reload"]["command"] = script(site.root, f"{flood}\n{reload}; exit {code}")
    renewal.start()
    renewal.renew()
    if code == 0:
        renewal.wait_well()
        assert renewal.all_new()
        return
    text = renewal.wait_for_failure("server-config-broken")["text"]
    assert text.isprintable()
    assert len(text) < 2000
    # This command did reload before it failed: the sites are up, with one certificate or the other.
    assert None not in site.served().values()
    script(site.root, f"exec {reload}")
    renewal.retry()
    renewal.wait_well()
    assert renewal.all_new()
    assert renewal.orders() == 1
