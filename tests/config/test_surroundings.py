"""A configuration that root checks is judged for the user that the daemon runs as."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from configuring import CA, DEFAULTS, KEY, Folder

from certd.cli.check import check
from certd.config import DaemonUser

NOBODY = DaemonUser("nobody", 65534, 65534, (65534,))

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can look through another user's eyes")


@pytest.fixture
def public() -> Iterator[Folder]:
    """A folder that everybody may pass, as /etc/certd is for the daemon."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        folder = Folder(Path(name))
        folder.daemon = NOBODY
        yield folder


def test_what_a_user_may_is_found_out_by_being_it(public: Folder) -> None:
    """For a moment: afterwards the process is root as before."""
    before = (os.geteuid(), os.getegid(), os.getgroups())
    secret = public.write("secret", "x", 0o600)
    assert not NOBODY.may(secret, os.R_OK)
    assert NOBODY.may(public.write("open", "x", 0o644), os.R_OK)
    assert not NOBODY.may(public.path, os.W_OK)
    os.chown(secret, -1, 65534)
    secret.chmod(0o640)
    assert NOBODY.may(secret, os.R_OK)
    assert (os.geteuid(), os.getegid(), os.getgroups()) == before


def test_there_may_be_no_such_user() -> None:
    """Where the package is not installed, the process's own eyes count."""
    assert DaemonUser.find("nobody-is-called-so") is None
    found = DaemonUser.find("nobody")
    assert found is not None
    assert found.uid == NOBODY.uid


def test_files_that_the_daemon_cannot_read_are_told(public: Folder) -> None:
    """With the commands that help: configuration, secret and roots."""
    public.write("eab.key", KEY, 0o600)
    public.write("roots.pem", "-----BEGIN CERTIFICATE-----", 0o640)
    eab = f"eab: {{kid: k, hmac_key_file: {public.path}/eab.key}}, trust: {public.path}/roots.pem"
    text = CA.replace("terms_of", f"{eab}, terms_of") + DEFAULTS + "certificates: [{domains: [a.example.jp]}]\n"
    found = public.warnings(text)
    for name, key in (
        ("config.yaml", "(file)"),
        ("eab.key", "cas.ca.eab.hmac_key_file"),
        ("roots.pem", "cas.ca.trust"),
    ):
        path = public.path / name
        said = f"config.yaml:1: {key}: user nobody cannot read {path}; do: chgrp nobody {path} && chmod 0640 {path}"
        assert said in found
    for path in public.path.iterdir():
        os.chown(path, -1, 65534)
        path.chmod(0o640)
    assert public.warnings(text) == []


def test_a_command_for_root_is_told_to_root_itself(public: Folder) -> None:
    """`certd check` runs as root more often than not; the daemon does not."""
    text = CA + DEFAULTS.replace("}}", "}, deploy: {reload: {command: [PROGRAM]}}}")
    program = public.write("apachectl", "", 0o755)
    text = text.replace("PROGRAM", f"{program}, graceful") + "certificates: [{domains: [a.example.jp]}]\n"
    os.chown(public.write("config.yaml", text), -1, 65534)
    assert [line for line in public.warnings() if "apachectl needs root, but certd does not run as root" in line]
    program.chmod(0o700)
    assert [line for line in public.warnings() if f"{program} cannot be run by user nobody" in line]
    public.daemon = None
    assert public.warnings() == []


def test_directories_of_challenges_that_the_daemon_cannot_write_to_are_told(
    public: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    """Document roots belong to root; what helps is named, and once it is done nothing is said."""
    root = public.path / "html"
    root.mkdir()
    text = CA + DEFAULTS.replace("/var/www/html", str(root)) + "certificates: [{domains: [a.example.jp]}]\n"
    main = public.write("config.yaml", text, 0o644)
    assert check(main, NOBODY) == 0
    told = capsys.readouterr()
    assert f"user nobody cannot write to {root}; use /var/lib/certd-challenges" in told.err
    assert f"install -d -o nobody {root}/.well-known/acme-challenge" in told.err
    assert "1 warning" in told.out
    (root / ".well-known").mkdir()
    (root / ".well-known/acme-challenge").mkdir()
    os.chown(root / ".well-known/acme-challenge", 65534, 65534)
    assert check(main, NOBODY) == 0
    assert capsys.readouterr().err == ""
