"""Records as JSON files: ``"schema": 1`` first, then ``"phase"``, indented for a person to read.

Fields that this release does not know are ignored, and gone with the next write: within one schema, only fields that
may be lost are added. Anything else is a new schema, and a release that does not know it touches nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from certd import atomicfile
from certd.errors import BrokenRecord, UnknownSchema
from certd.model.records import SCHEMA
from certd.store.trouble import explained
from certd.text import printable

if TYPE_CHECKING:
    from pathlib import Path

Record = TypeVar("Record")
LARGEST = 64 * 1024 * 1024
"""Bytes; a server's record with everything that can be said of 10,000 certificates has a quarter of it."""


class _Envelope(msgspec.Struct):
    schema: int


_envelope = msgspec.json.Decoder(_Envelope)


def encode(record: object) -> bytes:
    """The file's content."""
    fields = msgspec.to_builtins(record)
    fields.pop("schema", None)
    return msgspec.json.format(msgspec.json.encode({"schema": SCHEMA, **fields}), indent=1) + b"\n"


def decode(data: bytes, decoder: msgspec.json.Decoder[Record], path: Path) -> Record:
    """The record in `data`. Raises UnknownSchema or BrokenRecord, which name `path`."""
    try:
        schema = _envelope.decode(data).schema
        if schema == SCHEMA:
            return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BrokenRecord(_broken(path, "it is empty" if not data else _place(error))) from error
    raise UnknownSchema(
        f"{path} has schema {schema}, this certd knows {SCHEMA} only: it was written by another release; nothing was "
        "changed, install that release again"
    )


def read(path: Path, decoder: msgspec.json.Decoder[Record]) -> Record | None:
    """The record in a file, None where there is no file.

    Raises UnknownSchema, BrokenRecord, and StateError where it cannot be read. The file is not touched.
    """
    with explained("read", path):
        try:
            data = atomicfile.read_file(path, limit=LARGEST)
        except FileNotFoundError:
            return None
        except atomicfile.UnfitFile as error:
            raise BrokenRecord(_broken(path, str(error))) from error
    return decode(data, decoder, path)


def write(path: Path, record: object, decoder: msgspec.json.Decoder[Any]) -> None:
    """Replace the record in a file, in one step and durably.

    What would not be read again is not written: a naive time or a wrong type is a bug of ours, and raises BrokenRecord
    while the file is still as it was. Raises StateError where it cannot be written.
    """
    data = encode(record)
    if len(data) > LARGEST or decode(data, decoder, path) != record:
        raise BrokenRecord(_broken(path, "the new record would not be read as the same one"))
    with explained("write", path):
        atomicfile.write_atomic(path, data, mode=0o600)


def _place(error: Exception) -> str:
    """What is wrong and where, without the value that is wrong: whatever got into the file may be secret."""
    what, _, where = str(error).rpartition(" - at ")
    for beginning in ("Invalid value", "Invalid enum value"):
        if what.startswith(beginning):
            what = beginning
    return f"{what} at {where}" if what else where


def _broken(path: Path, why: str) -> str:
    return f"{path} is not a record ({printable(why)}); it was left as it is: see 'A broken record' in docs/STATE.md"
