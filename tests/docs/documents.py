"""The project's documents as tests see them: headings, anchors, links, blocks of code, and the commands in them."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
ALL = sorted(str(path.relative_to(ROOT)) for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")))

_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^(#{1,6}) (.+)$", re.MULTILINE)
_COMMENT = re.compile(r"(^|\s+)#.*$", re.MULTILINE)


@dataclass(frozen=True)
class Heading:
    level: int
    text: str


@dataclass(frozen=True)
class Block:
    """A fenced block of code, without the indentation of the list that it stands in."""

    language: str
    text: str

    def without_comments(self) -> str:
        """What a machine reads of it: comments are for people, and are translated."""
        return "\n".join(line.rstrip() for line in _COMMENT.sub("", self.text).splitlines() if line.strip())


@cache
def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def blocks(name: str) -> tuple[Block, ...]:
    return blocks_in(text_of(name))


def blocks_in(text: str) -> tuple[Block, ...]:
    """Those of a part of a document."""
    found = []
    for indentation, language, body in _FENCE.findall(text):
        lines = [line.removeprefix(indentation) for line in body.splitlines()]
        found.append(Block(language, "\n".join(lines)))
    return tuple(found)


@cache
def prose(name: str) -> str:
    """All but the blocks of code."""
    return _FENCE.sub("", text_of(name))


@cache
def headings(name: str) -> tuple[Heading, ...]:
    return tuple(Heading(len(marks), text) for marks, text in _HEADING.findall(prose(name)))


def anchors(name: str) -> set[str]:
    """What a link may name after #: as forges make it of a heading's text."""
    made: set[str] = set()
    seen: Counter[str] = Counter()
    for heading in headings(name):
        slug = re.sub(r"[^\w\- ]", "", heading.text.lower()).replace(" ", "-")
        made.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return made


def links(name: str) -> list[str]:
    """Targets of links, without those to other hosts."""
    found = re.findall(r"\]\(([^)\s]+)\)", prose(name))
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def commands(name: str) -> Iterator[str]:
    """Each `certd ...` that the document shows, in blocks and in the text, up to the shell's own signs."""
    for block in blocks(name):
        if block.language in ("", "bash", "sh"):
            for line in block.text.splitlines():
                yield from _in_a_line(line.removeprefix("# "))
    for quoted in re.findall(r"`(certd [^`]+)`", prose(name).replace("\n", " ")):
        yield from _in_a_line(quoted.replace("\\|", "|"))  # as in a table


def _in_a_line(line: str) -> Iterator[str]:
    # A log line begins with the program's name and its version, or with what it does.
    for part in re.split(r"\||&&|;|\$\(|\bthen\b", line):
        if re.match(r"certd (-|[a-z]+(-[a-z]+)*\b(?! is\b))", part.strip()):
            yield " ".join(shlex.split(re.split(r" [<>2]", part.strip())[0], comments=True))


def section(name: str, heading: str) -> str:
    """What stands below a heading, up to the next of its level or above."""
    text = text_of(name)
    # In a block of code a line that begins so is a comment, or what root types.
    outside = _FENCE.sub(lambda block: re.sub(r"[^\n]", " ", block.group()), text)
    for found in _HEADING.finditer(outside):
        if found.group(2) == heading:
            end = re.compile(rf"^#{{1,{len(found.group(1))}}} ", re.MULTILINE).search(outside, found.end())
            return text[found.end() : end.start() if end else None]
    raise AssertionError(f"{name} has no heading {heading!r}")
