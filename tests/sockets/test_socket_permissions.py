"""Who may ask and who may tell: other users of the machine, played by real processes with their ids."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import statedir
from views import NOW, view

from certd.sockets import ControlSocket, StatusSocket

NOBODY = 65534
GROUP = "daemon"
"""The status group of these tests; every Linux has it."""

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else"),
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed"),
]


class Operator:
    """Remembers whether anything was asked of it."""

    def __init__(self) -> None:
        self.asked = 0

    def _do(self, *_: object) -> str:
        self.asked += 1
        return "done"

    renew = rollback = forget = reload = _do


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that everybody can pass, unlike pytest's."""
    directory = Path(tempfile.mkdtemp(prefix="certd-test-run-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def operator(place: Path) -> Iterator[Operator]:
    """Both sockets are open below `place/run`."""
    made = Operator()
    with (
        StatusSocket(place / "run" / "status.sock", view, lambda: NOW, group=GROUP),
        ControlSocket(place / "run" / "control.sock", made, reload=made.reload),
    ):
        yield made


def ask(sock: Path, target: str, *, method: str = "GET", groups: tuple[str, ...] = ()) -> int:
    """The status that nobody gets, as a member of `groups`; 0: no connection."""
    argv = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", method, "--unix-socket", str(sock)]
    done = subprocess.run(
        [*argv, f"http://localhost{target}"],
        capture_output=True,
        text=True,
        user=NOBODY,
        group=NOBODY,
        extra_groups=groups,
        check=False,
    )
    return int(done.stdout)


def test_another_user_can_neither_ask_nor_tell(place: Path, operator: Operator) -> None:
    """Without the group, both doors are closed."""
    run = place / "run"
    assert ask(run / "status.sock", "/healthz") == 0
    assert ask(run / "control.sock", "/reload", method="POST") == 0
    assert operator.asked == 0


def test_the_group_can_ask_and_not_tell(place: Path, operator: Operator) -> None:
    """With it, what is can be read; nothing can be changed, by either socket, and no file of theirs replaced."""
    run = place / "run"
    assert ask(run / "status.sock", "/healthz", groups=(GROUP,)) == 200
    assert ask(run / "status.sock", "/metrics", groups=(GROUP,)) == 200
    for target in ("/renew/example.jp", "/rollback/example.jp", "/reload", "/status"):
        assert ask(run / "status.sock", target, method="POST", groups=(GROUP,)) in (404, 405)
        assert ask(run / "control.sock", target, method="POST", groups=(GROUP,)) == 0
    assert operator.asked == 0
    for name in ("status.sock", "control.sock"):
        assert as_nobody("rm", "-f", str(run / name)).returncode != 0
        assert (run / name).is_socket()


def test_another_user_cannot_read_keys_and_records(place: Path) -> None:
    """The files of a version that a server needs can be reached; keys, records and lists cannot."""
    with statedir.opened(place / "state") as store:
        store.write_account_key("lab", b"secret")
        store.write_pending_key(statedir.NAME, "k1", b"secret")
        store.save_certificate(statedir.NAME, statedir.idle())
        version = store.add_version(statedir.NAME, statedir.issued(), group=None, combined=True)
        store.switch_live(statedir.NAME, version, now=NOW)
    live = place / "state" / "live" / statedir.NAME
    assert as_nobody("cat", str(live / "fullchain.pem")).returncode == 0
    secret = [path for path in (place / "state").rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()]
    secret += [path for path in (place / "state").rglob("*") if path.suffix in (".json", ".key")]
    secret += [place / "state" / "certs" / statedir.NAME / "pending" / "k1.pem"]
    assert len(secret) >= 5
    for path in secret:
        assert as_nobody("cat", str(path)).returncode != 0, path
    for directory in ("", "accounts", "certs", f"certs/{statedir.NAME}", f"certs/{statedir.NAME}/versions", "live"):
        assert as_nobody("ls", str(place / "state" / directory)).returncode != 0, directory


def as_nobody(*argv: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(argv, capture_output=True, user=NOBODY, group=NOBODY, extra_groups=(), check=False)
