"""`certd explain`: what a code, a CA's message or a problem document means, and what helps."""

from __future__ import annotations

import sys

from certd import reasons
from certd.acme import lookup
from certd.status.prose import Lang
from certd.text import printable

STDIN = "-"
_STDIN_MOST = 64 * 1024
"""Characters; a CA's documents are far smaller."""
_UNKNOWN = {
    "en": "certd: nothing is known about {query}. Try a code from `certd status`, a problem type such as rateLimited, "
    "the message as the CA wrote it, or the JSON document it came in (`certd explain - <FILE`).\n",
    "ja": "certd: {query} については情報がありません。`certd status` のコード、rateLimitedなどのエラー種別、CAの"
    "メッセージそのもの、またはJSON文書(`certd explain - <FILE`)を指定してください。\n",
}
_LABELS = {
    "en": {
        "about": "About",
        "type": "Problem type",
        "message": "The CA says",
        "does": "What certd does",
        "remedy": "What to do",
    },
    "ja": {
        "about": "対象",
        "type": "エラー種別",
        "message": "CAのメッセージ",
        "does": "certdの動作",
        "remedy": "対処方法",
    },
}


def explain(words: list[str], lang: Lang) -> int:
    """One paragraph for each meaning; 1 if nothing is known. The single word ``-`` stands for standard input."""
    query = sys.stdin.read(_STDIN_MOST).strip() if words == [STDIN] else " ".join(words)
    found = [_own(query, lang)] if query in reasons.TABLE else []
    found += [_known(explanation, lang) for explanation in lookup.explain(query, lang)]
    if not found:
        sys.stderr.write(_UNKNOWN[lang].format(query=repr(printable(query, 200))))
        return 1
    sys.stdout.write("\n".join(found))
    return 0


def _own(code: str, lang: Lang) -> str:
    return f"{code}\n  {reasons.text(code, lang)}\n  {_LABELS[lang]['remedy']}: {reasons.remedy(code, lang)}\n"


def _known(explanation: lookup.Explanation, lang: Lang) -> str:
    labels = _LABELS[lang]
    lines = [f"{explanation.code} ({explanation.kind})", f"  {explanation.happened}"]
    fields = [(name, getattr(explanation, name)) for name in ("about", "type", "message", "does", "remedy")]
    lines += [f"  {labels[name]}: {value}" for name, value in fields if value]
    return "\n".join(lines) + "\n"
