"""Replay protection (RFC 8555 section 6.5)."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict

_KEPT = 100_000


class Nonces:
    """Nonces handed out and not yet used. The oldest are forgotten when there are too many."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fresh: OrderedDict[str, None] = OrderedDict()

    def new(self) -> str:
        """A nonce that works once."""
        nonce = secrets.token_urlsafe(16)
        with self._lock:
            self._fresh[nonce] = None
            if len(self._fresh) > _KEPT:
                self._fresh.popitem(last=False)
        return nonce

    def spend(self, nonce: object) -> bool:
        """Was it fresh? It no longer is."""
        with self._lock:
            return isinstance(nonce, str) and self._fresh.pop(nonce, False) is None
