"""What there is at the start of a run, and the configuration that goes with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from exploration.interruptions import Interruption

from certd.model.specs import (
    Address,
    CaSpec,
    CertificateSpec,
    Config,
    Deployment,
    OcspPolicy,
    ServerSpec,
    ServiceReload,
    SolverSpec,
    VerifySpec,
)

if TYPE_CHECKING:
    from exploration.simulation import Simulation


@dataclass(frozen=True)
class Scenario:
    """What there is at the start, and what happens by itself."""

    name: str
    names: tuple[str, ...] = ("a", "b", "c")
    servers: tuple[str, ...] = ("web",)
    shared: frozenset[str] = frozenset()
    """Certificates that every server loads; the others are the first server's alone."""
    live_age: timedelta | None = None
    """How old the live certificates are at the start; None: there are only placeholders."""
    include: bool = False
    arrange: Callable[[Simulation], None] = lambda _: None
    stuck: frozenset[str] = frozenset()
    """Certificates that cannot get a new set."""
    lasts: timedelta = timedelta(hours=30)
    """After the last interruption: time enough for everything to come to rest."""
    without: frozenset[Interruption] = frozenset()
    """Interruptions after which other things are right than those that the end demands."""
    max_wait: timedelta = timedelta(hours=1)
    """How long the responder is waited for."""
    interval: int = 10
    """Seconds between two reloads at least."""


def loads(scenario: Scenario, unit: str) -> list[str]:
    """The certificates that a server loads."""
    first = unit == scenario.servers[0]
    return [name for name in scenario.names if first or name in scenario.shared]


def configuration(scenario: Scenario) -> Config:
    """As it would come from a file."""
    interval = timedelta(seconds=scenario.interval)
    return Config(
        path=Path("/etc/certd/config.yaml"),
        state_dir=Path("/var/lib/certd"),
        runtime_dir=Path("/run/certd"),
        cas={"ca": CaSpec(name="ca", directory="https://ca.test/directory")},
        servers={unit: ServerSpec(unit, ServiceReload(unit), interval) for unit in scenario.servers},
        certificates={name: _certificate(scenario, name) for name in scenario.names},
    )


def _certificate(scenario: Scenario, name: str) -> CertificateSpec:
    deployed = [unit for unit in scenario.servers if name in loads(scenario, unit)]
    return CertificateSpec(
        name=name,
        domains=(name,),
        ca="ca",
        challenges=(("*", SolverSpec("http-01")),),
        ocsp=OcspPolicy(max_wait=scenario.max_wait),
        deploy=tuple(Deployment(unit, VerifySpec(connect=(Address(unit, 443),))) for unit in deployed),
    )
