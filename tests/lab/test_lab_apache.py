"""A real Apache as the lab runs it: configuration, control, and the trouble it is there to show."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import urllib.request
from pathlib import Path

import pytest
from parts import LOOPBACK, TestAuthority, eventually, free_ports, serial_of, served_serial

from certd.errors import CommandFailed, Refused
from certd.lab import httpd
from certd.lab.apache import DEAD, RUNNING, STOPPED, LabApache, main

pytestmark = pytest.mark.parts


@pytest.fixture(autouse=True)
def _installed() -> None:
    if httpd.find_binary() is None:
        pytest.skip("no httpd or apache2 on this machine (apt-get install apache2)")


@pytest.fixture
def place():
    """A directory that Apache's children can pass, whoever they are: pytest's own are closed to others."""
    directory = Path(tempfile.mkdtemp(prefix="certd-lab-apache-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def live(place):
    """A live directory with sets for two names; answers it and the serials."""
    authority = TestAuthority()
    serials = {
        name: serial_of(authority.write(place / "live" / name, name)) for name in ("a.example.jp", "b.example.jp")
    }
    return place / "live", serials


@pytest.fixture
def make(place, live):
    """Makes Apaches for these sets and stops what is left running."""
    made = []

    def new(names=("a.example.jp", "b.example.jp"), **options) -> LabApache:
        http_port, tls_port = free_ports(2)
        apache = LabApache(place / "apache", http_port, tls_port, names, live[0], **options)
        made.append(apache)
        return apache

    yield new
    for apache in made:
        if apache.status() == RUNNING:
            apache.stop()


@pytest.mark.parametrize("plain", [False, True])
def test_every_name_is_served_with_its_own_certificate(make, live, plain):
    """By the Include and by plain paths; an unknown name gets the first host's."""
    with make(plain_paths=plain) as apache:
        assert {name: served_serial(apache.tls_port, name) for name in live[1]} == live[1]
        assert served_serial(apache.tls_port, "unknown.example.jp") == live[1]["a.example.jp"]
        assert apache.status() == RUNNING
    assert apache.status() == STOPPED


def test_the_webroot_is_served_by_http(make):
    """Where http-01 finds its answers, also when root runs it and the children are another user."""
    with make() as apache:
        place = apache.webroot / ".well-known" / "acme-challenge"
        place.mkdir(parents=True)
        (place / "token").write_text("answer")
        url = f"http://{LOOPBACK}:{apache.http_port}/.well-known/acme-challenge/token"
        with urllib.request.urlopen(url, timeout=10) as response:
            assert response.read() == b"answer"


def test_a_graceful_restart_loads_the_new_certificate(make, live):
    """The pid stays; the old certificate is served until then."""
    directory, serials = live
    with make() as apache:
        pid = apache.httpd.pid()
        new = serial_of(TestAuthority().write(directory / "a.example.jp", "a.example.jp"))
        assert served_serial(apache.tls_port, "a.example.jp") == serials["a.example.jp"]
        apache.graceful()
        eventually(lambda: served_serial(apache.tls_port, "a.example.jp") == new, "the new certificate")
        assert apache.httpd.pid() == pid


def test_a_mismatched_pair_kills_it(make, live):
    """`graceful` answers 0, the parent exits, its pid file stays: dead, not stopped. A start brings it back."""
    directory, serials = live
    with make() as apache:
        key = directory / "a.example.jp" / "privkey.pem"
        good = key.read_bytes()
        key.write_bytes((directory / "b.example.jp" / "privkey.pem").read_bytes())
        apache.graceful()
        eventually(lambda: apache.status() == DEAD, "the parent to exit")
        with pytest.raises(CommandFailed, match="httpd -k start ended with 1") as caught:
            apache.start()
        assert str(apache.httpd.error_log) in str(caught.value)
        key.write_bytes(good)
        apache.start()
        assert served_serial(apache.tls_port, "a.example.jp") == serials["a.example.jp"]


def test_it_is_driven_as_a_reload_target(make):
    """The argv lists answer with LSB codes and httpd's own; `graceful` starts a stopped server, as httpd's does."""
    apache = make()
    apache.write()

    def run(word: str) -> int:
        return subprocess.run(apache.command(word), check=False, capture_output=True, timeout=60).returncode

    assert run("status") == STOPPED
    assert run("start") == 0
    eventually(lambda: run("status") == RUNNING, "the server")
    assert run("graceful") == 0
    assert run("stop") == 0
    assert run("status") == STOPPED
    assert run("graceful") == 0
    eventually(lambda: apache.status() == RUNNING, "the server")


