"""Real parts for tests: Pebble with its DNS, an OCSP responder, Apache, a web root. The fixtures are in conftest.py.

Each is an ordinary process (or a thread) on free loopback ports and in a directory of its own. None needs root. A test
is skipped, with the reason, where a program is not installed.
"""

from __future__ import annotations

from parts.apache import Apache
from parts.authority import TestAuthority, pem_of, serial_of
from parts.background import Background
from parts.daemon import Certd
from parts.faultproxy import Ask, Conversation, Fault, FaultProxy, Reply
from parts.forwarded import ForwardClock, ForwardedCertd
from parts.handshake import served_certificate, served_serial
from parts.labsite import LabSite
from parts.nameserver import NameServer
from parts.pebble import CertificateStatus, Pebble, PebbleOptions
from parts.ports import LOOPBACK, free_port, free_ports
from parts.processes import Process, eventually, find, require, watched_tails
from parts.responder import Asked, Behaviour, Issuer, Responder
from parts.site import Site
from parts.webroot import Webroot

__all__ = [
    "LOOPBACK",
    "Apache",
    "Ask",
    "Asked",
    "Background",
    "Behaviour",
    "Certd",
    "CertificateStatus",
    "Conversation",
    "Fault",
    "FaultProxy",
    "ForwardClock",
    "ForwardedCertd",
    "Issuer",
    "LabSite",
    "NameServer",
    "Pebble",
    "PebbleOptions",
    "Process",
    "Reply",
    "Responder",
    "Site",
    "TestAuthority",
    "Webroot",
    "eventually",
    "find",
    "free_port",
    "free_ports",
    "pem_of",
    "require",
    "serial_of",
    "served_certificate",
    "served_serial",
    "watched_tails",
]
