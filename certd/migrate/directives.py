"""One virtual host of Apache's configuration, read as text: the names and files in it, and where they are named."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from certd.errors import Refused
from certd.migrate import sources
from certd.migrate.sources import shown
from certd.text import printable

DEEPEST = 10
MOST_FILES = 500
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|\'((?:[^\'\\]|\\.)*)\'|(\S+)')
_VARIABLE = re.compile(r"\$\{([^}]+)\}")
_JUDGED = {"if", "elseif", "else", "ifdefine", "ifversion", "iffile", "ifsection", "ifdirective"}
"""Sections whose conditions only Apache can tell. Of <IfModule> it is taken that mod_ssl is there."""


@dataclass(frozen=True)
class Directive:
    """One line: its name in lower case, its arguments, and where it stands."""

    name: str
    arguments: tuple[str, ...]
    path: Path
    line: int
    text: str


@dataclass
class VirtualHost:
    """What one `<VirtualHost>` says; paths are absolute."""

    path: Path
    line: int
    names: list[str] = field(default_factory=list)
    """The ServerName first."""
    certificates: list[Path] = field(default_factory=list)
    keys: list[Path] = field(default_factory=list)
    chains: list[Path] = field(default_factory=list)
    lines: list[Directive] = field(default_factory=list)
    """Those that name the files above."""

    def __str__(self) -> str:
        return f"{shown(self.path)}, line {self.line}"


_FILES = {
    "sslcertificatefile": "certificates",
    "sslcertificatekeyfile": "keys",
    "sslcertificatechainfile": "chains",
}


def read_host(path: Path, line: int, *, root: Path, defines: Mapping[str, str]) -> VirtualHost:
    """The virtual host that begins there. `root`: ServerRoot. Raises Refused where only Apache could tell."""
    host = VirtualHost(path, line)
    depth = 0
    for directive in _directives(path, line, defines):
        if directive.name == "<virtualhost":
            depth += 1
        elif directive.name == "</virtualhost":
            return host
        if depth == 0:
            raise Refused(f"{shown(path)}, line {line}, begins no <VirtualHost>; give --cert and --key")
        _take(host, directive, root, defines, [])
    raise Refused(f"the virtual host at {host} does not end; give --cert and --key")


def _take(
    host: VirtualHost, directive: Directive, root: Path, defines: Mapping[str, str], within: list[Directive]
) -> None:
    name, arguments = directive.name, directive.arguments
    if name == "servername" and arguments:
        host.names.insert(0, _host_name(arguments[0]))
    elif name == "serveralias":
        host.names += [_host_name(argument) for argument in arguments]
    elif name in _FILES and arguments:
        if _VARIABLE.search(arguments[0]):
            where = f"{shown(directive.path)}, line {directive.line}"
            raise Refused(f"{where}: {printable(arguments[0])} has a variable in it; give --cert and --key")
        getattr(host, _FILES[name]).append(root / arguments[0])
        host.lines.append(directive)
    elif name in ("include", "includeoptional") and arguments:
        if len(within) >= DEEPEST:
            raise Refused(f"the virtual host at {host} includes files more than {DEEPEST} deep; give --cert and --key")
        for included in _included(root / arguments[0]):
            for below in _directives(included, 1, defines):
                _take(host, below, root, defines, [*within, directive])


def _included(pattern: Path) -> list[Path]:
    if pattern.is_dir():
        found = sorted(path for path in pattern.rglob("*") if path.is_file())
    elif any(letter in str(pattern) for letter in "*?["):
        # Two stars are one to Apache.
        wanted = re.sub(r"\*+", "*", str(pattern.relative_to(pattern.anchor)))
        found = sorted(Path(pattern.anchor).glob(wanted))
    else:
        found = [pattern]
    if len(found) > MOST_FILES:
        raise Refused(f"{shown(pattern)} includes {len(found)} files; give --cert and --key")
    return [path for path in found if path.is_file()]


def _directives(path: Path, first: int, defines: Mapping[str, str]) -> Iterator[Directive]:
    """The lines from `first` on; those in sections that only Apache can judge are left out, unless they name files."""
    judged: list[str] = []
    skipped = 0
    for number, text in _lines(sources.read_text(path)):
        if number < first:
            continue
        words = [next(filter(None, match.groups()), "") for match in _WORD.finditer(text)]
        name = words[0].lower().rstrip(">")
        arguments = tuple(_expanded(word.rstrip(">") if name.startswith("<") else word, defines) for word in words[1:])
        section = name.lstrip("</")
        if name.startswith("</"):
            if judged and section == judged[-1]:
                judged.pop()
                continue
            if skipped and section == "ifmodule":
                skipped -= 1
                continue
        elif section == "ifmodule" and (skipped or (arguments and arguments[0].startswith("!"))):
            skipped += 1
            continue
        elif name.startswith("<") and section in _JUDGED:
            judged.append(section)
            continue
        if skipped:
            continue
        if judged and name in _FILES:
            where = f"{shown(path)}, line {number}"
            raise Refused(f"{where} is inside <{judged[-1]}>, which only Apache can judge; give --cert and --key")
        if not judged:
            yield Directive(name, arguments, path, number, text)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Number and text of each line that says something; one that ends with a backslash goes on in the next."""
    begun, start = "", 0
    # Not splitlines(): a form feed, say, ends no line of Apache's, whose numbers these are.
    for number, raw in enumerate(text.split("\n"), 1):
        start = start or number
        if raw.endswith("\\"):
            begun += raw[:-1] + " "
            continue
        line = (begun + raw).strip()
        if line and not line.startswith("#"):
            yield start, line
        begun, start = "", 0


def _expanded(word: str, defines: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda match: defines.get(match[1], match[0]), word)


def _host_name(text: str) -> str:
    """Without scheme and port."""
    return text.rpartition("://")[2].partition(":")[0].lower()
