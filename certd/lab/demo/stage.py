"""The stage of the demo: the CA, the web server and certd, set up in this order and taken down in reverse."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from certd.lab import LabCa, LabOptions
from certd.lab.demo import configuration
from certd.lab.demo.daemon import Daemon
from certd.lab.demo.place import Place
from certd.lab.demo.site import Names, Site, make_site
from certd.lab.demo.story import Story
from certd.lab.demo.witness import Witness, verified
from certd.lab.options import LOOPBACK
from certd.model.specs import Address
from certd.status import Snapshot

NAMES: Names = {"example.test": ("example.test", "www.example.test"), "shop.example.test": ("shop.example.test",)}
"""Certificates and their domains."""
PROCESSING = 2
"""How often the CA says `processing`."""


class Stage:
    """All that takes part. Leaving the context ends every process and, but with `keep`, removes every file."""

    def __init__(self, *, apache: bool, keep: bool) -> None:
        """Nothing runs yet. Raises `Refused` where this machine has no place for it."""
        self._undo = ExitStack()
        self.place = Place()
        if not keep:
            self._undo.callback(self.place.remove)
        self._undo.callback(self.place.end_leftovers)
        try:
            self._equip(apache)
        except BaseException:
            self._undo.close()
            raise

    def _equip(self, apache: bool) -> None:
        root = self.place.root
        self.site: Site
        self.site, self.no_apache = make_site(self.place, NAMES, root / "state" / "live", apache=apache)
        self.ca = LabCa(
            LabOptions(
                lifetime=timedelta(days=90),
                ocsp_lag=timedelta(seconds=configuration.OCSP_LAG),
                processing_polls=PROCESSING,
                http_port=self.site.http_port,
            ),
            directory=root / "ca",
        )
        self.kid, self._mac = self.ca.new_eab()
        self.daemon = Daemon(root / "config.yaml", root / "run", root / "certd.log")
        self.address = Address(LOOPBACK, self.site.tls_port)
        self.witness = Witness(self.address, {name: domains[0] for name, domains in NAMES.items()})
        self.story = Story()
        self.activate_at: dict[str, datetime] = {}
        """Serial to the time at which its gate opens, as seen in the status socket."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    def start_ca(self) -> None:
        """The CA, and the configuration, which names its ports. Raises OSError."""
        self._undo.callback(self.ca.stop)
        self.ca.start()
        key_file = self.place.write("eab-hmac.key", f"{self._mac}\n", mode=0o600)
        root = self.place.root
        self.place.write(
            "config.yaml",
            configuration.render(self.ca, self.site, NAMES, root=root, kid=self.kid, key_file=key_file),
        )

    def start_site(self) -> None:
        """The web server. Raises `CommandFailed`, `Refused`."""
        self._undo.callback(self.site.stop)
        self.site.start()

    def start_daemon(self) -> None:
        """certd itself."""
        self._undo.callback(self.daemon.stop)
        self.daemon.start()

    def snapshot(self) -> Snapshot | None:
        """What the status socket says; what is staged is remembered."""
        snapshot = self.daemon.status()
        for certificate in snapshot.certificates if snapshot else ():
            if certificate.staged is not None:
                self.activate_at[certificate.staged.serial] = certificate.staged.activate_at
        return snapshot

    def serials(self) -> Mapping[str, str | None]:
        """What is served for every certificate, by the last handshakes."""
        return {name: self.witness.serial(name) for name in NAMES}

    def distrust(self) -> list[str]:
        """What a client that trusts the lab's root alone does not like about the domains."""
        domains = [domain for its in NAMES.values() for domain in its]
        return [fault for domain in domains if (fault := verified(self.address, domain, self.ca.root_path))]
