"""Fixtures for the tests of the lab CA."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from lab_client import Client, make_csr
from parts import Webroot, eventually

from certd.lab import LabCa, LabOptions


class Moment:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **duration: float) -> None:
        self.now += timedelta(**duration)


@pytest.fixture
def moment() -> Moment:
    return Moment()


@pytest.fixture
def start_ca(moment: Moment, webroot: Webroot) -> Iterator[Callable[..., LabCa]]:
    """Starts a lab CA that validates at `webroot`: `start_ca(**LabOptions)`."""
    with ExitStack() as running:

        def start(**options: object) -> LabCa:
            ca = LabCa(LabOptions(**{"http_port": webroot.port, **options}), clock=moment)  # type: ignore[arg-type]
            return running.enter_context(ca)

        yield start


@pytest.fixture
def ca(start_ca: Callable[..., LabCa]) -> LabCa:
    """A lab CA with the ways of JPRS, but no EAB."""
    return start_ca(eab_required=False)


@pytest.fixture
def new_client(ca: LabCa) -> Iterator[Callable[..., Client]]:
    """Makes clients of `ca`, or of the CA given; their connections are closed at the end."""
    with ExitStack() as open_:

        def new(of: LabCa | None = None, key: object = None) -> Client:
            client = Client(of or ca, key)
            open_.callback(client.close)
            return client

        yield new


@pytest.fixture
def client(new_client: Callable[..., Client]) -> Client:
    """A registered client of `ca`."""
    client = new_client()
    assert client.register().status == 201
    return client


class Steps:
    """The way of an order, step by step, for one client and one webroot."""

    def __init__(self, client: Client, webroot: Path) -> None:
        self.client = client
        self.webroot = webroot
        self.key = ec.generate_private_key(ec.SECP256R1())

    def validated(self, *names: str) -> str:
        """A new order whose authorizations are decided; answers its URL."""
        order = self.client.order(*names)
        assert order.status == 201, order.body
        for challenge in self.client.challenges(order):
            self.client.present(self.webroot, challenge["token"])
            assert self.client.post(challenge["url"], {}).status == 200
        url = order.headers["location"]
        eventually(lambda: self.status(url) != "pending", "the order to be decided")
        return url

    def status(self, url: str) -> str:
        return self.client.post(url).json["status"]

    def finalize(self, url: str, *names: str, key=None):
        finalize = self.client.post(url).json["finalize"]
        return self.client.post(finalize, {"csr": make_csr(key or self.key, *names)})

    def issued(self, *names: str) -> str:
        """A certificate's URL, all polls done."""
        url = self.validated(*names)
        assert self.finalize(url, *names).status == 200
        while (order := self.client.post(url).json)["status"] == "processing":
            pass
        return order["certificate"]


@pytest.fixture
def steps(client: Client, webroot: Webroot) -> Steps:
    return Steps(client, webroot.path)
