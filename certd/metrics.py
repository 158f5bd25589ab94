"""GET /metrics: the daemon for Prometheus, made from one view at the time of asking."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from certd import status
from certd.model.records import Deploying

if TYPE_CHECKING:
    from datetime import datetime

    from prometheus_client.metrics_core import Metric

    from certd.model.view import CertificateView, View

CONTENT_TYPE = CONTENT_TYPE_LATEST
Values = Mapping[tuple[str, ...], float]
"""Label values -> the sample."""
PHASES = ("idle", "ordering", "staged", "installed", "broken")
STANDINGS = (status.Standing.OK, status.Standing.WARNING, status.Standing.CRITICAL)


def render(view: View, now: datetime, counters: Mapping[str, int] | None = None) -> bytes:
    """The text of all metrics. `counters` are added to those of the view."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Look(view, now, {**view.counters, **(counters or {})}))
    return generate_latest(registry)


class _Look(Collector):
    """One collection, then done."""

    def __init__(self, view: View, now: datetime, counters: Mapping[str, int]) -> None:
        self._view = view
        self._now = now
        self._counters = counters

    def describe(self) -> Iterable[Metric]:
        """Nothing in advance: registering must not collect."""
        return ()

    def collect(self) -> Iterator[Metric]:
        yield _gauge("certd_up", "certd answers.", {(): 1}, ())
        info = GaugeMetricFamily("certd_build_info", "The version that runs.", labels=["version"])
        info.add_metric([self._view.version], 1)
        yield info
        started = self._view.started_at.timestamp()
        yield _gauge("certd_start_time_seconds", "When the daemon started, in seconds since 1970.", {(): started}, ())
        yield _gauge("certd_clock_sure", "1 while the system clock is trusted.", {(): self._view.clock_sure}, ())
        broken = self._view.config_error is not None
        yield _gauge("certd_config_error", "1 while the configuration file has errors.", {(): broken}, ())
        yield from self._of_health()
        yield from self._of_certificates()
        yield from self._of_servers()
        yield from self._of_cas()
        for name, value in sorted(self._counters.items()):
            metric = name.replace("-", "_").removesuffix("_total")
            yield CounterMetricFamily(f"certd_{metric}", f"Since start: {metric.replace('_', ' ')}.", value=value)

    def _of_health(self) -> Iterator[Metric]:
        judged = status.health(self._view, self._now)
        worst = STANDINGS.index(judged.status)
        yield _gauge("certd_health", "0 ok, 1 warning, 2 critical: what /healthz says.", {(): worst}, ())
        problems: Values = Counter((p.code, p.severity.value) for p in judged.problems)
        yield _gauge("certd_problems", "Problems by code.", problems, ("code", "severity"))

    def _of_certificates(self) -> Iterator[Metric]:
        seen = [c for c in self._view.certificates if c.spec is not None]
        live = [(c.name, c.facts.live.leaf) for c in seen if c.facts.live is not None]
        label = ("name",)
        yield _gauge(
            "certd_certificate_not_after_seconds",
            "The live certificate's end, in seconds since 1970; missing while there is none.",
            {(name,): leaf.not_after.timestamp() for name, leaf in live},
            label,
        )
        yield _gauge(
            "certd_certificate_not_before_seconds",
            "The live certificate's begin, in seconds since 1970.",
            {(name,): leaf.not_before.timestamp() for name, leaf in live},
            label,
        )
        yield _gauge(
            "certd_certificate_attempts",
            "Orders in a row that came to nothing for what is wanted now.",
            {(c.name,): c.record.ledger.attempts for c in seen if c.record is not None},
            label,
        )
        yield _gauge(
            "certd_certificate_failing",
            "1 while the latest attempt has failed, with the code of its failure.",
            {(c.name, c.record.ledger.failure.code): 1 for c in seen if c.record and c.record.ledger.failure},
            ("name", "code"),
        )
        phases = Counter(_phase(c) for c in seen)
        everything: Values = {(phase,): phases[phase] for phase in PHASES}
        yield _gauge("certd_certificates", "Managed certificates by phase.", everything, ("phase",))

    def _of_servers(self) -> Iterator[Metric]:
        wanted: dict[tuple[str, ...], float] = {}
        confirmed: dict[tuple[str, ...], float] = {}
        for server in self._view.servers:
            record = server.record.settled if isinstance(server.record, Deploying) else server.record
            if record is not None:
                wanted[(server.spec.id,)] = record.wanted
                confirmed[(server.spec.id,)] = record.confirmed
        yield _gauge("certd_server_wanted", "The generation that the server has to load.", wanted, ("server",))
        yield _gauge("certd_server_confirmed", "The generation seen to be loaded.", confirmed, ("server",))

    def _of_cas(self) -> Iterator[Metric]:
        held: dict[tuple[str, ...], float] = {}
        for account in self._view.accounts:
            hold = account.record.ledger.hold if account.record is not None else None
            held[(account.spec.name,)] = hold is not None and hold.timer.until > self._now
        yield _gauge("certd_ca_held", "1 while the CA has asked for a pause.", held, ("ca",))


def _phase(view: CertificateView) -> str:
    return "broken" if view.record is None else type(view.record).__name__.lower()


def _gauge(name: str, text: str, values: Values, labels: tuple[str, ...]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(list(key), float(value))
    return family
