"""The anti-replay nonces at hand for one CA (RFC 8555 section 6.5)."""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_NONCE = re.compile(r"[A-Za-z0-9_-]{1,1024}", re.ASCII)


class NoncePool:
    """A bounded stack, safe to share between threads: the newest nonce is the likeliest to be good still."""

    def __init__(self, size: int = 64) -> None:
        # deque.append and deque.pop are atomic, and maxlen drops the oldest.
        self._nonces: deque[str] = deque(maxlen=size)

    def put(self, nonce: str) -> None:
        """Keep `nonce` for a later request."""
        self._nonces.append(nonce)

    def take(self) -> str | None:
        """A nonce that nobody else gets, or None where there is none."""
        try:
            return self._nonces.pop()
        except IndexError:
            return None

    def clear(self) -> None:
        """Forget all: the CA does not know them any more."""
        self._nonces.clear()


def nonce_in(headers: Mapping[str, str]) -> str | None:
    """The nonce that an answer brought. RFC 8555 section 6.5.1: "clients MUST ignore invalid Replay-Nonce values"."""
    nonce = headers.get("replay-nonce")
    return nonce if nonce is not None and _NONCE.fullmatch(nonce) else None
