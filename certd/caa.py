"""CAA records (RFC 8659): which of them stands in a CA's way, looked up once the CA has refused for that reason.

The finding explains a refusal to an operator and decides nothing: the CA may ask other name servers than this machine.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from certd.dial import Deadline
from certd.text import printable

MOST_SECONDS = 10.0
"""For all questions about one order."""
SHOWN = 3
"""Of a record set's properties."""

_CRITICAL = 128
_KNOWN_TAGS = frozenset({"issue", "issuewild", "issuemail", "issuevmc", "iodef", "contactemail", "contactphone"})
_VALUE_MOST = 80


class Property(NamedTuple):
    """RFC 8659 section 4.1; `tag` is lower case."""

    flags: int
    tag: str
    value: str

    def __str__(self) -> str:
        return f'CAA {self.flags} {printable(self.tag, 20)} "{printable(self.value, _VALUE_MOST)}"'


class RecordSet(NamedTuple):
    """The properties at one name, never none."""

    owner: str
    properties: tuple[Property, ...]

    def __str__(self) -> str:
        shown = ", ".join(str(one) for one in self.properties[:SHOWN])
        more = len(self.properties) - SHOWN
        return f"{self.owner}. {shown}" + (f" and {more} more" if more > 0 else "")

    def governing(self, *, wildcard: bool) -> tuple[Property, ...]:
        """Those that say who may issue: `issuewild`, where there is one, for a wildcard, else `issue` (section 4.3)."""
        wild = tuple(one for one in self.properties if wildcard and one.tag == "issuewild")
        return wild or tuple(one for one in self.properties if one.tag == "issue")

    def unknown(self) -> Property | None:
        """A critical property that CAs need not understand; then nobody may issue (section 4.1)."""
        critical = (one for one in self.properties if one.flags & _CRITICAL)
        return next((one for one in critical if one.tag not in _KNOWN_TAGS), None)


Ask = Callable[[str, float], tuple[Property, ...]]
"""The CAA properties at one name, () where there are none, within so many seconds. Raises OSError."""


def relevant_set(domain: str, ask: Callable[[str], tuple[Property, ...]]) -> RecordSet | None:
    """The set that governs `domain`: its own, else that of the next parent that has one (section 3). Raises OSError."""
    name = domain.removeprefix("*.")
    while name:
        properties = ask(name)
        if properties:
            return RecordSet(name, properties)
        name = name.partition(".")[2]
    return None


def finding(domains: Sequence[str], identities: Collection[str], ask: Ask, *, seconds: float = MOST_SECONDS) -> str:
    """In one sentence, what forbids the CA that goes by `identities` to issue for these domains, and what is needed.

    Where the CA's identities are not known, the first set is named that says who may issue.
    """
    deadline = Deadline(seconds)
    answers: dict[str, tuple[Property, ...]] = {}

    def remembered(name: str) -> tuple[Property, ...]:
        if name not in answers:
            answers[name] = ask(name, deadline.remaining())
        return answers[name]

    trouble = None
    for domain in domains:
        try:
            found = relevant_set(domain, remembered)
        except OSError as error:
            trouble = trouble or f"the CAA records of {domain} cannot be looked up here: {printable(str(error), 150)}"
            continue
        if found is not None and (told := _in_the_way(domain, found, identities)) is not None:
            return told
    others = f" and {len(domains) - 1} more" if len(domains) > 1 else ""
    return trouble or f"no CAA record that forbids it is seen from here, for {domains[0]}{others}"


def ask_resolver(
    name: str, seconds: float, *, resolv_conf: Path = Path("/etc/resolv.conf"), port: int = 53
) -> tuple[Property, ...]:
    """Ask the name servers of this machine. Raises OSError, TimeoutError included."""
    import dns.exception  # a CA refuses for this once in years: until then the daemon does without
    import dns.resolver

    try:
        resolver = dns.resolver.Resolver(str(resolv_conf))
        resolver.port = port
        answer = resolver.resolve(f"{name}.", "CAA", lifetime=seconds, raise_on_no_answer=False)
    except dns.resolver.NXDOMAIN:
        return ()
    except dns.resolver.LifetimeTimeout:
        raise TimeoutError("the name servers did not answer in time") from None
    except dns.exception.DNSException as error:
        raise OSError(str(error)) from error
    properties = (Property(one.flags, printable(one.tag, 255).lower(), printable(one.value, 1000)) for one in answer)
    return tuple(properties)


def _in_the_way(domain: str, found: RecordSet, identities: Collection[str]) -> str | None:
    unknown = found.unknown()
    if unknown is not None:
        return f"{domain}: found {found}; the critical property {printable(unknown.tag, 20)} forbids every CA"
    governing = found.governing(wildcard=domain.startswith("*."))
    if not governing or any(_names(one, identities) for one in governing):
        return None
    identity = next(iter(identities), None)
    record = f'{found.owner}. CAA 0 {governing[0].tag} "{identity}"' if identity else "a record that names the CA"
    return f"{domain}: found {found}; needed: {record}"


def _names(one: Property, identities: Collection[str]) -> bool:
    """Whether the CA may issue by this one, whatever the account and the method: with parameters (RFC 8657) it may not
    do so always (section 4.2)."""
    issuer, _, parameters = one.value.partition(";")
    return issuer.strip().lower() in identities and not parameters.strip()
