"""The CAs of an installation, as entries of the configuration."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from certd.acme.jws import AccountKey
from certd.config.names import check_name
from certd.config.values import email, https_url
from certd.errors import PkiError, Refused
from certd.migrate import sources
from certd.migrate.checking import problems
from certd.migrate.configuration import CaEntry
from certd.migrate.found import Account, Installation
from certd.migrate.plans import Proposal
from certd.migrate.sources import shown
from certd.model.specs import Config
from certd.text import printable

_KNOWN = {
    "acme.amecert.jprs.jp": "jprs",
    "acme-v02.api.letsencrypt.org": "letsencrypt",
    "acme-staging-v02.api.letsencrypt.org": "letsencrypt-staging",
    "acme.zerossl.com": "zerossl",
    "dv.acme-v02.api.pki.goog": "google",
    "api.buypass.com": "buypass",
    "acme.ssl.com": "sslcom",
}


_REHEARSALS = {"acme-staging-v02.api.letsencrypt.org", "dv.acme-v02.test-api.pki.goog", "api.test4.buypass.no"}
"""Hosts of CAs whose certificates nobody trusts."""


def ca_entries(found: Installation, proposal: Proposal) -> list[CaEntry]:
    """An entry for each account whose key the protocol can use; accounts without a certificate as well, since one may
    have cost EAB credentials.
    """
    used = {certificate.account for certificate in found.certificates}
    at_work = {account.directory for account in found.accounts if account.id in used}
    entries: list[CaEntry] = []
    names = _names_of_directories(proposal.existing)
    taken = set(proposal.existing.cas) if proposal.existing is not None else set()
    for account in found.accounts:
        about = printable(account.directory)
        try:
            https_url(account.directory)
        except ValueError as error:
            proposal.note(about, f"the account is not taken along: {error}")
            continue
        if account.id not in used and (account.directory in at_work or _host(account.directory) in _REHEARSALS):
            proposal.note(about, f"no certificate uses the account in {shown(account.source)}; it is not taken along")
            continue
        try:
            AccountKey.from_pem(account.key)
        except PkiError as error:
            proposal.note(about, f"the account is not taken along: {error}")
            continue
        name = names.pop(account.directory, None) or _free(_ca_name(account.directory), taken)
        taken.add(name)
        entry = CaEntry(name, account, _contact(account, about, proposal), _trust(account, about, proposal))
        if wrong := problems(proposal, [entry], []):
            proposal.note(about, f"the account is not taken along: {wrong[0][1]}")
        else:
            entries.append(entry)
    return entries


def _names_of_directories(existing: Config | None) -> dict[str, str]:
    return {ca.directory: name for name, ca in existing.cas.items()} if existing is not None else {}


def _ca_name(directory: str) -> str:
    host = _host(directory)
    name = _KNOWN.get(host, host)[:90]
    try:
        return check_name(name)
    except ValueError:
        return "ca"


def _host(directory: str) -> str:
    return (urlsplit(directory).hostname or "ca").lower()


def _free(name: str, taken: set[str]) -> str:
    numbered = (f"{name}-{number}" for number in range(2, 1000))
    return name if name not in taken else next(one for one in numbered if one not in taken)


def _contact(account: Account, about: str, proposal: Proposal) -> tuple[str, ...]:
    good = []
    for address in account.contact:
        try:
            good.append(email(address))
        except ValueError as error:
            proposal.note(about, f"a contact is not carried over: {error}")
    return tuple(dict.fromkeys(good))


def _trust(account: Account, about: str, proposal: Proposal) -> Path | None:
    if account.trust is None:
        return None
    try:
        if b"-----BEGIN CERTIFICATE-----" in sources.read(account.trust):
            return account.trust
    except Refused:
        pass
    proposal.note(
        about, f"its CA bundle {printable(str(account.trust))} cannot be read; set `trust` if the CA needs it"
    )
    return None
