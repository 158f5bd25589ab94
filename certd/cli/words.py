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
    general = text_of(problem.code, lang)
    return (f"{general} [{text}]" if general else text), remedy_of(problem.code, lang)
