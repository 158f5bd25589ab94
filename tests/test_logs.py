"""Log lines: one line a record, fields that split again, priorities for the journal, tracebacks for developers."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certd.logs import LineFormatter, log_bug, log_event, set_up, under_systemd


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    """Leave the root logger as pytest wants it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    names = ("apscheduler", "urllib3", "requests")
    levels = [logging.getLogger(name).level for name in names]
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, old in zip(names, levels, strict=True):
        logging.getLogger(name).setLevel(old)


def lines(level: str, environ: dict[str, str]) -> tuple[logging.Logger, io.StringIO]:
    stream = io.StringIO()
    set_up(level, stream, environ)
    return logging.getLogger("certd.sample"), stream


def test_under_systemd_a_line_has_its_priority_and_no_time() -> None:
    """The journal reads the prefix, and has the time itself."""
    logger, stream = lines("info", {"JOURNAL_STREAM": "8:1"})
    log_event(logger, logging.INFO, "Renewed.", name="example.jp")
    log_event(logger, logging.WARNING, "Waiting.")
    log_event(logger, logging.ERROR, "Failed.")
    assert stream.getvalue() == "<6>Renewed. name=example.jp\n<4>Waiting.\n<3>Failed.\n"


def test_elsewhere_a_line_begins_with_the_time() -> None:
    """In UTC, with milliseconds and the level."""
    record = logging.LogRecord("n", logging.INFO, "f", 1, "Renewed.", None, None)
    record.created = datetime(2026, 11, 23, 1, 2, 3, 45_000, UTC).timestamp()
    assert LineFormatter(journal=False).format(record) == "2026-11-23T01:02:03.045Z INFO Renewed."


def test_a_terminal_is_not_the_journal() -> None:
    """A person at a desktop whose session systemd has started reads no priorities."""
    ours, its = os.openpty()
    with os.fdopen(ours, "rb"), os.fdopen(its, "w") as terminal:
        assert not under_systemd({"INVOCATION_ID": "x"}, terminal)
    assert under_systemd({"INVOCATION_ID": "x"}, io.StringIO())


def test_fields_follow_the_sentence_in_order() -> None:
    """None is left out, times are RFC 3339, and what has spaces or quotes is quoted."""
    logger, stream = lines("info", {"INVOCATION_ID": "x"})
    at = datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC)
    log_event(logger, logging.INFO, "Due.", b=at, a="two words", none=None, quoted='say "x"', empty="", n=3)
    assert stream.getvalue() == '<6>Due. b=2026-11-23T01:02:03Z a="two words" quoted="say \'x\'" empty="" n=3\n'


@given(st.text(), st.text())
def test_whatever_is_logged_stays_one_line(sentence: str, value: str) -> None:
    """No text from outside forges a line, a priority or a terminal sequence."""
    logger, stream = lines("info", {"NOTIFY_SOCKET": "/x"})
    log_event(logger, logging.INFO, sentence, value=value)
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue()[:-1].isprintable()


def test_levels_below_the_set_one_are_silent() -> None:
    """Level warning hides what is at level info."""
    logger, stream = lines("warning", {})
    log_event(logger, logging.INFO, "Hidden.")
    assert stream.getvalue() == ""


def test_libraries_stay_silent_below_error() -> None:
    """What a library says of each connection is not for operators."""
    _, stream = lines("debug", {})
    logging.getLogger("urllib3.connectionpool").debug("Starting new connection")
    logging.getLogger("apscheduler.scheduler").warning("skipped")
    assert stream.getvalue() == ""


def test_a_bug_shows_its_traceback_at_debug_only() -> None:
    """Operators see a sentence and the error's text."""
    for level, traced in (("info", False), ("debug", True)):
        logger, stream = lines(level, {"INVOCATION_ID": "x"})
        try:
            raise ValueError("unforeseen")
        except ValueError as error:
            log_bug(logger, "This is a bug.", error, subject="web")
        text = stream.getvalue()
        assert text.startswith('<3>This is a bug. error="ValueError: unforeseen" subject=web\n')
        assert ("Traceback" in text) is traced
        assert all(line.startswith("<") for line in text.splitlines())


def test_under_systemd_is_told_by_any_of_its_variables() -> None:
    """A terminal sets none of them."""
    assert under_systemd({"NOTIFY_SOCKET": "/run/x"})
    assert not under_systemd({"NOTIFY_SOCKET": "", "PATH": "/bin"})
