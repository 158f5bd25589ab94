"""What certd brings along with requests."""

from __future__ import annotations

import subprocess
import sys

_PROGRAM = """
import sys
import certd.http
import requests
assert "charset_normalizer" not in sys.modules and "chardet" not in sys.modules
import charset_normalizer
assert charset_normalizer.__version__
"""


def test_requests_comes_without_its_guessers_of_encodings() -> None:
    """They are not loaded, nothing warns of it, and others can still import them."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", _PROGRAM], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
