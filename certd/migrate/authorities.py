"""The CAs of an installation, as entries of the configuration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from certd import pki
from certd.acme.jws import AccountKey
from certd.config.names import check_name
from certd.config.values import email, https_url
from certd.errors import PkiError, Refused
from certd.migrate import sources
from certd.migrate.checking import problems
from certd.migrate.configuration import CaEntry
from certd.migrate.found import Account, Installation
from certd.migrate.owner import acting_as_owner
from certd.migrate.plans import Proposal
from certd.migrate.sources import shown
from certd.store import Store
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


def ca_entries(found: Installation, proposal: Proposal, store: Store | None) -> list[CaEntry]:
    """An entry for each account whose key the protocol can use; accounts without a certificate as well, since one may
    have cost EAB credentials.

    An account goes on under the name that has its key in `store`. Raises StateError.
    """
    good = _usable(found, proposal)
    names = _Names(proposal, store)
    # Those that are there already come first: none of the others may take their names.
    chosen = {account: name for account in good if (name := names.with_key_of(account)) is not None}
    entries: list[CaEntry] = []
    for account in good:
        about = printable(account.directory)
        name = chosen.get(account) or names.free_for(account)
        entry = CaEntry(name, account, _contact(account, about, proposal), _trust(account, about, proposal))
        if wrong := problems(proposal, [entry], []):
            proposal.note(about, f"the account is not taken along: {wrong[0][1]}")
        else:
            entries.append(entry)
    return entries


class _Names:
    """The names that accounts get: those of the configuration for their directory, each once, else new ones."""

    def __init__(self, proposal: Proposal, store: Store | None) -> None:
        cas = proposal.existing.cas if proposal.existing is not None else {}
        self._taken = set(cas)
        self._left: dict[str, dict[str, bytes | None]] = {}
        """For each directory, its names with the keys that are kept."""
        with acting_as_owner(proposal.state_dir):
            for name, ca in cas.items():
                kept = store.read_account_key(name) if store is not None else None
                self._left.setdefault(ca.directory, {})[name] = kept

    def with_key_of(self, account: Account) -> str | None:
        """The name that has the account's key."""
        return self._take(account, lambda kept: kept is not None and _same(kept, account.key))

    def free_for(self, account: Account) -> str:
        """A name without a key; one with another key, which stays there; or a new one."""
        name = self._take(account, lambda kept: kept is None) or self._take(account, lambda _: True)
        return name or self._new(account)

    def _take(self, account: Account, fits: Callable[[bytes | None], bool]) -> str | None:
        left = self._left.get(account.directory, {})
        name = next((name for name, kept in left.items() if fits(kept)), None)
        if name is not None:
            del left[name]
        return name

    def _new(self, account: Account) -> str:
        name = _free(_ca_name(account.directory), self._taken)
        self._taken.add(name)
        return name


def _usable(found: Installation, proposal: Proposal) -> list[Account]:
    used = {certificate.account for certificate in found.certificates}
    at_work = {account.directory for account in found.accounts if account.id in used}
    good: list[Account] = []
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
        good.append(account)
    return good


def _same(one: bytes, other: bytes) -> bool:
    try:
        return pki.same_key(one, other)
    except PkiError:
        return False


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
