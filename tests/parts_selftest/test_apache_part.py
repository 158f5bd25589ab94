"""The test bench's Apache: it serves, reloads, breaks and dies as told, and what happened can be counted."""

from __future__ import annotations

import subprocess

import pytest
import requests
from parts import LOOPBACK, TestAuthority, served_certificate

from certd.errors import CommandFailed

NAMES = ("a.example.jp", "b.example.jp")


@pytest.fixture
def authority():
    return TestAuthority()


def put(authority, live, name):
    """Write a new set as a version of its own and put it live: as certd does, in one rename."""
    version = live.parent / "versions" / f"{name}-{authority.issue(name)[0].serial_number:x}"
    certificate = authority.write(version, name)
    link = live / f".{name}.new"
    live.mkdir(exist_ok=True)
    link.symlink_to(version)
    link.rename(live / name)
    return f"{certificate.serial_number:x}"


@pytest.fixture(params=[False, True], ids=["include", "plain"])
def served(request, tmp_path, authority, start_apache):
    """A running Apache for two names, by Include or plain paths, and the serials that it must serve."""
    serials = {name: put(authority, tmp_path / "live", name) for name in NAMES}
    apache = start_apache(NAMES, tmp_path / "live", plain_paths=request.param)
    return apache, serials


def test_each_name_gets_its_certificate_and_a_new_one_after_a_reload(served, authority, tmp_path):
    """A swapped set is served after the reload, not before; the parent stays, the other name too."""
    apache, serials = served
    assert {name: apache.served(name) for name in NAMES} == serials
    pid = apache.pid
    new = put(authority, tmp_path / "live", NAMES[0])
    assert apache.served(NAMES[0]) == serials[NAMES[0]]
    apache.reload()
    assert apache.served(NAMES[0]) == new
    assert apache.served(NAMES[1]) == serials[NAMES[1]]
    assert (apache.pid, apache.reloads(), apache.loads()) == (pid, 1, 2)


def test_a_broken_configuration_refuses_the_reload_and_goes_on_serving(served):
    """break_config() makes graceful fail without a reload; after mend_config() it succeeds."""
    apache, serials = served
    apache.break_config()
    with pytest.raises(CommandFailed):
        apache.graceful()
    assert apache.is_running()
    assert apache.served(NAMES[0]) == serials[NAMES[0]]
    assert apache.reloads() == 0
    apache.mend_config()
    apache.reload()
    assert apache.reloads() == 1


@pytest.fixture
def apache(tmp_path, authority, start_apache):
    put(authority, tmp_path / "live", NAMES[0])
    return start_apache(NAMES[:1], tmp_path / "live")


def test_its_commands_answer_as_a_reload_target(apache):
    """status is 0 while it runs, 1 after a crash and 3 after a stop; start brings it back."""
    assert subprocess.run(apache.command("status"), timeout=60).returncode == 0
    apache.kill()
    assert not apache.is_running()
    assert apache.pid is None
    assert apache.served(NAMES[0]) is None
    assert subprocess.run(apache.command("status"), timeout=60).returncode == 1
    apache.start()
    assert apache.served(NAMES[0]) is not None
    apache.stop()
    assert subprocess.run(apache.command("status"), timeout=60).returncode == 3


def test_it_serves_its_webroot(apache):
    """http-01 answers can be put below its webroot, also when the tests run as root."""
    place = apache.webroot / ".well-known/acme-challenge"
    place.mkdir(parents=True)
    (place / "token").write_text("token.thumbprint")
    url = f"http://{LOOPBACK}:{apache.http_port}/.well-known/acme-challenge/token"
    assert requests.get(url, timeout=10).text == "token.thumbprint"


def test_nothing_is_left_of_it(tmp_path, authority, start_apache):
    """close() ends it whatever its state, and removes the webroot that it made."""
    put(authority, tmp_path / "live", NAMES[0])
    apache = start_apache(NAMES[:1], tmp_path / "live")
    apache.break_config()
    apache.close()
    assert not apache.is_running()
    assert served_certificate(apache.tls_port, NAMES[0]) is None
    assert not apache.webroot.exists()
