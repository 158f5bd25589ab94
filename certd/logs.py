"""Log lines for operators: one sentence, then key=value fields.

Under systemd a line carries its syslog priority (``<6>``) and no time, because the journal has its own; elsewhere it
begins with the time in UTC. Whatever a line is made of, it stays one line without control characters. A traceback is
for developers: it appears only at level debug.
"""

from __future__ import annotations

import logging
import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO

from certd.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

LINE_LIMIT = 4000
"""Characters of one line; the journal would split longer ones at its own limit."""
FIELD_LIMIT = 500

_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (0, 7))


def log_event(logger: logging.Logger, level: int, sentence: str, **fields: object) -> None:
    """Log `sentence`, followed by the fields that are not None, in the order given."""
    if logger.isEnabledFor(level):
        logger.log(level, "%s", sentence, extra={"certd_fields": fields})


def log_bug(logger: logging.Logger, sentence: str, error: BaseException, **fields: object) -> None:
    """Log an exception that nobody foresaw: the sentence as an error, its traceback at level debug only."""
    log_event(logger, logging.ERROR, sentence, error=f"{type(error).__name__}: {error}", **fields)
    logger.debug("%s", sentence, exc_info=error)


def set_up(level: str, stream: TextIO | None = None, environ: Mapping[str, str] = os.environ) -> None:
    """Send all log lines of `level` (debug, info, warning, error) and above to `stream`, by default stderr."""
    stream = sys.stderr if stream is None else stream
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LineFormatter(journal=under_systemd(environ, stream)))
    root = logging.getLogger()
    root.handlers[:] = [handler]  # in one step: other threads log meanwhile
    root.setLevel(level.upper())
    # Libraries tell of each connection and each job; certd says what is worth knowing itself.
    for library in ("apscheduler", "urllib3", "requests"):
        logging.getLogger(library).setLevel(logging.ERROR)


def under_systemd(environ: Mapping[str, str] = os.environ, stream: TextIO | None = None) -> bool:
    """True where the output goes to the journal: not from a terminal, whatever service that was started by."""
    if (sys.stderr if stream is None else stream).isatty():
        return False
    return any(environ.get(name) for name in ("JOURNAL_STREAM", "NOTIFY_SOCKET", "INVOCATION_ID"))


class LineFormatter(logging.Formatter):
    """One line a record. `journal`: a priority prefix instead of the time."""

    def __init__(self, *, journal: bool) -> None:
        super().__init__()
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        """The finished line; several lines only where a traceback was asked for."""
        text = printable(record.getMessage(), LINE_LIMIT)
        fields: dict[str, object] = getattr(record, "certd_fields", {})
        line = " ".join([text, *(f"{key}={_value(value)}" for key, value in fields.items() if value is not None)])
        head = self._head(record)
        lines = [head + printable(line, LINE_LIMIT)]
        if record.exc_info and logging.getLogger().isEnabledFor(logging.DEBUG):
            trace = self.formatException(record.exc_info)
            lines += [head + printable(part, LINE_LIMIT) for part in trace.splitlines()]
        return "\n".join(lines)

    def _head(self, record: logging.LogRecord) -> str:
        if self._journal:
            return f"<{next(number for level, number in _PRIORITIES if record.levelno >= level)}>"
        at = datetime.fromtimestamp(record.created, UTC)
        return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z {record.levelname} "


def _value(value: object) -> str:
    """A field's value: bare if it is one plain word, else in quotes, so that a reader can split the line again."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    text = printable(str(value), FIELD_LIMIT)
    if text and not any(c in ' "=' for c in text):
        return text
    # Backslashes are left as they are: printable() wrote them, and a second escape would only hide what they say.
    return '"' + text.replace('"', "'") + '"'
