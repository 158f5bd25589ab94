"""What went wrong with an exchange, as an event: its kind and code, and what the CA's words leave out."""

from __future__ import annotations

import logging
from typing import Final

from msgspec.structs import replace

from certd.acme.problems import judge, judge_order
from certd.errors import CertdError, ProblemError
from certd.logs import log_event
from certd.model import events as ev
from certd.model.codes import Kind
from certd.model.orders import OrderFailed
from certd.model.records import Step
from certd.text import printable

_log = logging.getLogger(__name__)

_TEXT_MOST: Final = 600
_HINT_MOST: Final = 400


def failed(error: CertdError | OSError, step: Step) -> ev.Failed:
    """The event of an exchange or presentation that went wrong."""
    verdict = judge(error, step)
    retry_after = None
    if isinstance(error, ProblemError):
        retry_after = error.retry_after
        if verdict.kind is Kind.BUG:
            _tell_developers(error, verdict.code)
    return ev.Failed(step, verdict.kind, verdict.code, verdict.text, retry_after)


def ended(order: OrderFailed) -> ev.Failed:
    """The event of an order that the CA calls invalid."""
    verdict = judge_order(order)
    step = Step.VALIDATION if order.validation else Step.FINALIZE
    return ev.Failed(step, verdict.kind, verdict.code, verdict.text)


def with_hint(failure: ev.Failed, hint: str) -> ev.Failed:
    """The same with `hint` after what the CA said; where there is too much of it, the CA's words are cut."""
    hint = printable(hint, _HINT_MOST)
    if not hint:
        return failure
    return replace(failure, text=f"{printable(failure.text, _TEXT_MOST - len(hint) - 3)} ({hint})")


def _tell_developers(error: ProblemError, code: str) -> None:
    """All that is needed to find the mistake: the request, which holds no secret, and the whole answer."""
    log_event(
        _log,
        logging.ERROR,
        "The CA calls a request of certd wrong; please report this line.",
        code=code,
        asked=error.asked,
        status=error.status,
        type=error.type,
        answer=error.detail,
        sent=error.sent or None,
    )
