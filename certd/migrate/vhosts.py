"""Which files Apache serves a name with today: it says where its virtual hosts begin, their text says the rest."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path

from certd import deploy
from certd.errors import CommandFailed, Refused
from certd.migrate.directives import VirtualHost, read_host
from certd.text import printable

BINARIES = ("/usr/sbin/httpd", "/usr/sbin/apache2ctl", "/usr/sbin/apache2", "/usr/local/apache2/bin/httpd")
TAKES_CHAINS = (2, 4, 8)
"""From this version on SSLCertificateFile may hold the chain."""
_PATIENCE = timedelta(seconds=60)
_HOST = re.compile(r"\((/[^()]*):([0-9]+)\)\s*$", re.MULTILINE)
_ROOT = re.compile(r'^ServerRoot: "(.*)"$', re.MULTILINE)
_DEFINE = re.compile(r"^Define: ([^=\s]+)=(.*)$", re.MULTILINE)
_VERSION = re.compile(r"Apache/([0-9]+)\.([0-9]+)\.([0-9]+)")


@dataclass(frozen=True)
class Apache:
    """The server's program, and the file that it reads if that is not its own default."""

    binary: Path
    config: Path | None = None

    def ask(self, *arguments: str) -> str:
        """Its answer. Raises Refused where it gives none."""
        own = ("-f", str(self.config)) if self.config is not None else ()
        try:
            return deploy.output_of((str(self.binary), *own, *arguments), timeout=_PATIENCE)
        except CommandFailed as error:
            raise Refused(f"Apache does not say which files it serves ({error}); give --cert and --key") from None

    def version(self) -> tuple[int, ...]:
        """(2, 4, 6), or nothing where it does not say."""
        match = _VERSION.search(self.ask("-v"))
        return tuple(map(int, match.groups())) if match is not None else ()


def find_apache(config: Path | None = None, binaries: Sequence[str] = BINARIES) -> Apache:
    """The server of this host. Raises Refused where there is none."""
    binary = next((Path(name) for name in binaries if Path(name).is_file()), None)
    if binary is None:
        raise Refused("there is no Apache on this host; give --cert and --key")
    return Apache(binary, config)


def hosts(apache: Apache) -> list[VirtualHost]:
    """All virtual hosts that Apache would load. Raises Refused."""
    answer = apache.ask("-t", "-D", "DUMP_VHOSTS", "-D", "DUMP_RUN_CFG")
    root = _ROOT.search(answer)
    if root is None:
        raise Refused("Apache does not say where its ServerRoot is; give --cert and --key")
    defines = dict(_DEFINE.findall(answer))
    places = dict.fromkeys((Path(path), int(line)) for path, line in _HOST.findall(answer))
    return [read_host(path, line, root=Path(root[1]), defines=defines) for path, line in places]


def serving(domains: Sequence[str], found: Sequence[VirtualHost]) -> VirtualHost:
    """The virtual host with a certificate for these domains, the first domain counting most.

    Raises Refused where there is none, or several with different files.
    """
    secure = [host for host in found if host.certificates]
    named = _first_named(domains, secure)
    if not named and len(secure) == 1:
        # Apache answers every name with it.
        named = secure
    if not named:
        listed = printable(", ".join(domains), 300)
        without = "" if secure else ", nor any with SSLCertificateFile inside <VirtualHost>"
        raise Refused(f"Apache has no virtual host with a certificate for {listed}{without}; give --cert and --key")
    files = {(*host.certificates, *host.keys, *host.chains) for host in named}
    if len(files) > 1:
        listed = "; ".join(map(str, named))
        raise Refused(
            f"several virtual hosts serve these domains with different files ({listed}); give --cert and --key"
        )
    return named[0]


def _first_named(domains: Sequence[str], secure: Sequence[VirtualHost]) -> list[VirtualHost]:
    for domain in domains:
        if named := [host for host in secure if host.names[:1] == [domain]]:
            return named
        if named := [host for host in secure if any(fnmatchcase(domain, name) for name in host.names)]:
            return named
    return []
