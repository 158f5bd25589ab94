"""The test bench's ports and child processes."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from parts import LOOPBACK, Process, eventually, free_port, free_ports, require, watched_tails


def test_ports_are_free_and_never_given_twice():
    """Fifty ports are fifty different ones, and each can be bound."""
    ports = free_ports(50)
    assert len(set(ports)) == 50
    for port in ports:
        with socket.create_server((LOOPBACK, port)):
            pass


def test_a_claimed_port_is_not_given_to_another_process():
    """Another process cannot claim what this one holds: its claim on the same port fails."""
    port = free_port()
    program = f"from ports import _claim; import sys; sys.exit(0 if _claim({port}) is None else 1)"
    parts = Path(__file__).parents[1] / "parts"
    assert subprocess.run([sys.executable, "-c", program], cwd=parts, timeout=60).returncode == 0


def test_a_process_is_started_logged_and_stopped(tmp_path):
    """Its output is in the log, the log is watched while it runs, and after stop() its pid is gone."""
    log = tmp_path / "child.log"
    child = Process("child", [sys.executable, "-uc", "import time; print('ready'); time.sleep(600)"], log)
    child.start()
    pid = child.pid
    child.wait_for(lambda: "ready" in log.read_text(), "its word")
    assert any("ready" in text for _, text in watched_tails())
    child.stop()
    assert not child.is_running()
    assert not Path(f"/proc/{pid}").exists()
    assert not any("ready" in text for _, text in watched_tails())


def test_a_process_that_ends_fails_the_wait_with_its_log(tmp_path):
    """Waiting for a program that died fails at once and shows what it wrote."""
    child = Process("child", [sys.executable, "-c", "raise SystemExit('no such flag')"], tmp_path / "child.log")
    child.start()
    with pytest.raises(AssertionError, match="no such flag"):
        child.wait_for(lambda: False, "anything")
    child.stop()


def test_eventually_names_what_was_waited_for():
    """A wait that never ends well says for what."""
    with pytest.raises(AssertionError, match="the moon"):
        eventually(lambda: False, "the moon", timeout=0.05)


def test_a_missing_program_skips_with_its_name():
    """require() skips, and the reason names the program."""
    with pytest.raises(pytest.skip.Exception, match="certd-no-such-program is not installed"):
        require("certd-no-such-program")
