"""Domains as certificates carry them, and the names that certificates have on disk. Pure.

Every function raises ValueError with a sentence for the operator.
"""

from __future__ import annotations

import ipaddress
import re

import idna

from certd.config.problems import shown

NAME = r"^[a-z0-9_][a-z0-9._-]{0,99}$"
"""A certificate, CA or server on disk: one path component that is never hidden, an option, or a way upwards."""

NAME_RULE = "a to z, 0 to 9, dot, dash and underscore, at most 100, not beginning with a dot or dash"

_LABELS = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")


def normal_domain(text: str, *, wildcard: bool = False) -> str:
    """The domain in lower-case A-labels (RFC 5890); a leading ``*.`` is kept where `wildcard` allows it."""
    star = "*." if wildcard and text.startswith("*.") else ""
    rest = text.removeprefix(star)
    if "*" in rest:
        raise ValueError(f"{shown(text)}: a star may only stand for the whole first label, as in *.example.jp")
    domain = rest.lower()
    if not _plain(domain):
        if _is_address(rest):
            raise ValueError(f"{shown(text)} is an IP address; domain names only")
        domain = _encoded(text, rest)
    if len(star + domain) > 253:
        raise ValueError(f"{shown(text)} is longer than 253 characters")
    return star + domain


def default_name(domain: str) -> str:
    """The name of a certificate whose first domain this is: ``*.x`` becomes ``_wildcard.x``."""
    return "_wildcard." + domain[2:] if domain.startswith("*.") else domain


def check_name(name: str) -> str:
    """The name as it is, if it can be a directory of its own (ARCHITECTURE 5)."""
    if re.fullmatch(NAME, name) is None:
        raise ValueError(f"{shown(name)} cannot be a name; allowed: {NAME_RULE}")
    return name


def _plain(domain: str) -> bool:
    """Nothing in it that has to be looked at label by label."""
    return domain.isascii() and _LABELS.fullmatch(domain) is not None and "--" not in domain


def _encoded(text: str, rest: str) -> str:
    if rest.endswith("."):
        raise ValueError(f"{shown(text)}: write the domain without the dot at its end")
    try:
        domain = idna.encode(rest, uts46=True).decode("ascii")
    except idna.IDNAError as error:
        raise ValueError(f"{shown(text)} is not a domain name: {_reason(error)}") from None
    # IDNA leaves alone what is not its business; a host name is letters, digits and dashes (RFC 1123 section 2.1).
    if _LABELS.fullmatch(domain) is None:
        raise ValueError(f"{shown(text)} is not a domain name: letters, digits and dashes only, the last label a word")
    return domain


def _reason(error: idna.IDNAError) -> str:
    return re.sub(r"[^\x20-\x7e]", "?", str(error))[:120].rstrip(".")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True
