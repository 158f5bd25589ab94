"""Which of the files that a server names make the set of one certificate."""

from __future__ import annotations

from pathlib import Path

import pytest
from authority import Authority, cached_key_pem
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from certd.errors import Refused
from certd.migrate.takeover import Served, choose
from certd.model.specs import CertificateSpec, KeyType

AUTHORITY = Authority()


def spec(key: KeyType) -> CertificateSpec:
    return CertificateSpec(name="a.jp", domains=("a.jp",), ca="x", key=key)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """RSA and ECDSA of one name, and what they share."""
    rsa_key = cached_key_pem(KeyType.RSA2048)
    private = serialization.load_pem_private_key(rsa_key, None)
    assert isinstance(private, rsa.RSAPrivateKey)
    first, second = AUTHORITY.leaf("a.jp", public_key=private.public_key()), AUTHORITY.leaf("a.jp")
    content = {
        "rsa.cer": first.pem,
        "rsa.key": rsa_key,
        "ec.cer": second.pem,
        "ec.key": second.key_pem,
        "both.pem": second.pem + second.key_pem,
        "ca.cer": AUTHORITY.intermediate.pem,
    }
    for name, text in content.items():
        (tmp_path / name).write_bytes(text)
    return {name: tmp_path / name for name in content}


@pytest.mark.parametrize(("key", "pair"), [(KeyType.P256, "ec"), (KeyType.RSA2048, "rsa"), (KeyType.P384, "rsa")])
def test_of_two_certificates_the_configured_kind_is_taken(
    files: dict[str, Path], key: KeyType, pair: str, tmp_path: Path
) -> None:
    """Each with the key that fits it, whatever their order; the first where neither is of that kind."""
    certificates = [files["rsa.cer"], files["ec.cer"]]
    keys = [files["ec.key"], files["rsa.key"]]
    served = choose(spec(key), certificates, keys, [files["ca.cer"]], state_dir=tmp_path / "state")
    assert served == Served(files[f"{pair}.cer"], files[f"{pair}.key"], files["ca.cer"])


def test_a_key_in_the_certificates_file_is_found(files: dict[str, Path], tmp_path: Path) -> None:
    """Apache needs no SSLCertificateKeyFile then; the path counts once."""
    served = choose(spec(KeyType.P256), [files["both.pem"]], [], [], state_dir=tmp_path / "state")
    assert served.paths() == (files["both.pem"],)


def test_files_that_do_not_fit_are_named(files: dict[str, Path], tmp_path: Path) -> None:
    """A key of another certificate: Apache would not start with it either."""
    with pytest.raises(Refused, match=r"ec\.cer and the private key make no set .*none of the certificates"):
        choose(spec(KeyType.P256), [files["ec.cer"]], [files["rsa.key"]], [], state_dir=tmp_path / "state")
