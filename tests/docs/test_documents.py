"""The documents hold together: links lead somewhere, commands exist, and the Japanese says what the English says."""

from __future__ import annotations

import posixpath
import re

import pytest
from documents import ALL, ROOT, anchors, blocks, commands, headings, links, prose, text_of

from certd.cli.parser import build_parser

JAPANESE = {
    "README.md": "README.ja.md",
    **{
        f"docs/{name}.md": f"docs/ja/{name}.md"
        for name in ("HARDENING", "INSTALL", "MIGRATION", "MONITORING", "RUNBOOK")
    },
}
"""The operator's documents, and the Japanese of each."""
PAIRS = list(JAPANESE.items())
BARE = {"certd placeholder"}
"""Looks like a command, and is the common name of the placeholder."""


@pytest.mark.parametrize("name", ALL)
def test_every_link_leads_somewhere(name: str) -> None:
    """A relative link names a file of the repository, and an anchor a heading of that file."""
    for target in links(name):
        path, _, anchor = target.partition("#")
        found = posixpath.normpath(posixpath.join(posixpath.dirname(name), path)) if path else name
        assert (ROOT / found).exists(), f"{name}: {target}"
        assert not anchor or anchor in anchors(found), f"{name}: {target}"


@pytest.mark.parametrize("name", [name for name in ALL if name != "CHANGELOG.md"])
def test_every_command_exists(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each `certd ...` that is shown is understood by the parser: command, options and number of arguments."""
    for command in commands(name):
        words = [word.strip("[]") for word in command.replace("...", "").split()[1:]]
        if command in BARE:
            continue
        # In a sentence a command may be named without what it is about.
        known = _understood(words) or (len(words) == 1 and _understood([*words, "--help"]))
        assert known, f"{name}: {command}: {capsys.readouterr().err}"


def test_the_rules_can_fail() -> None:
    """What is looked for is found: commands by the dozen, links and anchors, and a wrong command is refused."""
    assert {"certd check", "certd status NAME", "certd health"} <= set(commands("docs/RUNBOOK.md"))
    assert "when-something-is-broken" in anchors("docs/STATE.md")
    assert "STATE.md#when-something-is-broken" in links("docs/RUNBOOK.md")
    assert not _understood(["renew", "NAME", "--later"])
    assert not _understood(["restart", "NAME"])


@pytest.mark.parametrize(("english", "japanese"), PAIRS)
def test_the_japanese_shows_the_same_commands(english: str, japanese: str) -> None:
    """Blocks of code are the same but for their comments; so are the headings' number and levels."""
    assert [(b.language, b.without_comments()) for b in blocks(japanese)] == [
        (b.language, b.without_comments()) for b in blocks(english)
    ]
    assert [heading.level for heading in headings(japanese)] == [heading.level for heading in headings(english)]


@pytest.mark.parametrize(("english", "japanese"), PAIRS)
def test_the_japanese_speaks_of_the_same_things(english: str, japanese: str) -> None:
    """What stands in `quotation`, be it a code, a key, a path or a command, is in both, paragraph by paragraph of a
    chapter: nothing was left out."""
    assert [_quoted(part) for part in _chapters(japanese)] == [_quoted(part) for part in _chapters(english)]


@pytest.mark.parametrize("japanese", JAPANESE.values())
def test_the_japanese_is_japanese(japanese: str) -> None:
    """No sentence was left in English, and politeness is kept: です and ます."""
    for paragraph in re.split(r"\n\s*\n", prose(japanese)):
        plain = re.sub(r"`[^`]*`|\]\([^)]*\)|https?://\S+", "", paragraph)
        assert len(re.findall(r"\b[a-z]{2,}\b", plain)) <= 12 or re.search(r"[ぁ-ん]", plain), paragraph
    assert not re.search(r"(である|だった|のだ|[^まい]だ)。", text_of(japanese))


def _understood(words: list[str]) -> bool:
    try:
        build_parser({}).parse_args(words)
    except SystemExit as left:  # --help and --version leave as well
        return left.code == 0
    return True


def _chapters(name: str) -> list[str]:
    return re.split(r"^#{1,3} .*$", prose(name), flags=re.MULTILINE)


def _quoted(text: str) -> list[str]:
    return sorted(set(re.findall(r"`([^`]+)`", re.sub(r"\s+", " ", text))))
