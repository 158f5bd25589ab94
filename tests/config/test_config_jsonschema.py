"""certd.config.jsonschema"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from configuring import SOLVERS

from certd.challenges.http01 import WebrootOptions
from certd.config import json_schema, schema

_FILE = Path(__file__).parents[2] / "docs" / "certd.schema.json"


def test_the_published_schema_is_that_of_the_types() -> None:
    """docs/certd.schema.json is ``json.dumps(json_schema(...), indent=2, ensure_ascii=False)`` and a line break."""
    wanted = json.dumps(json_schema({"http-01": WebrootOptions}), indent=2, ensure_ascii=False) + "\n"
    assert _FILE.read_text("utf-8") == wanted


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _nodes(item)


def test_every_reference_has_its_definition() -> None:
    """The solvers' and the changed ones too; and no definition is without a reference."""
    made = json_schema(SOLVERS)
    used = {node["$ref"].removeprefix("#/$defs/") for node in _nodes(made) if "$ref" in node}
    assert used == set(made["$defs"])


def test_required_keys_and_unknown_keys() -> None:
    """As the types have them: the same keys are demanded, and no others are allowed."""
    made = json_schema(SOLVERS)
    assert made["required"] == ["cas"]
    assert list(made["properties"]) == list(schema.File.__struct_encode_fields__)
    assert made["$defs"]["Certificate"]["required"] == ["domains"]
    assert made["$defs"]["Ca"]["required"] == ["directory"]
    for node in [made, *made["$defs"].values()]:
        if node.get("type") == "object":
            assert node["additionalProperties"] is False


def test_solvers_bring_their_options() -> None:
    """None of them required: a certificate may say only what differs from the defaults."""
    made = json_schema(SOLVERS)["$defs"]["Solver-dns-01"]
    assert made["properties"]["type"] == {"const": "dns-01"}
    assert set(made["properties"]) == {"type", "provider", "ttl"}
    assert "required" not in made
