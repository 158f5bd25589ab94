"""A state directory in memory: what was written before a crash is there after it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from exploration.interruptions import Act, EffectFailed, Steps
from exploration.timeline import Timeline

from certd.errors import PkiError, StateError
from certd.model.records import AccountRecord, CertificateRecord, DaemonRecord, Leaf, ServerRecord

T = TypeVar("T")
TAKES = 0.005
"""Seconds that a durable write takes."""


@dataclass(frozen=True)
class Version:
    """One complete set."""

    leaf: Leaf
    key: bytes
    placeholder: bool
    added_at: datetime


@dataclass(frozen=True)
class IssuedSet:
    """What the CA's answer and the key of the order make together; as much of a CertificateSet as is asked for."""

    leaf: Leaf
    privkey: bytes
    chain: bytes = b"issuer"


class MemoryStore:
    """The methods of certd.store.Store that the engine uses; each change is a step."""

    def __init__(self, timeline: Timeline) -> None:
        self.steps: Steps | None = None
        self.timeline = timeline
        self.certificates: dict[str, CertificateRecord] = {}
        self.servers: dict[str, ServerRecord] = {}
        self.accounts: dict[str, AccountRecord] = {}
        self.daemon: DaemonRecord | None = None
        self.sets: defaultdict[str, dict[int, Version]] = defaultdict(dict)
        self.stored: set[str] = set()
        """Fingerprints of all sets that there ever were, pruned ones as well."""
        self.links: dict[str, int] = {}
        self.pending: defaultdict[str, dict[str, bytes]] = defaultdict(dict)
        self.parked: defaultdict[str, dict[str, bytes]] = defaultdict(dict)
        self.account_keys: dict[str, bytes] = {}
        self.on_server: Callable[[str, ServerRecord], None] = lambda _name, _record: None
        self.on_switch: Callable[[str, int], None] = lambda _name, _version: None

    def served_by_link(self, name: str) -> str | None:
        """The fingerprint that a server loads which starts now."""
        return self.sets[name][self.links[name]].leaf.fingerprint if name in self.links else None

    # --- records ------------------------------------------------------------------------------------------------

    def load_certificate(self, name: str) -> CertificateRecord | None:
        return self.certificates.get(name)

    def save_certificate(self, name: str, record: CertificateRecord) -> None:
        self._write(f"save {name}", lambda: self.certificates.__setitem__(name, record))

    def load_server(self, server: str) -> ServerRecord | None:
        return self.servers.get(server)

    def save_server(self, server: str, record: ServerRecord) -> None:
        self._write(f"save {server}", lambda: self.servers.__setitem__(server, record))
        self.on_server(server, record)

    def load_account(self, ca: str) -> AccountRecord | None:
        return self.accounts.get(ca)

    def save_account(self, ca: str, record: AccountRecord) -> None:
        self._write(f"save {ca}", lambda: self.accounts.__setitem__(ca, record))

    def load_daemon(self) -> DaemonRecord | None:
        return self.daemon

    # --- keys ---------------------------------------------------------------------------------------------------

    def read_account_key(self, ca: str) -> bytes | None:
        return self.account_keys.get(ca)

    def write_account_key(self, ca: str, pem: bytes) -> None:
        assert ca not in self.account_keys, "I7: an account key is overwritten"
        self._write("write account key", lambda: self.account_keys.__setitem__(ca, pem))

    def read_pending_key(self, name: str, key_id: str) -> bytes | None:
        return self.pending[name].get(key_id)

    def write_pending_key(self, name: str, key_id: str, pem: bytes) -> None:
        assert key_id not in self.pending[name], "a pending key is overwritten"
        self._write(f"write key of {name}", lambda: self.pending[name].__setitem__(key_id, pem))

    def read_parked_key(self, name: str, key_id: str) -> bytes | None:
        return self.parked[name].get(key_id)

    def park_key(self, name: str, key_id: str) -> None:
        def park() -> None:
            if key_id in self.pending[name]:
                self.parked[name][key_id] = self.pending[name].pop(key_id)

        self._write(f"park key of {name}", park)

    def pending_keys(self, name: str) -> set[str]:
        return set(self.pending[name])

    def parked_keys(self, name: str) -> set[str]:
        return set(self.parked[name])

    def sweep_keys(self, name: str, keep: set[str]) -> set[str]:
        orphans = (self.pending_keys(name) | self.parked_keys(name)) - keep

        def sweep() -> None:
            for key_id in orphans:
                self.pending[name].pop(key_id, None)
                self.parked[name].pop(key_id, None)

        if orphans:
            self._write(f"sweep keys of {name}", sweep)
        return orphans

    def sweep_leftovers(self, name: str) -> None:
        """Nothing is ever left half done here."""

    # --- versions -----------------------------------------------------------------------------------------------

    def names(self) -> list[str]:
        return sorted({*self.certificates, *self.sets})

    def add_version(self, name: str, certificates: Any, *, group: str | None, combined: bool) -> int:
        """`certificates`: an IssuedSet, or a placeholder as certd makes it."""
        placeholder = not certificates.chain
        number = max([*self.sets[name], self.links.get(name, 0)], default=0) + 1
        version = Version(certificates.leaf, certificates.privkey, placeholder, self.timeline.now)

        def add() -> None:
            self.sets[name][number] = version
            self.stored.add(version.leaf.fingerprint)

        self._write(f"add version of {name}", add)
        return number

    def versions(self, name: str) -> list[int]:
        return sorted(self.sets[name])

    def has_version(self, name: str, version: int) -> bool:
        return version in self.sets[name]

    def version_leaf(self, name: str, version: int) -> Leaf:
        if version not in self.sets[name]:
            raise PkiError("missing", f"version {version} of {name} is missing")
        return self.sets[name][version].leaf

    def is_placeholder(self, name: str, version: int) -> bool:
        return self.sets[name][version].placeholder

    def live_version(self, name: str) -> int | None:
        return self.links.get(name)

    def switch_live(self, name: str, version: int, *, now: datetime) -> None:
        leaf = self.version_leaf(name, version)
        if leaf.not_after <= now and not self.is_placeholder(name, version):
            raise PkiError("expired", f"version {version} of {name} has expired")

        def switch() -> None:
            self.on_switch(name, version)
            self.links[name] = version

        self._write(f"switch {name}", switch)

    def prune(self, name: str, *, keep: int, protected: set[int]) -> list[int]:
        kept = {*self.versions(name)[-keep:], *protected, self.links.get(name)}
        removed = [version for version in self.versions(name) if version not in kept]
        if removed:
            self._write(f"prune {name}", lambda: [self.sets[name].pop(version) for version in removed])
        return removed

    def _write(self, label: str, change: Callable[[], Any]) -> None:
        if self.steps is None:  # the scenario is being set up
            change()
            return
        self.timeline.spend(TAKES)
        try:
            self.steps.step(Act.RECORD, label, change)
        except EffectFailed:
            raise StateError(f"{label}: no space left on device") from None
