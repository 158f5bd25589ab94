"""The clients of the CAs, across a new configuration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from authority import NOW
from msgspec.structs import replace
from statedir import opened

from certd import pki
from certd.effects.authorities import Authorities
from certd.errors import PkiError, StateError
from certd.model.specs import CaLimits, CaSpec, KeyType

CA = CaSpec("jprs", "https://ca.example.jp/", contact=("ops@example.jp",))
URL = "https://ca.example.jp/account/1"


@pytest.fixture
def authorities(tmp_path: Path) -> Iterator[Authorities]:
    store = opened(tmp_path / "state")
    store.write_account_key("jprs", pki.generate_key(KeyType.P256))
    authorities = Authorities({"jprs": CA}, store, now=lambda: NOW, on_date=lambda _: None)
    yield authorities
    authorities.close()
    store.close()


@pytest.mark.parametrize("change", [{"contact": ("new@example.jp",)}, {"limits": CaLimits(in_flight=1)}, {}])
def test_an_account_outlives_a_new_configuration(authorities: Authorities, change: dict[str, object]) -> None:
    """Whatever changes about its CA: the client made anew signs with the same account (RFC 8555 section 6.2)."""
    authorities.use_account("jprs", URL)
    before = authorities.client("jprs")
    authorities.use_account("jprs", URL)
    authorities.replace({"jprs": replace(CA, **change)})
    after = authorities.client("jprs")
    assert after.account_url == URL
    assert (after is before) == (not change)


def test_a_ca_that_left_and_came_back_has_its_account(authorities: Authorities) -> None:
    """In between it has no client."""
    authorities.use_account("jprs", URL)
    authorities.replace({})
    with pytest.raises(StateError, match="no longer has"):
        authorities.client("jprs")
    authorities.replace({"jprs": CA})
    assert authorities.client("jprs").account_url == URL


def test_a_key_that_cannot_be_read(authorities: Authorities, tmp_path: Path) -> None:
    """It keeps nobody from knowing the account's URL; whoever needs the key is told."""
    (key,) = tmp_path.rglob("account.key")
    key.write_bytes(b"")
    authorities.use_account("jprs", URL)
    with pytest.raises(PkiError, match="not PEM"):
        authorities.client("jprs")
