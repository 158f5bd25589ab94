"""Writes configurations into a directory and loads them, as one user on one machine on one day."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import msgspec

from certd.config import DaemonUser, Surroundings, load
from certd.errors import ConfigError
from certd.model.specs import Config

TODAY = date(2026, 11, 23)
KEY = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"
"""A MAC key as resellers give it."""


class Webroot(msgspec.Struct, forbid_unknown_fields=True):
    """The options of http-01, as its solver has them."""

    webroot: str

    def __post_init__(self) -> None:
        if not self.webroot.startswith("/"):
            raise ValueError("webroot must be an absolute path")


class Plugin(msgspec.Struct, forbid_unknown_fields=True):
    """A second solver, that of wildcards."""

    provider: str
    ttl: int = 60


SOLVERS: Mapping[str, type[msgspec.Struct]] = {"http-01": Webroot, "dns-01": Plugin}

CA = "cas: {ca: {directory: https://ca.example.jp/dir, contact: [ops@example.jp], terms_of_service_agreed: true}}\n"
DEFAULTS = "defaults: {challenge: {type: http-01, webroot: /var/www/html}}\n"


class Folder:
    """A directory with a configuration."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.main = path / "config.yaml"
        self.environ: dict[str, str] = {}
        self.uid = 0
        self.check_host = True
        self.daemon: DaemonUser | None = None

    def write(self, name: str, text: str, mode: int = 0o640) -> Path:
        """Writes a file; the text may be indented."""
        path = self.path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text), "utf-8")
        path.chmod(mode)
        return path

    def load(self, text: str | None = None) -> Config:
        """What the main file, with this text, says."""
        if text is not None:
            self.write("config.yaml", text)
        around = Surroundings(TODAY, self.uid, self.environ, self.check_host, self.daemon)
        return load(self.main, solvers=SOLVERS, surroundings=around)

    def errors(self, text: str | None = None) -> list[str]:
        """The errors of the main file, without the directory."""
        try:
            self.load(text)
        except ConfigError as error:
            return [line.removeprefix(f"{self.path}/") for line in error.problems]
        return []

    def warnings(self, text: str | None = None) -> list[str]:
        """The warnings of the main file, without the directory."""
        return [line.removeprefix(f"{self.path}/") for line in self.load(text).warnings]
