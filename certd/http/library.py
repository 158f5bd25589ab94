"""requests, without its guessers of encodings.

They serve `Response.text` alone, and certd reads bytes; but they would be 3 of the 50 MiB that an idle daemon holds.
requests works without them and says so in a warning. Whoever has imported it before us keeps what he has.
"""

from __future__ import annotations

import sys
import warnings

_GUESSERS = ("chardet", "charset_normalizer")

if "requests" not in sys.modules:
    absent = [name for name in _GUESSERS if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None: an import raises ImportError
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import requests  # noqa: F401
    finally:
        for name in absent:
            del sys.modules[name]
