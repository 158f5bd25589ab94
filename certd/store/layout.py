"""Where everything lies below the state directory. Names become paths here and nowhere else.

A name is checked again whenever it becomes a path, whoever checked it before: a name that came from a record, a
socket or a CA must not reach outside its directory (as in CVE-2022-30636).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from certd.errors import StateError
from certd.text import fits_apache

if TYPE_CHECKING:
    from pathlib import Path

_NAME = re.compile(r"[a-z0-9_][a-z0-9._-]{0,99}")
_VERSION = re.compile(r"[0-9]{4}|[1-9][0-9]{4,8}")


def is_name(text: str) -> bool:
    """Whether a certificate, CA, server or key may be called so: `[a-z0-9._-]`, at most 100, no dot or dash first."""
    return _NAME.fullmatch(text) is not None


def version_name(version: int) -> str:
    """The directory of a version: four digits, more when needed."""
    return f"{version:04d}"


def version_number(text: str) -> int | None:
    """The inverse of `version_name`; None for anything that it does not make."""
    if _VERSION.fullmatch(text) is None or text == "0000":
        return None
    return int(text)


class Layout:
    """The paths below one state directory. Every method raises StateError for a name that may not become a path."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        if not fits_apache(str(self.root)):
            raise StateError(
                f"state_dir {str(self.root)!r}: Apache cannot be given this path (quotes, backslashes, $, % or control "
                "characters); choose another one"
            )
        self.lock = self.root / "lock"
        self.daemon = self.root / "daemon.json"
        self.alarms = self.root / "alarms.json"
        self.accounts = self.root / "accounts"
        self.servers = self.root / "servers"
        self.certificates = self.root / "certs"
        self.live_links = self.root / "live"

    def account(self, ca: str) -> Path:
        return self.accounts / _checked(ca)

    def account_record(self, ca: str) -> Path:
        return self.account(ca) / "account.json"

    def account_key(self, ca: str) -> Path:
        return self.account(ca) / "account.key"

    def server(self, server: str) -> Path:
        return self.servers / _checked(server)

    def server_record(self, server: str) -> Path:
        return self.server(server) / "state.json"

    def certificate(self, name: str) -> Path:
        return self.certificates / _checked(name)

    def certificate_record(self, name: str) -> Path:
        return self.certificate(name) / "state.json"

    def pending(self, name: str) -> Path:
        return self.certificate(name) / "pending"

    def pending_key(self, name: str, key_id: str) -> Path:
        return self.pending(name) / f"{_checked(key_id)}.pem"

    def parked(self, name: str) -> Path:
        return self.certificate(name) / "parked"

    def parked_key(self, name: str, key_id: str) -> Path:
        return self.parked(name) / f"{_checked(key_id)}.pem"

    def versions(self, name: str) -> Path:
        return self.certificate(name) / "versions"

    def version(self, name: str, version: int) -> Path:
        return self.versions(name) / version_name(version)

    def live(self, name: str) -> Path:
        return self.live_links / _checked(name)

    def live_target(self, name: str, version: int) -> str:
        """What the live link says; relative, so that the state directory can be moved or looked at elsewhere."""
        return f"../certs/{_checked(name)}/versions/{version_name(version)}"


def _checked(name: str) -> str:
    if not is_name(name):
        raise StateError(f"{name[:120]!r} cannot become the name of a file; allowed are a-z, 0-9, '.', '_' and '-'")
    return name
