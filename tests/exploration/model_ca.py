"""A CA: orders, the keys they are bound to, certificates, and a responder that learns of them late."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta

from exploration.timeline import Timeline

from certd.model import orders
from certd.model.records import Leaf, OcspWord
from certd.model.specs import KeyType

LIFE = timedelta(days=90)
BACKDATED = timedelta(minutes=5)
VALIDATES_WITHIN = timedelta(seconds=2)
ISSUES_WITHIN = timedelta(seconds=3)
_FINGERPRINT = "fp-"


@dataclass
class ModelOrder:
    url: str
    name: str
    domains: tuple[str, ...]
    placed_at: datetime
    responded_at: datetime | None = None
    finalized_at: datetime | None = None
    key: bytes = b""
    leaf: Leaf | None = None
    finalizes: int = 0


class ModelCa:
    """One CA with one account."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self.orders: dict[str, ModelOrder] = {}
        self.account_key: bytes | None = None
        """Known since its registration, which has spent the EAB credentials."""
        self.asked: dict[str, datetime] = {}
        """When each order was asked for last, whether or not the answer came."""
        self.turned_down: set[str] = set()
        """Parked orders whose certificate came, and is for other names than are wanted by now."""
        self.lag = timedelta(0)
        """How long the responder does not know a new certificate."""
        self.lags: dict[str, timedelta] = {}
        """The same, for single certificates."""
        self.silent_responder = False
        self.invalid_names: set[str] = set()
        """Certificates whose validation fails."""
        self.slow_names: dict[str, timedelta] = {}
        """Certificates whose issuance takes longer."""
        self.revoked: set[str] = set()
        self.revokes_next: dict[str, int] = {}
        """How many of a name's next certificates are revoked as soon as they are issued."""
        self.answers: defaultdict[str, list[tuple[datetime, OcspWord]]] = defaultdict(list)

    def new_order(self, name: str, domains: tuple[str, ...]) -> ModelOrder:
        url = f"https://ca.test/order/{len(self.orders) + 1}"
        self.orders[url] = ModelOrder(url, name, domains, self._timeline.now)
        return self.orders[url]

    def respond(self, url: str) -> None:
        order = self.orders[url]
        order.responded_at = order.responded_at or self._timeline.now

    def finalize(self, url: str, key: bytes) -> None:
        order = self.orders[url]
        if self.status(order) == "ready":
            order.finalized_at, order.key = self._timeline.now, key
            order.finalizes += 1

    def status(self, order: ModelOrder) -> str:
        """RFC 8555 section 7.1.6."""
        now = self._timeline.now
        if order.responded_at is None or now < order.responded_at + VALIDATES_WITHIN:
            return "pending"
        if order.name in self.invalid_names:
            return "invalid"
        if order.finalized_at is None:
            return "ready"
        if now < order.finalized_at + self.slow_names.get(order.name, ISSUES_WITHIN):
            return "processing"
        if order.leaf is None:
            order.leaf = self.issue(f"c{len(self.orders)}{order.url.rpartition('/')[2]}", order.domains, now)
            if self.revokes_next.get(order.name, 0) > 0:
                self.revokes_next[order.name] -= 1
                self.revoked.add(order.leaf.fingerprint)
        return "valid"

    def next_step(self, url: str, placed: tuple[str, ...], responded: tuple[str, ...]) -> orders.OrderStep:
        """What certd.acme.order.next_step makes of this CA's answers; it has tests of its own."""
        order = self.orders[url]
        match self.status(order):
            case "pending":
                task = orders.Task(order.domains[0], False, "http-01", f"{url}/challenge", f"t-{url}", f"{url}/authz")
                if order.responded_at is not None or task.token in responded:
                    return orders.Poll(processing=False)
                return orders.Respond((task,)) if task.token in placed else orders.Present((task,))
            case "ready":
                return orders.Finalize(f"{url}/finalize")
            case "processing":
                return orders.Poll(processing=True)
            case "valid":
                return orders.Download(f"{url}/certificate")
            case _:
                return orders.OrderFailed(
                    "urn:ietf:params:acme:error:unauthorized", "wrong key authorization", 403, validation=True
                )

    def ask(self, name: str, fingerprint: str, issued_at: datetime) -> OcspWord:
        """The responder's word."""
        now = self._timeline.now
        if self.silent_responder:
            word = OcspWord.UNREACHABLE
        elif now < issued_at + self.lags.get(name, self.lag):
            word = OcspWord.UNKNOWN
        else:
            word = OcspWord.REVOKED if fingerprint in self.revoked else OcspWord.GOOD
        self.answers[fingerprint].append((now, word))
        return word

    @staticmethod
    def issue(serial: str, domains: tuple[str, ...], at: datetime, *, life: timedelta = LIFE) -> Leaf:
        return Leaf(
            serial=serial,
            not_before=at - BACKDATED,
            not_after=at - BACKDATED + life,
            names=tuple(sorted(domains)),
            key=KeyType.RSA2048,
            ocsp_url="http://ocsp.test/",
            fingerprint=f"{_FINGERPRINT}{serial}",
        )


def serial_of(fingerprint: str) -> str:
    """The serial of the certificate with this fingerprint."""
    return fingerprint.removeprefix(_FINGERPRINT)
