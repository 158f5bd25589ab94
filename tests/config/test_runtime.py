"""Finding the sockets, whatever state the configuration file is in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from certd.config.runtime import DEFAULT, runtime_dir


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("runtime_dir: /run/x\n", "/run/x"),
        ("a: [\nruntime_dir: '/run/with space'   # note\n", "/run/with space"),
        ("{runtime_dir: /run/flow, cas: {}}", "/run/flow"),
        ("cas: {}\n", str(DEFAULT)),
        ("x:\n  runtime_dir: /run/nested\n", str(DEFAULT)),
        ("runtime_dir: relative\n", str(DEFAULT)),
        ("runtime_dir: [\n", str(DEFAULT)),
        ("runtime_dir:\n", str(DEFAULT)),
        ("[runtime_dir]", str(DEFAULT)),
        ("{runtime_dir", str(DEFAULT)),
        ("", str(DEFAULT)),
        ("x: {runtime_dir: 1}\ny: " + "[" * 50_000 + "]" * 50_000, str(DEFAULT)),
    ],
)
def test_the_runtime_directory(tmp_path: Path, content: str, expected: str) -> None:
    """What the file says, else the default; errors elsewhere do not matter."""
    path = tmp_path / "config.yaml"
    path.write_text(content)
    assert runtime_dir(path) == Path(expected)


def test_no_file(tmp_path: Path) -> None:
    """One that is missing, or may not be read, leaves the default."""
    assert runtime_dir(tmp_path / "missing") == DEFAULT
    assert runtime_dir(tmp_path) == DEFAULT


def test_a_fifo_holds_nobody_up(tmp_path: Path) -> None:
    """`certd health -c` of something that is no file answers all the same."""
    os.mkfifo(tmp_path / "fifo")
    assert runtime_dir(tmp_path / "fifo") == DEFAULT
