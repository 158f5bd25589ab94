"""One problem in words, in the reader's language."""

from __future__ import annotations

from certd.status.prose import Lang, remedy_of, text_of
from certd.status.shape import Problem
from certd.text import printable


def about(problem: Problem) -> str:
    """What the problem is about: `certificate example.jp`, or the daemon itself."""
    for kind in ("certificate", "server", "ca"):
        if name := getattr(problem, kind):
            return f"{kind} {printable(name)}"
    return "certd"


def said(problem: Problem, lang: Lang) -> tuple[str, str]:
    """Text and remedy. The daemon speaks English; the code's own words come first in other languages."""
    text = printable(problem.text, 2000)
    if lang == "en":
        return text, printable(problem.remedy, 2000)
    general, remedy = text_of(problem.code, lang), remedy_of(problem.code, lang)
    # What the daemon says beyond the code's own words (names, dates, a CA's message) is worth showing as it is.
    particular = text if text != text_of(problem.code) else ""
    return " ".join(part for part in (general, f"[{particular}]" if particular else "") if part), remedy
