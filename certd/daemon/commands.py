"""`certd run`, `once` and `prepare`: from the configuration's path to an exit code."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from certd import logs
from certd.challenges import OPTIONS
from certd.config import load
from certd.daemon.process import DONE, FAILED, Process
from certd.errors import CertdError, ConfigError
from certd.logs import log_event

_log = logging.getLogger(__name__)

USAGE = 2


def run(config_path: Path) -> int:
    """`certd run`: the daemon, until SIGTERM or SIGINT. Returns the exit code."""
    with _explained() as outcome:
        config = load(config_path, solvers=OPTIONS)
        logs.set_up(config.log_level)
        with Process(config, purpose="certd run") as process:
            outcome.code = process.serve()
    return outcome.code


def once(config_path: Path, *, wait: bool) -> int:
    """`certd once`: everything that is due, to its end; without `wait` to the first gate. Returns the exit code."""
    with _explained() as outcome:
        config = load(config_path, solvers=OPTIONS)
        logs.set_up(config.log_level)
        with Process(config, purpose="certd once") as process:
            outcome.code = process.drive(wait=wait)
    return outcome.code


def prepare(config_path: Path) -> int:
    """`certd prepare`: placeholders where no usable version exists; no network. Returns the exit code."""
    with _explained() as outcome:
        config = load(config_path, solvers=OPTIONS)
        logs.set_up(config.log_level)
        with Process(config, purpose="certd prepare") as process:
            outcome.code = FAILED if process.engine.prepare() else DONE
    return outcome.code


class _Outcome:
    """The exit code of a command."""

    def __init__(self) -> None:
        self.code = DONE


@contextmanager
def _explained() -> Iterator[_Outcome]:
    """Errors of ours become one sentence on stderr and an exit code; never a traceback."""
    outcome = _Outcome()
    try:
        yield outcome
    except ConfigError as error:
        _say(error.problems)
        outcome.code = USAGE
    except CertdError as error:
        _say([f"certd: {error}"])
        outcome.code = FAILED


def _say(lines: Iterable[str]) -> None:
    """Why it ends: for a person as it is, for the journal as the errors that they are (`journalctl -p err`)."""
    for line in lines:
        if logs.under_systemd():
            log_event(_log, logging.ERROR, line)
        else:
            sys.stderr.write(f"{line}\n")
