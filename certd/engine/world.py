"""What the engine needs of the world. The real one is `certd.effects`; tests bring worlds that crash on purpose."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from certd.effects.orders import OrderRead
from certd.effects.served import Target
from certd.model import actions as do
from certd.model import events as ev
from certd.model.records import Activity, CertificateRecord, Seen
from certd.model.specs import AfterCommand, CaSpec, CertificateSpec, Config, ServerSpec


class World(Protocol):
    """One method per kind of effect, and two for what the world must know before."""

    def replace_config(self, config: Config) -> None:
        """From now on the CAs are those of this configuration."""

    def order(
        self, spec: CertificateSpec, record: CertificateRecord, action: do.CertificateAction
    ) -> ev.CertificateEvent | OrderRead:
        """Carry out an action that has to do with the CA. What went wrong there is an event, never an exception."""

    def ask_status(
        self, spec: CertificateSpec, record: CertificateRecord, action: do.ConfirmStatus, now: datetime
    ) -> ev.StatusChecked:
        """Ask the responder about the staged set."""

    def check_revocation(
        self, spec: CertificateSpec, action: do.CheckRevocation, now: datetime
    ) -> ev.RevocationChecked:
        """Ask the responder about the live set."""

    def probe(self, spec: CertificateSpec, now: datetime) -> ev.Probed:
        """See what is served."""

    def activity(self, server: ServerSpec) -> Activity:
        """Ask the service manager."""

    def look(self, targets: Sequence[Target]) -> tuple[Seen, ...]:
        """See what is served for these sets."""

    def reload(self, server: ServerSpec) -> None:
        """Raises CommandFailed."""

    def start(self, server: ServerSpec) -> None:
        """Raises CommandFailed."""

    def switch(self, name: str, version: int, now: datetime) -> None:
        """Move the live link (I1). Raises PkiError, BrokenRecord for a set that is not fit, StateError else."""

    def after(self, spec: CertificateSpec, commands: Sequence[AfterCommand], version: int) -> None:
        """Run the commands of a confirmed deployment. Raises CommandFailed."""

    def account(self, spec: CaSpec, action: do.AccountAction) -> ev.AccountEvent:
        """Carry out an action for an account."""

    def use_account(self, ca: str, url: str) -> None:
        """From now on requests name this account."""
