"""Every failure that certd can meet while it orders: what kind it is, and what is said about it. PURE.

`judge` turns an error into a kind, a stable code and a sentence, `prose` turns a code into words; `lookup` finds codes
in whatever an operator has at hand. The table is `judgements`, the words are `explanations_en` and `explanations_ja`.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from certd import errors
from certd.acme import explanations_en, explanations_ja
from certd.acme.explanations_en import Text
from certd.acme.judgements import AUTHORIZATION, KINDS, ORDER_VANISHED, TABLE, Judgement
from certd.acme.order import AUTHORIZATION_GONE, NO_CHALLENGE
from certd.acme.problem import ABOUT_BLANK, ACME_PREFIX, OLD_PREFIX, short_type
from certd.model.codes import Kind
from certd.model.records import Step
from certd.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from certd.model.orders import OrderFailed

Lang = Literal["en", "ja"]

_LANGUAGES: Final = {"en": explanations_en, "ja": explanations_ja}
_TEXT_LIMIT: Final = 600

_NO_RESOURCES: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN})
_NO_PERMISSION: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


class Verdict(msgspec.Struct, frozen=True):
    """What a failure is. `text` is escaped and capped; `code` leads to the prose."""

    kind: Kind
    code: str
    text: str


_FAMILIES: Final[tuple[tuple[type[errors.CertdError], str], ...]] = (
    (errors.ExchangeError, "transport"),
    (errors.StateError, "state"),
    (errors.ConfigError, "config"),
    (errors.OcspError, "ocsp"),
    (errors.CommandFailed, "command"),
    (errors.Refused, "refused"),
)


def judge(error: errors.CertdError | OSError, step: Step) -> Verdict:
    """What `error` is when it comes up in `step`. Never fails; what it does not know is a bug of ours."""
    text = printable(str(error), _TEXT_LIMIT)
    match error:
        case errors.ProblemError():
            code, kind = judge_problem(error, validating=step is Step.VALIDATION)
        case errors.PkiError():
            code, kind = _judge_pki(error, step)
        case errors.ChallengeError():
            scarce = isinstance(error.__cause__, OSError) and error.__cause__.errno in _NO_RESOURCES
            code = "challenge:no-resources" if scarce else "challenge:not-presented"
            kind = KINDS[code]
        case errors.ProtocolError():
            code = "protocol:broken-answer"
            kind = KINDS[code]
        case OSError():
            code = "os:error"
            if error.errno in _NO_RESOURCES:
                code = "os:no-resources"
            elif error.errno in _NO_PERMISSION:
                code = "os:permission"
            kind = KINDS[code]
        case _:
            family = next((name for base, name in _FAMILIES if isinstance(error, base)), "bug")
            code = f"{family}:{error.code}" if f"{family}:{error.code}" in KINDS else "bug:error"
            kind = KINDS[code]
    return Verdict(kind, code, text)


def judge_order(failed: OrderFailed) -> Verdict:
    """What it is that `certd.acme.order.next_step` reports as the end of an order."""
    text = printable(failed.text, _TEXT_LIMIT)
    ours = {NO_CHALLENGE: "order:no-challenge", AUTHORIZATION_GONE: "order:authorization-gone"}.get(failed.problem_type)
    if ours is None and failed.problem_type in ("", ABOUT_BLANK):
        ours = "order:validation-failed" if failed.validation else "order:invalid"
    if ours is not None:
        return Verdict(KINDS[ours], ours, text)
    # Status 0: the status inside an object's error is not that of an HTTP answer. A CA that writes 401 there still
    # speaks of a validation, not of the account (row 27).
    asked = "authorization" if failed.validation else "order"
    error = errors.ProblemError(type=failed.problem_type, status=0, detail=failed.text, asked=asked)
    code, kind = judge_problem(error, validating=True)
    return Verdict(kind, code, text)


def judge_problem(error: errors.ProblemError, *, validating: bool = False) -> tuple[str, Kind]:
    """Code and kind of an answer; `validating`: it is the reason why an authorization or order failed."""
    for name, detail in _parts(error):
        for entry in TABLE:
            if _matches(entry, name, detail, error, validating=validating):
                return entry.code, (entry.if_validating or entry.kind) if validating else entry.kind
    code = "order:validation-failed" if validating else _code_of_status(error)
    return code, KINDS[code]


def prose(code: str, lang: Lang = "en") -> Text | None:
    """The words for a code: `does` included where the code has none of its own. None for a code not known here."""
    language = _LANGUAGES[lang]
    known = code if code in KINDS or not code.startswith("pki:") else "pki:other"
    if known not in KINDS:
        return None
    text: Text = language.TEXTS[known]
    return text._replace(does=text.does or language.BY_KIND[KINDS[known]])


def plain(text: str) -> str:
    """For comparisons: in lower case, and whatever separates words is one space."""
    return " ".join(text.split()).lower()


def head(message: str) -> str:
    """The part of a CA's message before its value, without the colon that some answers lack; as `plain`."""
    return plain(message.partition("[%s]")[0]).rstrip(" :.")


def _parts(error: errors.ProblemError) -> Iterator[tuple[str, str]]:
    """Type and detail of what is to be judged."""
    name = short_type(error.type)
    if name == "compound":
        # RFC 8555 section 6.7.1: a compound error is no more than its parts.
        known = {entry.type for entry in TABLE}
        parts = (text.partition(": ") for _, text in error.subproblems)
        yield from ((part, detail) for part, _, detail in parts if part in known)
    # RFC 8555 has no type for what does not exist: CAs say malformed, and only the HTTP status tells.
    if error.status != 404 or name != "malformed":
        yield name, error.detail


def _matches(entry: Judgement, name: str, detail: str, error: errors.ProblemError, *, validating: bool) -> bool:
    if entry.type != name or (entry.by_status and entry.status != error.status):
        return False
    if entry.asked and not (error.asked in entry.asked or (validating and entry.asked == AUTHORIZATION)):
        return False
    return not entry.by_message or plain(detail).startswith(head(entry.message))


def _code_of_status(error: errors.ProblemError) -> str:
    status = error.status
    if status == 404:
        in_order = error.asked in ("order", "finalize", "authorization", "challenge")
        return ORDER_VANISHED if in_order else "http:not-found"
    if status == 429:
        return "http:too-many-requests"
    if status >= 500:
        return "http:unavailable"
    if status == 407:
        return "http:proxy-authentication"
    # An ACME error that we do not know is the CA's considered refusal; anything else came from something in between.
    return "acme:unknown" if error.type.startswith((ACME_PREFIX, OLD_PREFIX)) else "http:refused"


def _judge_pki(error: errors.PkiError, step: Step) -> tuple[str, Kind]:
    code = f"pki:{error.code}"
    if step is Step.DOWNLOAD:
        # The CA may deliver better later, and a finalized order is not dropped for it (I5).
        return code, Kind.TRANSIENT
    if step is Step.FINALIZE:
        return code, Kind.NEW_ORDER  # the order's own key is spoilt: a new order makes a new one
    return code, KINDS.get(code, KINDS["pki:other"])
