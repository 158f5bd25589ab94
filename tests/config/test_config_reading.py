"""certd.config.reading"""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from certd.config.problems import Place, Report
from certd.config.reading import DEEPEST, locate, parse

_HERE = Place(0)
_TEXT = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x2FF, exclude_categories=("Cc", "Cs")), max_size=12)
_SCALAR = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | _TEXT | st.dates()
_DATA = st.recursive(
    _SCALAR, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4), max_leaves=12
)


def _read(text: str | bytes) -> tuple[Any, list[tuple[str | int, ...]], list[tuple[int | None, str]]]:
    report = Report()
    data = parse(text.encode() if isinstance(text, str) else text, _HERE, report)
    errors = report.found_errors()
    return data, [error.place.path for error in errors], [(error.line, error.text) for error in errors]


@given(st.dictionaries(_TEXT.filter(lambda key: key != "<<"), _DATA, max_size=5))
def test_what_yaml_writes_is_read_as_it_was(data: dict[str, Any]) -> None:
    """The stream of events gives the same data as the library's own loader."""
    assert _read(yaml.safe_dump(data, allow_unicode=True)) == (data, [], [])


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_are_data_or_a_problem(text: bytes) -> None:
    """No input raises, and lines are found in whatever there is."""
    data, _, errors = _read(text)
    assert data is None or not errors or all(line is None or line >= 1 for line, _ in errors)
    assert locate(text, {("a",)}).keys() <= {("a",)}


@pytest.mark.parametrize(
    "text", [b"[1, 2]: 3\n", b"a:\n? [x]\n: 1\n", b"{{a: 1}: b}", b"[" * 200_000, b"{a: " * 50_000]
)
def test_lines_are_looked_for_no_further_than_the_file_was_read(text: bytes) -> None:
    """Keys that are no text and levels without end neither raise nor cost more than the levels that count."""
    assert all(len(path) <= DEEPEST for path in locate(text, {("a",), (0,), (0,) * DEEPEST, (0,) * (DEEPEST + 1)}))


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("a: 1\nb: [1\nc: 2\n", 3, "not YAML: did not find expected"),
        ("a: 1\n b: 2\n", 2, "not YAML: mapping values are not allowed"),
        ("a: *.example.jp\n", 1, "put text that begins with a star in quotes"),
        ("a: *nothing\n", 1, "the alias *nothing names nothing"),
        (b"a: 1\nb: \xff\n", 2, "not YAML"),
        ("a: 1\n\tb: 2\n", 2, "not YAML"),
        ("a: 1\n--- \nb: 1\n", 2, "a second YAML document"),
        ("a: !!python/object:os.system x\n", 1, "the tag tag:yaml.org,2002:python/object:os.system is not allowed"),
        ("a: !x [1]\n", 1, "the tag !x is not allowed"),
        ("a:\n  ? [x]\n  : 1\n", 2, "a key must be text"),
        ("[1, 2]: 3\n", 1, "a key must be text"),
        ("{{}: 3}\n", 1, "a key must be text"),
        ("a: 2026-13-45\n", 1, "neither a valid number nor a valid date"),
        ("a: 99999999999999999999\n", 1, "neither a valid number"),
        ("a: |\n  two\n  lines\n", 1, "line breaks and control characters"),
        ('a: "\\e[31m"\n', 1, "line breaks and control characters"),
        ("a: &x [*x]\n", 1, "the alias *x names nothing that was completed"),
        ("x: " + "[" * 2000, 1, f"nested more than {DEEPEST} levels"),
        ("x: " + "{a: " * 2000, 1, f"nested more than {DEEPEST} levels"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(text: str | bytes, line: int, what: str) -> None:
    """Syntax errors and the traps of YAML."""
    _, _, errors = _read(text)
    assert errors[0][0] == line
    assert what in errors[0][1]


def test_every_duplicate_key_is_found_and_the_first_counts() -> None:
    """YAML libraries let the last one win in silence."""
    data, paths, errors = _read("a: 1\nb: {c: 1, c: 2}\na: 3\nl:\n  - {d: 1}\n  - {d: 1, 'd': 2}\n")
    assert data == {"a": 1, "b": {"c": 1}, "l": [{"d": 1}, {"d": 1}]}
    assert paths == [("b", "c"), ("a",), ("l", 1, "d")]
    assert [line for line, _ in errors] == [2, 3, 6]


def test_keys_are_text() -> None:
    """YAML 1.1 reads ``on``, ``1`` and ``~`` as something else."""
    assert _read("on: 1\n1: 2\n~: 3\nno: 4\n")[0] == {"on": 1, "1": 2, "~": 3, "no": 4}


def test_anchors_aliases_and_merge_keys_work() -> None:
    """A mapping's own keys come before merged ones, the first merged mapping before the second."""
    text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {<<: *a, x: 3}\nd: {<<: [*b, *a]}\ne: *a\nf: [&t text, *t]\n"
    data, _, errors = _read(text)
    assert not errors
    assert data["c"] == {"x": 3, "y": 1}
    assert data["d"] == {"y": 2, "z": 2, "x": 1}
    assert data["e"] is data["a"]
    assert data["f"] == ["text", "text"]


def test_a_bomb_of_aliases_does_not_go_off() -> None:
    """What aliases repeat is counted, before anybody walks through it."""
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    data, _, errors = _read("\n".join(levels))
    assert data is None
    assert "counting what aliases repeat" in errors[0][1]


def test_lines_of_keys_and_items() -> None:
    """A key is where it is written, an item where it begins; the first of two counts."""
    text = b"a: 1\nb:\n  - x\n  - y: 1\n    z:\n      - [1,\n         2]\nc: {d: 1,\n  e: 2}\na: 9\n"
    wanted: set[tuple[str | int, ...]] = {
        ("a",),
        ("b", 0),
        ("b", 1),
        ("b", 1, "z", 0, 1),
        ("c", "d"),
        ("c", "e"),
        ("nothing",),
    }
    assert locate(text, wanted) == {
        ("a",): 1,
        ("b", 0): 3,
        ("b", 1): 4,
        ("b", 1, "z", 0, 1): 7,
        ("c", "d"): 8,
        ("c", "e"): 9,
    }
