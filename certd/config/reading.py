"""YAML to plain data, and paths to lines.

The file is read as a stream of parser events: no tree of nodes with a position each is ever held, so that a file of
ten thousand certificates costs little more than its data. Lines are found by a second pass, when a problem needs them.

Stricter than YAML where YAML surprises: keys are always text (``on:`` is not true), a key may be given once, control
characters and tags are refused, and aliases may not make more of a file than a person would write.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from certd.config.problems import KeyPath, Place, Report, escaped

DEEPEST = 24
"""Levels of nesting; the deepest legal key has nine."""
MOST_NODES = 2_000_000
"""Keys, values and containers, what aliases repeat included: against aliases of aliases of aliases."""

_TEXT = "tag:yaml.org,2002:str"
_TYPED = frozenset(f"tag:yaml.org,2002:{name}" for name in ("int", "float", "bool", "null", "timestamp"))
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_MERGE = "<<"


class _Unreadable(Exception):
    """Nothing more can be made of this file; the problem has been reported."""


def parse(text: bytes, place: Place, report: Report) -> Any | None:
    """The data of the single document in `text`, made of dict, list, str, int, float, bool, None, date, datetime.

    Problems go to `report`. None: the file cannot be read at all, or is empty.
    """
    try:
        return _Builder(text, place, report).document()
    except _Unreadable:
        return None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 1
        parts = (part for part in (error.problem, error.context) if part)
        hint = "; put text that begins with a star in quotes" if "alias" in (error.context or "") else ""
        report.error(place, f"not YAML: {', '.join(map(escaped, parts))}{hint}", line=line)
    except yaml.YAMLError as error:
        # Only the reader of bytes raises these: wrong UTF-8, or a character that YAML forbids.
        position = min(getattr(error, "position", 0), len(text))
        line = text.count(b"\n", 0, position) + 1
        report.error(place, f"not YAML: {escaped(getattr(error, 'reason', 'unreadable'))}; write UTF-8", line=line)
    return None


def locate(text: bytes, wanted: set[KeyPath]) -> Mapping[KeyPath, int]:
    """The 1-based lines of the keys and items at the `wanted` paths, as far as they are in the file."""
    lines: dict[KeyPath, int] = {}
    try:
        for path, line in _positions(text):
            if path in wanted:
                lines.setdefault(path, line)
    except yaml.YAMLError:
        pass  # parse() has reported it; what was found before it is still right
    return lines


class _Frame:
    """A mapping or list that is being read. `key` None in a mapping: a key comes next."""

    __slots__ = ("anchor", "at", "items", "key", "merged")

    def __init__(self, items: dict[str, Any] | list[Any], anchor: str | None, at: int) -> None:
        self.items = items
        self.anchor = anchor
        self.at = at
        """How many nodes had been seen when it began."""
        self.key: str | None = None
        self.merged: list[Any] = []


class _Builder:
    """One pass over the events, with a stack of its own: depth is bounded, nothing recurs."""

    def __init__(self, text: bytes, place: Place, report: Report) -> None:
        self._loader = yaml.CSafeLoader(text)
        self._place = place
        self._report = report
        self._frames: list[_Frame] = []
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._nodes = 0
        self._root: Any = None

    def document(self) -> Any | None:
        """The only document. Raises _Unreadable or yaml.YAMLError."""
        documents = 0
        for event in _events(self._loader):
            kind = type(event)
            if kind is yaml.ScalarEvent:
                self._scalar(event)
            elif kind is yaml.MappingStartEvent:
                self._open({}, event)
            elif kind is yaml.SequenceStartEvent:
                self._open([], event)
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                self._close(event)
            elif kind is yaml.AliasEvent:
                self._alias(event)
            elif kind is yaml.DocumentStartEvent:
                documents += 1
                if documents > 1:
                    self._stop(event, "a second YAML document; one file holds one document")
        return self._root

    def _scalar(self, event: Any) -> None:
        self._count(event, 1)
        if _CONTROL.search(event.value):
            self._error(event, "line breaks and control characters are not allowed in a value or key")
        frame = self._frames[-1] if self._frames else None
        if frame is not None and frame.key is None and type(frame.items) is dict:
            self._key(frame, event)
            return
        value = self._value(event)
        if event.anchor:
            self._anchors[event.anchor] = (value, 1)
        self._add(value)

    def _key(self, frame: _Frame, event: Any) -> None:
        frame.key = event.value
        if frame.key in frame.items:
            self._error(event, "this key is given twice; keep one of them", other=True)
        if event.anchor:
            self._anchors[event.anchor] = (event.value, 1)

    def _value(self, event: Any) -> Any:
        tag = event.tag
        if tag in (None, "!"):
            if not event.implicit[0]:
                return event.value
            resolve: Any = self._loader.resolve
            tag = resolve(yaml.ScalarNode, event.value, (True, False))
            if tag not in _TYPED:
                return event.value
        if tag == _TEXT:
            return event.value
        if tag not in _TYPED:
            self._error(event, f"the tag {escaped(tag)} is not allowed; write plain values")
            return None
        try:
            value = self._loader.yaml_constructors[tag](self._loader, yaml.ScalarNode(tag, event.value))
            if isinstance(value, int) and not -(2**63) <= value < 2**63:
                raise ValueError("more than 64 bits")
            return value
        except (ValueError, KeyError):
            self._error(event, "neither a valid number nor a valid date; put text in quotes")
            return None

    def _open(self, items: dict[str, Any] | list[Any], event: Any) -> None:
        self._count(event, 1)
        if self._frames and self._frames[-1].key is None and type(self._frames[-1].items) is dict:
            self._stop(event, "a key must be text, not a mapping or a list")
        if len(self._frames) >= DEEPEST:
            self._stop(event, f"nested more than {DEEPEST} levels deep")
        if event.tag not in (None, "!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
            self._error(event, f"the tag {escaped(event.tag)} is not allowed; write plain values")
        self._frames.append(_Frame(items, event.anchor, self._nodes))

    def _close(self, event: Any) -> None:
        frame = self._frames.pop()
        if type(frame.items) is dict:
            for source in frame.merged:
                for key, value in source.items():
                    frame.items.setdefault(key, value)
        if frame.anchor:
            # Known only from here on: an alias to a container inside itself is an unknown alias.
            self._anchors[frame.anchor] = (frame.items, self._nodes - frame.at + 1)
        self._add(frame.items, event)

    def _alias(self, event: Any) -> None:
        if event.anchor not in self._anchors:
            self._stop(event, f"the alias *{escaped(event.anchor)} names nothing that was completed before it")
        value, size = self._anchors[event.anchor]
        self._count(event, size)
        frame = self._frames[-1]
        if frame.key is None and type(frame.items) is dict:
            self._stop(event, "a key must be plain text, not an alias")
        self._add(value, event)

    def _add(self, value: Any, event: Any = None) -> None:
        if not self._frames:
            self._root = value
            return
        frame = self._frames[-1]
        if type(frame.items) is list:
            frame.items.append(value)
            return
        assert type(frame.items) is dict
        assert frame.key is not None
        if frame.key == _MERGE and event is not None:
            self._merge(frame, value, event)
        else:
            frame.items.setdefault(frame.key, value)
        frame.key = None

    def _merge(self, frame: _Frame, value: Any, event: Any) -> None:
        sources = value if isinstance(value, list) else [value]
        if all(isinstance(source, dict) for source in sources):
            frame.merged.extend(sources)
        else:
            self._error(event, "<< takes a mapping, or a list of mappings")

    def _count(self, event: Any, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > MOST_NODES:
            self._stop(event, f"more than {MOST_NODES} values, counting what aliases repeat")

    def _here(self) -> Place:
        path: list[str | int] = []
        for frame in self._frames:
            if isinstance(frame.items, list):
                path.append(len(frame.items))
            elif frame.key is not None:
                path.append(frame.key)
        return self._place.at(*path)

    def _error(self, event: Any, text: str, *, other: bool = False) -> None:
        place = self._here()
        self._report.error(place, text, line=event.start_mark.line + 1, other=place if other else None)

    def _stop(self, event: Any, text: str) -> None:
        self._error(event, text)
        raise _Unreadable


def _events(loader: yaml.CSafeLoader) -> Iterator[Any]:
    while loader.check_event():
        yield loader.get_event()


def _positions(text: bytes) -> Iterator[tuple[KeyPath, int]]:
    """Every key and item with its line. A list's frame is its index, a mapping's is the key under way or None.

    It ends where parse() does: at a key that is no text, and at too many levels.
    """
    indexes: list[bool] = []
    path: list[Any] = []
    for event in _events(yaml.CSafeLoader(text)):
        kind = type(event)
        if kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            indexes.pop()
            path.pop()
        elif kind is yaml.ScalarEvent or isinstance(event, yaml.NodeEvent):
            if path and indexes[-1]:
                path[-1] += 1
                yield tuple(path), event.start_mark.line + 1
            elif path and path[-1] is None:
                if kind is not yaml.ScalarEvent:
                    return
                path[-1] = event.value
                yield tuple(path), event.start_mark.line + 1
                continue
            if kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                if len(path) >= DEEPEST:
                    return
                indexes.append(kind is yaml.SequenceStartEvent)
                path.append(-1 if kind is yaml.SequenceStartEvent else None)
                continue
        else:
            continue
        if path and not indexes[-1]:
            path[-1] = None
