"""What an operator needs to know of an order to put it right, where the CA does not say it."""

from __future__ import annotations

from typing import Final

from certd import caa
from certd.config import is_jprs
from certd.effects.authorities import Authorities
from certd.errors import CertdError
from certd.model.records import Ordering

_OF_A_NAME: Final = frozenset({"acme:rejected-identifier", "acme:unsupported-identifier", "jprs:fqdn-invalid"})
_JPRS: Final = ("jprs.jp",)
"""What JPRS asks to be named in CAA records; its directory need not say so."""


class Hints:
    """`ask_caa` looks CAA records up; only a refusal because of them has it asked."""

    def __init__(self, authorities: Authorities, ask_caa: caa.Ask) -> None:
        self._authorities = authorities
        self._ask_caa = ask_caa

    def of(self, code: str, text: str, order: Ordering) -> str:
        """For a failure of this code, told in `text`; empty where there is nothing to add."""
        if code == "acme:bad-csr":
            return f"the request was for a key of type {order.key}"
        if code == "acme:caa":
            # The longest first: www.example.jp names example.jp as well.
            meant = sorted((domain for domain in order.domains if domain in text), key=len, reverse=True)
            return caa.finding(meant or order.domains, self._identities(order), self._ask_caa)
        if code in _OF_A_NAME and not any(domain in text for domain in order.domains):
            return f"ordered for {', '.join(order.domains)}"
        return ""

    def _identities(self, order: Ordering) -> tuple[str, ...]:
        """The names by which CAA records mean this CA (RFC 8555 section 7.1.1), as far as they are known."""
        try:
            found = self._authorities.client(order.ca).directory().caa_identities
        except (CertdError, OSError):
            found = ()
        return found or (_JPRS if is_jprs(order.directory) else ())
