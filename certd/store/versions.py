"""Versions, which appear complete or not at all and never change, and the live links that name one of them (I1)."""

from __future__ import annotations

import errno
import grp
from contextlib import contextmanager
from typing import TYPE_CHECKING

from certd import atomicfile, pki
from certd.errors import BrokenRecord, PkiError, StateError
from certd.store.disk import LARGEST_PEM, PASSABLE, Disk
from certd.store.layout import version_number
from certd.store.trouble import explained

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from certd.model.records import Leaf

PUBLIC_FILE = 0o644
KEY_FILE = 0o600
GROUP_KEY_FILE = 0o640
_NEEDED = ("cert.pem", "chain.pem", "fullchain.pem", "privkey.pem", "apache.conf", "apache-2.4.6.conf")
"""What a version cannot do without: Apache does not start on an Include that names a missing file."""


class Versions(Disk):
    """The sets of one certificate after the other, below certs/NAME/versions and live/."""

    def add_version(self, name: str, certificates: pki.CertificateSet, *, group: str | None, combined: bool) -> int:
        """Write a set as the next version and return its number; durable, with final modes, all files or none.

        `group` (a name) may read the keys. Raises StateError, also where the group does not exist or may not be given
        the files; everything is then as it was. A number is never used twice, gaps are no harm.
        """
        self._may_write()
        gid = _group_id(group)
        for directory in (self.layout.certificate(name), self.layout.versions(name)):
            self._directory(directory, PASSABLE)
        # The live link counts as well: after a partial restore it must not come to name a set by accident.
        version = max([*self.versions(name), self.live_version(name) or 0]) + 1
        final = self.layout.version(name, version)
        key_mode = KEY_FILE if gid is None else GROUP_KEY_FILE
        with explained("write", final), atomicfile.new_directory(final, mode=PASSABLE) as temp:
            for file, data in _public_files(final, certificates).items():
                atomicfile.create_file(temp / file, data, mode=PUBLIC_FILE)
            for file, data in _key_files(certificates, combined).items():
                with _membership_explained(group):
                    atomicfile.create_file(temp / file, data, mode=key_mode, group=gid)
        return version

    def versions(self, name: str) -> list[int]:
        """The numbers on the disk, ascending. Raises StateError."""
        directory = self.layout.versions(name)
        with explained("list", directory):
            try:
                numbers = [version_number(entry.name) for entry in directory.iterdir()]
            except FileNotFoundError:
                return []
        return sorted(number for number in numbers if number is not None)

    def has_version(self, name: str, version: int) -> bool:
        """Whether a server that includes this version finds something; not whether it is of any use.

        Raises StateError where the disk does not tell: an error is not taken for a version that is missing.
        """
        path = self.layout.version(name, version) / "apache.conf"
        with explained("look at", path):
            try:
                path.stat()
            except (FileNotFoundError, NotADirectoryError):
                return False
        return True

    def version_leaf(self, name: str, version: int) -> Leaf:
        """The leaf of a version whose set is complete and verified (I1).

        Raises BrokenRecord where a file is missing or does not fit the others, PkiError where the set does not verify,
        StateError where it cannot be read.
        """
        directory = self.layout.version(name, version)
        files = {file: _read(directory / file) for file in _NEEDED}
        if files["cert.pem"] + files["chain.pem"] != files["fullchain.pem"]:
            raise _broken(directory, "fullchain.pem is not cert.pem followed by chain.pem")
        try:
            return pki.read_set(files["fullchain.pem"], files["privkey.pem"])
        except PkiError as error:
            raise PkiError(error.code, f"{directory}: {error}") from error

    def read_fullchain(self, name: str, version: int) -> bytes:
        """The PEM of leaf and chain, not verified. Raises BrokenRecord where there is none, else StateError."""
        return _read(self.layout.version(name, version) / "fullchain.pem")

    def is_placeholder(self, name: str, version: int) -> bool:
        """Whether this version is the self-signed set that only lets a server start. Raises as `read_fullchain`."""
        return pki.is_placeholder(self.read_fullchain(name, version))

    def prune(self, name: str, *, keep: int, protected: set[int]) -> list[int]:
        """Remove all versions but the newest `keep`, the live one and `protected`, and what crashed writers left.

        The newest of all stays in any case: its number must not come again. Returns what was removed, ascending.
        Raises StateError. Nothing else may work on `name` meanwhile.
        """
        self._may_write()
        directory = self.layout.versions(name)
        self._sweep(directory)
        versions = self.versions(name)
        kept = {*versions[-max(keep, 1) :], *protected, self.live_version(name)}
        removed = [version for version in versions if version not in kept]
        for version in removed:
            path = self.layout.version(name, version)
            with explained("remove", path):
                atomicfile.remove_directory(path)
        return removed

    def live_version(self, name: str) -> int | None:
        """The version that the live link names, None where there is no link. Raises StateError for aught else."""
        link = self.layout.live(name)
        with explained("read", link):
            try:
                target = str(link.readlink())
            except FileNotFoundError:
                return None
            except OSError as error:
                if link.exists():
                    raise _foreign(link, "is not a symbolic link") from error
                raise
        version = version_number(target.rpartition("/")[2])
        if version is None or target != self.layout.live_target(name, version):
            raise _foreign(link, f"points to {target!r}")
        return version

    def switch_live(self, name: str, version: int, *, now: datetime) -> None:
        """Make a version the live one, in one step and durably; the same version again is no error.

        Checks I1: the set is complete and verified, and has not expired unless it is the placeholder; else raises
        BrokenRecord or PkiError, and StateError where the link is not certd's or cannot be written. The old link then
        stays.
        """
        self._may_write()
        self.live_version(name)
        leaf = self.version_leaf(name, version)
        if leaf.not_after <= now and not self.is_placeholder(name, version):
            raise PkiError("expired", f"version {version} of {name} expired at {leaf.not_after:%Y-%m-%d %H:%M} UTC")
        link = self.layout.live(name)
        with explained("switch", link):
            atomicfile.replace_symlink(link, self.layout.live_target(name, version))


