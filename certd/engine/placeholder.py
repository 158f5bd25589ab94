"""A self-signed set where no usable version exists, so that a server's configuration loads (ARCHITECTURE 5)."""

from __future__ import annotations

from datetime import datetime

from certd import pki
from certd.errors import BrokenRecord, PkiError
from certd.model.specs import CertificateSpec
from certd.store import Store


def ensure(store: Store, spec: CertificateSpec, now: datetime) -> bool:
    """Give `live/NAME` something to name, if it names nothing that is there; whether anything was done.

    A link whose version was lost (a restore that is not complete, a directory that somebody removed) is as good as
    none: no server that includes it starts. Whatever is there stays live. A usable version gets the link; only without
    one a placeholder is made. Raises StateError.
    """
    live = store.live_version(spec.name)
    if live is not None and store.has_version(spec.name, live):
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
