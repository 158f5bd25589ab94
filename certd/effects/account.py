"""What certd does for an account (RFC 8555 section 7.3)."""

from __future__ import annotations

import logging

from certd import pki
from certd.config import read_eab_key
from certd.effects.authorities import Authorities
from certd.effects.failures import failed
from certd.errors import CertdError, ProblemError
from certd.logs import log_event
from certd.model import actions as do
from certd.model import events as ev
from certd.model.codes import Kind
from certd.model.records import Step
from certd.model.specs import CaSpec
from certd.store import Store

_log = logging.getLogger(__name__)

UNKNOWN = "urn:ietf:params:acme:error:accountDoesNotExist"


class AccountEffects:
    """Makes keys, registers and probes accounts."""

    def __init__(self, store: Store, authorities: Authorities) -> None:
        self._store = store
        self._authorities = authorities

    def perform(self, spec: CaSpec, action: do.AccountAction) -> ev.AccountEvent:
        """Carry out one action; what went wrong is an event as well. Raises StateError where the disk fails."""
        if isinstance(action, do.WriteKey):
            return self._write_key(spec)
        try:
            match action:
                case do.Register(find_first):
                    return self._register(spec, find_first)
                case do.ProbeAccount():
                    return self._known(spec) or ev.AccountUnknown("acme:account-does-not-exist", _NOT_KNOWN)
                case do.UpdateContact(contact):
                    client = self._authorities.client(spec.name)
                    client.update_account(contact)
                    return ev.AccountKnown(client.account_url or "", contact)
                case _:
                    raise AssertionError(f"{type(action).__name__} has no effect")
        except (CertdError, OSError) as error:
            return _failed(error)

    def _write_key(self, spec: CaSpec) -> ev.KeyMade:
        if self._store.read_account_key(spec.name) is None:
            self._store.write_account_key(spec.name, pki.generate_key(spec.account_key))
        return ev.KeyMade()

    def _register(self, spec: CaSpec, find_first: bool) -> ev.AccountEvent:
        if find_first and (known := self._known(spec)):
            return known
        eab = (spec.eab.kid, read_eab_key(spec.eab)) if spec.eab is not None else None
        client = self._authorities.client(spec.name)
        if (terms := client.directory().terms_of_service) is not None:
            log_event(_log, logging.INFO, "The CA's terms of service, to which the configuration agrees.", url=terms)
        registration = client.new_account(spec.contact, terms_agreed=spec.terms_of_service_agreed, eab=eab)
        # A key that the CA knew already keeps its contacts until they are updated.
        return ev.AccountKnown(registration.url, spec.contact if registration.created else None)

    def _known(self, spec: CaSpec) -> ev.AccountEvent | None:
        """The account of the key, asked for without credentials; None if the CA knows none."""
        try:
            registration = self._authorities.client(spec.name).new_account(only_return_existing=True)
        except ProblemError as error:
            if error.type == UNKNOWN:
                return None
            raise
        if registration.account.status != "valid":
            text = f"the CA calls the account {registration.account.status}"
            return ev.AccountUnknown("account-unusable", text)
        return ev.AccountKnown(registration.url)


_NOT_KNOWN = "the CA does not know the account key"


def _failed(error: CertdError | OSError) -> ev.AccountEvent:
    """The event of an exchange that went wrong: a word about the account, or a failure that is none."""
    event = failed(error, Step.ACCOUNT)
    # RFC 8555 section 7.3.6 has 401 for an account that was deactivated; Boulder and Pebble have 403.
    if event.kind is Kind.ACCOUNT:
        return ev.AccountUnknown(event.code, event.text)
    return event
