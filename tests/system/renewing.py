"""A renewal up to the moment in which the server comes into it, and what time does to a server that refuses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from parts import ForwardClock, ForwardedCertd, LabSite, eventually

GATE = timedelta(minutes=11)
"""Longer than the propagation delay of LabSite's configuration."""


class Renewal:
    """A lab site with a live set for every name, and certd by a clock that the test puts forward.

    `site.served()` is told by handshakes of the test's own. `close` is make_labsite's.
    """

    def __init__(self, make_labsite: Callable[..., LabSite], names: Sequence[str], **options: Any) -> None:
        self.clock = ForwardClock()
        self.site = make_labsite(names, clock=self.clock.wall, **options)
        self._certd: ForwardedCertd | None = None
        self.before: dict[str, str | None] = {}

    @property
    def certd(self) -> ForwardedCertd:
        assert self._certd is not None
        return self._certd

    def start(self, *, live: Sequence[str] | None = None, **settings: Any) -> None:
        """Put first sets live for these names (all; the others get placeholders), start every Apache, then certd."""
        self._certd = self.site.forwarded(self.clock, **settings)
        self.site.put_live(live)
        if live is not None:
            self.site.prepare()
        for apache in self.site.apaches:
            apache.start()
        self.before = self.site.served()
        self.certd.start()

    def issue(self, *names: str) -> None:
        """Order for these names (all); their new sets then wait for their gates."""
        for name in names or self.site.names:
            self.certd.renew(name)
        self.wait_for_phase("staged", *names)

    def renew(self, *names: str) -> None:
        """Order for these names (all), and let the time pass that their gates ask for."""
        self.issue(*names)
        self.certd.skip(GATE)

    def wait_for_phase(self, phase: str, *names: str) -> None:
        wanted = names or self.site.names
        eventually(lambda: {self.certd.certificate(name)["phase"] for name in wanted} == {phase}, f"all are {phase}")

    def server(self, name: str = "web") -> dict[str, Any]:
        return next(one for one in self.certd.status()["servers"] if one["name"] == name)

    def owed(self, name: str = "web") -> bool:
        """Whether the server owes a reload."""
        return bool(self.server(name)["wanted"] > self.server(name)["confirmed"])

    def wait_for_failure(self, code: str, name: str = "web") -> dict[str, Any]:
        """Wait until the server is at rest with this failure; its problem in `/healthz`."""

        def failed() -> bool:
            server = self.server(name)
            return server["phase"] == "settled" and bool(server["failure"]) and server["failure"]["code"] == code

        eventually(failed, f"{name} has failed with {code}", 60)
        return self.problem(code)

    def backs_off(self, name: str = "web") -> bool:
        """Whether the server is at rest until a time in the future."""
        server = self.server(name)
        at_rest = server["phase"] == "settled" and server["failure"] and server["failure"]["next_at"]
        return bool(at_rest) and datetime.fromisoformat(server["failure"]["next_at"]) > self.clock.wall()

    def retry(self, name: str = "web") -> None:
        """Let the back-off of the server pass."""
        eventually(lambda: self.backs_off(name), f"{name} backs off")
        until = datetime.fromisoformat(self.server(name)["failure"]["next_at"])
        self.certd.skip(until - self.clock.wall() + timedelta(seconds=1))

    def problem(self, code: str) -> dict[str, Any]:
        """The problem of this code in `/healthz`, which must come with a remedy."""
        found: Mapping[str, Any] = eventually(
            lambda: next((one for one in self.certd.health()["problems"] if one["code"] == code), None),
            f"health says {code}",
        )
        assert found["text"] and found["remedy"], found
        return dict(found)

    def wait_well(self) -> None:
        """Wait until every certificate is live and confirmed, and health finds nothing wrong."""
        self.certd.wait_settled()
        eventually(lambda: self.certd.problems() == set(), "health finds nothing wrong")

    def all_new(self) -> bool:
        """Every Apache serves the newest certificate of every name."""
        return all(self.site.served(apache) == self.site.issued() for apache in self.site.apaches)

    def orders(self) -> int:
        return len(self.site.ca.orders)


def script(directory: Path, text: str, name: str = "reload.sh") -> list[str]:
    """The argv of a shell script with this text, which a test may write anew at any time."""
    path = directory / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    return ["/bin/sh", str(path)]
