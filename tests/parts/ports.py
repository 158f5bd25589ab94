"""Free TCP and UDP ports on loopback that two tests never share.

A port that was found by binding to port 0 and closing it again can be handed to somebody else at once: to another
test worker, or to an outgoing connection as its source port. So ports come from below the kernel's ephemeral range,
and each is claimed for the life of this process by a socket in the abstract Unix name space. That claim has the scope
of the port itself (the network name space), holds across parallel workers and runs, and dies with its process.
"""

from __future__ import annotations

import random
import socket
from pathlib import Path

LOOPBACK = "127.0.0.1"

_FIRST = 10000
_claims: dict[int, socket.socket] = {}
_random = random.SystemRandom()


def free_port() -> int:
    """Claim a port that is free for TCP and UDP on loopback now, and ours until this process ends."""
    for _ in range(2000):
        port = _random.randrange(_FIRST, _end_of_range())
        claim = _claim(port)
        if claim is None:
            continue
        if _bindable(port):
            _claims[port] = claim
            return port
        claim.close()
    raise RuntimeError("no free port found on loopback")


def free_ports(count: int) -> tuple[int, ...]:
    """Claim `count` different ports."""
    return tuple(free_port() for _ in range(count))


def _end_of_range() -> int:
    """Where the kernel's ephemeral ports begin, unless they leave too few below them."""
    try:
        low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        low = 32768
    return low if low > _FIRST + 2000 else 32768


def _claim(port: int) -> socket.socket | None:
    """The claim on `port`, or None where another process, or this one, holds it."""
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claim.bind(f"\0certd-test-port-{port}")
    except OSError:
        claim.close()
        return None
    return claim


def _bindable(port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:
                # As servers do: a connection in TIME_WAIT is no obstacle.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                return False
    return True
