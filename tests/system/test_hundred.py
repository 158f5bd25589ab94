"""A hundred certificates of one configuration, all due at once."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from counting import CountingProxy
from parts import Site, eventually

NAMES = [f"host{number:03}.test" for number in range(100)]
WORKERS = 32


@pytest.mark.timeout(600)
def test_a_hundred_certificates_are_issued_side_by_side(make_site: Callable[..., Site]) -> None:
    """Many orders at once, over connections that are kept, with a handful of reloads; each is issued once."""
    site = make_site(NAMES, defaults={"key": "p256"}, top={"limits": {"workers": WORKERS, "reload_min_interval": "5s"}})
    site.start_around()
    with CountingProxy(site.pebble.port) as proxy:
        config = site.config()
        config["cas"]["pebble"]["directory"] = f"https://127.0.0.1:{proxy.port}/dir"
        site.certd.configure(config)
        began = time.monotonic()
        site.certd.start()
        ordering = 0

        def settled() -> bool:
            nonlocal ordering
            certificates = site.certd.status()["certificates"]
            ordering = max(ordering, sum(one["phase"] == "ordering" for one in certificates))
            time.sleep(0.2)
            return all(one["phase"] == "idle" and one["live"] for one in certificates)

        eventually(settled, "a hundred certificates to be live", 400)
        took = time.monotonic() - began
        accepted = proxy.accepted
        requests = len(site.pebble.asked())

    print(
        f"100 certificates in {took:.1f} s; at most {ordering} orders at once; {requests} requests over {accepted} "
        f"connections; {site.apache.reloads()} reloads"
    )
    assert ordering >= 16
    assert accepted <= WORKERS + 4, "one connection for each worker; a few may break"
    assert site.apache.reloads() <= 10
    assert len(site.pebble.issued()) == len(site.pebble.orders()) == len(NAMES)
    assert site.certd.problems() == set()
    live = site.certd.live_serials()
    assert set(live.values()) == set(site.pebble.issued())
    assert site.served() == live
