"""When a live certificate is renewed (ARCHITECTURE 4d)."""

from __future__ import annotations

from datetime import datetime, timedelta
from fractions import Fraction

from certd.model.records import Leaf
from certd.model.specs import CertificateSpec

SHORT_LIFE = timedelta(days=10)
JITTER = Fraction(1, 60)
EMERGENCY = Fraction(19, 20)
"""Past this part of its life a certificate goes first for permits, and backs off ten minutes at most."""


def lifetime(leaf: Leaf) -> timedelta:
    return leaf.not_after - leaf.not_before


def renewal_time(spec: CertificateSpec, leaf: Leaf, draw: float) -> datetime:
    """As configured, never before half of life, plus the stored draw's share of life/60, never after the end."""
    life = lifetime(leaf)
    before = spec.renew_before
    if before is None:
        before = Fraction(1, 2) if life < SHORT_LIFE else Fraction(1, 3)
    margin = before if isinstance(before, timedelta) else _part(life, before)
    configured = leaf.not_after - margin
    half = leaf.not_before + life / 2
    jitter = life * draw * float(JITTER)
    return min(max(configured, half) + jitter, leaf.not_after)


def emergency_time(leaf: Leaf) -> datetime:
    """From here on nothing matters more than a new certificate."""
    return leaf.not_before + _part(lifetime(leaf), EMERGENCY)


def _part(whole: timedelta, fraction: Fraction) -> timedelta:
    """Exact for every fraction that a configuration can hold; a timedelta times a long numerator overflows."""
    microsecond = timedelta(microseconds=1)
    return round(whole // microsecond * fraction) * microsecond
