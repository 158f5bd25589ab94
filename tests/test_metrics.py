"""Metrics: what Prometheus reads of one view."""

from __future__ import annotations

from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families
from views import DAY, NOW, account, certificate, failure, ledger, server, timer, view

from certd import metrics
from certd.model.records import AccountLedger, CaHold, Deploying, DeployStage, Idle, Registered, Settled


def samples(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_a_healthy_daemon() -> None:
    """Times are in seconds since 1970; health is a number."""
    seen = samples(metrics.render(view(), NOW, {"status_socket_requests": 2}))
    name = (("name", "example.jp"),)
    assert seen[("certd_up", ())] == 1
    assert seen[("certd_health", ())] == 0
    assert seen[("certd_build_info", (("version", "0.1.0"),))] == 1
    assert seen[("certd_certificate_not_after_seconds", name)] == (NOW + 60 * DAY).timestamp()
    assert seen[("certd_certificate_not_before_seconds", name)] == (NOW - 30 * DAY).timestamp()
    assert seen[("certd_certificates", (("phase", "idle"),))] == 1
    assert seen[("certd_certificates", (("phase", "broken"),))] == 0
    assert seen[("certd_server_wanted", (("server", "web"),))] == 3
    assert seen[("certd_orders_placed_total", ())] == 3
    assert seen[("certd_status_socket_requests_total", ())] == 2
    assert seen[("certd_ca_held", (("ca", "jprs"),))] == 0
    assert seen[("certd_config_error", ())] == 0


def test_trouble() -> None:
    """Failures, problems, holds and owed reloads have numbers of their own."""
    failing = certificate(left=5 * DAY, record=Idle(ledger(failure=failure(code="acme:caa"), attempts=4)))
    bare = replace(certificate(left=None), name="bare.jp")
    broken = replace(certificate(), name="broken.jp", record=None, broken="x")
    gone = replace(certificate(spec=None), name="gone.jp")
    owed = replace(server(), record=Deploying(Settled(4, 3), 4, (), (), True, (), DeployStage.LOADING, NOW))
    hold = AccountLedger(CaHold(timer(DAY), "429", timer(DAY)))
    held = account(Registered("https://d/", "https://d/1", NOW, hold))
    seen = samples(metrics.render(view([failing, bare, broken, gone], [owed], [held], clock_sure=False), NOW))
    assert seen[("certd_health", ())] == 2
    assert seen[("certd_problems", (("code", "expiring"), ("severity", "critical")))] == 1
    assert seen[("certd_certificate_failing", (("code", "acme:caa"), ("name", "example.jp")))] == 1
    assert seen[("certd_certificate_attempts", (("name", "example.jp"),))] == 4
    assert ("certd_certificate_not_after_seconds", (("name", "bare.jp"),)) not in seen
    assert ("certd_certificate_not_after_seconds", (("name", "gone.jp"),)) not in seen
    assert seen[("certd_certificates", (("phase", "broken"),))] == 1
    assert seen[("certd_server_wanted", (("server", "web"),))] == 4
    assert seen[("certd_server_confirmed", (("server", "web"),))] == 3
    assert seen[("certd_ca_held", (("ca", "jprs"),))] == 1
    assert seen[("certd_clock_sure", ())] == 0
