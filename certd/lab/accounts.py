"""Accounts: registration with external account binding, update, deactivation, key change (RFC 8555 section 7.3)."""

from __future__ import annotations

import json
import re
from typing import Any

from certd.lab import jws
from certd.lab.call import Call, json_reply
from certd.lab.faults import LabProblem, malformed, row
from certd.lab.objects import Account, EabCredentials, Records, new_id
from certd.lab.options import LabOptions
from certd.lab.web import Reply

_MAIL = re.compile(r"[^@\s,?]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+\Z")


class AccountVerbs:
    """What can be asked about accounts. The caller holds the lock of the records."""

    def __init__(self, records: Records, options: LabOptions) -> None:
        self._records = records
        self._options = options

    def new_account(self, call: Call) -> Reply:
        """RFC 8555 section 7.3, with the checks in the order of the JPRS list. Spends the EAB credentials last."""
        known = self._records.by_key.get(call.jwk.thumbprint)
        fields = call.fields()
        if known is not None:
            if known.status != "valid":
                raise row(27).problem(why=f"the account is {known.status}")
            return self._show(call, known, 200)
        if fields.get("onlyReturnExisting") is True:
            raise row(1).problem(why="no account has this key")
        credentials = self._external_account(call, fields)
        contact = check_contact(fields.get("contact", []), self._options.max_contacts)
        if fields.get("termsOfServiceAgreed") is not True:
            raise row(15).problem()
        account = Account(new_id(), call.jwk, contact, call.now)
        if credentials is not None:
            credentials.spent = True
            account.eab_kid = credentials.kid
        self._records.add_account(account)
        return self._show(call, account, 201)

    def account(self, call: Call) -> Reply:
        """RFC 8555 sections 7.3.2 and 7.3.6: read, change the contact, deactivate."""
        owner = self._own(call)
        if not call.jws.payload:
            return self._show(call, owner, 200)
        fields = call.fields()
        if fields.get("status") == "deactivated":
            owner.status = "deactivated"
        elif "contact" in fields:
            owner.contact = check_contact(fields["contact"], self._options.max_contacts)
        return self._show(call, owner, 200)

    def orders(self, call: Call) -> Reply:
        """RFC 8555 section 7.1.2.1."""
        owner = self._own(call)
        call.demand_post_as_get()
        mine = [order for order in self._records.orders.values() if order.account is owner]
        return json_reply({"orders": [f"{call.base}/order/{order.id}" for order in mine if order.status != "invalid"]})

    def key_change(self, call: Call) -> Reply:
        """RFC 8555 section 7.3.5."""
        owner = call.owner
        inner = jws.parse(call.fields())
        new = jws.parse_jwk(inner.header.get("jwk"))
        jws.verify(inner, new)
        fields = jws.parse_object(inner.payload, "the inner payload")
        if inner.header.get("url") != call.jws.header["url"] or "nonce" in inner.header:
            raise malformed("the inner JWS has the outer url and no nonce")
        if fields.get("account") != f"{call.base}/account/{owner.id}":
            raise malformed("the inner payload names another account")
        if jws.parse_jwk(fields.get("oldKey")).thumbprint != owner.jwk.thumbprint:
            raise malformed("oldKey is not the account's key")
        other = self._records.by_key.get(new.thumbprint)
        if other is not None:
            # RFC 8555 section 7.3.5: 409 and the URL of the account that has the key already.
            location = {"Location": f"{call.base}/account/{other.id}"}
            raise LabProblem("malformed", 409, "The key is in use by an account", headers=location)
        del self._records.by_key[owner.jwk.thumbprint]
        owner.jwk = new
        self._records.by_key[new.thumbprint] = owner
        return self._show(call, owner, 200)

    def _show(self, call: Call, account: Account, status: int) -> Reply:
        return json_reply(account.document(call.base), status, {"Location": f"{call.base}/account/{account.id}"})

    def _own(self, call: Call) -> Account:
        if call.owner.id != call.ident:
            raise row(27).problem(why="another account's URL")
        return call.owner

    def _external_account(self, call: Call, fields: dict[str, Any]) -> EabCredentials | None:
        """RFC 8555 section 7.3.4. Row 10 without a binding, row 13 for any that does not hold."""
        binding = fields.get("externalAccountBinding")
        if binding is None:
            if self._options.eab_required:
                raise row(10).problem()
            return None
        try:
            inner = jws.parse(binding)
        except LabProblem as problem:
            raise row(13).problem(why=f"binding: {problem.why}") from problem
        credentials = self._records.eab.get(str(inner.header.get("kid")))
        for wrong, why in (
            (credentials is None, "unknown kid"),
            (credentials and not jws.mac_matches(inner, credentials.key), "the MAC does not match"),
            (credentials and credentials.spent, "spent"),
            (credentials and not credentials.usable(call.now, self._options.eab_valid_for), "expired"),
            (inner.header.get("url") != call.jws.header["url"], "another url"),
            ("nonce" in inner.header, "a nonce in the binding"),
            (not _same_key(inner.payload, call), "the payload is not the account key"),
        ):
            if wrong:
                raise row(13).problem(why=f"binding: {why}")
        return credentials


def _same_key(payload: bytes, call: Call) -> bool:
    try:
        return jws.parse_jwk(json.loads(payload)).thumbprint == call.jwk.thumbprint
    except (ValueError, LabProblem):
        return False


def check_contact(contact: object, most: int) -> list[str]:
    """1 to `most` mail addresses, none twice (rows 11, 14 and 28)."""
    if not isinstance(contact, list) or not all(isinstance(url, str) for url in contact):
        raise malformed("contact is not a list of strings")
    if not 1 <= len(contact) <= most or len({url.lower() for url in contact}) < len(contact):
        raise row(14).problem(why=f"{len(contact)} contacts, or one twice")
    for url in contact:
        scheme, colon, address = url.partition(":")
        if not colon:
            raise row(11).problem(url)
        if scheme.lower() != "mailto":
            raise row(28).problem(url)
        if not _MAIL.match(address):
            raise row(11).problem(url)
    return contact
