"""`certd explain`: what a code or a CA's message means, and what helps."""

from __future__ import annotations

import sys

from certd import reasons
from certd.acme import problems
from certd.status.prose import Lang

_LABELS = {
    "en": {"type": "Problem type", "message": "The CA says", "does": "What certd does", "remedy": "What to do"},
    "ja": {"type": "エラー種別", "message": "CAのメッセージ", "does": "certdの動作", "remedy": "対処方法"},
}


def explain(words: list[str], lang: Lang) -> int:
    """One paragraph for each meaning; 1 if nothing is known."""
    query = " ".join(words)
    found = [_own(query, lang)] if query in reasons.TABLE else []
    found += [_known(explanation, lang) for explanation in problems.explain(query, lang)]
    if not found:
        sys.stderr.write(
            f"certd: nothing is known about {query!r}. Try a code from `certd status`, a problem type such as "
            "rateLimited, or the message as the CA wrote it.\n"
        )
        return 1
    sys.stdout.write("\n".join(found))
    return 0


def _own(code: str, lang: Lang) -> str:
    return f"{code}\n  {reasons.text(code, lang)}\n  {_LABELS[lang]['remedy']}: {reasons.remedy(code, lang)}\n"


def _known(explanation: problems.Explanation, lang: Lang) -> str:
    labels = _LABELS[lang]
    lines = [f"{explanation.code} ({explanation.kind})", f"  {explanation.happened}"]
    fields = [(name, getattr(explanation, name)) for name in ("type", "message", "does", "remedy")]
    lines += [f"  {labels[name]}: {value}" for name, value in fields if value]
    return "\n".join(lines) + "\n"
