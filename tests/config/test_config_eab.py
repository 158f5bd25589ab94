"""certd.config.eab"""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from certd.config import read_eab_key
from certd.errors import ConfigError
from certd.model.specs import EabSpec

_SECRET = b"0123456789abcdef0123456789abcdef"


def _file(path: Path, content: bytes, mode: int = 0o600) -> EabSpec:
    path.write_bytes(content)
    path.chmod(mode)
    return EabSpec("KID", hmac_key_file=path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(min_size=16, max_size=64), st.booleans(), st.booleans())
def test_keys_are_read_in_the_forms_that_are_handed_out(tmp_path: Path, key: bytes, padded: bool, url: bool) -> None:
    """Base64url and base64, with and without padding; and editors add a line break."""
    text = base64.urlsafe_b64encode(key) if url else base64.b64encode(key)
    assert read_eab_key(_file(tmp_path / "key", (text if padded else text.rstrip(b"=")) + b"\n")) == key


@pytest.mark.parametrize(
    ("content", "mode", "what"),
    [
        (base64.urlsafe_b64encode(_SECRET), 0o604, "others may read or change"),
        (base64.urlsafe_b64encode(_SECRET), 0o602, "others may read or change"),
        (base64.urlsafe_b64encode(_SECRET[:15]), 0o600, "holds 15 bytes; a key has at least 16"),
        (b"", 0o600, "holds 0 bytes"),
        (b"two words0123456789abcdef", 0o600, "does not hold one base64url text"),
        (b"\xff\x00" * 20, 0o600, "does not hold one base64url text"),
        (b"a" * 25, 0o600, "the base64url text is incomplete"),
        (b"a" * 20000, 0o600, "does not hold one base64url text"),
    ],
)
def test_a_wrong_key_is_named_but_never_shown(tmp_path: Path, content: bytes, mode: int, what: str) -> None:
    """The sentence names the file and what is wrong; no byte of the key."""
    with pytest.raises(ConfigError) as caught:
        read_eab_key(_file(tmp_path / "the.key", content, mode))
    assert what in str(caught.value)
    assert "the.key" in str(caught.value)
    if len(content) > 8:
        assert content[:8].decode("latin-1") not in str(caught.value)


def test_a_file_that_is_not_there_or_no_file(tmp_path: Path) -> None:
    """Missing, a directory, and a pipe that nobody writes to, which must not hold anything up."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name, what in (("missing", "No such file"), (".", "is not a file"), ("pipe", "is not a file")):
        with pytest.raises(ConfigError, match=what):
            read_eab_key(EabSpec("KID", hmac_key_file=tmp_path / name))


def test_a_credential_is_read_from_the_directory_that_systemd_names(tmp_path: Path) -> None:
    """Without the variable, the error names it."""
    (tmp_path / "eab").write_bytes(base64.urlsafe_b64encode(_SECRET))
    (tmp_path / "eab").chmod(0o400)
    spec = EabSpec("KID", hmac_key_credential="eab")
    assert read_eab_key(spec, {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == _SECRET
    with pytest.raises(ConfigError, match=r"\$CREDENTIALS_DIRECTORY is not set"):
        read_eab_key(spec, {})
