"""Every wrong type, pattern and key in one pass: data in, the data that is right out.

msgspec stops at the first mistake. So a value is offered to msgspec whole; only when it is refused are its parts looked
at one by one, and what is wrong is reported and left out. A sound file costs one call.
"""

from __future__ import annotations

import datetime
import difflib
import functools
import types
import typing
from enum import Enum
from typing import Any

import msgspec

from certd.config.problems import Place, Report, escaped, shown

DROPPED: Any = msgspec.UNSET
"""Answered for a value of which nothing can be kept."""

_QUOTING = {
    bool: " (yes, no, on and off mean true and false; put text in quotes)",
    int: " (put text in quotes; 10:30 is a number in YAML)",
    float: " (put text in quotes)",
    datetime.date: " (put text in quotes)",
}
"""What to add where YAML made something else of what was probably meant as text."""


def prune(value: Any, wanted: Any, place: Place, report: Report) -> Any:
    """`value` without what does not fit the type `wanted`, which is reported; DROPPED if nothing fits.

    Positions in lists of mappings are kept: an item that is no mapping becomes an empty one. A list of anything else
    with a wrong item is left out whole. Raises nothing.
    """
    if _refusal(value, wanted) is None:
        return value
    return _parts(value, wanted, place, report)


def require(value: dict[str, Any], wanted: Any, place: Place, report: Report) -> None:
    """Reports the keys of REQUIRED that are not in `value`, except those whose wrong value was reported."""
    if report.has(place):
        return  # it is no mapping, or is given twice: what it lacks is not the point
    for key in getattr(wanted, "REQUIRED", ()):
        if key not in value:
            report.missing(place.at(key), expected(_hints(wanted)[key]))


def expected(wanted: Any) -> str:
    """What is allowed, in words that complete "must be"."""
    for described in (wanted, *typing.get_args(wanted), *_members(wanted)):
        description = _meta(described, "description")
        if description:
            return str(description)
    words = [_word(_core(member)) for member in _members(wanted) if member is not msgspec.UnsetType]
    return " or ".join(dict.fromkeys(words))


def _word(core: Any) -> str:
    if core is type(None):
        return "null"
    if core is bool:
        return "true or false"
    if core is int:
        return "a whole number"
    if _is_struct(core):
        return "a mapping with the keys " + ", ".join(_keys(core))
    if isinstance(core, type) and issubclass(core, Enum):
        return "one of " + ", ".join(str(member.value) for member in core)
    return {list: "a list", dict: "a mapping"}.get(typing.get_origin(core) or core, "text")


@functools.lru_cache(maxsize=1024)
def unknown_key(key: str, allowed: tuple[str, ...]) -> str:
    """The sentence for a key that does not exist."""
    close = difflib.get_close_matches(key.lower().replace("-", "_"), allowed, n=1)
    guess = f"did you mean {close[0]}? " if close else ""
    return f"unknown key; {guess}allowed: {', '.join(allowed)}"


def _refusal(value: Any, wanted: Any) -> str | None:
    try:
        msgspec.convert(value, wanted)
    except msgspec.ValidationError as error:
        return str(error)
    return None


def _parts(value: Any, wanted: Any, place: Place, report: Report) -> Any:
    before = report.errors
    refused = _refusal(value, wanted)
    for member in _members(wanted):
        core = _core(member)
        result = DROPPED
        if isinstance(value, dict) and _is_struct(core):
            result = _struct(value, core, place, report)
        elif isinstance(value, dict) and typing.get_origin(core) is dict:
            result = _mapping(value, core, place, report)
        elif isinstance(value, list) and typing.get_origin(core) is list:
            result = _items(value, core, place, report)
        if report.errors > before:
            # What is left may be too little: an empty list where one item is needed, options that lack one.
            return result if _refusal(result, wanted) is None else DROPPED
    # No part is to blame, so it is the whole: its kind, its length, or what a solver's own check says of its options.
    if (
        refused is not None
        and isinstance(value, dict)
        and any(_is_struct(_core(member)) for member in _members(wanted))
    ):
        report.error(place, escaped(refused))
    else:
        report.error(place, _wrong(value, wanted))
    return DROPPED


def _struct(value: dict[str, Any], struct: Any, place: Place, report: Report) -> Any:
    hints = _hints(struct)
    allowed = _keys(struct)
    kept = {}
    for key, item in value.items():
        if key not in allowed:
            report.error(place.at(key), unknown_key(key, allowed))
            continue
        result = prune(item, hints[key], place.at(key), report)
        if result is not DROPPED:
            kept[key] = result
    for key in _demanded(struct):
        if key not in value:
            report.missing(place.at(key), expected(hints[key]))
    return kept


def _mapping(value: dict[str, Any], wanted: Any, place: Place, report: Report) -> Any:
    key_type, item_type = typing.get_args(wanted)
    kept = {}
    for key, item in value.items():
        if _refusal(key, key_type) is not None:
            report.error(place.at(key), f"the key must be {expected(key_type)}")
            continue
        result = prune(item, item_type, place.at(key), report)
        if result is not DROPPED:
            kept[key] = result
    return kept


def _items(value: list[Any], wanted: Any, place: Place, report: Report) -> Any:
    (item_type,) = typing.get_args(wanted)
    results = [prune(item, item_type, place.at(index), report) for index, item in enumerate(value)]
    if _is_struct(_core(item_type)):
        return [{} if result is DROPPED else result for result in results]
    return DROPPED if any(result is DROPPED for result in results) else results


def _wrong(value: Any, wanted: Any) -> str:
    if any((_meta(member, "extra") or {}).get("secret") for member in _members(wanted)):
        return f"must be {expected(wanted)}; what is there is not shown"
    hint = ""
    if any(_core(member) is str for member in _members(wanted)):
        hint = _QUOTING.get(type(value), "")
    return f"must be {expected(wanted)}, not {_shown(value)}{hint}"


def _shown(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return f"the number {escaped(repr(value))}"
        case str():
            return shown(value)
        case None:
            return "empty"
        case dict():
            return "a mapping" if value else "an empty mapping"
        case list():
            return "a list" if value else "an empty list"
        case datetime.datetime() | datetime.date():
            return f"the time {value.isoformat()}"
        case _:
            return "this"


def _keys(struct: Any) -> tuple[str, ...]:
    return tuple(struct.__struct_encode_fields__)


@functools.cache
def _hints(struct: Any) -> dict[str, Any]:
    return typing.get_type_hints(struct, include_extras=True)


@functools.cache
def _demanded(struct: Any) -> tuple[str, ...]:
    """The fields without a default: solvers' options have such; the types of the file list theirs in REQUIRED."""
    return tuple(info.encode_name for info in msgspec.structs.fields(struct) if info.required)


def _is_struct(core: Any) -> bool:
    return isinstance(core, type) and issubclass(core, msgspec.Struct)


def _members(wanted: Any) -> list[Any]:
    """The alternatives of a union, through annotations and unions within; a single type is its only member."""
    core = _core(wanted)
    if isinstance(core, types.UnionType) or typing.get_origin(core) is typing.Union:
        return [member for part in typing.get_args(core) for member in _members(part)]
    return [wanted]


def _core(wanted: Any) -> Any:
    return typing.get_args(wanted)[0] if typing.get_origin(wanted) is typing.Annotated else wanted


def _meta(wanted: Any, name: str) -> Any:
    if typing.get_origin(wanted) is typing.Annotated:
        for meta in typing.get_args(wanted)[1:]:
            if isinstance(meta, msgspec.Meta) and getattr(meta, name) is not None:
                return getattr(meta, name)
    return None
