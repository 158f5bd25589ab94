"""What went wrong with an exchange, as an event: its kind and code, and what the CA's words leave out."""

from __future__ import annotations

import logging
from typing import Final

from certd.acme.problems import judge
from certd.errors import CertdError, ProblemError
from certd.logs import log_event
from certd.model import events as ev
from certd.model.codes import Kind
from certd.model.records import Ordering, Step
from certd.text import printable

_log = logging.getLogger(__name__)

_TEXT_MOST: Final = 600
_HINT_MOST: Final = 200
_OF_A_NAME: Final = frozenset(
    {"acme:caa", "acme:rejected-identifier", "acme:unsupported-identifier", "jprs:fqdn-invalid"}
)


def failed(error: CertdError | OSError, step: Step, order: Ordering | None = None) -> ev.Failed:
    """The event of an exchange or presentation that went wrong; `order` is the one that it was for."""
    verdict = judge(error, step)
    text, retry_after = verdict.text, None
    if isinstance(error, ProblemError):
        retry_after = error.retry_after
        if verdict.kind is Kind.BUG:
            _tell_developers(error, verdict.code)
        hint = printable(_left_out(verdict.code, text, order), _HINT_MOST) if order is not None else ""
        text = f"{printable(text, _TEXT_MOST - len(hint) - 3)} ({hint})" if hint else text
    return ev.Failed(step, verdict.kind, verdict.code, text, retry_after)


def _left_out(code: str, text: str, order: Ordering) -> str:
    """What an operator needs to know of the order to put it right, where the CA does not say it."""
    if code == "acme:bad-csr":
        return f"the request was for a key of type {order.key}"
    if code in _OF_A_NAME and not any(domain in text for domain in order.domains):
        return f"ordered for {', '.join(order.domains)}"
    return ""


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
