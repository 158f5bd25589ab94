"""What the parts of the store share: the layout, and the lock that allows them to write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from certd import atomicfile
from certd.errors import StateError
from certd.store.trouble import explained

if TYPE_CHECKING:
    from pathlib import Path

    from certd.store.layout import Layout
    from certd.store.lock import StateLock

PASSABLE = 0o711
"""Directories on the way to a certificate: a server that is not root gets through, but cannot look around."""
PRIVATE = 0o700
LARGEST_PEM = 1024 * 1024
"""Bytes; more than any key or chain has."""


class Disk:
    """Base of the store's parts. Without a lock it only reads."""

    def __init__(self, layout: Layout, lock: StateLock | None) -> None:
        self.layout = layout
        self._lock = lock

    def _may_write(self) -> None:
        if self._lock is None:
            raise StateError(f"{self.layout.root} was opened for reading only, or is closed")

    def _directory(self, path: Path, mode: int) -> Path:
        with explained("create", path):
            atomicfile.make_directory(path, mode=mode)
        return path

    def _sweep(self, *directories: Path) -> None:
        """Remove what crashed writers left in them; one that is missing has nothing."""
        for directory in directories:
            with explained("sweep", directory):
                atomicfile.remove_leftovers(directory)
