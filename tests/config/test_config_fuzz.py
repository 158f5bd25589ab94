"""No configuration, however wrong, gives anything but a Config or a ConfigError with lines."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from configuring import KEY, Folder
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from certd.errors import ConfigError

_EXAMPLE = Path(__file__).parents[2] / "config.example.yaml"
_LINE = re.compile(r"[^:]+/config\.yaml:[1-9][0-9]*: [^:]+.*: .+")

_WORDS = [
    "type",
    "reload",
    "server",
    "service",
    "command",
    "web",
    "files",
    "jprs",
    "http-01",
    "*",
    "*.a.jp",
    "/x",
    "1/3",
    "5m",
]
_SCALAR = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.dates() | st.text(max_size=5) | st.sampled_from(_WORDS)
)
_ANYTHING = st.recursive(
    _SCALAR,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_WORDS) | st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [path, *(found for key in keys for found in _paths(value[key], (*path, key)))]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_file_with_anything_anywhere(folder: Folder, data: st.DataObject) -> None:
    """Parts of the example are replaced by whatever comes; every problem is one printable line with its place."""
    content = yaml.safe_load(_EXAMPLE.read_text("utf-8"))
    content["cas"]["jprs"]["eab"]["hmac_key_file"] = str(folder.write("eab.key", KEY, 0o600))
    for _ in range(data.draw(st.integers(1, 4))):
        path = data.draw(st.sampled_from(_paths(content)[1:]))
        parent = content
        for key in path[:-1]:
            parent = parent[key]
        parent[path[-1]] = data.draw(_ANYTHING)
    try:
        folder.load(yaml.safe_dump(content, allow_unicode=True))
    except ConfigError as error:
        assert error.problems
        assert all(_LINE.fullmatch(line) and line.isprintable() for line in error.problems)
