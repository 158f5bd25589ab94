"""Private keys that are not part of a version: those of accounts, and those of orders that are not issued yet.

A key is on the disk, synced, before anything is asked of a CA with it, and no key is ever written over another one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from certd import atomicfile
from certd.errors import StateError
from certd.store.disk import LARGEST_PEM, PASSABLE, PRIVATE, Disk
from certd.store.layout import is_name
from certd.store.trouble import explained

if TYPE_CHECKING:
    from pathlib import Path


class Keys(Disk):
    """Account keys (I7), and the keys of orders (I5). Every method raises StateError."""

    def read_account_key(self, ca: str) -> bytes | None:
        return _read(self.layout.account_key(ca))

    def write_account_key(self, ca: str, pem: bytes) -> None:
        """Durable on return. Raises StateError also where this account has a key already, which then stays (I7)."""
        self._may_write()
        self._directory(self.layout.account(ca), PRIVATE)
        _write(self.layout.account_key(ca), pem)

    def read_pending_key(self, name: str, key_id: str) -> bytes | None:
        return _read(self.layout.pending_key(name, key_id))

    def write_pending_key(self, name: str, key_id: str, pem: bytes) -> None:
        """Durable on return. Raises StateError also where there is a pending key of this id, which then stays."""
        self._may_write()
        self._directory(self.layout.certificate(name), PASSABLE)
        self._directory(self.layout.pending(name), PRIVATE)
        _write(self.layout.pending_key(name, key_id), pem)

    def read_parked_key(self, name: str, key_id: str) -> bytes | None:
        return _read(self.layout.parked_key(name, key_id))

    def park_key(self, name: str, key_id: str) -> None:
        """Move a pending key to the parked ones. Can be repeated, also after a power cut that left two of it."""
        self._may_write()
        self._directory(self.layout.certificate(name), PASSABLE)
        self._directory(self.layout.parked(name), PRIVATE)
        pending, parked = self.layout.pending_key(name, key_id), self.layout.parked_key(name, key_id)
        with explained("park", pending):
            if not parked.exists():
                atomicfile.move_file(pending, parked)
            elif pending.exists() and _content(pending) == _content(parked):
                atomicfile.remove_file(pending)
            elif pending.exists():
                raise StateError(f"{parked} exists with another key than {pending}; nothing was changed")

    def drop_key(self, name: str, key_id: str) -> None:
        """Remove a pending or parked key: its order came to an end, or its version is published."""
        self._may_write()
        for path in (self.layout.pending_key(name, key_id), self.layout.parked_key(name, key_id)):
            with explained("remove", path):
                if path.exists():
                    atomicfile.remove_file(path)

    def pending_keys(self, name: str) -> set[str]:
        """The ids of the keys in pending/."""
        return _ids(self.layout.pending(name))

    def parked_keys(self, name: str) -> set[str]:
        """The ids of the keys in parked/."""
        return _ids(self.layout.parked(name))

    def sweep_keys(self, name: str, keep: set[str]) -> set[str]:
        """Remove the pending and parked keys that no record names, and what crashed writers left; the ids removed.

        `keep` are all ids in the certificate's record as it is on the disk: of its order, and of its parked orders, for
        which a certificate may still come (I5). Nothing else may work on `name` meanwhile.
        """
        self._may_write()
        orphans = (self.pending_keys(name) | self.parked_keys(name)) - keep
        for key_id in orphans:
            self.drop_key(name, key_id)
        self._sweep(self.layout.certificate(name), self.layout.pending(name), self.layout.parked(name))
        return orphans


def _read(path: Path) -> bytes | None:
    with explained("read", path):
        try:
            return _content(path)
        except FileNotFoundError:
            return None


def _content(path: Path) -> bytes:
    return atomicfile.read_file(path, limit=LARGEST_PEM)


def _write(path: Path, pem: bytes) -> None:
    with explained("write", path):
        try:
            atomicfile.write_once(path, pem, mode=0o600)
        except FileExistsError as error:
            raise StateError(f"{path} exists, and a key is never overwritten; nothing was changed") from error


def _ids(directory: Path) -> set[str]:
    with explained("list", directory):
        try:
            names = [entry.name for entry in directory.iterdir()]
        except FileNotFoundError:
            return set()
    return {key_id for name in names if name.endswith(".pem") and is_name(key_id := name.removesuffix(".pem"))}
