"""One writer at a time; the lock dies with its holder and says who holds it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from authority import NOW
from statedir import NAME, idle, opened

from certd.errors import LockHeld, StateError
from certd.store import Store

HOLDER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from certd.store import Store
store = Store.open(Path(sys.argv[1]), purpose="certd run", now=datetime(2026, 11, 23, 12, 0, tzinfo=UTC))
print("locked", flush=True)
sys.stdin.read()
"""


def test_a_second_opening_is_refused_and_told_by_whom(tmp_path: Path) -> None:
    """Within one process as well; after closing it is free."""
    with opened(tmp_path, "certd once"), pytest.raises(LockHeld) as caught:
        opened(tmp_path)
    assert f"certd once (pid {os.getpid()} on {os.uname().nodename}, since 2026-11-23T12:00:00Z)" in str(caught.value)
    assert caught.value.holder.startswith("certd once")
    opened(tmp_path).close()


def test_the_lock_ends_with_a_killed_process(tmp_path: Path) -> None:
    """While another process runs it is named; once it was killed by SIGKILL nothing is in the way."""
    argv = [sys.executable, "-c", HOLDER, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        with pytest.raises(LockHeld, match=f"certd run .pid {process.pid} on "):
            opened(tmp_path)
        process.send_signal(signal.SIGKILL)
        process.wait()
    with opened(tmp_path) as store:
        store.save_certificate(NAME, idle())
    assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()


def test_a_child_does_not_inherit_the_lock(tmp_path: Path) -> None:
    """A command that stays in the background keeps no lock."""
    argv = ["/bin/sh", "-c", "echo running; read line"]
    with opened(tmp_path):
        child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False)
        assert child.stdout is not None
        child.stdout.readline()
    try:
        opened(tmp_path).close()
    finally:
        child.communicate()


def test_an_unreadable_holder_is_still_a_holder(tmp_path: Path) -> None:
    """Between taking the lock and writing the name there is a moment without a name."""
    with opened(tmp_path):
        (tmp_path / "lock").write_bytes(b"")
        with pytest.raises(LockHeld, match="held by another process"):
            opened(tmp_path)


def test_the_file_says_who(tmp_path: Path) -> None:
    """pid, purpose, since when and where, as JSON."""
    with opened(tmp_path, "certd run"):
        content = json.loads((tmp_path / "lock").read_text())
    assert content == {
        "pid": os.getpid(),
        "purpose": "certd run",
        "since": NOW.isoformat().replace("+00:00", "Z"),
        "host": os.uname().nodename,
    }


def test_a_link_is_not_locked(tmp_path: Path) -> None:
    """A symlink under the lock's name could make certd write elsewhere."""
    (tmp_path / "elsewhere").write_text("precious")
    (tmp_path / "lock").symlink_to("elsewhere")
    with pytest.raises(StateError, match="cannot lock"):
        opened(tmp_path)
    assert (tmp_path / "elsewhere").read_text() == "precious"


def test_reading_needs_no_lock_and_writes_nothing(tmp_path: Path) -> None:
    """A reader goes on beside the holder; every change is refused to it, as after closing."""
    with opened(tmp_path) as store:
        store.save_certificate(NAME, idle())
        reader = Store.open_read_only(tmp_path)
        assert reader.load_certificate(NAME) == idle()
    for closed in (reader, store):
        with pytest.raises(StateError, match="for reading only, or is closed"):
            closed.save_certificate(NAME, idle())
    with pytest.raises(StateError, match="does not exist yet"):
        Store.open_read_only(tmp_path / "missing")


def test_only_its_owner_may_open_it(tmp_path: Path) -> None:
    """A lock needs no more than a file opened for reading: any user of the host could keep certd from starting."""
    lock = tmp_path / "lock"
    for _ in range(2):
        opened(tmp_path).close()
        assert lock.stat().st_mode & 0o777 == 0o600
        lock.chmod(0o644)  # as an earlier release left it
