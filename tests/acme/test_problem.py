"""certd.acme.problem: problem documents of any shape."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certd.acme.problem import ABOUT_BLANK, parse_problem, problem_error, short_type

CAA = "urn:ietf:params:acme:error:caa"


def test_a_problem_document() -> None:
    """Type, detail and subproblems with their identifiers come through."""
    body = {
        "type": "urn:ietf:params:acme:error:compound",
        "detail": "several",
        "subproblems": [{"type": CAA, "detail": "forbidden", "identifier": {"type": "dns", "value": "a.jp"}}, 5],
    }
    error = problem_error(json.dumps(body).encode(), status=403, asked="newOrder", retry_after=timedelta(seconds=9))
    assert error.type == "urn:ietf:params:acme:error:compound"
    assert error.subproblems == (("a.jp", "caa: forbidden"), ("", "the CA gave no reason"))
    assert (error.status, error.asked, error.retry_after) == (403, "newOrder", timedelta(seconds=9))
    assert str(error) == "newOrder: the CA answered 403 compound: several (a.jp: caa: forbidden; the CA gave no reason)"


def test_both_prefixes() -> None:
    """The prefix of the drafts counts like that of the RFC."""
    assert short_type(CAA) == short_type("urn:acme:error:caa") == short_type("caa") == "caa"


def test_what_the_operator_needs_is_in_the_detail() -> None:
    """The algorithms of badSignatureAlgorithm and the page of userActionRequired are shown."""
    algorithms = parse_problem(b'{"type": "x", "detail": "no", "algorithms": ["ES256", "RS256", 5]}', 400)
    assert algorithms.detail == "no (the CA lists: ES256, RS256)"
    page = parse_problem(b'{"detail": "agree", "instance": "https://ca.example/agree"}', 403)
    assert page.detail == "agree (see https://ca.example/agree)"


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (b"", 503, "HTTP 503 without a problem document"),
        (b"<html>\n<b>down</b>", 503, "HTTP 503 without a problem document: <html> <b>down</b>"),
        (b"[1]", 400, "HTTP 400 without a problem document: [1]"),
        (b"\xff", 799, "HTTP 799 without a problem document: \ufffd"),
        (b"[" * 50_000, 500, "HTTP 500 without a problem document: "),
        (b"{}", 400, "the CA gave no detail"),
        (b'{"title": "T", "type": 7}', 400, "T"),
    ],
)
def test_every_shape_becomes_a_problem(body: bytes, status: int, detail: str) -> None:
    """RFC 7807 section 4.2: without a type it is about:blank."""
    problem = parse_problem(body, status)
    assert problem.type == ABOUT_BLANK
    assert problem.detail.startswith(detail)
    assert len(problem.detail) < 300


def test_terminal_codes_are_escaped_and_text_is_capped() -> None:
    """Nothing from a CA can move a cursor, forge a log line or flood a log; Japanese stays readable."""
    body = json.dumps({"type": "a\x1b[2J", "detail": "\x1b]0;owned\x07\nJan 1 審査\u202e" + "x" * 100_000}).encode()
    problem = parse_problem(body, 400)
    assert problem.detail.isprintable()
    assert problem.type.isprintable()
    assert "審査" in problem.detail
    assert len(problem.detail) <= 500


values: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
keys = st.sampled_from(["type", "detail", "title", "status", "instance", "subproblems", "identifier", "algorithms"])


@given(st.one_of(st.binary(), st.dictionaries(keys, values).map(lambda one: json.dumps(one).encode())))
def test_never_a_crash(body: bytes) -> None:
    """Whatever the bytes: a problem whose text is printable."""
    error = problem_error(body, status=400, asked="order")
    assert str(error).isprintable()
    assert all(f"{name}{text}".isprintable() for name, text in error.subproblems)
