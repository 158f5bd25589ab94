"""What certd would keep of an installation: configuration, accounts and sets, and what stays behind. Writes nothing."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from certd import pki
from certd.config.names import check_name, default_name, normal_domain
from certd.errors import BrokenRecord, PkiError
from certd.migrate import configuration
from certd.migrate.authorities import ca_entries
from certd.migrate.checking import loaded, problems
from certd.migrate.configuration import CaEntry, Entry
from certd.migrate.found import Certificate, Installation
from certd.migrate.owner import acting_as_owner
from certd.migrate.plans import PlannedAccount, PlannedSet, Proposal
from certd.model.records import AccountLedger, AccountRecord, Idle, KeyWritten, Registered
from certd.model.specs import Config
from certd.pki import CertificateSet
from certd.plan.account import NEVER
from certd.store import Store
from certd.text import printable

_ENTRY = re.compile(r"certificates\[([0-9]+)\]")


def propose(
    found: Installation,
    *,
    config_path: Path,
    state_dir: Path,
    existing: Config | None,
    store: Store | None,
    now: datetime,
) -> Proposal:
    """`store`: the state directory as it is, None where there is none yet. Raises StateError."""
    proposal = Proposal(found, config_path, state_dir, existing)
    proposal.notes += found.notes
    cas = ca_entries(found, proposal, store)
    entries = _entries(found, cas, proposal)
    # Whoever owns the state directory decides where its files lead; what the old client has was read before.
    with acting_as_owner(state_dir):
        for ca in cas:
            _plan_account(ca, store, proposal)
        for entry in entries:
            _plan_set(entry, store, proposal, now)
    proposal.carried = len(entries)
    _write_text(cas, entries, proposal, now)
    if not cas:
        proposal.note(found.client, "no account was found that can be taken along, so no configuration is made")
    return proposal


# --- certificates


def _entries(found: Installation, cas: Sequence[CaEntry], proposal: Proposal) -> list[Entry]:
    by_account = {ca.account.id: ca for ca in cas}
    entries = []
    for certificate in found.certificates:
        ca = by_account.get(certificate.account or "")
        if None in certificate.webroots:
            continue  # the reader has said why
        if ca is None:
            account = printable(certificate.account or "none")
            proposal.note(printable(certificate.name), f"not carried over: its account ({account}) is not taken along")
            continue
        entry = _entry(certificate, ca, proposal)
        if entry is not None:
            entries.append(entry)
    return _good(entries, cas, proposal)


def _entry(certificate: Certificate, ca: CaEntry, proposal: Proposal) -> Entry | None:
    about = printable(certificate.name)
    try:
        domains = [normal_domain(domain, wildcard=True) for domain in certificate.domains]
        name = _name(certificate.name, domains[0] if domains else "")
    except ValueError as error:
        proposal.note(about, f"not carried over: {error}")
        return None
    key = certificate.key_type
    if certificate.parts:
        with contextlib.suppress(PkiError):  # the set is looked at, and the reason told, later
            key = pki.key_type_of(certificate.key) or key
    if certificate.reload is None and certificate.obscure_reload:
        proposal.note(
            about,
            f"{certificate.obscure_reload} is not taken over: certd reloads a service or runs one program, and uses no "
            "shell; set `deploy` by hand",
        )
    elif certificate.reload is None:
        proposal.note(
            about, "no server is known that has to be reloaded; set `deploy`, else only the files are changed"
        )
    return Entry(certificate, name, tuple(dict.fromkeys(domains)), ca.name, key)


def _name(wanted: str, domain: str) -> str:
    try:
        return check_name(wanted)
    except ValueError:
        return check_name(default_name(domain))


def _good(entries: list[Entry], cas: Sequence[CaEntry], proposal: Proposal) -> list[Entry]:
    """Those that the configuration takes; what it says to the others is told."""
    left = entries
    while wrong := problems(proposal, cas, left):
        blamed = {int(match[1]): text for path, text in reversed(wrong) if (match := _ENTRY.match(path))}
        if not blamed:
            proposal.note("configuration", f"{wrong[0][0]}: {wrong[0][1]}; no certificate is carried over")
            return []
        for index, text in sorted(blamed.items()):
            proposal.note(printable(left[index].name), f"not carried over: {text}")
        left = [entry for index, entry in enumerate(left) if index not in blamed]
    return left


# --- the state directory


def _plan_account(ca: CaEntry, store: Store | None, proposal: Proposal) -> None:
    kept = store.read_account_key(ca.name) if store is not None else None
    about = f"CA {ca.name}"
    if kept is not None:
        try:
            same = pki.same_key(kept, ca.account.key)
        except PkiError:
            same = False
        if not same:
            proposal.note(
                about, "certd has another account key there, which stays; the old client's is not taken along"
            )
            return
    elif store is not None and store.load_account(ca.name) is not None:
        proposal.note(about, "certd has a record of an account there, which stays; the old client's is not taken along")
        return
    proposal.accounts.append(PlannedAccount(ca.name, ca.account, _record(ca), kept is not None))
    if ca.account.url is None:
        proposal.note(about, "no account URL is noted; certd asks the CA for the account of this key at its start")


def _record(ca: CaEntry) -> AccountRecord:
    """Never verified: certd asks the CA for the account of the key at its start, with onlyReturnExisting."""
    account = ca.account
    if account.url is None:
        return KeyWritten(directory=account.directory, ledger=AccountLedger(), fresh=False)
    return Registered(
        directory=account.directory, url=account.url, verified_at=NEVER, ledger=AccountLedger(), contact=ca.contact
    )


def _plan_set(entry: Entry, store: Store | None, proposal: Proposal, now: datetime) -> None:
    """The set, if it is fit to be live."""
    certificate, about = entry.certificate, printable(entry.name)
    if not certificate.parts:
        proposal.note(about, "it has no complete set of files; certd orders a certificate at its first start")
        return
    try:
        found = pki.gather_set(certificate.key, certificate.parts)
    except PkiError as error:
        proposal.note(about, f"its files make no set ({error}); certd orders a certificate at its first start")
        return
    if found.leaf.not_after <= now:
        proposal.note(about, f"expired {found.leaf.not_after:%Y-%m-%d}; certd orders a certificate at its first start")
        return
    for text in remarks(found, entry.domains):
        proposal.note(about, text)
    live = live_fingerprint(store, entry.name)
    if live is None and store is not None and not is_idle(store, entry.name):
        proposal.note(about, "certd is ordering it already, which goes on; the old client's is not taken along")
        return
    if live is not None and live != found.leaf.fingerprint:
        proposal.note(about, "certd has another certificate live, which stays; the old client's is not taken along")
        return
    proposal.sets.append(PlannedSet(entry.name, found, certificate.source, live is not None))


def remarks(found: CertificateSet, domains: Iterable[str]) -> list[str]:
    """What is worth knowing of a set that becomes live."""
    said = []
    if not found.chain and pki.names_an_issuer(found.cert):
        said.append(
            "the certificate stands alone, without those of its issuers; browsers may refuse it until it is renewed"
        )
    if set(domains) != set(found.leaf.names):
        listed = printable(", ".join(found.leaf.names), 300)
        said.append(f"the certificate is for {listed}, not what is wanted; certd orders a new one at its first start")
    if pki.demands_stapling(found.cert):
        said.append("the certificate demands OCSP stapling (must-staple); certd does not ask for that in the next one")
    return said


def live_fingerprint(store: Store | None, name: str) -> str | None:
    """The live certificate of that name; None where there is none, or the placeholder, or nothing usable."""
    version = store.live_version(name) if store is not None else None
    if store is None or version is None:
        return None
    try:
        return None if store.is_placeholder(name, version) else store.version_leaf(name, version).fingerprint
    except (PkiError, BrokenRecord):
        return None


def is_idle(store: Store, name: str) -> bool:
    """Whether no order, staged set or swap of this certificate is under way, which a link that moves would meet."""
    return isinstance(store.load_certificate(name), Idle | None)


# --- the text


def _write_text(cas: Sequence[CaEntry], entries: Sequence[Entry], proposal: Proposal, now: datetime) -> None:
    found, existing = proposal.installation, proposal.existing
    head = [
        f"Written by `certd import {found.client}` on {now:%Y-%m-%d}, from {printable(str(found.directory), 400)}.",
        "config.example.yaml has every key with its default.",
    ]
    if existing is None:
        if cas:
            proposal.text = configuration.whole(head, proposal.state_dir, cas, entries)
            registered = {f"cas.{ca.name}.eab" for ca in cas if ca.account.url is not None}
            for line in loaded(proposal, proposal.text).warnings:
                where, _, what = line.split(": ", 1)[-1].partition(": ")
                if where in registered:
                    what = "`certd check` warns that it is missing; the account is registered, so nothing is to be done"
                proposal.note(where, what)
        return
    new_cas = [ca for ca in cas if ca.name not in existing.cas]
    new = [entry for entry in entries if entry.name not in existing.certificates]
    blocks = [("cas:", configuration.ca_lines(new_cas)), ("certificates:", configuration.entry_lines(new))]
    lines = [line for title, below in blocks if below for line in (title, *(f"  {one}" for one in below))]
    proposal.text = "\n".join(lines) + ("\n" if lines else "")
