"""`certd import` and `certd adopt`: coming from another client, and taking over a running site."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from certd.challenges import OPTIONS
from certd.clock import utc_now
from certd.config import load
from certd.errors import ConfigError, Refused
from certd.migrate import acmesh, carry, certbot, dehydrated, report, schedule
from certd.migrate.configuration import DEFAULT_STATE_DIR
from certd.migrate.found import Installation
from certd.migrate.proposal import propose
from certd.model.specs import Config
from certd.store import Store
from certd.text import printable

_READERS: dict[str, tuple[Callable[[Path], Installation], str]] = {
    reader.CLIENT: (reader.read, reader.DEFAULT_DIRECTORY) for reader in (acmesh, certbot, dehydrated)
}


def import_from(client: str, directory: Path | None, config: Path, state_dir: Path | None, *, dry_run: bool) -> int:
    """Carry an installation over, or show what that would be; the report goes to stdout."""
    read, usual = _READERS[client]
    place = (directory if directory is not None else Path(usual).expanduser()).absolute()
    with readable():
        existing = _existing(config)
        state_dir = _state_dir(state_dir, existing, config)
        found = read(place)
    now = utc_now()
    with _store(state_dir, dry_run=dry_run) as store:
        proposal = propose(
            found, config_path=config.absolute(), state_dir=state_dir, existing=existing, store=store, now=now
        )
        if store is not None and not dry_run:
            carry.carry(proposal, store, now=now)
    if proposal.text and existing is None and not dry_run:
        carry.write_config(config.absolute(), proposal.text)
    _say(report.lines(proposal, schedule.starters(client), dry=dry_run))
    return 0


@contextmanager
def readable() -> Iterator[None]:
    """What this user may not read, below whatever directory, is one sentence. Raises Refused."""
    try:
        yield
    except OSError as error:
        where = printable(str(error.filename or "a file"), 400)
        raise Refused(f"cannot read {where}: {error.strerror}; run this as root") from None


def _existing(path: Path) -> Config | None:
    if not path.exists():
        return None
    try:
        return load(path, solvers=OPTIONS)
    except ConfigError as error:
        hint = (
            f"{path}: nothing was imported; correct this, or let import write a new file, do: mv {path} {path}.sample"
        )
        raise ConfigError([*error.problems, hint], error.warnings) from None


def _state_dir(wanted: Path | None, existing: Config | None, config: Path) -> Path:
    if existing is None:
        return (wanted or DEFAULT_STATE_DIR).absolute()
    if wanted is not None and wanted.absolute() != existing.state_dir:
        raise ConfigError(
            [f"--state-dir {wanted}: {config} says state_dir: {existing.state_dir}; leave the option out"]
        )
    return existing.state_dir


def _store(state_dir: Path, *, dry_run: bool) -> Store | nullcontext[None]:
    if not dry_run:
        return carry.open_store(state_dir, purpose="certd import", now=utc_now())
    with readable():
        return Store.open_read_only(state_dir) if state_dir.is_dir() else nullcontext(None)


def _say(lines: Sequence[str]) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
