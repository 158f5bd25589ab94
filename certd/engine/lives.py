"""What the live links name, read once and again after every swap."""

from __future__ import annotations

import logging
import threading
from datetime import datetime, timedelta

import msgspec

from certd.errors import BrokenRecord, PkiError
from certd.logs import log_event
from certd.model.facts import Live
from certd.model.records import Leaf
from certd.store import Store

_log = logging.getLogger(__name__)

WORTH_RETURNING = timedelta(hours=72)
"""Nobody goes back to a certificate with less time left (ARCHITECTURE 4b); a quarter of life where that is shorter."""


class Life(msgspec.Struct, frozen=True):
    """`link`: the version that the live link names. `live`: its leaf, if it is a certificate of a CA."""

    link: int | None = None
    live: Live | None = None
    placeholder_fingerprint: str | None = None

    @property
    def fingerprint(self) -> str | None:
        return self.live.leaf.fingerprint if self.live is not None else self.placeholder_fingerprint


class Lives:
    """A cache over the store; the store alone writes links."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._lives: dict[str, Life] = {}
        self._forgotten = 0

    def of(self, name: str) -> Life:
        """Raises StateError where the link is not certd's."""
        with self._lock:
            known, forgotten = self._lives.get(name), self._forgotten
        if known is not None:
            return known
        life = self._read(name)
        with self._lock:
            # A link that moved while it was read must not be remembered as it was.
            if forgotten == self._forgotten:
                self._lives[name] = life
        return life

    def known(self, name: str) -> Life:
        """Without touching the disk: what is known so far."""
        return self._lives.get(name, Life())

    def is_known(self, name: str) -> bool:
        """Whether `of` can answer without the disk."""
        return name in self._lives

    def forget(self, name: str) -> None:
        """To be read again; called after the link has moved."""
        with self._lock:
            self._forgotten += 1
            self._lives.pop(name, None)

    def leaf(self, name: str, version: int) -> Leaf | None:
        """The leaf of a version, None where its set is not complete and verified."""
        life = self._lives.get(name)
        if life is not None and life.live is not None and life.live.version == version:
            return life.live.leaf
        try:
            return self._store.version_leaf(name, version)
        except (PkiError, BrokenRecord):
            return None

    def fault(self, name: str, version: int) -> str | None:
        """Why the set of this version is not complete and verified; None if it is. Raises StateError."""
        try:
            self._store.version_leaf(name, version)
        except (PkiError, BrokenRecord) as error:
            return str(error)
        return None

    def usable(self, name: str, version: int, *, revoked: str | None, now: datetime) -> Leaf | None:
        """The leaf, if the operator may go back to this version: a CA's certificate, neither expired nor revoked."""
        leaf = self.leaf(name, version)
        if leaf is None or leaf.serial == revoked or leaf.not_after <= now:
            return None
        live = self.known(name).live
        if (live is None or live.version != version) and self._store.is_placeholder(name, version):
            return None
        return leaf

    def worth_returning(self, name: str, version: int, *, revoked: str | None, now: datetime) -> Leaf | None:
        """The leaf, if certd itself would go back to this version (ARCHITECTURE 4b)."""
        leaf = self.usable(name, version, revoked=revoked, now=now)
        if leaf is None:
            return None
        least = min(WORTH_RETURNING, (leaf.not_after - leaf.not_before) / 4)
        return leaf if leaf.not_after - now >= least else None

    def _read(self, name: str) -> Life:
        version = self._store.live_version(name)
        if version is None:
            return Life()
        try:
            leaf = self._store.version_leaf(name, version)
            if self._store.is_placeholder(name, version):
                return Life(version, None, leaf.fingerprint)
        except (PkiError, BrokenRecord) as error:
            log_event(_log, logging.ERROR, f"The live set cannot be used: {error}", certificate=name)
            return Life(version)
        return Life(version, Live(version, leaf))
