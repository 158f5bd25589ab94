"""SELinux: files get the labels that servers may read, and keep them whatever certd does to them.

The module is compiled against a policy of a few lines; `make test-rpm` installs it into a real one.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from authority import NOW
from statedir import NAME, idle, issued, opened

from certd.challenges.http01 import Http01, WebrootOptions
from certd.model.orders import Task

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "packaging" / "selinux" / "certd.cil"

POLICY = """
(handleunknown allow) (mls true) (sid kernel) (sidorder (kernel)) (class file (read)) (classorder (file))
(sensitivity s0) (sensitivityorder (s0)) (category c0) (categoryorder (c0)) (sensitivitycategory s0 (c0))
(user system_u) (role object_r) (role system_r) (userrole system_u object_r) (userrole system_u system_r)
(userlevel system_u (s0)) (userrange system_u ((s0) (s0)))
(type kernel_t) (type cert_t) (type httpd_sys_content_t) (type var_lib_t)
(roletype object_r cert_t) (roletype object_r httpd_sys_content_t) (roletype object_r var_lib_t)
(roletype system_r kernel_t) (sidcontext kernel (system_u system_r kernel_t ((s0) (s0))))
(allow kernel_t cert_t (file (read)))
(filecon "/var/lib(/.*)?" any (system_u object_r var_lib_t ((s0) (s0))))
"""
"""As much of a policy as the module needs; the types are those of the policies of RHEL 8, 9 and 10."""


@pytest.fixture(scope="module")
def file_contexts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table of labels that the policy and the module make together."""
    if shutil.which("secilc") is None or shutil.which("matchpathcon") is None:
        pytest.skip("secilc and selinux-utils are not installed")
    directory = tmp_path_factory.mktemp("policy")
    (directory / "base.cil").write_text(POLICY)
    table = directory / "file_contexts"
    command = ["secilc", "-o", str(directory / "policy"), "-f", str(table), str(directory / "base.cil"), str(MODULE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return table


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("/var/lib/certd", "cert_t"),
        (f"/var/lib/certd/live/{NAME}", "cert_t"),
        (f"/var/lib/certd/certs/{NAME}/versions/0001/privkey.pem", "cert_t"),
        ("/var/lib/certd/accounts/jprs/account.key", "cert_t"),
        ("/var/lib/certd-challenges", "httpd_sys_content_t"),
        ("/var/lib/certd-challenges/.well-known/acme-challenge/token", "httpd_sys_content_t"),
        ("/var/lib/certd-other", "var_lib_t"),
        ("/var/lib/certdx/y", "var_lib_t"),
    ],
)
def test_each_place_has_the_label_that_servers_may_read(file_contexts: Path, path: str, label: str) -> None:
    """Keys and certificates as below /etc/pki, responses as content of the web server, and nothing else."""
    command = ["matchpathcon", "-n", "-f", str(file_contexts), path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"system_u:object_r:{label}:s0"


def test_a_policy_without_a_web_server_takes_the_labels_of_keys(tmp_path: Path) -> None:
    """The type of the challenges may be missing: the module is not refused for that."""
    if shutil.which("secilc") is None:
        pytest.skip("secilc is not installed")
    words = ("(type httpd_sys_content_t)", "(roletype object_r httpd_sys_content_t)")
    policy = POLICY
    for word in words:
        assert word in policy
        policy = policy.replace(word, "")
    (tmp_path / "base.cil").write_text(policy)
    table = tmp_path / "file_contexts"
    command = ["secilc", "-o", str(tmp_path / "policy"), "-f", str(table), str(tmp_path / "base.cil"), str(MODULE)]
    subprocess.run(command, check=True, capture_output=True)
    assert "/var/lib/certd(/.*)?\tsystem_u:object_r:cert_t:s0" in table.read_text().splitlines()
    assert "certd-challenges" not in table.read_text()


class Moves:
    """Every rename and hard link that this process does while `watching`, as (source's, target's) directory."""

    def __init__(self) -> None:
        self.watching = False
        self.seen: list[tuple[str, str]] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.watching and event in ("os.rename", "os.link"):
            source, target, source_fd, target_fd = arguments
            assert source_fd == target_fd, "directories are handles, and not the same"
            self.seen.append((str(Path(os.fsdecode(source)).parent), str(Path(os.fsdecode(target)).parent)))  # type: ignore[arg-type]


MOVES = Moves()
"""A hook of the interpreter cannot be taken back; this one sleeps but for the tests below."""


@pytest.fixture
def moves() -> Iterator[list[tuple[str, str]]]:
    MOVES.seen.clear()
    MOVES.watching = True
    yield MOVES.seen
    MOVES.watching = False


def test_new_files_are_born_in_the_directory_where_they_stay(tmp_path: Path, moves: list[tuple[str, str]]) -> None:
    """A file inherits its directory's label when it is made, and a rename does not change it. So the label is right
    only where temporary file and final name lie in one directory. The one exception stays within a certificate's
    directory, all of which has one label: a key is moved from pending/ to parked/."""
    with opened(tmp_path) as store:
        store.write_account_key("jprs", b"key")
        store.save_certificate(NAME, idle())
        store.write_pending_key(NAME, "k1", b"key")
        store.park_key(NAME, "k1")
        store.drop_key(NAME, "k1")
        versions = [store.add_version(NAME, issued(number), group=None, combined=True) for number in (1, 2, 3)]
        for version in versions:
            store.switch_live(NAME, version, now=NOW)
        assert store.prune(NAME, keep=1, protected=set()) == versions[:2]
        store.forget(NAME)
    across = [(source, target) for source, target in moves if source != target]
    certificate = tmp_path / "certs" / NAME
    assert across == [(str(certificate / "pending"), str(certificate / "parked"))]
    assert len(moves) > 20


def test_a_response_is_born_where_the_web_server_looks(tmp_path: Path, moves: list[tuple[str, str]]) -> None:
    """Below the web root, through one handle of its directory."""
    solver = Http01(WebrootOptions(str(tmp_path)))
    token = "tokenAtokenBtokenCtokenD"
    task = Task(
        "example.jp", False, "http-01", "https://ca.example/challenge", token, "https://ca.example/authorization"
    )
    solver.present(task, f"{token}.thumb", solver.place(task, f"{token}.thumb"))
    assert moves == [(".", ".")]
    assert (tmp_path / ".well-known/acme-challenge" / token).is_file()


WRITERS = {"atomicfile.py", "challenges/http01.py", "sockets/server.py"}
MOVERS = {"rename", "renames", "hardlink_to", "symlink_to"}
"""Methods of paths, and functions of `os`. Those of OF_MODULES count only there; as methods they are of others."""

OF_MODULES = {("os", "replace"), ("os", "link"), ("os", "symlink"), ("shutil", "move")}


def test_nothing_else_moves_files() -> None:
    """What is written elsewhere and moved into place would keep the other place's label: no tempfile, no shutil.move,
    and few modules that rename at all."""
    found = set()
    for path in sorted((ROOT / "certd").rglob("*.py")):
        name = path.relative_to(ROOT / "certd").as_posix()
        if name.startswith(("lab/", "migrate/")):
            continue  # not the daemon: nothing that it reads or serves comes from there but through the store
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Attribute(attr=attr) if attr in MOVERS:
                    found.add(name)
                case ast.Attribute(attr=attr, value=ast.Name(id=module)) if (module, attr) in OF_MODULES:
                    found.add(name)
                case ast.Import(names=names):
                    assert "tempfile" not in {alias.name for alias in names}, name
                case ast.ImportFrom(module="tempfile"):
                    pytest.fail(f"{name} imports tempfile")
    assert found == WRITERS
