"""Our own eyes on the web server: TLS handshakes all the time, and a client that trusts the lab's root alone."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from certd.lab.options import wall_clock
from certd.model.specs import Address
from certd.probe import Probe, handshake

TIMEOUT = 5.0
"""Seconds for one handshake."""


@dataclass(frozen=True)
class Sighting:
    """One handshake for a certificate's first domain."""

    name: str
    began: datetime
    ended: datetime
    serial: str | None
    """None: it failed, and `text` tells how."""
    text: str = ""


class Witness:
    """Looks at every certificate in turn and remembers what was seen when."""

    def __init__(
        self,
        address: Address,
        domains: Mapping[str, str],
        clock: Callable[[], datetime] = wall_clock,
        look: Callable[[Address, str], Probe] = lambda address, domain: handshake(address, domain, timeout=TIMEOUT),
    ) -> None:
        """`domains`: certificate to the domain to ask for."""
        self._address = address
        self._domains = domains
        self._clock = clock
        self._look = look
        self._seen: list[Sighting] = []

    def look(self) -> None:
        """One handshake for each certificate."""
        for name, domain in self._domains.items():
            began = self._clock()
            probe = self._look(self._address, domain)
            self._seen.append(Sighting(name, began, self._clock(), probe.serial, probe.text))

    def serial(self, name: str) -> str | None:
        """What the last handshake for it showed."""
        return next((seen.serial for seen in reversed(self._seen) if seen.name == name), None)

    def seen(self, name: str, since: datetime) -> Sequence[Sighting]:
        """The handshakes for a certificate that began at `since` or later."""
        return [seen for seen in self._seen if seen.name == name and seen.began >= since]

    def count(self) -> int:
        """All handshakes."""
        return len(self._seen)


def verified(address: Address, domain: str, root: Path) -> str | None:
    """Connect as a browser would that trusts this root only; None, or what it does not like."""
    try:
        context = ssl.create_default_context(cafile=root)
        with (
            socket.create_connection((address.host, address.port), TIMEOUT) as sock,
            context.wrap_socket(sock, server_hostname=domain),
        ):
            return None
    except OSError as error:  # ssl.SSLError is one
        return f"{domain}: {error}"
