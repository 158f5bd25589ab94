"""What others wrote is shown without its power over terminals and logs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certd.text import printable


@pytest.mark.parametrize(
    ("given_text", "shown"),
    [
        ("plain 日本語", "plain 日本語"),
        ("two\nlines\r\n", "two\\nlines\\r\\n"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("\u202eesrever", "\\u202eesrever"),
        (b"\xff\x00ok", "\\xff\\x00ok"),
        ("", ""),
    ],
)
def test_controls_are_escaped(given_text: str | bytes, shown: str) -> None:
    """Control characters, line ends and direction marks appear as escapes; other text is left alone."""
    assert printable(given_text) == shown


def test_long_text_is_cut_and_says_so() -> None:
    """The limit counts the ellipsis."""
    assert printable("x" * 500, limit=10) == "xxxxxxxxx…"
    assert printable("x" * 10, limit=10) == "x" * 10


@given(st.text(alphabet=st.characters(exclude_categories=())) | st.binary(), st.integers(1, 60))
def test_always_printable_and_within_the_limit(text: str | bytes, limit: int) -> None:
    """No input gets a control character through, or more than the limit."""
    shown = printable(text, limit)
    assert len(shown) <= limit
    assert shown.isprintable()
