"""What an operator found, and what is known of it: a code, a type, a message, a line of a log, a whole document. PURE.

What certd judges is judged here by the same table (`certd.acme.problems`); where an operator's words leave open what
was asked for, every answer is given that certd could have come to.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from certd.acme.judgements import KINDS, TABLE
from certd.acme.problem import ABOUT_BLANK, ACME_PREFIX, OLD_PREFIX, Problem, problem_from
from certd.acme.problems import head, judge_order, judge_problem, plain, prose
from certd.errors import ProblemError
from certd.model.codes import Kind
from certd.model.orders import OrderFailed
from certd.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from certd.acme.problems import Lang

_ASKED: Final = ("authorization", "newOrder", "newAccount")
"""What may have been asked for, as far as it makes a difference to the table."""
_NAMES_MOST: Final = 5
_LONGEST: Final = 64 * 1024
"""Characters that are looked at."""
_LOGGED: Final = re.compile(r"(\w+): the CA answered (\d{3}) (\S+): ([^\n]*)")
"""As the text of a ProblemError is."""


class Explanation(msgspec.Struct, frozen=True):
    """What is known of one code, in one language."""

    code: str
    kind: Kind
    type: str
    """The problem type without prefix; empty where it is none."""
    message: str
    """The CA's own words for it, those of the document where there is one; empty where none are known."""
    happened: str
    does: str
    """What certd does and when."""
    remedy: str
    """What the operator should do."""
    about: str = ""
    """The identifiers that a document names for it."""


class _Found(msgspec.Struct, frozen=True):
    """One problem in a document, and what it is judged to be."""

    code: str
    detail: str
    about: str = ""


def explain(query: str, lang: Lang = "en") -> tuple[Explanation, ...]:
    """What is known about `query`: a code, a problem type, an HTTP status, a CA's message, a line with any of these, or
    a JSON document: a problem (RFC 7807), or an order, authorization or challenge with an error in it.

    The best matches only; empty where nothing is known about it.
    """
    query = query[:_LONGEST]
    return tuple(_explanation(one, lang) for one in _in_documents(query) or _in_a_log(query) or _in_words(plain(query)))


# --- documents --------------------------------------------------------------------------------------------------


def _in_documents(query: str) -> list[_Found]:
    """What the first JSON object in the text tells of."""
    begin = query.find("{")
    if begin < 0:
        return []
    try:
        value, _ = json.JSONDecoder().raw_decode(query, begin)
    except (ValueError, RecursionError):
        return []
    found: dict[str, _Found] = {}
    names: dict[str, list[str]] = {}
    for one in _in_an_object(value):
        found.setdefault(one.code, one)
        names.setdefault(one.code, []).append(one.about)
    return [msgspec.structs.replace(one, about=_joined(names[code])) for code, one in found.items()]


def _in_an_object(value: dict[str, Any]) -> Iterator[_Found]:
    if "challenges" in value or "error" in value:
        yield from _of_a_failed_object(value)
    elif isinstance(value.get("type"), str) or ("status" in value and ("detail" in value or "title" in value)):
        yield from _of_a_problem(problem_from(value))


def _of_a_failed_object(value: dict[str, Any]) -> Iterator[_Found]:
    """An order, an authorization or a challenge: why it came to nothing."""
    listed = value.get("challenges")
    challenges = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    identifier = value.get("identifier")
    value_of = identifier.get("value") if isinstance(identifier, dict) else None
    name = printable(value_of, 255) if isinstance(value_of, str) else ""
    for error in (one["error"] for one in (value, *challenges) if isinstance(one.get("error"), dict)):
        problem = problem_from(error)
        for part, about in _parts(problem):
            failed = OrderFailed(part.type, part.detail, part.status, about or None, validation=True)
            yield _Found(judge_order(failed).code, part.detail, about or name)


def _of_a_problem(problem: Problem) -> Iterator[_Found]:
    if problem.type == ABOUT_BLANK and not problem.status:
        return  # any JSON object may have a `detail`
    for part, about in _parts(problem):
        for code in _codes_of(part):
            yield _Found(code, part.detail, about)


