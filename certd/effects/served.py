"""What servers show: handshakes, many at once, and the OCSP responder's word."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from certd import ocsp, pki, probe
from certd.errors import OcspError, OcspInvalid
from certd.http import Exchanger
from certd.model.records import BatchSet, Leaf, OcspCheck, OcspWord, Seen, Served, Sight
from certd.model.specs import Address, CertificateSpec, VerifySpec
from certd.text import printable

IN_A_ROW = 3
"""The new certificate is seen this often before it is believed: old workers may still accept (ARCHITECTURE 4b). A
handshake that fails is tried this often as well: workers that leave drop connections."""
HANDSHAKE = 5.0
"""Seconds for one handshake, with the attempts after a failed one."""
AT_ONCE = 16
OCSP_DEADLINE = timedelta(seconds=10)

Target = tuple[BatchSet, VerifySpec, str]
"""What is looked at: the set, how, and the SNI name where the specification gives none."""


def look(targets: Sequence[Target]) -> tuple[Seen, ...]:
    """What is served for each set: the new leaf only where every address showed it three times in a row."""
    if len(targets) <= 1:
        return tuple(_look_at(target) for target in targets)
    with ThreadPoolExecutor(min(AT_ONCE, len(targets)), thread_name_prefix="look") as pool:
        return tuple(pool.map(_look_at, targets))


def sni(spec: CertificateSpec) -> str:
    """The name to ask for: the certificate's first; a label of ours for a wildcard's star."""
    first = spec.domains[0]
    return "certd-probe" + first[1:] if first.startswith("*.") else first


def served_now(verify: VerifySpec, name: str, now: datetime) -> Served:
    """One handshake at the first address, for health."""
    seen = probe.handshake(
        verify.connect[0], (verify.names or (name,))[0], timeout=HANDSHAKE, proxy_protocol=verify.proxy_protocol
    )
    return Served(seen.serial, now)


def ask_status(exchanger: Exchanger, fullchain: bytes, leaf: Leaf, *, by_get: bool, now: datetime) -> OcspCheck:
    """The responder's word by POST, and by GET as well where clients will ask that way (ARCHITECTURE 4d).

    Never raises: no answer, and an answer that proves nothing, are words as well.
    """
    issuer = pki.issuer_pem(fullchain)
    if issuer is None or leaf.ocsp_url is None:
        return OcspCheck(OcspWord.INVALID, now, "the chain does not hold the issuer, so no answer can be verified")
    check = _ask(exchanger, fullchain, issuer, leaf.ocsp_url, "POST", now)
    if by_get and check.word is OcspWord.GOOD:
        return _ask(exchanger, fullchain, issuer, leaf.ocsp_url, "GET", now)
    return check


def _ask(
    exchanger: Exchanger, leaf_pem: bytes, issuer: bytes, url: str, method: ocsp.Method, now: datetime
) -> OcspCheck:
    try:
        return ocsp.ask(
            exchanger, leaf_pem=leaf_pem, issuer_pem=issuer, url=url, method=method, now=now, deadline=OCSP_DEADLINE
        )
    except OcspError as error:
        word = OcspWord.INVALID if isinstance(error, OcspInvalid) else OcspWord.UNREACHABLE
        return OcspCheck(word, now, printable(str(error)))


def _look_at(target: Target) -> Seen:
    part, verify, own_name = target
    for address in verify.connect:
        for name in verify.names or (own_name,):
            for _ in range(IN_A_ROW):
                seen = _handshake(address, name, verify.proxy_protocol)
                if seen.sight is not Sight.LEAF or seen.fingerprint != part.fingerprint:
                    return Seen(part.name, seen.sight, seen.fingerprint)
    return Seen(part.name, Sight.LEAF, part.fingerprint)


def _handshake(address: Address, name: str, proxy_protocol: str | None) -> probe.Probe:
    """What is served, once; only what fails `IN_A_ROW` times, or takes the whole time, has failed."""
    began = time.monotonic()
    for _ in range(IN_A_ROW):
        left = began + HANDSHAKE - time.monotonic()
        if left <= 0:
            break
        seen = probe.handshake(address, name, timeout=left, proxy_protocol=proxy_protocol)
        if seen.sight not in (Sight.BROKEN, Sight.REFUSED):
            break
    return seen
