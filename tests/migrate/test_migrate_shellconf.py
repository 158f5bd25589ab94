"""Settings files of shells, read and never executed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certd.migrate.shellconf import parse


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A='x y'", "x y"),
        ('A="x y"', "x y"),
        ("A=x", "x"),
        ("  export A=x", "x"),
        ("A=''", ""),
        ("A=", ""),
        ("A='a'\"b\"c", "abc"),
        ("A=x # a comment", "x"),
        ("A='#not a comment'", "#not a comment"),
        ("A=x#y", "x#y"),
        (r'A="a \"b\" \$c"', 'a "b" $c'),
        ("A='$B `id` $(id)'", "$B `id` $(id)"),
        ("A='two\nlines'", "two\nlines"),
        ("A=first\nA=second", "second"),
    ],
)
def test_values_are_what_a_shell_would_make_of_them(text: str, value: str, tmp_path: Path) -> None:
    """Every form of quoting; the same file is given to a real shell."""
    script = f'{text}\nprintf %s "$A"\n'
    said = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    assert said == value
    assert parse(text).get("A") == value
    assert parse(text).obscure == []


def test_variables_that_are_known_are_put_in() -> None:
    """Of the file itself, or given before; single quotes keep them as they are."""
    settings = parse("W=\"${BASEDIR}/x\"\nV=$W/y\nU='$W'", {"BASEDIR": "/etc/d"})
    assert (settings.get("W"), settings.get("V"), settings.get("U")) == ("/etc/d/x", "/etc/d/x/y", "$W")


@pytest.mark.parametrize(
    "line",
    [
        "A=$(touch RAN)",
        "A=`touch RAN`",
        'A="`touch RAN`"',
        'A="$(touch RAN)"',
        "A=$UNKNOWN",
        "A=x touch RAN",
        "touch RAN",
        "A = x",
        "A= touch RAN",
        "if true; then A=x; fi",
        ". ./other",
        "A='never ends",
        "A=<(id)",
    ],
)
def test_what_needs_a_shell_is_reported_and_not_run(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No value, not even half of one; the line's number is told, and the lines after it are read."""
    monkeypatch.chdir(tmp_path)
    settings = parse(f"A=old\n{line}\nB=next")
    assert settings.obscure == [2]
    assert settings.get("B") == "next"
    assert settings.get("A") == ("" if line.startswith("A=") else "old")
    assert list(tmp_path.iterdir()) == []


def test_what_a_condition_or_a_function_sets_is_not_believed() -> None:
    """Up to its end, however deep; on one line as well."""
    text = "A=1\nif x; then\n  A=2\n  for i in a; do B=1; done\n  A=3\nfi\nf() {\nA=4\n}\nif x; then A=5; fi\nC=6"
    settings = parse(text)
    assert (settings.get("A"), settings.get("B"), settings.get("C")) == ("1", "", "6")
    assert settings.obscure == [2, 3, 4, 5, 6, 7, 8, 9, 10]


@given(st.text(alphabet="A=B'\"$ {}\\\n#`();x"))
def test_no_text_is_too_strange(text: str) -> None:
    """Whatever lies there: an answer, and an end."""
    settings = parse(text)
    assert all(1 <= line <= text.count("\n") + 1 for line in settings.obscure)


def test_long_files_cost_what_they_are_long() -> None:
    """As many lines as a file may have at most; each is numbered."""
    settings = parse("\n" * 900_000 + "if true\nA=x\n")
    assert settings.obscure[0] == 900_001
