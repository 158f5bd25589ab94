"""The fixture of the configuration's tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from configuring import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """An empty directory for configurations."""
    return Folder(tmp_path)
