"""What happens around a reload: where the new certificate must be seen, and the commands that follow."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from msgspec import UnsetType

from certd.config import schema
from certd.config.layers import Layers
from certd.config.names import normal_domain
from certd.config.problems import Place, Report, shown
from certd.config.shape import require
from certd.config.surroundings import Surroundings
from certd.config.values import duration_within, parse_address
from certd.model.specs import AfterCommand, VerifySpec

_SECOND = timedelta(seconds=1)
_LONGEST_LOADING = timedelta(minutes=10)
_LONGEST_COMMAND = timedelta(hours=1)


def resolve_verify(layers: Layers | None, report: Report) -> VerifySpec | None:
    """Where to look; None: nowhere (``verify: false``). Without layers or with ``true``: the defaults."""
    data = layers.merged() if layers is not None else True
    if data is False:
        return None
    if layers is None or data is True:
        return VerifySpec()
    raw = msgspec.convert(data, schema.Verify)
    connect = tuple(
        report.value(layers.place("connect", index), parse_address, text) for index, text in enumerate(raw.connect)
    )
    names = tuple(
        report.value(layers.place("names", index), normal_domain, text) for index, text in enumerate(raw.names)
    )
    timeout = report.value(layers.place("timeout"), duration_within, raw.timeout, _SECOND, _LONGEST_LOADING)
    return VerifySpec(
        connect=tuple(address for address in connect if address is not None),
        names=tuple(name for name in names if name is not None),
        timeout=timeout or _SECOND,
        proxy_protocol=raw.proxy_protocol.value if raw.proxy_protocol is not None else None,
    )


def resolve_after(layers: Layers | None, report: Report, around: Surroundings) -> tuple[AfterCommand, ...]:
    """The commands to run once the new certificate is confirmed."""
    if layers is None:
        return ()
    commands = []
    for index, data in enumerate(layers.merged()):
        place = layers.place(index)
        require(data, schema.After, place, report)
        raw = msgspec.convert(data, schema.After)
        timeout = report.value(place.at("timeout"), duration_within, raw.timeout, _SECOND, _LONGEST_COMMAND)
        if isinstance(raw.command, UnsetType):
            continue
        check_program(raw.command[0], place.at("command", 0), report, around)
        commands.append(AfterCommand(tuple(raw.command), timeout or _SECOND))
    return tuple(commands)


def check_program(program: str, place: Place, report: Report, around: Surroundings) -> bool:
    """Whether the program of an argv is an absolute path; warns where the daemon could not run it."""
    if not program.startswith("/"):
        report.error(place, f"{shown(program)} is not an absolute path; the PATH is not searched")
        return False
    warning = around.command_warning(program)
    if warning is not None:
        report.warning(place, warning)
    return True
