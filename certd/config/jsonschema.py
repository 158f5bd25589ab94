"""The JSON Schema of the configuration file, for editors: made of the types that read it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from certd.config import schema
from certd.config.challenge import SolverTypes
from certd.config.schema import File


def json_schema(solvers: SolverTypes) -> dict[str, Any]:
    """The schema (draft 2020-12) of the main file, with the options of the `solvers`."""
    named = dict(solvers)
    _, definitions = msgspec.json.schema_components([File, *named.values()], ref_template="#/$defs/{name}")
    for struct in _structs():
        definition = definitions[struct.__name__]
        required = list(getattr(struct, "REQUIRED", ()))
        if required:
            definition["required"] = required
    challenge = {"$ref": "#/$defs/Challenge"}
    for name in ("Settings", "Certificate"):
        definitions[name]["properties"]["challenge"] = challenge
    for solver, struct in named.items():
        options = definitions.pop(struct.__name__)
        definitions[f"Solver-{solver}"] = {
            "title": solver,
            "type": "object",
            "properties": {"type": {"const": solver}, **options.get("properties", {})},
            "additionalProperties": False,
        }
    solver_refs = [{"$ref": f"#/$defs/Solver-{solver}"} for solver in named]
    definitions["Challenge"] = {
        "title": "Challenge",
        "description": "one solver for all domains, or domain patterns (exact, *.example.jp, *) with a solver each",
        "anyOf": [*solver_refs, {"type": "object", "additionalProperties": {"anyOf": solver_refs}}],
    }
    root = definitions.pop("File")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **root,
        "title": "certd",
        "$defs": dict(sorted(definitions.items())),
    }


def _structs() -> Iterator[type[msgspec.Struct]]:
    for value in vars(schema).values():
        ours = isinstance(value, type) and issubclass(value, msgspec.Struct) and value.__module__ == schema.__name__
        if ours and value is not schema.Included:
            yield value
