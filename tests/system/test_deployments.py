"""What servers show and what follows it: shared certificates, missing hosts, `after` commands, ways to verify."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from parts import LabSite, eventually
from system.renewing import GATE, Renewal, script

MakeSite = Callable[..., LabSite]


def test_many_certificates_and_one_reload(make_labsite: MakeSite) -> None:
    """All whose gates open at the same time go live with one reload."""
    renewal = Renewal(make_labsite, [f"n{number}.test" for number in range(6)])
    renewal.start()
    renewal.renew()
    renewal.wait_well()
    assert renewal.all_new()
    assert renewal.site.apache.reloads() == 1


# --- two servers ------------------------------------------------------------------------------------------------


def test_two_servers_share_certificates(make_labsite: MakeSite) -> None:
    """Both load the new sets, and both confirm them."""
    renewal = Renewal(make_labsite, ["a.test", "b.test"], apaches=2)
    renewal.start()
    renewal.renew()
    renewal.wait_well()
    assert renewal.all_new()
    assert not renewal.owed("web")
    assert not renewal.owed("web2")
    assert [apache.reloads() for apache in renewal.site.apaches] == [1, 1]
    assert renewal.orders() == 2


def test_one_of_two_servers_is_stopped(make_labsite: MakeSite) -> None:
    """The other one is served all the same; the stopped one is not started, and confirms once it is."""
    renewal = Renewal(make_labsite, ["a.test"], apaches=2)
    first, second = renewal.site.apaches
    renewal.start()
    renewal.issue()
    second.stop()
    renewal.certd.skip(GATE)
    renewal.wait_for_phase("installed")
    eventually(lambda: not renewal.owed("web"), "the first server has confirmed")
    assert renewal.site.served(first) == renewal.site.issued()
    assert renewal.problem("server-stopped")["server"] == "web2"
    assert not second.is_running()
    second.start()
    renewal.certd.skip(timedelta(minutes=2))
    renewal.wait_well()
    assert renewal.all_new()
    assert renewal.orders() == 1


# --- no virtual host --------------------------------------------------------------------------------------------


def test_a_certificate_without_a_virtual_host(make_labsite: MakeSite) -> None:
    """Apache answers with its first host's certificate: success, with a warning that goes once there is a host."""
    renewal = Renewal(make_labsite, ["a.test", "new.test"], with_apache=["a.test"])
    renewal.start(live=["a.test"])
    renewal.certd.wait_settled()
    assert renewal.problem("not-served")["severity"] == "warning"
    renewal.certd.skip(timedelta(hours=7))
    eventually(lambda: renewal.certd.certificate("new.test")["served"], "the daily look at what is served")
    assert renewal.certd.problems() == {"not-served"}
    assert renewal.certd.ask("GET", "/healthz")[0] == 200

    apache = renewal.site.apache
    apache.names["new.test"] = ("new.test",)
    apache.write()
    apache.reload()
    renewal.certd.skip(timedelta(minutes=15))
    renewal.wait_well()
    assert renewal.server()["not_served"] == []
    assert apache.served("new.test") == renewal.site.issued()["new.test"]
    assert renewal.orders() == 1


# --- after ------------------------------------------------------------------------------------------------------


def after_of(renewal: Renewal, text: str) -> dict[str, object]:
    """The setting for an `after` command with this text, on all certificates."""
    return {"deploy": {"server": "web", "after": [{"command": script(renewal.site.root, text, "after.sh")}]}}


def test_after_commands(make_labsite: MakeSite) -> None:
    """They run once the new certificate is served, with the documented variables; one that fails is tried again."""
    renewal = Renewal(make_labsite, ["a.test"])
    site, told = renewal.site, renewal.site.root / "told"
    fails = f"env | sort >> {told}; echo no spool directory; exit 7"
    renewal.start(defaults=after_of(renewal, fails))
    renewal.renew()
    problem = renewal.wait_for_failure("after-failed")
    assert problem["severity"] == "warning"
    assert "exit code 7: no spool directory" in problem["text"]
    assert renewal.all_new()
    renewal.certd.wait_settled()
    assert environment(told) == {
        "CERTD_NAME": "a.test",
        "CERTD_DOMAINS": "a.test",
        "CERTD_LIVE": str(site.live_dir / "a.test"),
        "CERTD_VERSION": "2",
    }

    after_of(renewal, f"env >> {told}.again")
    renewal.retry()
    renewal.wait_well()
    assert environment(Path(f"{told}.again"))["CERTD_NAME"] == "a.test"
    assert site.apache.reloads() == 1
    assert renewal.orders() == 1


