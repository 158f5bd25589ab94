"""A state directory for tests, and sets to put into it."""

from __future__ import annotations

import os
from datetime import timedelta
from functools import cache
from pathlib import Path

from authority import NOW, Authority

from certd.model.codes import Because
from certd.model.records import Idle, Leaf, Ledger, Staged, Timer
from certd.model.specs import KeyType
from certd.pki import CertificateSet, build_set, make_placeholder
from certd.store import Store

NAME = "example.jp"


def opened(directory: Path, purpose: str = "test") -> Store:
    return Store.open(directory, purpose=purpose, now=NOW)


@cache
def _authority() -> Authority:
    return Authority()


def issued(number: int = 1, days: int = 90) -> CertificateSet:
    """A set for NAME; another number, another key."""
    return _issued(number, days)


@cache
def _issued(number: int, days: int) -> CertificateSet:
    leaf = _authority().leaf(NAME, serial=1000 + number, not_after=NOW + timedelta(days=days))
    chain = _authority().chain(leaf)
    return build_set(leaf.key_pem, chain, domains=[NAME], key_type=KeyType.P256, now=NOW)


@cache
def placeholder() -> CertificateSet:
    return make_placeholder([NAME], now=NOW)


def idle(attempts: int = 0) -> Idle:
    return Idle(Ledger(goal="g", attempts=attempts, orders=(NOW,)))


def staged(version: int, leaf: Leaf) -> Staged:
    activate = Timer(NOW, NOW + timedelta(minutes=10))
    deadline = NOW + timedelta(hours=1)
    return Staged(Ledger(), Because.RENEWAL_TIME, version, leaf, NOW, activate, deadline, servers=("web",))


def put_instead(path: Path, how: str) -> None:
    """In the place of a file a FIFO (`fifo`), or a terabyte of nothing (`huge`)."""
    path.unlink()
    if how == "fifo":
        os.mkfifo(path)
    else:
        path.touch()
        os.truncate(path, 1 << 40)
