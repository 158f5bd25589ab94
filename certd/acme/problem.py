"""Problem documents (RFC 7807, RFC 8555 section 6.7) of any shape: reading one never fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from certd.errors import ProblemError
from certd.text import printable

if TYPE_CHECKING:
    from datetime import timedelta

ACME_PREFIX = "urn:ietf:params:acme:error:"
OLD_PREFIX = "urn:acme:error:"
"""The prefix of the drafts, which some servers still send."""

ABOUT_BLANK = "about:blank"
"""What RFC 7807 section 4.2 means by a missing type: nothing beyond the HTTP status."""

MAX_SUBPROBLEMS = 100
MAX_TYPE = 200


class Problem(msgspec.Struct, frozen=True):
    """One problem. `subproblems` are pairs of identifier and ``type: detail``; all text is escaped and capped."""

    type: str
    detail: str
    status: int = 0
    """The HTTP status in the document; 0 where it has none."""
    subproblems: tuple[tuple[str, str], ...] = ()

    @property
    def short_type(self) -> str:
        """The type without the prefix of RFC 8555."""
        return short_type(self.type)


def short_type(problem_type: str) -> str:
    """The name of an ACME problem type without its prefix; other types as they are."""
    return problem_type.removeprefix(ACME_PREFIX).removeprefix(OLD_PREFIX)


def problem_from(value: Any) -> Problem:
    """The problem in a decoded JSON value, whatever its form."""
    if not isinstance(value, dict):
        return Problem(ABOUT_BLANK, "the CA gave no reason")
    subproblems = value.get("subproblems")
    status = value.get("status")
    return Problem(
        type=_text(value, "type", MAX_TYPE) or ABOUT_BLANK,
        detail=_detail(value),
        status=status if type(status) is int and 100 <= status <= 599 else 0,
        subproblems=tuple(
            _subproblem(one) for one in (subproblems if isinstance(subproblems, list) else [])[:MAX_SUBPROBLEMS]
        ),
    )


def parse_problem(body: bytes, status: int) -> Problem:
    """The problem in an answer's body; one made from the HTTP status where the body is no problem document."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value = None
    if isinstance(value, dict):
        return problem_from(value)
    start = _line(body[:400].decode("utf-8", "replace"), 120)
    return Problem(ABOUT_BLANK, f"HTTP {status} without a problem document" + (f": {start}" if start else ""))


def problem_error(
    body: bytes,
    *,
    status: int,
    asked: str,
    retry_after: timedelta | None = None,
    account_key: str = "",
    sent: str = "",
) -> ProblemError:
    """The error for an answer of the CA with an HTTP `status` that is no success.

    `account_key` is what signed the request, in words; `sent` is the request without secrets, for a log.
    """
    problem = parse_problem(body, status)
    about_the_key = account_key and problem.short_type in ("badPublicKey", "badSignatureAlgorithm")
    return ProblemError(
        type=problem.type,
        status=status,
        detail=f"{problem.detail} (the account key is {account_key})" if about_the_key else problem.detail,
        asked=asked,
        retry_after=retry_after,
        subproblems=problem.subproblems,
        sent=sent,
    )


def _detail(value: dict[str, Any]) -> str:
    detail = _text(value, "detail") or _text(value, "title") or "the CA gave no detail"
    algorithms = value.get("algorithms")
    if isinstance(algorithms, list):
        # RFC 8555 section 6.2: badSignatureAlgorithm lists what the server would take.
        listed = ", ".join(printable(one, 20) for one in algorithms[:20] if isinstance(one, str))
        detail += f" (the CA lists: {listed or 'none'})"
    instance = _text(value, "instance")
    if instance and instance.startswith(("https://", "http://")):
        # RFC 8555 section 7.3.3: where a person is told what to do about userActionRequired.
        detail += f" (see {instance})"
    return detail


def _subproblem(value: Any) -> tuple[str, str]:
    if not isinstance(value, dict):
        return "", "the CA gave no reason"
    identifier = value.get("identifier")
    name = _text(identifier, "value", 255) if isinstance(identifier, dict) else ""
    problem = short_type(_text(value, "type", MAX_TYPE) or ABOUT_BLANK)
    return name, f"{problem}: {_text(value, 'detail') or 'no detail'}"


def _text(value: dict[str, Any], name: str, limit: int = 500) -> str:
    text = value.get(name)
    return _line(text, limit) if isinstance(text, str) else ""


def _line(text: str, limit: int) -> str:
    # Line ends in a CA's prose are layout: a space reads better than an escape. Cut first, as the text may be huge.
    return printable(" ".join(text[: 4 * limit].split()), limit)
