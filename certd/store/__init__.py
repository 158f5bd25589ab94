"""The state directory: records, keys, versions, live links and the lock. docs/STATE.md specifies all of it."""

from __future__ import annotations

from certd.store.directory import Store

__all__ = ["Store"]
