"""One Pebble, one responder and a proxy before each, for all tests here; each test has its names, account and disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from parts import FaultProxy, Pebble, PebbleOptions, Responder
from parts.pebble import ENDPOINTS
from siege import KID, MAC_KEY, Siege

BesiegeFixture = Callable[..., Siege]
COUNT = "hostile_answers"


def _endpoint_of(method: str, path: str) -> str:
    """RFC 8555's name for one of Pebble's routes; GET of a nonce counts as HEAD does."""
    for name, known in ENDPOINTS.items():
        _, _, route = known.partition(" ")
        if path == route or (route.endswith("/") and path.startswith(route)):
            return name
    return "unknown"


@pytest.fixture(scope="session")
def responder_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultProxy]:
    """Before the OCSP responder, whose URL is in every certificate."""
    proxy = FaultProxy(tmp_path_factory.mktemp("ocsp-proxy"), lambda method, path: f"ocsp-{method}", tls=False)
    proxy.start()
    yield proxy
    proxy.stop()


@pytest.fixture(scope="session")
def hostile_responder(responder_proxy: FaultProxy) -> Iterator[Responder]:
    responder = Responder()
    responder.start()
    responder_proxy.to(responder.url)
    yield responder
    responder.stop()


@pytest.fixture(scope="session")
def hostile_pebble(
    tmp_path_factory: pytest.TempPathFactory, responder_proxy: FaultProxy, hostile_responder: Responder
) -> Iterator[Pebble]:
    """Strict, with external account binding. It validates nothing: that has its tests elsewhere."""
    options = PebbleOptions(always_valid=True, eab={KID: MAC_KEY}, ocsp_url=responder_proxy.url)
    pebble = Pebble(tmp_path_factory.mktemp("hostile-pebble"), options)
    try:
        pebble.start()
        hostile_responder.issuer = pebble
        yield pebble
    finally:
        pebble.stop()


@pytest.fixture(scope="session")
def ca_proxy(tmp_path_factory: pytest.TempPathFactory, hostile_pebble: Pebble) -> Iterator[FaultProxy]:
    proxy = FaultProxy(tmp_path_factory.mktemp("ca-proxy"), _endpoint_of)
    proxy.to(hostile_pebble.directory_url, hostile_pebble.trust_path)
    proxy.start()
    yield proxy
    proxy.stop()


@pytest.fixture
def besiege(
    tmp_path: Path,
    hostile_pebble: Pebble,
    ca_proxy: FaultProxy,
    responder_proxy: FaultProxy,
    request: pytest.FixtureRequest,
    caplog: pytest.LogCaptureFixture,
) -> Iterator[BesiegeFixture]:
    """Makes a `Siege` of `names` (default: one) and its keywords. How many answers the test spoilt is reported.

    Whatever the CA said, in the end there is not one control character and no secret in the log.
    """

    def spoilt() -> int:
        return ca_proxy.spoilt + responder_proxy.spoilt

    before = spoilt()
    with ExitStack() as stack:

        def make(names: int = 1, **options: object) -> Siege:
            wanted = [f"h{index}.example.test" for index in range(names)]
            siege = Siege(tmp_path, hostile_pebble, ca_proxy, wanted, **options)  # type: ignore[arg-type]
            stack.enter_context(siege)
            responder_proxy.forget()
            return siege

        yield make
    # A test that is tried again is the same node: what the first try counted is told with that try.
    properties = request.node.user_properties
    properties[:] = [pair for pair in properties if pair[0] != COUNT] + [(COUNT, spoilt() - before)]
    for record in caplog.records:
        if record.name.startswith("certd"):
            assert record.getMessage().isprintable()
            assert MAC_KEY not in record.getMessage()
