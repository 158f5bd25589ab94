"""What an import would make, before anything is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from certd.migrate.found import Account, Installation, Note
from certd.model.records import AccountRecord
from certd.model.specs import Config
from certd.pki import CertificateSet


@dataclass(frozen=True)
class PlannedAccount:
    """An account for the state directory, or one that is there already."""

    ca: str
    account: Account
    record: AccountRecord
    there: bool


@dataclass(frozen=True)
class PlannedSet:
    """A first version; `there` where the live version is this certificate already."""

    name: str
    certificates: CertificateSet
    source: Path
    there: bool


@dataclass
class Proposal:
    """`text`: the new file, or, where there is one (`existing`), the lines to be added to it by hand."""

    installation: Installation
    config_path: Path
    state_dir: Path
    existing: Config | None
    text: str = ""
    accounts: list[PlannedAccount] = field(default_factory=list)
    sets: list[PlannedSet] = field(default_factory=list)
    carried: int = 0
    """Certificates that certd renews from now on."""
    notes: list[Note] = field(default_factory=list)

    def note(self, about: str, text: str) -> None:
        self.notes.append(Note(about, text))
