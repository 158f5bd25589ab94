"""Text that came from elsewhere (a CA, a command, a peer), made fit for errors, logs and the status."""

from __future__ import annotations

import re

_UNFIT_FOR_APACHE = re.compile(r"[\"\\$%\x00-\x1f\x7f\ud800-\udfff]")


def printable(text: str | bytes, limit: int = 200) -> str:
    """`text` on one line, without control characters, at most `limit` characters long.

    Whatever is not printable is escaped the way Python writes it (``\\x1b``, ``\\u202e``): no terminal sequence, no
    forged log line and no reversed writing direction gets through. Bytes are read as UTF-8. What is cut off is
    marked by an ellipsis.
    """
    if isinstance(text, bytes):
        text = text[: 4 * limit].decode("utf-8", "backslashreplace")
    # Cut before escaping, else a long hostile text costs work; cut again, since escaping makes it longer.
    head = text[: limit + 1]
    if len(head) <= limit and head.isprintable():
        return head
    escaped = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in head)
    return escaped if len(escaped) <= limit else escaped[: limit - 1] + "…"


def fits_apache(path: str) -> bool:
    """Whether Apache can be given this path in its configuration: within quotes, where variables are expanded."""
    return _UNFIT_FOR_APACHE.search(path) is None
