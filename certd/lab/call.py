"""One authenticated request to the lab CA, and the answers to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from certd.lab.faults import malformed
from certd.lab.jws import Jwk, Jws, parse_object
from certd.lab.objects import Account
from certd.lab.web import Reply


@dataclass(frozen=True)
class Call:
    """A request whose nonce, URL and signature are in order. `base` begins every URL of the CA."""

    base: str
    ident: str
    """The part of the URL that names the object."""
    jws: Jws
    jwk: Jwk
    """The key that signed it."""
    account: Account | None
    """None only where the key was sent instead of an account URL (RFC 8555 section 6.2)."""
    now: datetime

    @property
    def owner(self) -> Account:
        """The account that asks; the service lets no other request through to the verbs that need it."""
        assert self.account is not None
        return self.account

    def fields(self) -> dict[str, Any]:
        """The payload as a JSON object. Raises `LabProblem`, row 12."""
        return parse_object(self.jws.payload, "the payload")

    def demand_post_as_get(self) -> None:
        """RFC 8555 section 6.3: an empty payload. Raises `LabProblem`, row 12."""
        if self.jws.payload:
            raise malformed("RFC 8555 section 6.3: a POST-as-GET has an empty payload")


def json_reply(document: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """A JSON answer."""
    return Reply(status, json.dumps(document).encode(), "application/json", dict(headers or {}))
