"""A DNS server on loopback that answers as it is told, over UDP."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

from parts.background import Background
from parts.ports import LOOPBACK

SILENCE = -1
"""Instead of a response code: no answer at all."""


class NameServer(Background):
    """Zone data by name and type, such as ``{("example.jp", "CAA"): ['0 issue "ca.example"']}``.

    A name that has no data of any type is NXDOMAIN; `trouble` has response codes by name instead. `asked` counts.
    """

    def __init__(self, zone: Mapping[tuple[str, str], list[str]], trouble: Mapping[str, int] | None = None) -> None:
        super().__init__()
        self.zone = dict(zone)
        self.trouble = dict(trouble or {})
        self.asked: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((LOOPBACK, 0))

    @property
    def port(self) -> int:
        port: int = self._socket.getsockname()[1]
        return port

    def resolv_conf(self, directory: Path) -> Path:
        """A file that names this server, as /etc/resolv.conf would."""
        path = directory / "resolv.conf"
        path.write_text(f"nameserver {LOOPBACK}\noptions timeout:1 attempts:1\n")
        return path

    def _run(self) -> None:
        with self._socket:
            while True:
                data, client = self._socket.recvfrom(4096)
                if not data:
                    return
                answer = self._answer(dns.message.from_wire(data))
                if answer is not None:
                    self._socket.sendto(answer.to_wire(), client)

    def _end(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", (LOOPBACK, self.port))

    def _answer(self, query: dns.message.Message) -> dns.message.Message | None:
        (question,) = query.question
        name = question.name.to_text(omit_final_dot=True)
        self.asked.append(name)
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        trouble = self.trouble.get(name, dns.rcode.NOERROR)
        if trouble == SILENCE:
            return None
        answer.set_rcode(dns.rcode.Rcode(trouble))
        if trouble != dns.rcode.NOERROR:
            return answer
        if not any(known == name or known.endswith(f".{name}") for known, _ in self.zone):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        while alias := self.zone.get((name, "CNAME")):
            answer.answer.append(dns.rrset.from_text(f"{name}.", 60, "IN", "CNAME", f"{alias[0]}."))
            name = alias[0]
        records = self.zone.get((name, "CAA"), [])
        if records:
            answer.answer.append(dns.rrset.from_text(f"{name}.", 60, "IN", "CAA", *records))
        return answer
