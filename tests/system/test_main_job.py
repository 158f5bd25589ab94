"""The main job, whole: first certificates from a strict CA, and their renewal under the eyes of a visitor."""

from __future__ import annotations

import stat
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from parts import Site, eventually
from parts.site import MAC
from watching import Visitor

NAMES = {
    "one.test": ["one.test"],
    "many.test": ["many.test", "www.many.test", "shop.many.test"],
    "last.test": ["last.test"],
}


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    # Five seconds: on a busy machine three orders end that far apart, and their gates still open together.
    site = make_site(NAMES, ocsp={"propagation_delay": "5s"})
    site.start()
    return site


def test_certificates_are_issued_and_renewed_while_the_old_ones_are_served(site: Site) -> None:
    """EAB, rejected nonces, no authorization used twice: three certificates, then their renewal.

    Until its gate opens the old certificate is served, after it the new one, and nothing in between; one reload does
    for all; nothing is left in the web root; no secret is in the log or on a socket.
    """
    site.certd.wait_settled()
    old = site.certd.live_serials()
    assert site.served() == old
    assert site.apache.reloads() == 1, "one reload for three first certificates"
    assert set(old.values()) == set(site.pebble.issued())
    _assert_every_name_is_served(site, old)
    _assert_nothing_is_left_to_answer(site)

    gates: dict[str, datetime] = {}
    with Visitor(site.apache.tls_port, NAMES) as visitor:
        for name in NAMES:
            site.certd.renew(name)
        eventually(lambda: _renewed(site, old, gates), "the renewal of all", 90)
        new = site.certd.live_serials()
        eventually(lambda: all(visitor.serials(name)[-1] == new[name] for name in NAMES), "a visit after the renewal")

    assert site.served() == new
    for name in NAMES:
        assert visitor.serials(name) == [old[name], new[name]], "never nothing, never back"
        first_new = next(sight for sight in visitor.sights[name] if sight.serial == new[name])
        assert first_new.ended >= gates[name], "not before the gate opened"
    assert site.apache.reloads() == 2, "one reload for three renewed certificates"
    assert site.apache.loads() == 3, "started once, reloaded twice"
    assert len(site.pebble.orders()) == len(site.pebble.issued()) == 6
    assert all(_asked_about(site, serial) for serial in new.values()), "the gate was opened by the responder's word"
    _assert_nothing_is_left_to_answer(site)
    _assert_no_secret_is_told(site)


def _renewed(site: Site, old: dict[str, str | None], gates: dict[str, datetime]) -> bool:
    for one in site.certd.status()["certificates"]:
        if one["staged"] is not None:
            gates[one["name"]] = datetime.fromisoformat(one["staged"]["activate_at"])
    return site.certd.settled() and all(serial != old[name] for name, serial in site.certd.live_serials().items())


def _asked_about(site: Site, serial: str | None) -> bool:
    methods = {asked.method for asked in site.responder.asked if asked.serial == serial and asked.answer == "good"}
    return methods == {"GET", "POST"}


def _assert_every_name_is_served(site: Site, live: dict[str, str | None]) -> None:
    for name, domains in NAMES.items():
        assert {site.apache.served(domain) for domain in domains} == {live[name]}


def _assert_nothing_is_left_to_answer(site: Site) -> None:
    """Cleaned up right after the order; a certificate is live before that only if it has no gate to wait for."""
    challenges = site.apache.webroot / ".well-known" / "acme-challenge"
    eventually(lambda: not list(challenges.iterdir()), "the challenge files to be removed")


def _assert_no_secret_is_told(site: Site) -> None:
    keys = [*site.certd.state_dir.rglob("*.key"), *site.certd.state_dir.rglob("privkey.pem")]
    assert len(keys) >= 1 + 2 * len(NAMES)
    for key in keys:
        assert stat.S_IMODE(key.stat().st_mode) == 0o600, key
    told = [
        site.certd.log.read_text(),
        *(str(site.certd.ask("GET", path)[1]) for path in ("/status", "/healthz", "/metrics")),
        Path(f"/proc/{site.certd.pid}/cmdline").read_text(),
    ]
    for secret in (MAC, *(line for key in keys for line in _secret_lines(key))):
        assert not any(secret in text for text in told)


def _secret_lines(key: Path) -> list[str]:
    """Every full line of a PEM's body: a part of a secret is a secret."""
    return [line for line in key.read_text().splitlines() if len(line) > 40 and not line.startswith("-----")]
