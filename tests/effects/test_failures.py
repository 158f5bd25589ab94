"""certd.effects.failures: an error becomes an event that says what an operator, or a developer, needs to know."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest
from statedir import NAME, NOW

from certd.acme.problem import ACME_PREFIX
from certd.effects.failures import failed
from certd.errors import ChallengeError, PkiError, ProblemError
from certd.model.codes import Because, Kind
from certd.model.records import KeyType, Ledger, Ordering, Step, Timer

DAY = timedelta(days=1)
ORDER = Ordering(
    ledger=Ledger(),
    because=Because.RENEWAL_TIME,
    ca="ca",
    directory="https://ca.test/dir",
    order_url="https://ca.test/order/1",
    key_id="key",
    domains=(NAME, f"www.{NAME}"),
    key=KeyType.RSA3072,
    placed_at=NOW,
    poll=Timer(NOW, NOW),
)


def problem(type: str, detail: str = "no", **fields: Any) -> ProblemError:
    return ProblemError(**({"type": ACME_PREFIX + type, "status": 400, "detail": detail, "asked": "finalize"} | fields))


@pytest.mark.parametrize(
    ("error", "step", "kind", "retry_after"),
    [
        (ChallengeError("no"), Step.PRESENT, Kind.OPERATOR, None),
        (OSError(28, "full"), Step.DOWNLOAD, Kind.TRANSIENT, None),
        (PkiError("names-missing", "no"), Step.DOWNLOAD, Kind.TRANSIENT, None),
        (problem("x", status=503, retry_after=DAY), Step.POLL, Kind.TRANSIENT, DAY),
    ],
)
def test_an_error_becomes_an_event(error: Any, step: Step, kind: Kind, retry_after: timedelta | None) -> None:
    """With the step it happened at, the kind of the remedy, and the CA's Retry-After."""
    for order in (None, ORDER):
        event = failed(error, step, order)
        assert (event.step, event.kind, event.retry_after) == (step, kind, retry_after)
        assert event.text


def test_a_refused_request_names_its_key() -> None:
    """badCSR (row 3 of the JPRS list): type and size of the key that was sent."""
    assert "rsa3072" in failed(problem("badCSR", "The CSR is unacceptable"), Step.FINALIZE, ORDER).text


@pytest.mark.parametrize("type", ["caa", "rejectedIdentifier", "unsupportedIdentifier"])
def test_a_refused_name_is_named(type: str) -> None:
    """The CA's message need not say which name it means (rows 8, 25 and 29): those of the order are told."""
    text = failed(problem(type), Step.NEW_ORDER, ORDER).text
    assert text.endswith(f"(ordered for {NAME}, www.{NAME})")
    assert f"{NAME}, www" not in failed(problem(type, f"not for www.{NAME}"), Step.NEW_ORDER, ORDER).text


def test_a_long_message_leaves_room_for_what_it_lacks() -> None:
    """Cut is what the CA says, not what certd adds."""
    text = failed(problem("caa", "x" * 5000), Step.NEW_ORDER, ORDER).text
    assert len(text) == 600
    assert text.endswith(f"www.{NAME})")


def test_a_request_that_the_ca_calls_wrong_is_logged_in_full(caplog: pytest.LogCaptureFixture) -> None:
    """Rows 12, 22 and 23: a bug of ours is found by what was sent and what came back."""
    sent = 'https://ca.test/finalize {"csr":"(not shown)"}'
    error = problem("malformed", "The request information is invalid", sent=sent)
    with caplog.at_level(logging.ERROR):
        assert failed(error, Step.FINALIZE, ORDER).kind is Kind.BUG
    (record,) = caplog.records
    assert record.certd_fields == {  # type: ignore[attr-defined]
        "code": "acme:malformed",
        "asked": "finalize",
        "status": 400,
        "type": f"{ACME_PREFIX}malformed",
        "answer": "The request information is invalid",
        "sent": sent,
    }
    caplog.clear()
    failed(problem("rateLimited", status=429), Step.FINALIZE, ORDER)
    assert not caplog.records
