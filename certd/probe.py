"""A TLS handshake with a server of ours, to see which leaf it serves for a name."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import ssl
from dataclasses import dataclass

from certd.dial import Deadline, connect
from certd.errors import PkiError
from certd.model.records import Sight
from certd.model.specs import Address
from certd.pki import read_leaf
from certd.text import printable

_CLIENT_CERTIFICATE_ALERTS = frozenset(
    {
        "SSLV3_ALERT_HANDSHAKE_FAILURE",
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "SSLV3_ALERT_NO_CERTIFICATE",
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
    }
)
"""How servers of TLS 1.2 say that they want a client certificate (RFC 5246 section 7.4.6)."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What one handshake showed. Without a leaf, `fingerprint` and `serial` are None and `text` tells why."""

    sight: Sight
    fingerprint: str | None = None
    """SHA-256 of the leaf's DER, lower-case hex, as `Leaf.fingerprint`."""
    serial: str | None = None
    """Lower-case hex; None also for a leaf whose fields do not parse."""
    text: str = ""


def handshake(address: Address, server_name: str, *, timeout: float, proxy_protocol: str | None = None) -> Probe:
    """Connect to `address`, ask for `server_name`, and look at the leaf; never raises for what the server does.

    Trust is not verified: the leaf is compared with the one that should be there, and a placeholder or a private
    CA's is none to be trusted. TLS 1.3 is used where the server knows it: there the leaf can be read even if the
    server then demands a client certificate. `timeout` (seconds) holds for all of it. `proxy_protocol` "v1" sends
    the header that a server behind a load balancer waits for.
    """
    context = _context()
    try:
        # A name that cannot be asked for is found out here, where no socket can be lost by it.
        context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=server_name)
    except (ValueError, TypeError):
        return Probe(Sight.BROKEN, text=f"{printable(server_name)!r} is no name that a server can be asked for")
    deadline = Deadline(timeout)
    try:
        sock = connect(address.host, address.port, deadline)
    except ConnectionRefusedError:
        return Probe(Sight.REFUSED, text=f"{address} refuses connections")
    except OSError as error:
        return Probe(Sight.BROKEN, text=f"cannot connect to {address}: {_reason(error)}")
    with sock:
        try:
            if proxy_protocol == "v1":
                sock.sendall(_proxy_header(sock))
            tls = context.wrap_socket(sock, server_hostname=server_name, do_handshake_on_connect=False)
        except OSError as error:
            return Probe(Sight.BROKEN, text=f"{address}: the connection broke before TLS: {_reason(error)}")
        with tls:
            return _shake(tls, deadline, address)


def _shake(tls: ssl.SSLSocket, deadline: Deadline, address: Address) -> Probe:
    try:
        # The timeout of this one call holds for the whole handshake, not for each read.
        tls.settimeout(deadline.remaining())
        tls.do_handshake()
        leaf = tls.getpeercert(binary_form=True)
    except ssl.SSLError as error:
        # The cipher is known from the ServerHello on: the server is up and got as far as its certificates. The same
        # alert in answer to the ClientHello means that it can serve nobody for this name.
        if error.reason in _CLIENT_CERTIFICATE_ALERTS and tls.cipher() is not None:
            return Probe(Sight.NO_LEAF, text=f"{address} demands a client certificate before its own can be read")
        return Probe(Sight.BROKEN, text=f"{address}: the TLS handshake failed: {_reason(error)}")
    except OSError as error:
        return Probe(Sight.BROKEN, text=f"{address}: the TLS handshake failed: {_reason(error)}")
    if leaf is None:
        return Probe(Sight.BROKEN, text=f"{address} serves no certificate")
    return Probe(Sight.LEAF, hashlib.sha256(leaf).hexdigest(), _serial(leaf))


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    # Nothing secret is sent, and a server with an old key or cipher is still to be seen as it is.
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    return context


def _proxy_header(sock: socket.socket) -> bytes:
    """PROXY protocol version 1 (section 2.1 of its specification): the connection as it really is."""
    family = "TCP6" if sock.family == socket.AF_INET6 else "TCP4"
    (source, source_port, *_), (target, target_port, *_) = sock.getsockname(), sock.getpeername()
    return f"PROXY {family} {source} {target} {source_port} {target_port}\r\n".encode("ascii")


def _serial(der: bytes) -> str | None:
    with contextlib.suppress(PkiError):
        return read_leaf(ssl.DER_cert_to_PEM_cert(der).encode("ascii")).serial
    return None


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLError) and error.reason:
        return printable(error.reason.replace("_", " ").lower())
    return printable(getattr(error, "strerror", None) or str(error) or type(error).__name__)
