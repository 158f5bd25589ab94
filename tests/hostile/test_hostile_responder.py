"""A responder that misbehaves: the old certificate is served until the deadline, and nobody is fooled or hammered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from authority import Authority, Identity, ocsp_failure, ocsp_response
from cryptography import x509
from cryptography.x509 import ocsp
from hostility import CONNECTIONS, ESCAPES, FLOODS, HTML, REDIRECTS, STATUSES, answer
from parts import Conversation, Fault, FaultProxy, Pebble, Reply, Responder
from siege import Siege

from certd.model.codes import Code
from certd.model.records import Staged

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
GATE = {"ocsp": {"propagation_delay": "1m", "max_wait": "4m"}}
ASKED_MOST = 30
"""Every half a minute for five minutes, by POST and by GET, and once more when it is live."""
OTHERS = Authority("others", now=datetime.now(UTC).replace(microsecond=0))
STATUS = ocsp.OCSPCertStatus

Besiege = Callable[..., Siege]


class Signer:
    """Signs answers about the set that waits, in the name of the CA or of somebody else."""

    def __init__(self, siege: Siege, pebble: Pebble) -> None:
        self._siege = siege
        self._issuer = Identity(pebble.intermediate, pebble.intermediate_key)  # type: ignore[arg-type]

    def about_the_new_one(self, **changes: object) -> bytes:
        name, store = self._siege.names[0], self._siege.store
        chain = store.read_fullchain(name, max(store.versions(name)))
        return self.about(Identity(x509.load_pem_x509_certificates(chain)[0], OTHERS.root.key), **changes)

    def about(self, leaf: Identity, **changes: object) -> bytes:
        now = self._siege.now
        times = {"this_update": now - MINUTE, "next_update": now + DAY}
        return ocsp_response(leaf, self._issuer, **(times | changes))  # type: ignore[arg-type]

    def stale(self) -> bytes:
        now = self._siege.now
        return self.about_the_new_one(this_update=now - 9 * DAY, next_update=now - 2 * DAY)

    def of_the_future(self) -> bytes:
        now = self._siege.now
        return self.about_the_new_one(this_update=now + DAY, next_update=now + 3 * DAY)


ANSWERS: dict[str, tuple[Callable[[Signer], bytes], Code]] = {
    "wrong-signer": (lambda s: s.about_the_new_one(signer=OTHERS.intermediate), Code.OCSP_INVALID),
    "self-made-delegate": (
        lambda s: s.about_the_new_one(signer=(own := OTHERS.delegate()), certificates=[own]),
        Code.OCSP_INVALID,
    ),
    "stale": (lambda s: s.stale(), Code.OCSP_INVALID),
    "of-the-future": (lambda s: s.of_the_future(), Code.OCSP_INVALID),
    "other-serial": (lambda s: s.about(OTHERS.leaf("h0.example.test")), Code.OCSP_INVALID),
    "revoked-by-others": (
        lambda s: s.about_the_new_one(signer=OTHERS.intermediate, status=STATUS.REVOKED),
        Code.OCSP_INVALID,
    ),
    "one-bit": (lambda s: s.about_the_new_one()[:-1] + b"\x00", Code.OCSP_INVALID),
    "cut": (lambda s: s.about_the_new_one()[:-40], Code.OCSP_INVALID),
    "with-a-tail": (lambda s: s.about_the_new_one() + b"\x00" * 50, Code.OCSP_INVALID),
    "unknown": (lambda s: s.about_the_new_one(status=STATUS.UNKNOWN), Code.OCSP_UNKNOWN),
    "unauthorized": (lambda s: ocsp_failure(ocsp.OCSPResponseStatus.UNAUTHORIZED), Code.OCSP_UNKNOWN),
    "try-later": (lambda s: ocsp_failure(ocsp.OCSPResponseStatus.TRY_LATER), Code.OCSP_UNREACHABLE),
    "internal-error": (lambda s: ocsp_failure(ocsp.OCSPResponseStatus.INTERNAL_ERROR), Code.OCSP_UNREACHABLE),
    "malformed": (lambda s: ocsp_failure(ocsp.OCSPResponseStatus.MALFORMED_REQUEST), Code.OCSP_INVALID),
    "empty": (lambda s: b"", Code.OCSP_INVALID),
    "html": (lambda s: HTML, Code.OCSP_INVALID),
    "controls": (lambda s: ESCAPES.encode(), Code.OCSP_INVALID),
    "deep": (lambda s: b"\x30\x80" * 20_000, Code.OCSP_INVALID),
    "huge-length": (lambda s: b"\x30\x84\xff\xff\xff\xff\x0a\x01\x00", Code.OCSP_INVALID),
}
TRANSPORT: dict[str, Fault] = {
    **{name: CONNECTIONS[name] for name in ("reset", "closed", "torn-head", "not-http")},
    **{name: FLOODS[name] for name in ("endless-head", "endless-chunks", "ten-terabytes")},
    **{name: STATUSES[name][0] for name in ("404-html", "418-controls", "429-bare", "503-retry-after")},
    "redirect": REDIRECTS["301-1"],
    "two-megabytes": answer(200, b"\x30" * 2_000_000, kind="application/ocsp-response"),
}


@pytest.fixture
def waiting(besiege: Besiege, hostile_responder: Responder) -> Iterator[Siege]:
    """A certificate is live, and its successor waits for the responder's word."""
    siege = besiege(defaults=GATE)
    hostile_responder.now = lambda: siege.now
    siege.settle()
    yield siege


