"""Keys, requests, certificates and complete sets of them. No file is read or written here.

Every check that fails raises `PkiError` with a stable code:

========================  ============================================================================
``key-unreadable``        the private key is not an unencrypted PEM key
``key-mismatch``          the certificate was issued for another key
``key-type``              the key is not of the type that is wanted
``name-invalid``          a name that cannot stand in a request
``certificate-unreadable``  a certificate does not parse, or breaks RFC 5280 where certd looks
``chain-empty``           no certificate at all
``chain-too-large``       more bytes or certificates than any honest chain has
``chain-not-pem``         anything but CERTIFICATE blocks (RFC 8555 section 11.4)
``chain-broken``          a certificate is not signed by the one after it, or that one is no CA
``chain-incomplete``      the leaf alone, though it comes from below an intermediate
``names-missing``         a wanted name is not in the certificate
``names-extra``           the certificate has names that were not asked for
``expired``               its validity is over
``not-yet-valid``         its validity begins later than any wrong clock explains
``leaf-is-ca``            a CA certificate came where the leaf should be
``no-server-auth``        its extended key usage does not allow a TLS server
========================  ============================================================================
"""

from __future__ import annotations

from certd.pki.chain import issuer_pem
from certd.pki.foreign import demands_stapling, gather_set, names_an_issuer, pkcs8_from_jwk, pkcs8_from_pem, same_key
from certd.pki.keys import generate_key, key_type_of, make_csr
from certd.pki.leaf import covers, read_leaf
from certd.pki.sets import CertificateSet, build_set, is_placeholder, make_placeholder, read_set

__all__ = [
    "CertificateSet",
    "build_set",
    "covers",
    "demands_stapling",
    "gather_set",
    "generate_key",
    "is_placeholder",
    "issuer_pem",
    "key_type_of",
    "make_csr",
    "make_placeholder",
    "names_an_issuer",
    "pkcs8_from_jwk",
    "pkcs8_from_pem",
    "read_leaf",
    "read_set",
    "same_key",
]
