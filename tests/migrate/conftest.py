"""A CA with EAB in front of which every request is noted, and a web root: what an old client worked with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from migrate.oldsite import OldSite
from parts import Webroot


@pytest.fixture
def old_site(start_pebble: Callable[..., Any], webroot: Webroot, tmp_path: Path) -> Iterator[OldSite]:
    """Pebble, the noting proxy and the web root, running."""
    site = OldSite(start_pebble, webroot, tmp_path)
    yield site
    site.close()
