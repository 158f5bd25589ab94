"""The state directory as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from certd import atomicfile
from certd.errors import StateError
from certd.store.disk import PASSABLE, PRIVATE
from certd.store.keys import Keys
from certd.store.layout import Layout, is_name
from certd.store.lock import StateLock
from certd.store.records import Records
from certd.store.trouble import explained
from certd.store.versions import Versions

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path
    from types import TracebackType


class Store(Records, Keys, Versions):
    """The state directory, opened. A context manager; `close` gives the lock up.

    Several threads may use it at once, as long as no two of them work on the same certificate, server or account.
    Nothing is cached here.
    """

    @classmethod
    def open(cls, state_dir: Path, *, purpose: str, now: datetime) -> Store:
        """Take the lock, create what is missing, remove what crashed writers left in the shared directories.

        `purpose` tells whoever finds it locked what is running (``certd run``). Raises LockHeld or StateError.
        """
        layout = Layout(state_dir)
        with explained("create", layout.root):
            atomicfile.make_directory(layout.root, mode=PASSABLE)
        store = cls(layout, StateLock.acquire(layout.lock, purpose=purpose, now=now))
        try:
            store._prepare()
        except BaseException:
            store.close()
            raise
        return store

    @classmethod
    def open_read_only(cls, state_dir: Path) -> Store:
        """Read beside whoever holds the lock. What is read at different moments need not fit together.

        Raises StateError where there is no such directory.
        """
        layout = Layout(state_dir)
        if not layout.root.is_dir():
            raise StateError(f"{layout.root} does not exist yet; `certd prepare` or the daemon makes it")
        return cls(layout, None)

    def close(self) -> None:
        """Give up the lock; from then on the store only reads."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def names(self) -> list[str]:
        """The certificates that have a directory here, configured or not, sorted. Raises StateError."""
        with explained("list", self.layout.certificates):
            try:
                return sorted(entry.name for entry in self.layout.certificates.iterdir() if is_name(entry.name))
            except FileNotFoundError:
                return []

    def sweep_leftovers(self, name: str) -> None:
        """Remove what crashed writers left of one certificate. Raises StateError. Nothing else may work on it."""
        self._may_write()
        layout = self.layout
        self._sweep(layout.certificate(name), layout.pending(name), layout.parked(name), layout.versions(name))

    def forget(self, name: str) -> None:
        """Remove a certificate: its live link first, then record, keys and versions in one step.

        Interrupted, it leaves a record without a live link, never a link without its version; it can be repeated.
        Raises StateError; a live link that certd did not make stops it before anything is removed.
        """
        self._may_write()
        if self.live_version(name) is not None:
            link = self.layout.live(name)
            with explained("remove", link):
                atomicfile.remove_file(link)
        directory = self.layout.certificate(name)
        with explained("remove", directory):
            if directory.is_dir():
                atomicfile.remove_directory(directory)

    def _prepare(self) -> None:
        layout = self.layout
        self._directory(layout.accounts, PRIVATE)
        self._directory(layout.servers, PRIVATE)
        self._directory(layout.certificates, PASSABLE)
        self._directory(layout.live_links, PASSABLE)
        shared = [layout.root, layout.accounts, layout.servers, layout.certificates, layout.live_links]
        for parent in (layout.accounts, layout.servers):
            with explained("list", parent):
                shared.extend(entry for entry in parent.iterdir() if entry.is_dir())
        self._sweep(*shared)
