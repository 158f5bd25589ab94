"""Carrying an installation over: what the proposal says, written by the store's own functions."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from certd import atomicfile
from certd.errors import StateError
from certd.migrate.owner import acting_as_owner
from certd.migrate.plans import PlannedAccount, PlannedSet, Proposal
from certd.store import Store

CONFIG_MODE = 0o640
"""No secret is in it, but it says much; the group is that of its directory."""


def carry(proposal: Proposal, store: Store, *, now: datetime) -> None:
    """Accounts first, then the sets, then the configuration that names them; repeated after a crash it goes on.

    `store` was opened for writing. Raises StateError; what was written until then stays, and is complete.
    """
    with acting_as_owner(proposal.state_dir):
        for account in proposal.accounts:
            _carry_account(account, store)
        for planned in proposal.sets:
            _carry_set(planned, proposal, store, now)


def write_config(path: Path, text: str) -> None:
    """The new file; one that is there is never overwritten. Raises StateError."""
    try:
        if not path.parent.exists():
            atomicfile.make_directory(path.parent, mode=0o755)
        atomicfile.write_once(path, text.encode(), mode=CONFIG_MODE, group=path.parent.stat().st_gid)
    except FileExistsError:
        raise StateError(f"{path} exists by now; nothing in it was changed, run this again") from None
    except OSError as error:
        raise StateError(f"cannot write {path}: {error.strerror}; run this as root") from None


def open_store(state_dir: Path, *, purpose: str, now: datetime) -> Store:
    """The state directory, locked; made if it is missing. Raises LockHeld, StateError."""
    with acting_as_owner(state_dir):
        return Store.open(state_dir, purpose=purpose, now=now)


def _carry_account(planned: PlannedAccount, store: Store) -> None:
    if not planned.there:
        store.write_account_key(planned.ca, planned.account.key)
    if store.load_account(planned.ca) is None:
        store.save_account(planned.ca, planned.record)


def _carry_set(planned: PlannedSet, proposal: Proposal, store: Store, now: datetime) -> None:
    if planned.there:
        return
    spec = proposal.existing.certificates.get(planned.name) if proposal.existing is not None else None
    group = spec.files.group if spec is not None else None
    combined = spec.files.combined if spec is not None else True
    version = store.add_version(planned.name, planned.certificates, group=group, combined=combined)
    store.switch_live(planned.name, version, now=now)
