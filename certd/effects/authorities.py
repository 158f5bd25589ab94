"""The CAs of the configuration: one client and one pool of connections each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from certd.acme.client import Client
from certd.acme.jws import AccountKey
from certd.errors import StateError
from certd.http import Exchanger
from certd.model.specs import CaSpec
from certd.store import Store


class Authorities:
    """Clients by the name of the CA, made when they are first needed. Safe to share between threads."""

    def __init__(
        self,
        specs: Mapping[str, CaSpec],
        store: Store,
        *,
        now: Callable[[], datetime],
        on_date: Callable[[datetime], None],
        proxy: str | None = None,
        deadline: timedelta = timedelta(seconds=30),
        workers: int = 32,
    ) -> None:
        self._specs = dict(specs)
        self._store = store
        self._now = now
        self._on_date = on_date
        self._proxy = proxy
        self._deadline = deadline
        self._workers = workers
        self._lock = threading.Lock()
        self._clients: dict[str, tuple[Client, Exchanger, AccountKey]] = {}
        self._account_urls: dict[str, str] = {}

    def replace(self, specs: Mapping[str, CaSpec]) -> None:
        """Take a new configuration; the clients of CAs that changed are made anew, for the same accounts."""
        with self._lock:
            gone = [name for name in self._clients if specs.get(name) != self._specs.get(name)]
            self._specs = dict(specs)
            for name in gone:
                self._clients.pop(name)[1].close()

    def client(self, ca: str) -> Client:
        """The client for this CA's account.

        Raises StateError where there is no such CA or no account key yet, PkiError for a key that cannot be read.
        """
        return self._entry(ca)[0]

    def use_account(self, ca: str, account_url: str) -> None:
        """The account is at this URL, from now on. A key that cannot be read is no matter here."""
        with self._lock:
            self._account_urls[ca] = account_url
            if ca in self._clients:
                self._clients[ca][0].account_url = account_url

    def key(self, ca: str) -> AccountKey:
        """The account key, for key authorizations."""
        return self._entry(ca)[2]

    def close(self) -> None:
        with self._lock:
            for _, exchanger, _ in self._clients.values():
                exchanger.close()
            self._clients.clear()

    def _entry(self, ca: str) -> tuple[Client, Exchanger, AccountKey]:
        with self._lock:
            if ca not in self._clients:
                self._clients[ca] = self._make(ca)
            return self._clients[ca]

    def _make(self, ca: str) -> tuple[Client, Exchanger, AccountKey]:
        spec = self._specs.get(ca)
        if spec is None:
            raise StateError(f"an order waits at the CA {ca}, which the configuration no longer has: add it again")
        pem = self._store.read_account_key(ca)
        if pem is None:
            raise StateError(f"the account key of the CA {ca} is missing: restore accounts/{ca}/account.key")
        key = AccountKey.from_pem(pem)
        exchanger = Exchanger(trust=spec.trust, proxy=self._proxy, connections=self._workers)
        client = Client(
            exchanger,
            spec.directory,
            key,
            clock=self._now,
            account_url=self._account_urls.get(ca),
            deadline=self._deadline,
            on_date=self._on_date,
        )
        return client, exchanger, key
