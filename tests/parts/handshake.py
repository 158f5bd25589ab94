"""What a TLS server serves, seen from outside and independently of certd's own probe."""

from __future__ import annotations

import socket
import ssl

from cryptography import x509

from parts.authority import serial_of
from parts.ports import LOOPBACK


def served_certificate(port: int, name: str, host: str = LOOPBACK) -> x509.Certificate | None:
    """The leaf served for `name`; None where the connection is refused or the handshake fails."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((host, port), timeout=10) as connection,
            context.wrap_socket(connection, server_hostname=name) as tls,
        ):
            der = tls.getpeercert(binary_form=True)
    except OSError:
        return None
    return x509.load_der_x509_certificate(der) if der else None


def served_serial(port: int, name: str, host: str = LOOPBACK) -> str | None:
    """As `served_certificate`: its serial, lower-case hex without leading zeros."""
    certificate = served_certificate(port, name, host)
    return None if certificate is None else serial_of(certificate)
