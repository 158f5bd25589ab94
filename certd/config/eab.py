"""The MAC key of an external account binding (RFC 8555 section 7.3.4): where it lies, who may read it, its form.

Nothing here ever repeats a byte of the key.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Mapping
from pathlib import Path

from certd import atomicfile
from certd.errors import ConfigError
from certd.model.specs import EabSpec

LEAST_BYTES = 16
LONGEST_FILE = 16 * 1024
VARIABLE = "CREDENTIALS_DIRECTORY"


def read_eab_key(spec: EabSpec, environ: Mapping[str, str] | None = None) -> bytes:
    """The raw MAC key, from the file or from the systemd credential that `spec` names.

    `environ` is the process's environment by default. Raises ConfigError with one sentence that names the file or the
    variable: missing, unreadable, readable by others, or not base64url or base64 of at least 16 bytes.
    """
    if spec.hmac_key_file is not None:
        path = spec.hmac_key_file
    else:
        assert spec.hmac_key_credential is not None, "an EabSpec has exactly one source of its key"
        path = credential_path(spec.hmac_key_credential, os.environ if environ is None else environ)
    return _decoded(_read_secret(path), path)


def credential_path(name: str, environ: Mapping[str, str]) -> Path:
    """Where systemd puts the credential. Raises ConfigError where it gave this process none."""
    directory = environ.get(VARIABLE, "")
    if not directory.startswith("/"):
        raise ConfigError(
            [f"${VARIABLE} is not set, so credential {name} cannot be read; its unit needs LoadCredential={name}:PATH"]
        )
    return Path(directory) / name


def _read_secret(path: Path) -> bytes:
    try:
        with atomicfile.opened_file(path) as descriptor:
            mode = os.fstat(descriptor).st_mode
            if mode & 0o007:
                raise ConfigError([f"others may read or change {path} (mode {mode & 0o777:04o}); do: chmod o= {path}"])
            return os.read(descriptor, LONGEST_FILE + 1)
    except atomicfile.NotRegular:
        raise ConfigError([f"{path} is not a file"]) from None
    except OSError as error:
        raise ConfigError([f"cannot read {path}: {error.strerror}"]) from None


def _decoded(content: bytes, path: Path) -> bytes:
    # The letters of plain base64 are taken as well: CAs and resellers hand keys out in both alphabets.
    text = content.strip().rstrip(b"=").replace(b"+", b"-").replace(b"/", b"_")
    if len(content) > LONGEST_FILE or re.fullmatch(rb"[A-Za-z0-9_-]*", text) is None:
        raise ConfigError([f"{path} does not hold one base64url text (RFC 4648 section 5); copy the key as given"])
    try:
        key = base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    except binascii.Error:
        raise ConfigError([f"{path}: the base64url text is incomplete; copy the key as it was given"]) from None
    if len(key) < LEAST_BYTES:
        raise ConfigError([f"{path} holds {len(key)} bytes; a key has at least {LEAST_BYTES}"])
    return key
