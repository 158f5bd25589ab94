"""The configuration: YAML files to specifications, or every mistake in them at once.

`load` is the way in. The format is described by config.example.yaml and by docs/certd.schema.json, which `json_schema`
makes. Inside, in order: `loading` reads files by `reading`, `shape` checks types against `schema`, `resolve` makes the
specifications; `problems` collects what is wrong on the way.
"""

from __future__ import annotations

from certd.config.authorities import is_jprs
from certd.config.challenge import solver_for
from certd.config.eab import read_eab_key
from certd.config.jsonschema import json_schema
from certd.config.loading import load
from certd.config.schema import AbsolutePath
from certd.config.surroundings import DaemonUser, Surroundings

__all__ = [
    "AbsolutePath",
    "DaemonUser",
    "Surroundings",
    "is_jprs",
    "json_schema",
    "load",
    "read_eab_key",
    "solver_for",
]
