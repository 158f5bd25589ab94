"""Every failure that certd can meet while it orders: what kind it is, and what is said about it. PURE.

`judge` turns an error into a kind, a stable code and a sentence; `remedy` and `explain` turn codes, and whatever an
operator found in a log, into prose. The table is `judgements`, the prose is `explanations_en` and `explanations_ja`.
"""

from __future__ import annotations

import errno
import re
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from certd import errors
from certd.acme import explanations_en, explanations_ja
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


class Explanation(msgspec.Struct, frozen=True):
    """What is known of one code, in one language."""

    code: str
    kind: Kind
    type: str
    """The problem type without prefix; empty where it is none."""
    message: str
    """The CA's own words for it; empty where none are known."""
    happened: str
    does: str
    """What certd does and when."""
    remedy: str
    """What the operator should do."""


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
            code, kind = _judge_problem(error, validating=step is Step.VALIDATION)
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
    code, kind = _judge_problem(error, validating=True)
    return Verdict(kind, code, text)


def remedy(code: str, lang: Lang = "en") -> str:
    """What the operator should do about a failure with this code; empty for a code that is not known here."""
    text = _LANGUAGES[lang].TEXTS.get(code) or (
        _LANGUAGES[lang].TEXTS["pki:other"] if code.startswith("pki:") else None
    )
    return text.remedy if text is not None else ""


def explain(query: str, lang: Lang = "en") -> tuple[Explanation, ...]:
    """What is known about `query`: a code, a problem type, an HTTP status, a CA's message, or a line with any of these.

    The best matches only, in the order of the table; empty where nothing is known about it.
    """
    return tuple(_explanation(code, lang) for code in _codes_for(query))


def _judge_problem(error: errors.ProblemError, *, validating: bool) -> tuple[str, Kind]:
    for name in _parts(error):
        for entry in TABLE:
            if _matches(entry, name, error, validating=validating):
                return entry.code, (entry.if_validating or entry.kind) if validating else entry.kind
    code = "order:validation-failed" if validating else _code_of_status(error)
    return code, KINDS[code]


def _parts(error: errors.ProblemError) -> Iterator[str]:
    name = short_type(error.type)
    if name == "compound":
        # RFC 8555 section 6.7.1: a compound error is no more than its parts.
        known = {entry.type for entry in TABLE}
        yield from (part for _, text in error.subproblems if (part := text.partition(":")[0]) in known)
    # RFC 8555 has no type for what does not exist: CAs say malformed, and only the HTTP status tells.
    if error.status != 404 or name != "malformed":
        yield name


def _matches(entry: Judgement, name: str, error: errors.ProblemError, *, validating: bool) -> bool:
    if entry.type != name or (entry.by_status and entry.status != error.status):
        return False
    if entry.asked and not (error.asked in entry.asked or (validating and entry.asked == AUTHORIZATION)):
        return False
    return not entry.by_message or _plain(error.detail).startswith(_head(entry.message))


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


def _codes_for(query: str) -> list[str]:
    plain = _plain(query)
    if plain in KINDS:
        return [plain]
    if plain.startswith("pki:"):
        return ["pki:other"]
    words = set(re.findall(r"[a-z0-9-]+(?::[a-z-]+)?", plain.replace(ACME_PREFIX, "").replace(OLD_PREFIX, "")))
    for found in ([code for code in KINDS if code in words], _by_message(plain), _by_type(words)):
        if found:
            return list(dict.fromkeys(found))
    return [code for code in KINDS if _mentions(code, plain)] if len(plain) > 3 else []


def _by_message(plain: str) -> list[str]:
    told = [entry for entry in TABLE if entry.message]
    whole = [entry.code for entry in told if _head(entry.message) in plain]
    return whole or [entry.code for entry in told if len(plain) > 11 and plain in _plain(entry.message)]


def _by_type(words: set[str]) -> list[str]:
    found = [entry for entry in TABLE if entry.type.lower() in words]
    of_status = [entry for entry in found if str(entry.status) in words]
    if found:
        return [entry.code for entry in of_status or found]
    named = {"404": "http:not-found", "407": "http:proxy-authentication", "429": "http:too-many-requests"}
    codes = [entry.code for entry in TABLE if str(entry.status) in words]
    codes += [code for status, code in named.items() if status in words]
    codes += ["http:unavailable"] if words & {"500", "502", "503", "504"} else []
    return codes + [code for code in KINDS if code.partition(":")[2] in words]


def _mentions(code: str, plain: str) -> bool:
    return any(
        plain in f"{text.happened} {text.remedy}".lower() for lang in ("en", "ja") for text in [_text(code, lang)]
    )


def _explanation(code: str, lang: Lang) -> Explanation:
    entry = next((one for one in TABLE if one.code == code), None)
    text = _text(code, lang)
    kind = KINDS[code]
    return Explanation(
        code=code,
        kind=kind,
        type=entry.type if entry else "",
        message=entry.message if entry else "",
        happened=text.happened,
        does=text.does or _LANGUAGES[lang].BY_KIND[kind],
        remedy=text.remedy,
    )


def _text(code: str, lang: Lang) -> explanations_en.Text:
    texts: dict[str, explanations_en.Text] = _LANGUAGES[lang].TEXTS
    return texts[code]


def _plain(text: str) -> str:
    return " ".join(text.split()).lower()


def _head(message: str) -> str:
    """The part of a message before its value, without the colon that some answers lack."""
    return _plain(message.partition("[%s]")[0]).rstrip(" :.")