def _public_files(final: Path, certificates: pki.CertificateSet) -> dict[str, bytes]:
    return {
        "cert.pem": certificates.cert,
        "chain.pem": certificates.chain,
        "fullchain.pem": certificates.fullchain,
        "apache.conf": _apache(final, "fullchain.pem", chain=False),
        "apache-2.4.6.conf": _apache(final, "cert.pem", chain=bool(certificates.chain.strip())),
    }


def _key_files(certificates: pki.CertificateSet, combined: bool) -> dict[str, bytes]:
    files = {"privkey.pem": certificates.privkey}
    if combined:
        files["combined.pem"] = certificates.combined
    return files


def _apache(final: Path, certificate: str, *, chain: bool) -> bytes:
    """What a virtual host includes. It names this version, not the live link: all that Apache opens after it has read
    this file belongs together, even when the link moves meanwhile.
    """
    lines = [f'SSLCertificateFile "{final / certificate}"', f'SSLCertificateKeyFile "{final / "privkey.pem"}"']
    if chain:
        # Before 2.4.8 Apache takes no chain from SSLCertificateFile; RHEL 7 has 2.4.6.
        lines.append(f'SSLCertificateChainFile "{final / "chain.pem"}"')
    return "".join(f"{line}\n" for line in lines).encode()


def _read(path: Path) -> bytes:
    with explained("read", path):
        try:
            return atomicfile.read_file(path, limit=LARGEST_PEM)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise _broken(path.parent, f"{path.name} is missing") from error
        except atomicfile.UnfitFile as error:
            raise _broken(path.parent, f"{path.name} cannot be used: {error}") from error


def _broken(directory: Path, why: str) -> BrokenRecord:
    return BrokenRecord(f"{directory} is not a complete version: {why}; see 'A broken version' in docs/STATE.md")


def _group_id(group: str | None) -> int | None:
    if group is None:
        return None
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError as error:
        raise StateError(
            f"files.group: there is no group {group!r} on this host; create it or correct the name"
        ) from error


@contextmanager
def _membership_explained(group: str | None) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        if group is None or error.errno != errno.EPERM:
            raise
        raise StateError(
            f"files.group: the user that runs certd may not give files to {group!r}, being neither root nor a member "
            "of it; nothing was changed"
        ) from error


def _foreign(link: Path, what: str) -> StateError:
    return StateError(f"{link} {what}, which certd did not make; move it away, then certd puts its own link there")
