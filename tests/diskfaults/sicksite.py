"""certd's engine on the real world, with a server in this process and a disk that may refuse.

CA, HTTP, files and signatures are real, as in `clockwork.py`. The server holds in memory what it loaded last, as Apache
does, and dies of a set that does not fit together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from clockwork import Clockwork
from parts import Webroot
from sickdisk import SickDisk

from certd import pki
from certd.effects.real import RealWorld
from certd.effects.served import Target
from certd.errors import StateError
from certd.model import events as ev
from certd.model.records import Activity, Leaf, Seen, Served, Sight
from certd.model.specs import AfterCommand, CertificateSpec, ServerSpec
from certd.status import health, snapshot
from certd.status.shape import Problem
from certd.store import Store

NAME = "one.test"
STARTS_MOST = 100
SERVERS = {"web": {"reload": {"command": ["/bin/true"], "active": ["/bin/true"], "start": ["/bin/true"]}}}


class Server:
    """Loads every live set at once. Its own disk is sound."""

    def __init__(self, live: Path, disk: SickDisk) -> None:
        self._live = live
        self._disk = disk
        self.loaded: dict[str, Leaf] = {}
        self.loads = 0
        self.deaf = False
        """Reloads change nothing."""

    def load(self) -> None:
        """Raises PkiError or OSError where a set on the disk is not complete and verified."""
        self.loaded = {}
        with self._disk.aside():
            self.loaded = {link.name: read_set(link) for link in sorted(self._live.glob("[!.]*"))}
        self.loads += 1


def read_set(directory: Path) -> Leaf:
    """The leaf of a complete and verified set. Raises PkiError, OSError."""
    fullchain, key = (directory / "fullchain.pem").read_bytes(), (directory / "privkey.pem").read_bytes()
    return pki.read_set(fullchain, key)


class ServedWorld(RealWorld):
    """The real world but for its server."""

    server: Server

    def activity(self, server: ServerSpec) -> Activity:
        return Activity.ACTIVE

    def look(self, targets: Sequence[Target]) -> tuple[Seen, ...]:
        return tuple(self._seen(part.name) for part, _, _ in targets)

    def reload(self, server: ServerSpec) -> None:
        if not self.server.deaf:
            self.server.load()

    def start(self, server: ServerSpec) -> None:
        self.reload(server)

    def _seen(self, name: str) -> Seen:
        leaf = self.server.loaded.get(name)
        return Seen(name, Sight.LEAF, leaf.fingerprint) if leaf else Seen(name, Sight.REFUSED)

    def probe(self, spec: CertificateSpec, now: Any) -> ev.Probed:
        return ev.Probed(Served(leaf.serial if (leaf := self.server.loaded.get(spec.name)) else None, now))

    def after(self, spec: CertificateSpec, commands: Sequence[AfterCommand], version: int) -> None:
        """Nothing is run."""


class SickSite(Clockwork):
    """One certificate on one server. `settle` brings it to its first certificate."""

    def __init__(
        self,
        root: Path,
        webroot: Webroot,
        disk: SickDisk,
        *,
        names: Sequence[str] = (NAME,),
        between_starts: Callable[[datetime], None] = lambda _: None,
        **options: Any,
    ) -> None:
        """`between_starts` is told the time while certd cannot start; a test may mend something."""
        self._between_starts = between_starts
        self._disk = disk
        self.server = Server(root / "state" / "live", disk)
        self.refusals: list[str] = []
        """With what words it did not start."""
        self._account_key = b""
        lab: Mapping[str, Any] = {"processing_polls": 1} | options.pop("lab", {})
        super().__init__(root, webroot, [{"domains": [name]} for name in names], lab=lab, **options)

    @property
    def state_dir(self) -> Path:
        return self.root / "state"

    def start(self) -> None:
        """As a service manager does: where certd ends with one of its own errors, again after a minute."""
        for _ in range(STARTS_MOST):
            try:
                super().start()
            except StateError as error:
                self.refusals.append(str(error))
                self._close()
                self.time.pass_by(timedelta(minutes=1))
                self._between_starts(self.now)
            else:
                return self.server.load()
        raise AssertionError(f"certd does not start: {self.refusals[-1]}")

    def _close(self) -> None:
        store: Store | None = getattr(self, "store", None)
        if store is not None:
            store.close()

    def _turn(self) -> None:
        # As the daemon does.
        with suppress(StateError):
            super()._turn()

    def configure(self, certificates: Sequence[Mapping[str, Any]], **top: Any) -> None:
        verified = {"servers": {"web": SERVERS["web"] | {"verify": {"connect": ["127.0.0.1:1"]}}}}
        self._defaults = {"key": "p256", "deploy": "web"} | self._defaults
        super().configure(certificates, **(verified | top))

    def _make_world(self, *arguments: Any, **options: Any) -> RealWorld:
        world = ServedWorld(*arguments, **options)
        world.server = self.server
        return world

    def renewed(self, name: str = NAME) -> bool:
        """The CA's newest certificate for this name is live, confirmed and served."""
        issued = [one.serial for one in self.ca.issued if name in one.names]
        shown = self.server.loaded.get(name)
        if self.state(name).phase != "idle" or not issued or shown is None:
            return False
        return issued[-1] == self.serial(name) == shown.serial

    def is_deploying(self) -> bool:
        """The server is in its critical section."""
        return snapshot(self.engine.view(), self.now).servers[0].phase == "deploying"

    def link(self) -> int | None:
        """The version that `live` names."""
        return self.store.live_version(NAME)

    def all_problems(self) -> Sequence[Problem]:
        """What health names, of one code several as well."""
        return health(self.engine.view(), self.now).problems

    def finalized(self) -> int:
        """Orders that the CA was asked to issue for."""
        return sum(order.csr is not None for order in self.ca.orders)

    def leftovers(self) -> list[Path]:
        """Beginnings of changes that nobody ended."""
        return list(self.state_dir.rglob(".certd-tmp-*"))

    def assert_sound(self) -> None:
        """I1 and I7 on the disk as it is: `live` names a set that a server can load, no key is torn or another one."""
        with self._disk.aside():
            for link in self.state_dir.glob("live/[!.]*"):
                read_set(link)
            for key in self.state_dir.glob("accounts/*/account.key"):
                self._account_key = self._account_key or key.read_bytes()
                assert key.read_bytes() == self._account_key, "the account has another key"

    def pass_to_next(self, limit: datetime | None) -> None:
        """Let time pass until something is due, at most until `limit`."""
        following = min(self._due.values())
        self.time.pass_by(max(min(following, limit or following) - self.now, timedelta(0)))
