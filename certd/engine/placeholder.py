"""A self-signed set where no usable version exists, so that a server's configuration loads (ARCHITECTURE 5)."""

from __future__ import annotations

from datetime import datetime

from certd import pki
from certd.errors import BrokenRecord, PkiError
from certd.model.specs import CertificateSpec
from certd.store import Store


def ensure(store: Store, spec: CertificateSpec, now: datetime) -> bool:
    """Give `live/NAME` something to name, if it names nothing; whether anything was done.

    A usable version that lost its link gets it back; only without one a placeholder is made. Raises StateError.
    """
    if store.live_version(spec.name) is not None:
        return False
    for version in sorted(store.versions(spec.name), reverse=True):
        try:
            leaf = store.version_leaf(spec.name, version)
        except (PkiError, BrokenRecord):
            continue
        if leaf.not_after > now:
            store.switch_live(spec.name, version, now=now)
            return True
    made = pki.make_placeholder(spec.domains, now=now)
    version = store.add_version(spec.name, made, group=spec.files.group, combined=spec.files.combined)
    store.switch_live(spec.name, version, now=now)
    return True
