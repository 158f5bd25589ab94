"""What is wanted of a certificate, as a digest, and whether a leaf is what is wanted."""

from __future__ import annotations

import hashlib

from certd.model.codes import Because
from certd.model.records import Leaf
from certd.model.specs import CertificateSpec


def goal(spec: CertificateSpec) -> str:
    """A change of it makes earlier failures meaningless: names, key type and CA."""
    parts = [*sorted(spec.domains), spec.key, spec.ca]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def mismatch(spec: CertificateSpec, leaf: Leaf) -> Because | None:
    """Why this leaf is not what the configuration asks for; None if it is."""
    if set(leaf.names) != set(spec.domains):
        return Because.NAMES_CHANGED
    if leaf.key is not spec.key:
        return Because.KEY_TYPE_CHANGED
    return None