def test_a_pid_file_of_another_process_is_dead(make, capsys):
    """A pid that was given to another program does not count as the server."""
    apache = make()
    apache.write()
    arguments = ["status", "--root", str(apache.root)]
    assert main(arguments) == STOPPED
    for text in (str(os.getpid()), "999999999", "nonsense"):
        apache.httpd.pid_file.write_text(text)
        assert main(arguments) == DEAD
    apache.httpd.pid_file.unlink()
    with apache.httpd.configuration.open("a") as file:
        file.write("Nonsense\n")
    assert main(["start", "--root", str(apache.root)]) == 1
    assert "Invalid command 'Nonsense'" in capsys.readouterr().err


def test_names_may_have_more_domains(make, live, place):
    """A certificate's name need not be its domain; wildcards become aliases."""
    serial = serial_of(TestAuthority().write(live[0] / "_wildcard.c.example.jp", "*.c.example.jp", "c.example.jp"))
    names = {"a.example.jp": ["a.example.jp"], "_wildcard.c.example.jp": ["*.c.example.jp", "c.example.jp"]}
    with make(names) as apache:
        for name in ("x.c.example.jp", "c.example.jp"):
            assert served_serial(apache.tls_port, name) == serial


def test_200_hosts(make, live):
    """As many as a busy server has; the configuration stands and each name is told apart."""
    directory, serials = live
    names = [f"n{number}.example.jp" for number in range(200)]
    for name in names:
        (directory / name).symlink_to(directory / ("a.example.jp" if name != "n150.example.jp" else "b.example.jp"))
    with make(names) as apache:
        assert served_serial(apache.tls_port, "n149.example.jp") == serials["a.example.jp"]
        assert served_serial(apache.tls_port, "n150.example.jp") == serials["b.example.jp"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root's Apache changes its user")
def test_roots_children_must_reach_the_webroot(make, place):
    """Said before the first challenge fails with 403."""
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(Refused, match="cannot pass"):
        make(webroot=closed / "htdocs").write()


def test_paths_that_a_configuration_cannot_hold(make, place):
    """No quotation mark or variable gets into httpd.conf."""
    for name in ('a"b', "a\nb", "${HOME}"):
        with pytest.raises(Refused, match="cannot hold"):
            make(webroot=place / name).write()


def test_modules_are_found_or_missed(place):
    """Compiled-in ones are not loaded, shared ones by their path, missing ones named."""
    binary = httpd.find_binary()
    assert httpd.load_lines(binary, ["core", "so"]) == []
    (line,) = httpd.load_lines(binary, ["ssl"])
    assert Path(line.split('"')[1]).is_file()
    with pytest.raises(Refused, match="mod_teapot"):
        httpd.load_lines(binary, ["teapot"])


def test_layouts(place, monkeypatch):
    """A binary of RHEL's layout says where its modules lie; one without mod_so has only what it was built with."""
    root = place / "etc"
    (root / "modules").mkdir(parents=True)
    (root / "modules" / "mod_ssl.so").touch()
    binary = place / "httpd"
    script = '#!/bin/sh\ncase $1 in -l) echo "  core.c\n  {so}";; -V) echo \' -D HTTPD_ROOT="{root}"\';; esac\n'
    binary.write_text(script.format(so="mod_so.c", root=root))
    binary.chmod(0o755)
    assert httpd.load_lines(binary, ["core", "ssl"]) == [f'LoadModule ssl_module "{root}/modules/mod_ssl.so"']
    binary.write_text(script.format(so="mod_so.c\n  prefork.c", root=root))
    assert httpd.load_lines(binary, ["mpm_event"]) == []
    binary.write_text(script.format(so="mod_alias.c", root=root))
    assert httpd.load_lines(binary, ["alias"]) == []
    with pytest.raises(Refused, match="without ssl"):
        httpd.load_lines(binary, ["alias", "ssl"])
    monkeypatch.setenv("PATH", str(place))
    assert httpd.find_binary() == binary
