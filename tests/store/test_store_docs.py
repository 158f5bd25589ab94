"""docs/STATE.md and the records say the same."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from certd.model import alarms, records

TEXT = (Path(__file__).parents[2] / "docs" / "STATE.md").read_text()


def structs(kind: object, seen: set[type[msgspec.Struct]]) -> Iterator[type[msgspec.Struct]]:
    """All structs that a record type holds, itself included."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        if kind not in seen:
            seen.add(kind)
            yield kind
            for hint in typing.get_type_hints(kind).values():
                yield from structs(hint, seen)
        return
    for part in typing.get_args(kind):
        yield from structs(part, seen)


ALL: list[type[msgspec.Struct]] = [
    struct
    for record in (
        records.CertificateRecord,
        records.ServerRecord,
        records.AccountRecord,
        records.DaemonRecord,
        alarms.AlarmRecord,
    )
    for struct in structs(record, set())
]


@pytest.mark.parametrize("struct", sorted(set(ALL), key=str))
def test_every_field_is_specified(struct: type[msgspec.Struct]) -> None:
    """A field that is stored without a word in the specification is a mistake, in one of the two."""
    missing = [name for name in struct.__struct_fields__ if name != "schema" and f"`{name}`" not in TEXT]
    assert missing == []


def test_every_phase_is_specified() -> None:
    """The word that stands in the file is the word in the specification."""
    phases = {struct.__struct_config__.tag for struct in ALL if struct.__struct_config__.tag_field == "phase"}
    assert len(phases) == 11
    assert [phase for phase in sorted(map(str, phases)) if f"`{phase}`" not in TEXT] == []


@pytest.mark.parametrize("heading", ["A broken record", "A broken version"])
def test_messages_point_to_headings_that_exist(heading: str) -> None:
    """Errors send the operator to these."""
    assert f"### {heading}\n" in TEXT
