"""Taking over a running site: the files that are served today become the first live version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from certd import pki
from certd.errors import PkiError, Refused
from certd.migrate import readers, sources
from certd.migrate.owner import acting_as_owner, read_as_owner
from certd.migrate.proposal import is_idle, live_fingerprint, remarks
from certd.migrate.readers import Access
from certd.migrate.sources import shown
from certd.model.specs import CertificateSpec
from certd.pki import CertificateSet
from certd.store import Store


@dataclass(frozen=True)
class Served:
    """The files of one certificate, as a server is told of them. Without a chain file, the certificate's has it all."""

    certificate: Path
    key: Path
    chain: Path | None = None

    def paths(self) -> tuple[Path, ...]:
        """Each path once."""
        given = (self.certificate, self.key, *((self.chain,) if self.chain is not None else ()))
        return tuple(dict.fromkeys(given))


@dataclass(frozen=True)
class Adopted:
    """What became of it. `version` is None after a dry run."""

    served: Served
    certificates: CertificateSet
    version: int | None
    there: bool
    """The live version was this certificate already."""
    remarks: tuple[str, ...]


def choose(
    spec: CertificateSpec,
    certificates: Sequence[Path],
    keys: Sequence[Path],
    chains: Sequence[Path],
    *,
    state_dir: Path,
) -> Served:
    """Of the files of a virtual host, those of one certificate: of the key type that is configured, else the first.

    Apache may have several, RSA and ECDSA. Raises Refused where none of them makes a set.
    """
    chain = chains[-1] if chains else None
    fitting: list[tuple[Served, CertificateSet]] = []
    said = ""
    for certificate in certificates:
        for key in (*keys, certificate):
            served = Served(certificate, key, chain)
            try:
                fitting.append((served, _gather(served, state_dir)))
                break
            except PkiError as error:
                said = said or str(error)
    if not fitting:
        listed = ", ".join(map(shown, certificates))
        raise Refused(f"{listed} and the private key make no set that can be served ({said}); nothing was changed")
    return next((served for served, found in fitting if found.leaf.key == spec.key), fitting[0][0])


def adopt(
    spec: CertificateSpec,
    served: Served,
    store: Store | None,
    *,
    state_dir: Path,
    now: datetime,
    dry: bool,
    exact: bool,
) -> Adopted:
    """Make the files the live version, unless they are already; `exact`: to the byte, and with the group that is
    configured, not only the same certificate.

    `store` may be None in a dry run, where there is no state directory yet.

    Raises Refused where something else is live, or they are not fit to be; StateError where they cannot be written.
    """
    try:
        found = _gather(served, state_dir)
    except PkiError as error:
        raise Refused(f"{shown(served.certificate)} cannot be taken over: {error}; nothing was changed") from None
    if pki.is_placeholder(found.cert):
        raise Refused(f"{shown(served.certificate)} is certd's own placeholder; there is nothing to take over")
    said = [*remarks(found, spec.domains)]
    if found.leaf.key != spec.key:
        has = found.leaf.key.value if found.leaf.key is not None else "of another kind"
        said.append(
            f"the key is {has}, configured is {spec.key.value}; certd orders a new certificate at its first start"
        )
    # Reading as well: whoever owns the directory decides where its files lead.
    with acting_as_owner(state_dir):
        there = _live_version(spec, served, found, store, now=now, exact=exact)
        if there is not None or dry or store is None:
            return Adopted(served, found, there, there is not None, tuple(said))
        version = store.add_version(spec.name, found, group=spec.files.group, combined=spec.files.combined)
        store.switch_live(spec.name, version, now=now)
    return Adopted(served, found, version, False, tuple(said))


def _live_version(
    spec: CertificateSpec, served: Served, found: CertificateSet, store: Store | None, *, now: datetime, exact: bool
) -> int | None:
    """The live version if it is this certificate already; None where it may become one. Raises Refused."""
    live = live_fingerprint(store, spec.name)
    if store is not None and live is not None:
        if live != found.leaf.fingerprint:
            raise Refused(
                f"certd has another certificate for {spec.name} live than {shown(served.certificate)}; nothing was "
                f"changed. certd's own goes on by the line Include {store.layout.live(spec.name)}/apache.conf"
            )
        if not exact or _as_wanted(found, store, spec):
            return store.live_version(spec.name)
    if found.leaf.not_after <= now:
        raise Refused(
            f"{shown(served.certificate)} expired at {found.leaf.not_after:%Y-%m-%d %H:%M} UTC; nothing was changed. "
            "certd orders a new certificate at its start"
        )
    if store is not None and not is_idle(store, spec.name):
        raise Refused(f"certd is in the middle of an order for {spec.name}; nothing was changed, let it end first")
    return None


def _as_wanted(found: CertificateSet, store: Store, spec: CertificateSpec) -> bool:
    """Whether the live files are these to the byte, and the key has the group that is configured by now."""
    live = store.layout.live(spec.name)
    files = {"cert.pem": found.cert, "chain.pem": found.chain, "privkey.pem": found.privkey}
    same = all(sources.read_if_there(live / file) == content for file, content in files.items())
    return same and readers.grants(Access.of(live / "privkey.pem"), spec.files.group)


def _gather(served: Served, state_dir: Path) -> CertificateSet:
    parts = [read_as_owner(served.certificate, state_dir)]
    if served.chain is not None:
        parts.append(read_as_owner(served.chain, state_dir))
    return pki.gather_set(read_as_owner(served.key, state_dir), parts)