def environment(told: Path) -> dict[str, str]:
    pairs = (line.partition("=")[::2] for line in told.read_text().splitlines())
    return {key: value for key, value in pairs if key.startswith("CERTD_")}


def test_after_commands_outlive_a_killed_daemon(make_labsite: MakeSite) -> None:
    """At least once: what was cut off by SIGKILL runs again after the next start."""
    site = make_labsite(["a.test"])
    runs, go = site.root / "runs", site.root / "go"
    text = f"echo $$ >> {runs}\nwhile [ ! -e {go} ]; do sleep 0.1; done\necho $CERTD_NAME $CERTD_VERSION > {go}"
    command = script(site.root, text, "after.sh")
    certd = site.daemon(
        defaults={"ocsp": {"propagation_delay": "0s"}, "deploy": {"server": "web", "after": [{"command": command}]}}
    )
    site.put_live()
    site.apache.start()
    certd.start()
    certd.renew("a.test", now=True)
    eventually(lambda: runs.exists() and runs.read_text().endswith("\n"), "the command runs", 60)
    certd.kill()
    os.kill(int(runs.read_text()), signal.SIGKILL)  # it has a session of its own, and would go on
    certd.start()
    eventually(lambda: len(runs.read_text().split()) == 2, "the command runs again", 60)
    go.touch()
    eventually(lambda: go.read_text() == "a.test 2\n", "the command ends")
    eventually(lambda: certd.problems() == set(), "all is well")
    assert site.served() == site.issued() == certd.live_serials()
    assert len(site.ca.orders) == 1


# --- ways to verify ---------------------------------------------------------------------------------------------


def test_without_verification(make_labsite: MakeSite) -> None:
    """`verify: false`: nobody looks, the reload's return is all there is."""
    renewal = Renewal(make_labsite, ["a.test"])
    renewal.site.servers["web"]["verify"] = False
    renewal.start()
    renewal.renew()
    renewal.wait_well()
    assert renewal.all_new()


def test_a_host_that_demands_a_client_certificate(make_labsite: MakeSite) -> None:
    """With TLS 1.2 its leaf cannot be read: it is up, and that is enough."""
    demanding = ["SSLProtocol TLSv1.2", "SSLVerifyClient require"]
    renewal = Renewal(make_labsite, ["a.test", "mutual.test"], extra={"mutual.test": demanding})
    renewal.site.ca.start()
    demanding.append(f"SSLCACertificateFile {renewal.site.ca.root_path}")
    renewal.site.apache.extra["mutual.test"] = demanding
    renewal.site.apache.write()
    renewal.start()
    assert renewal.before["mutual.test"] is None
    renewal.renew()
    renewal.wait_well()
    assert renewal.site.apache.served("a.test") == renewal.site.issued()["a.test"]
    assert renewal.certd.live_serials() == renewal.site.issued()
    renewal.certd.skip(timedelta(hours=7))
    eventually(lambda: renewal.certd.certificate("mutual.test")["served"], "the look at what is served")
    assert renewal.certd.problems() == set()


@pytest.mark.parametrize("spoken", ["v1", None])
def test_behind_a_load_balancer(make_labsite: MakeSite, spoken: str | None) -> None:
    """A server that waits for the PROXY protocol shows its certificate to who speaks it.

    Without the setting it shows nobody anything, before as after: no harm is seen, and none is done.
    """
    names = ["a.test", "b.test"]
    renewal = Renewal(
        make_labsite, names, modules=["remoteip"], extra={name: ["RemoteIPProxyProtocol On"] for name in names}
    )
    if spoken:
        renewal.site.servers["web"]["verify"]["proxy_protocol"] = spoken
    else:
        renewal.site.servers["web"]["verify"]["timeout"] = "3s"
    renewal.start()
    assert set(renewal.before.values()) == {None}
    renewal.renew()
    renewal.certd.wait_settled()
    assert renewal.site.apache.reloads() == 1
    eventually(lambda: renewal.certd.problems() == (set() if spoken else {"not-served"}), "health knows")
    if spoken:
        renewal.certd.skip(timedelta(hours=7))
        looked = {name: renewal.certd.certificate(name) for name in names}
        eventually(
            lambda: (
                {n: (renewal.certd.certificate(n)["served"] or {}).get("serial") for n in looked}
                == renewal.site.issued()
            ),
            "what is served was looked at",
        )
