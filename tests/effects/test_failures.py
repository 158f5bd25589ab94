"""certd.effects.failures: an error becomes an event that says what an operator, or a developer, needs to know."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest
from statedir import NAME

from certd.acme.problem import ACME_PREFIX
from certd.effects.failures import ended, failed, with_hint
from certd.errors import ChallengeError, PkiError, ProblemError
from certd.model.codes import Kind
from certd.model.orders import OrderFailed
from certd.model.records import Step

DAY = timedelta(days=1)


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
    event = failed(error, step)
    assert (event.step, event.kind, event.retry_after) == (step, kind, retry_after)
    assert event.text


def test_an_order_that_the_ca_calls_invalid() -> None:
    """The step tells whether a name or the request was refused."""
    for validation, step in ((True, Step.VALIDATION), (False, Step.FINALIZE)):
        event = ended(OrderFailed(ACME_PREFIX + "caa", "no", 403, NAME, validation))
        assert (event.step, event.kind, event.code) == (step, Kind.OPERATOR, "acme:caa")


def test_a_long_message_leaves_room_for_what_it_lacks() -> None:
    """Cut is what the CA says, not what certd adds."""
    failure = failed(problem("caa", "x" * 5000), Step.NEW_ORDER)
    text = with_hint(failure, f"ordered for www.{NAME}").text
    assert len(text) == 600
    assert text.endswith(f"(ordered for www.{NAME})")
    assert with_hint(failure, "") == failure


def test_a_request_that_the_ca_calls_wrong_is_logged_in_full(caplog: pytest.LogCaptureFixture) -> None:
    """Rows 12, 22 and 23: a bug of ours is found by what was sent and what came back."""
    sent = 'https://ca.test/finalize {"csr":"(not shown)"}'
    error = problem("malformed", "The request information is invalid", sent=sent)
    with caplog.at_level(logging.ERROR):
        assert failed(error, Step.FINALIZE).kind is Kind.BUG
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
    failed(problem("rateLimited", status=429), Step.FINALIZE)
    assert not caplog.records
