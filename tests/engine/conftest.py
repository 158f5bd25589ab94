"""Fixtures for the tests of the engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """An engine's surroundings, on a state directory of its own."""
    bench = Bench(tmp_path)
    yield bench
    bench.store.close()