def renew(siege: Siege, proxy: FaultProxy, fault: Fault, code: Code) -> None:
    """One renewal with this fault: nothing is swapped before the deadline; the doubt is told until it is settled."""
    proxy.forget()
    old = siege.state().live
    siege.again()
    siege.until(lambda: siege.state().staged, "the new set")
    staged = siege.state().staged
    assert staged is not None
    proxy.strike(lambda ask: True, fault)
    siege.until(lambda: siege.state().live != old, "the swap", within=HOUR)
    live = siege.state().live
    assert live is not None
    assert live.serial == staged.serial
    assert siege.now >= staged.deadline, "not before the deadline"
    siege.settle()
    assert proxy.count() <= ASKED_MOST
    doubt = siege.problems()[code]
    assert doubt.text.isprintable()
    assert doubt.remedy
    proxy.relent()
    siege.sleep(HOUR)
    assert siege.problems() == {}


def test_answers_that_prove_nothing(waiting: Siege, responder_proxy: FaultProxy, hostile_pebble: Pebble) -> None:
    """Signed by others, about another, out of date, in bits: each is worth as much as none, and each is named."""
    signer = Signer(waiting, hostile_pebble)
    for make, code in ANSWERS.values():

        def fault(_: Conversation, make: Callable[[Signer], bytes] = make) -> Reply:
            return Reply(200, (("Content-Type", "application/ocsp-response"),), make(signer))

        renew(waiting, responder_proxy, fault, code)


def test_a_responder_that_cannot_be_asked(waiting: Siege, responder_proxy: FaultProxy) -> None:
    """Whatever it does with the connection, the deadline holds, and no answer is ever read beyond its cap."""
    for fault in TRANSPORT.values():
        renew(waiting, responder_proxy, fault, Code.OCSP_UNREACHABLE)


def test_a_revoked_set_is_never_used(waiting: Siege, responder_proxy: FaultProxy, hostile_pebble: Pebble) -> None:
    """The CA's own word: the set is abandoned, the old one served, and the next order waits its time."""
    signer = Signer(waiting, hostile_pebble)
    old = waiting.state().live

    def revoked(_: Conversation) -> Reply:
        return Reply(200, body=signer.about_the_new_one(status=STATUS.REVOKED))

    responder_proxy.strike(lambda ask: isinstance(waiting.record(), Staged), revoked)
    orders = waiting.orders()
    waiting.again()
    waiting.sleep(HOUR)
    assert waiting.state().live == old
    assert waiting.orders() - orders <= 7
    responder_proxy.relent()
    waiting.until(lambda: waiting.state().live != old, "the renewal")
