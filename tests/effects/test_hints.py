"""certd.effects.hints: what the CA does not say of an order that it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from statedir import NAME, NOW, opened

from certd.caa import Property
from certd.effects.authorities import Authorities
from certd.effects.hints import Hints
from certd.model.codes import Because
from certd.model.records import KeyType, Ledger, Ordering, Timer

WWW = f"www.{NAME}"
ORDER = Ordering(
    ledger=Ledger(),
    because=Because.RENEWAL_TIME,
    ca="ca",
    directory="https://ca.test/dir",
    order_url="https://ca.test/order/1",
    key_id="key",
    domains=(NAME, WWW),
    key=KeyType.RSA3072,
    placed_at=NOW,
    poll=Timer(NOW, NOW),
)


@pytest.fixture
def hints(tmp_path: Path) -> Any:
    """Of CAs that cannot be asked: there is no account. The zone forbids everybody."""
    store = opened(tmp_path)
    yield Hints(
        Authorities({}, store, now=lambda: NOW, on_date=lambda _: None),
        lambda name, _: (Property(0, "issue", ";"),) if name == NAME else (),
    )
    store.close()


def test_a_refused_request_names_its_key(hints: Hints) -> None:
    """badCSR (row 3 of the JPRS list): type and size of the key that was sent."""
    assert hints.of("acme:bad-csr", "The CSR is unacceptable", ORDER) == "the request was for a key of type rsa3072"


@pytest.mark.parametrize("code", ["acme:rejected-identifier", "acme:unsupported-identifier", "jprs:fqdn-invalid"])
def test_a_refused_name_is_named(hints: Hints, code: str) -> None:
    """The CA's message need not say which name it means (rows 16, 25 and 29): those of the order are told."""
    assert hints.of(code, "no", ORDER) == f"ordered for {NAME}, {WWW}"
    assert hints.of(code, f"not for {WWW}", ORDER) == ""


def test_what_forbids_is_looked_up(hints: Hints) -> None:
    """Row 8: the record set found, and the one to add, as far as the CA's name is known: JPRS's always is."""
    assert hints.of("acme:caa", "no", ORDER) == (
        f'{NAME}: found {NAME}. CAA 0 issue ";"; needed: a record that names the CA'
    )
    jprs = replace(ORDER, directory="https://acme.amecert.jprs.jp/DV/getDirectory")
    assert hints.of("acme:caa", "no", jprs).endswith(f'needed: {NAME}. CAA 0 issue "jprs.jp"')
    assert hints.of("acme:caa", f"not for {WWW}", jprs).startswith(f"{WWW}: found {NAME}. CAA")


def test_nothing_is_added_to_other_failures(hints: Hints) -> None:
    assert hints.of("acme:connection", "no", ORDER) == ""