def _parts(problem: Problem) -> Iterator[tuple[Problem, str]]:
    """The problem and its subproblems, with their identifiers; a compound one is no more than its parts (RFC 8555
    section 6.7.1)."""
    if problem.short_type != "compound" or not problem.subproblems:
        yield msgspec.structs.replace(problem, subproblems=()), ""
    for name, text in problem.subproblems:
        kind, _, detail = text.partition(": ")
        yield Problem(_full(kind), detail, problem.status), name


def _full(kind: str) -> str:
    """The type of which `short_type` may have been taken."""
    return kind if ":" in kind else ACME_PREFIX + kind


def _codes_of(problem: Problem) -> list[str]:
    errors = (ProblemError(type=problem.type, status=problem.status, detail=problem.detail, asked=a) for a in _ASKED)
    return list(dict.fromkeys(judge_problem(error)[0] for error in errors))


def _joined(names: Iterable[str]) -> str:
    listed = list(dict.fromkeys(name for name in names if name))
    more = len(listed) - _NAMES_MOST
    return ", ".join(listed[:_NAMES_MOST]) + (f", +{more}" if more > 0 else "")


# --- lines and words --------------------------------------------------------------------------------------------


def _in_a_log(query: str) -> list[_Found]:
    """A line that certd wrote says exactly what it was."""
    line = _LOGGED.search(query)
    if line is None:
        return []
    asked, status, kind, detail = line.groups()
    error = ProblemError(type=_full(kind), status=int(status), detail=detail, asked=asked)
    return [_Found(judge_problem(error)[0], "")]


def _in_words(query: str) -> list[_Found]:
    return [_Found(code, "") for code in _codes_for(query)]


def _codes_for(query: str) -> list[str]:
    if query in KINDS:
        return [query]
    if query.startswith("pki:"):
        return ["pki:other"]
    words = set(re.findall(r"[a-z0-9-]+(?::[a-z-]+)?", query.replace(ACME_PREFIX, "").replace(OLD_PREFIX, "")))
    for found in ([code for code in KINDS if code in words], _by_message(query), _by_type(words)):
        if found:
            return list(dict.fromkeys(found))
    return [code for code in KINDS if _mentions(code, query)] if len(query.encode("utf-8", "replace")) > 3 else []


def _by_message(query: str) -> list[str]:
    told = [entry for entry in TABLE if entry.message]
    whole = [entry.code for entry in told if head(entry.message) in query]
    return whole or [entry.code for entry in told if len(query) > 11 and query in plain(entry.message)]


def _by_type(words: set[str]) -> list[str]:
    # A malformed 404 is how CAs say that there is no such thing: the status tells more than the type.
    types = words - {"malformed"} if "404" in words else words
    found = [entry for entry in TABLE if entry.type.lower() in types]
    of_status = [entry for entry in found if str(entry.status) in words]
    if words - {entry.type.lower() for entry in found} - {str(entry.status) for entry in found}:
        # There is more text, and it holds none of the known messages.
        found, of_status = ([e for e in some if not e.by_message] for some in (found, of_status))
    if found:
        return [entry.code for entry in of_status or found]
    named = {"404": "http:not-found", "407": "http:proxy-authentication", "429": "http:too-many-requests"}
    codes = [entry.code for entry in TABLE if str(entry.status) in words]
    codes += [code for status, code in named.items() if status in words]
    codes += ["order-vanished"] if "404" in words else []
    codes += ["http:unavailable"] if words & {"500", "502", "503", "504"} else []
    return codes + [code for code in KINDS if code.partition(":")[2] in types]


def _mentions(code: str, query: str) -> bool:
    texts = [prose(code), prose(code, "ja")]
    return any(query in f"{text.happened} {text.remedy}".lower() for text in texts if text is not None)


def _explanation(found: _Found, lang: Lang) -> Explanation:
    entry = next((one for one in TABLE if one.code == found.code), None)
    text = prose(found.code, lang)
    assert text is not None, "every code has words"
    return Explanation(
        code=found.code,
        kind=KINDS[found.code],
        type=entry.type if entry else "",
        message=found.detail or (entry.message if entry else ""),
        happened=text.happened,
        does=text.does,
        remedy=text.remedy,
        about=found.about,
    )
