"""Orders and what belongs to them: authorizations, challenges, issuance, revocation (RFC 8555 sections 7.4 to 7.6)."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from certd.lab import jws
from certd.lab.authority import Authority
from certd.lab.call import Call, json_reply
from certd.lab.faults import Faults, LabProblem, malformed, row
from certd.lab.objects import Authorization, Challenge, Issued, Order, Records, new_id
from certd.lab.options import LabOptions
from certd.lab.web import Reply
from certd.model.specs import KeyType

_LABEL = r"(?!-)[a-z0-9-]{1,63}(?<!-)"
_FQDN = re.compile(rf"(?:{_LABEL}\.)+(?!\d+\Z){_LABEL}\Z")

_Thing = TypeVar("_Thing", Order, Authorization, Issued)

REASONS = {
    0: x509.ReasonFlags.unspecified,
    1: x509.ReasonFlags.key_compromise,
    3: x509.ReasonFlags.affiliation_changed,
    4: x509.ReasonFlags.superseded,
    5: x509.ReasonFlags.cessation_of_operation,
}
"""The revocation reasons that a subscriber may give (RFC 5280 section 5.3.1)."""


@dataclass(frozen=True)
class OrderVerbs:
    """What can be asked about orders. The caller holds the lock of the records."""

    records: Records
    options: LabOptions
    authority: Authority
    faults: Faults
    validate: Callable[[Challenge], None]
    """Begins a validation in the background."""
    ocsp_url: Callable[[], str]

    def new_order(self, call: Call) -> Reply:
        """RFC 8555 section 7.4."""
        fields = call.fields()
        if "notBefore" in fields or "notAfter" in fields:
            raise malformed("this CA chooses the validity itself")
        names = self._identifiers(fields.get("identifiers"))
        if self.options.reuse_orders and (known := self._unfinished(call, names)) is not None:
            return self._show(call, known, 201)
        order = Order(new_id(), call.owner, names, call.now + self.options.order_valid_for, call.now)
        self.records.add_order(order, [self._authorization(call, name) for name in names])
        return self._show(call, order, 201)

    def _unfinished(self, call: Call, names: tuple[str, ...]) -> Order | None:
        own = (order for order in self.records.orders.values() if order.account is call.owner)
        return next((order for order in own if order.names == names and order.status in ("pending", "ready")), None)

    def order(self, call: Call) -> Reply:
        """Read an order; each read of a `processing` one brings its issuance nearer."""
        call.demand_post_as_get()
        order = self._own_order(call)
        if order.status == "processing":
            if order.polls >= self.options.processing_polls:
                self._issue(order, call.now)
            order.polls += 1
        return self._show(call, order, 200)

    def authorization(self, call: Call) -> Reply:
        """RFC 8555 sections 7.5 and 7.5.2: read, deactivate."""
        authorization = _own(call, self.records.authorizations.get(call.ident))
        authorization.expire(call.now)
        if call.jws.payload:
            if call.fields().get("status") != "deactivated":
                raise malformed("only deactivation can be asked for")
            if authorization.status not in ("pending", "valid"):
                raise row(20).problem(why=f"the authorization is {authorization.status}")
            authorization.move("deactivated")
            if authorization.order is not None:
                authorization.order.review()
        waiting = authorization.status == "pending"
        return json_reply(authorization.document(call.base), 200, self._retry_after(waiting))

    def challenge(self, call: Call) -> Reply:
        """RFC 8555 section 7.5.1: read, or ask for the validation (once; asking again changes nothing)."""
        challenge = self.records.challenges.get(call.ident)
        authorization = _own(call, challenge.authorization if challenge is not None else None)
        assert challenge is not None
        if call.jws.payload:
            call.fields()
            if call.now >= authorization.expires:
                authorization.expire(call.now)
                raise row(19).problem()
            if authorization.status != "pending":
                raise row(20).problem(why=f"the authorization is {authorization.status}")
            if challenge.status == "pending":
                challenge.status = "processing"
                self.validate(challenge)
        headers = {"Link": f'<{call.base}/authorization/{authorization.id}>;rel="up"'}
        headers |= self._retry_after(challenge.status == "processing")
        return json_reply(challenge.document(call.base), 200, headers)

    def finalize(self, call: Call) -> Reply:
        """RFC 8555 section 7.4: check the CSR and begin to issue."""
        order = self._own_order(call)
        if order.status in ("pending", "ready", "invalid") and call.now >= order.expires:
            raise row(17).problem()
        if order.status == "pending":
            raise row(24).problem()
        if order.status != "ready":
            raise row(18).problem(why=f"the order is {order.status}")
        order.csr = self._check_csr(call.fields(), order)
        order.move("processing")
        if self.options.processing_polls <= 0:
            self._issue(order, call.now)
        return self._show(call, order, 200)

    def certificate(self, call: Call) -> Reply:
        """RFC 8555 section 7.4.2."""
        call.demand_post_as_get()
        issued = _own(call, self.records.certificates.get(call.ident))
        return Reply(200, self.authority.chain_pem(issued.certificate), "application/pem-certificate-chain")

    def revoke(self, call: Call) -> Reply:
        """RFC 8555 section 7.6: by the account that ordered it, or by the certificate's own key."""
        fields = call.fields()
        der = jws.decode(fields.get("certificate"), "certificate")
        try:
            certificate = x509.load_der_x509_certificate(der)
        except ValueError as error:
            raise malformed("not a certificate") from error
        serial = f"{certificate.serial_number:x}"
        issued = self.records.by_serial.get(serial)
        if issued is None or issued.certificate != certificate:
            raise row(21).problem(serial)
        by_its_key = call.jwk.der == _spki(certificate.public_key())
        if issued.account is not call.account and not by_its_key:
            raise row(27).problem(why="neither the account that ordered it nor its key")
        reason = fields.get("reason", 0)
        if type(reason) is not int or reason not in REASONS:
            raise row(6).problem(str(reason))
        if issued.revoked_at is not None:
            raise row(2).problem(serial)
        issued.revoked_at, issued.reason = call.now, REASONS[reason]
        return Reply(200)

    # --- what they share --------------------------------------------------------------------------------------

    def _show(self, call: Call, order: Order, status: int) -> Reply:
        headers = {"Location": f"{call.base}/order/{order.id}"}
        headers |= self._retry_after(order.status in ("pending", "processing"))
        return json_reply(order.document(call.base), status, headers)

    def _retry_after(self, waiting: bool) -> dict[str, str]:
        if not waiting or self.options.retry_after is None:
            return {}
        return {"Retry-After": str(self.options.retry_after)}

    def _own_order(self, call: Call) -> Order:
        order = _own(call, self.records.orders.get(call.ident))
        order.expire(call.now)
        return order

    def _identifiers(self, identifiers: object) -> tuple[str, ...]:
        if not isinstance(identifiers, list) or not identifiers:
            raise malformed("no identifiers")
        names = tuple(self._identifier(identifier) for identifier in identifiers)
        if len(set(names)) < len(names):
            raise malformed("an identifier twice")
        return names

    def _identifier(self, identifier: object) -> str:
        if not isinstance(identifier, dict) or not isinstance(identifier.get("value"), str):
            raise malformed("an identifier has a type and a value")
        if identifier.get("type") != "dns":
            raise row(29).problem(why=f"type {identifier.get('type')!r}")
        name: str = identifier["value"]
        wildcard = name.startswith("*.")
        if len(name) > 253 or not _FQDN.match(name.removeprefix("*.")):
            raise row(16).problem(name)
        if wildcard and self.options.txt is None:
            raise row(25).problem(why="a wildcard, and dns-01 is not offered")
        if self.options.registered is not None and name not in self.options.registered:
            raise row(25).problem(why=f"{name} is not registered")
        return name

    def _authorization(self, call: Call, name: str) -> Authorization:
        wildcard = name.startswith("*.")
        expires = call.now + self.options.authorization_valid_for
        authorization = Authorization(new_id(), call.owner, name.removeprefix("*."), wildcard, expires)
        if not wildcard:
            authorization.challenges.append(Challenge(new_id(), "http-01", secrets.token_urlsafe(32), authorization))
        if self.options.txt is not None:
            authorization.challenges.append(Challenge(new_id(), "dns-01", secrets.token_urlsafe(32), authorization))
        return authorization

    def _check_csr(self, fields: dict[str, Any], order: Order) -> x509.CertificateSigningRequest:
        """Row 12 for what is no CSR, row 3 for one that will not do."""
        der = jws.decode(fields.get("csr"), "csr")
        try:
            csr = x509.load_der_x509_csr(der)
            genuine = csr.is_signature_valid
        except ValueError as error:
            raise malformed("not a CSR") from error
        for wrong, why in (
            (not genuine, "its signature does not verify"),
            (
                _csr_names(csr) != set(order.names),
                f"it names {sorted(_csr_names(csr))}, the order {sorted(order.names)}",
            ),
            (_key_type(csr.public_key()) not in self.options.accepted_keys, "its key is not accepted"),
            # RFC 8555 section 11.1: the account key must not become a certificate's key.
            (_spki(csr.public_key()) == order.account.jwk.der, "its key is the account's"),
        ):
            if wrong:
                raise row(3).problem(why=f"CSR: {why}")
        return csr

    def _issue(self, order: Order, now: datetime) -> None:
        fault = self.faults.take("issuance", order.names)
        if fault is not None and fault.problem is not None:
            order.error = fault.problem.document()
            order.move("invalid")
            return
        assert order.csr is not None
        certificate = self.authority.issue(
            order.csr.public_key(),
            order.names,
            now=now,
            lifetime=self.options.lifetime,
            ocsp_url=self.ocsp_url(),
        )
        order.issued = Issued(f"{certificate.serial_number:x}", order.names, now, certificate, order.account)
        self.records.add_issued(order.issued)
        order.move("valid")


def _own(call: Call, thing: _Thing | None) -> _Thing:
    """Another account's objects are nobody's business."""
    if thing is None:
        raise LabProblem("malformed", 404, "Not found")
    if thing.account is not call.account:
        raise row(27).problem(why="another account's object")
    return thing


def _csr_names(csr: x509.CertificateSigningRequest) -> set[str]:
    """RFC 8555 section 7.4: the common name counts as well."""
    names = {str(attribute.value).lower() for attribute in csr.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)}
    try:
        alternatives = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return names
    others = {repr(name) for name in alternatives if not isinstance(name, x509.DNSName)}
    return names | others | {name.lower() for name in alternatives.get_values_for_type(x509.DNSName)}


def _key_type(key: object) -> KeyType | None:
    if isinstance(key, rsa.RSAPublicKey):
        return {2048: KeyType.RSA2048, 3072: KeyType.RSA3072, 4096: KeyType.RSA4096}.get(key.key_size)
    if isinstance(key, ec.EllipticCurvePublicKey):
        return {"secp256r1": KeyType.P256, "secp384r1": KeyType.P384}.get(key.curve.name)
    return None


def _spki(key: CertificatePublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
