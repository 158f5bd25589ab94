"""Whom to tell when health changes: raw to NotifySpecs, one for each command and each webhook."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from msgspec.structs import replace

from certd.config import schema
from certd.config.problems import Place, Report
from certd.config.surroundings import Surroundings
from certd.config.values import duration_within, webhook_url
from certd.config.verify import check_program
from certd.model.specs import NotifySpec

_TIMEOUT = (timedelta(seconds=1), timedelta(minutes=5))


def resolve_notify(
    raw: schema.Notify | list[schema.Notify] | None, place: Place, path: Path, report: Report, around: Surroundings
) -> tuple[NotifySpec, ...]:
    """The ways without mistakes; the mistakes go to `report`. `path`: the file that they are written in."""
    if raw is None:
        return ()
    entries = [(entry, place.at(index)) for index, entry in enumerate(raw)] if isinstance(raw, list) else [(raw, place)]
    found: dict[tuple[tuple[str, ...], str], Place] = {}
    specs = []
    for entry, at in entries:
        for spec, where in _ways(entry, at, report, around):
            same = found.setdefault((spec.command, spec.webhook), where)
            if same is not where:
                report.error(where, "the same as another one; each is told once", other=same)
            specs.append(spec)
            # No error, as a proxy's password is one: many webhooks hold no secret, and none can be told by its look.
            if _may_hold_a_secret(spec.webhook) and around.open_to_others(path):
                text = f"the URL may hold a secret, and others may read or change {path}; do: chmod o= {path}"
                report.warning(where, text)
    return tuple(specs)


def _ways(raw: schema.Notify, place: Place, report: Report, around: Surroundings) -> Iterator[tuple[NotifySpec, Place]]:
    """`command` and `webhook` of one entry are two ways that share its other keys."""
    if raw.command is None and raw.webhook is None:
        report.error_unless_known(place, "tells nobody; give command: [PROGRAM, ...] or webhook: https://...")
        return
    timeout = report.value(place.at("timeout"), duration_within, raw.timeout, *_TIMEOUT) or _TIMEOUT[0]
    shared = NotifySpec(timeout=timeout, minimum=raw.minimum.value, lang=raw.lang.value)
    if raw.command is not None and check_program(raw.command[0], place.at("command", 0), report, around):
        yield replace(shared, command=tuple(raw.command)), place.at("command")
    if raw.webhook is not None and report.value(place.at("webhook"), webhook_url, raw.webhook) is not None:
        yield replace(shared, webhook=raw.webhook), place.at("webhook")


def _may_hold_a_secret(webhook: str) -> bool:
    """Whether there is more in it than a host."""
    parts = urlsplit(webhook)
    return parts.path not in ("", "/") or bool(parts.query)
