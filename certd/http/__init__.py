"""One bounded HTTP exchange: a total deadline, caps on all that arrives, https where it is demanded."""

from __future__ import annotations

import certd.http.library  # noqa: F401 - first: it decides what requests brings along  # isort: split
from certd.http.answer import Answer
from certd.http.exchange import DEADLINE, LIMIT, Exchanger

__all__ = ["DEADLINE", "LIMIT", "Answer", "Exchanger"]
