"""The lab's tiny TLS server: files, certificates by name, reload, and its life as a process."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from parts import LOOPBACK, TestAuthority, eventually, free_ports, serial_of, served_serial

from certd.errors import PkiError
from certd.lab.tlsserver import TlsServer, main


@pytest.fixture
def pair(tmp_path):
    """Writes a pair: `pair("a", *names)` answers its files and its serial."""
    authority = TestAuthority()

    def write(directory, *names):
        serial = serial_of(authority.write(tmp_path / directory, *names))
        return (tmp_path / directory / "fullchain.pem", tmp_path / directory / "privkey.pem"), serial

    return write


@pytest.fixture
def start(tmp_path):
    """Starts a server for pairs."""
    running = []

    def begin(*pairs):
        webroot = tmp_path / "htdocs"
        webroot.mkdir()
        server = TlsServer(0, 0, webroot, pairs)
        server.start()
        running.append(server)
        return server

    yield begin
    for server in running:
        server.stop()


def _get(server, path):
    with urllib.request.urlopen(f"http://{LOOPBACK}:{server.http_port}{path}", timeout=10) as response:
        return response.read()


def test_files_are_served_from_the_webroot(start, pair, tmp_path):
    """And from nowhere else; directories and other methods are not served."""
    server = start(pair("a", "example.jp")[0])
    place = tmp_path / "htdocs" / ".well-known" / "acme-challenge"
    place.mkdir(parents=True)
    (place / "token").write_text("answer")
    (tmp_path / "htdocs" / "out").symlink_to(tmp_path / "a" / "privkey.pem")
    assert _get(server, "/.well-known/acme-challenge/token?x") == b"answer"
    for path in ("/", "/none", "/../a/privkey.pem", "/%2e%2e/a/privkey.pem", "/out", "/%00", "//etc/passwd"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            _get(server, path)
        with caught.value as answer:
            assert answer.code == 404
    request = urllib.request.Request(f"http://{LOOPBACK}:{server.http_port}/x", b"data")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)
    with caught.value as answer:
        assert answer.code == 405


def test_the_name_chooses_the_certificate(start, pair):
    """Exact names and wildcards; the first pair serves all others."""
    first, second, wild = pair("a", "a.example.jp"), pair("b", "b.example.jp"), pair("w", "*.w.example.jp")
    server = start(first[0], second[0], wild[0])
    served = [served_serial(server.tls_port, name) for name in ("b.example.jp", "x.w.example.jp", "c.example.jp")]
    assert served == [second[1], wild[1], first[1]]


def test_reload_reads_the_pair_again(start, pair):
    """Until then the old one is served, whatever lies on disk; a pair that does not match changes nothing."""
    files, old = pair("a", "example.jp")
    server = start(files)
    _, new = pair("a", "example.jp")
    assert served_serial(server.tls_port, "example.jp") == old
    server.reload()
    assert served_serial(server.tls_port, "example.jp") == new
    files[1].write_bytes(pair("b", "example.jp")[0][1].read_bytes())
    with pytest.raises(PkiError, match="cannot be served"):
        server.reload()
    assert served_serial(server.tls_port, "example.jp") == new


@pytest.mark.parametrize("content", [b"", b"nonsense"])
def test_a_broken_pair_is_refused_at_the_start(pair, tmp_path, content):
    """Before a port is opened."""
    files, _ = pair("a", "example.jp")
    files[0].write_bytes(content)
    with pytest.raises(PkiError):
        TlsServer(0, 0, tmp_path, [files])


def test_it_runs_as_a_process(pair, tmp_path):
    """Started in the background, asked for its status, reloaded by SIGHUP, stopped; LSB codes all the way."""
    files, old = pair("a", "example.jp")
    http_port, tls_port = free_ports(2)
    pid_file = tmp_path / "tls.pid"
    options = ["--http", str(http_port), "--tls", str(tls_port), "--webroot", str(tmp_path / "a")]
    options += ["--certificate", str(files[0]), "--key", str(files[1]), "--pid-file", str(pid_file)]

    def run(word: str, *arguments: str) -> int:
        argv = [sys.executable, "-m", "certd.lab.tlsserver", word, *arguments]
        return subprocess.run(argv, check=False, capture_output=True, timeout=60).returncode

    only = ("--pid-file", str(pid_file))
    assert main(["status", *only]) == 3
    assert run("start", *options) == 0
    try:
        assert main(["status", *only]) == 0
        assert run("start", *options) == 0
        assert served_serial(tls_port, "example.jp") == old
        _, new = pair("a", "example.jp")
        assert main(["reload", *only]) == 0
        eventually(lambda: served_serial(tls_port, "example.jp") == new, "the new certificate")
        files[0].write_bytes(b"broken")
        assert main(["reload", *only]) == 0
        log = pid_file.with_suffix(".log")
        eventually(lambda: "the old pairs go on being served" in log.read_text(), "the complaint")
        assert served_serial(tls_port, "example.jp") == new
    finally:
        assert main(["stop", *only]) == 0
    assert main(["status", *only]) == 3
    assert main(["stop", *only]) == 0
    pid_file.write_text("1")
    assert main(["status", *only]) == 1
    assert main(["reload", *only]) == 1
    assert run("start", *options) == 1
    assert main(options) == 1


def test_pairs_must_be_pairs(capsys):
    """A usage error, not a guess."""
    arguments = ["--http", "1", "--tls", "1", "--webroot", "/", "--certificate", "a", "--key", "a", "--key", "b"]
    with pytest.raises(SystemExit):
        main([*arguments, "--pid-file", "p"])
    assert "as many --key as --certificate" in capsys.readouterr().err
