"""`certd status` and `certd health`: the daemon's answers in words."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TypeVar

import msgspec

from certd.cli.socket_client import Reply, get
from certd.cli.words import about, said
from certd.config.runtime import runtime_dir
from certd.errors import CertdError, ConnectFailed, DeadlineExceeded, ProtocolError
from certd.sockets.names import STATUS_NAME
from certd.status.prose import Lang
from certd.status.shape import CertificateReport, Health, Snapshot, Standing

T = TypeVar("T")

UNKNOWN = 3
EXIT = {Standing.OK: 0, Standing.WARNING: 1, Standing.CRITICAL: 2}
SUMMED_UP = 3
"""So many problems are named in the one line of `certd health`."""


def status(config: Path, name: str | None, *, as_json: bool, everything: bool, lang: Lang) -> int:
    """The whole daemon, or one certificate in full."""
    reply = get(runtime_dir(config) / STATUS_NAME, "status", *([name] if name is not None else []))
    if reply.status != 200:
        sys.stderr.write(f"certd: {reply.error_text()}\n")
        return 1
    if as_json:
        sys.stdout.write(reply.body.decode())
        return 0
    # Imported here: it brings a library for tables, which the other commands need not wait for.
    from certd.cli import table

    if name is not None:
        table.show_certificate(_decoded(reply, CertificateReport), lang)
    else:
        table.show_snapshot(_decoded(reply, Snapshot), lang, everything=everything)
    return 0


def health(config: Path, lang: Lang) -> int:
    """One line, by the habit of monitoring plug-ins."""
    path = runtime_dir(config) / STATUS_NAME
    try:
        judged = _decoded(get(path, "healthz"), Health)
    except (ConnectFailed, DeadlineExceeded) as problem:
        sys.stdout.write(f"CERTD CRITICAL: {problem}\n")
        return EXIT[Standing.CRITICAL]
    except CertdError as problem:  # we may not ask, or do not understand: that says nothing about its health
        sys.stdout.write(f"CERTD UNKNOWN: {problem}\n")
        return UNKNOWN
    sys.stdout.write(f"CERTD {judged.status.value.upper()}: {_summary(judged, lang)}\n")
    return EXIT[judged.status]


def _summary(judged: Health, lang: Lang) -> str:
    if not judged.problems:
        return "no problems"
    named = [f"{about(p)}: {said(p, lang)[0]}" for p in judged.problems[:SUMMED_UP]]
    more = len(judged.problems) - len(named)
    return " | ".join(named) + (f" | and {more} more" if more > 0 else "")


def _decoded(reply: Reply, wanted: type[T]) -> T:
    """Raises ProtocolError for anything but the answer that was asked for."""
    try:
        return msgspec.json.decode(reply.body, type=wanted)
    except msgspec.MsgspecError:
        raise ProtocolError(f"the daemon's answer is not understood: {reply.error_text()}") from None
