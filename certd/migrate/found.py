"""What an installation of another client holds, in certd's words. Pure data; secrets do not show in any repr."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from certd.model.specs import KeyType


@dataclass(frozen=True)
class Note:
    """Something that a person should know: what it is about, and one sentence."""

    about: str
    text: str


@dataclass(frozen=True)
class Account:
    """An account: `id` tells it from others of the same client; `key` is PKCS #8 PEM."""

    id: str
    directory: str
    url: str | None
    key: bytes = field(repr=False)
    contact: tuple[str, ...] = ()
    """E-mail addresses that the CA was told; empty where the client does not keep them."""
    trust: Path | None = None
    source: Path = Path("/")


@dataclass(frozen=True)
class Reload:
    """How the old client had the new files loaded: a service of systemd, or an argv."""

    service: str | None = None
    command: tuple[str, ...] = ()


@dataclass(frozen=True)
class Certificate:
    """A certificate as the old client renews it.

    `webroots`: for each domain, in the order of `domains`, the web root, or None where the old client validated in a
    way that certd does not have. `key`, `parts`: the files of the set; empty where there is none.
    """

    name: str
    domains: tuple[str, ...]
    account: str | None
    """The `id` of its account."""
    webroots: tuple[str | None, ...]
    key_type: KeyType | None
    reload: Reload | None = None
    obscure_reload: str = ""
    """The setting with a reload that was not understood."""
    renew_before: str | None = None
    source: Path = Path("/")
    key: bytes = field(default=b"", repr=False)
    parts: tuple[bytes, ...] = field(default=(), repr=False)


@dataclass
class Installation:
    """All of it."""

    client: str
    directory: Path
    accounts: list[Account] = field(default_factory=list)
    certificates: list[Certificate] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    """What could not be carried over, and what is to be done about it."""

    def note(self, about: str, text: str) -> None:
        self.notes.append(Note(about, text))
