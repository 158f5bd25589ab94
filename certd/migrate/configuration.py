"""The configuration that carries an installation on, as YAML. Strings are quoted, so none is taken for aught else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from certd.migrate.found import Account, Certificate, Reload
from certd.model.specs import KeyType

DEFAULT_STATE_DIR = Path("/var/lib/certd")
_WEB_SERVERS = {"httpd", "apache2", "nginx"}
_PLAIN = "abcdefghijklmnopqrstuvwxyz0123456789._-"
_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
"""Words that YAML takes for something else than text."""


@dataclass(frozen=True)
class CaEntry:
    """One entry of `cas`."""

    name: str
    account: Account
    contact: tuple[str, ...]
    trust: Path | None


@dataclass(frozen=True)
class Entry:
    """One entry of `certificates`."""

    certificate: Certificate
    name: str
    domains: tuple[str, ...]
    ca: str
    key: KeyType | None


def whole(head: Sequence[str], state_dir: Path, cas: Sequence[CaEntry], entries: Sequence[Entry]) -> str:
    """A file of its own; `head` are comment lines."""
    lines = [f"# {line}" for line in head]
    if state_dir != DEFAULT_STATE_DIR:
        lines.append(f"state_dir: {_quoted(str(state_dir))}")
    lines += ["cas:", *_indented(ca_lines(cas))]
    servers = {entry.certificate.reload: _server_name(entry.certificate.reload, entries) for entry in entries}
    named = {reload: name for reload, name in servers.items() if reload is not None and name is not None}
    if named:
        lines += ["servers:", *(f"  {_bare(name)}: {_flow(_deploy(reload))}" for reload, name in named.items())]
    lines.append("certificates:" if entries else "certificates: []")
    return "\n".join([*lines, *_indented(entry_lines(entries, named))]) + "\n"


def ca_lines(cas: Sequence[CaEntry]) -> list[str]:
    """What stands below `cas`."""
    lines = []
    for ca in cas:
        lines += [f"{_bare(ca.name)}:", f"  directory: {_quoted(ca.account.directory)}"]
        if ca.contact:
            lines.append(f"  contact: {_flow(list(ca.contact))}")
        lines.append("  terms_of_service_agreed: true    # agreed to when the account was registered")
        if ca.trust is not None:
            lines.append(f"  trust: {_quoted(str(ca.trust))}")
    return lines


def entry_lines(entries: Sequence[Entry], servers: Mapping[Reload, str] | None = None) -> list[str]:
    """What stands below `certificates`; reload targets are written out where `servers` does not name them."""
    lines = []
    for entry in entries:
        reload = entry.certificate.reload
        lines.append(f"- name: {_quoted(entry.name)}")
        lines.append(f"  domains: {_flow(list(entry.domains))}")
        lines.append(f"  ca: {_bare(entry.ca)}")
        if entry.key is not None:
            lines.append(f"  key: {entry.key.value}")
        lines.append(f"  challenge: {_flow(_challenge(entry))}")
        if entry.certificate.renew_before is not None:
            lines.append(f"  renew_before: {entry.certificate.renew_before}")
        if reload is None:
            lines.append("  deploy: null    # no server to reload was found")
        else:
            name = (servers or {}).get(reload)
            lines.append(f"  deploy: {_flow(_deploy(reload)) if name is None else _bare(name)}")
    return lines


def _challenge(entry: Entry) -> dict[str, Any]:
    roots = dict(zip(entry.domains, entry.certificate.webroots, strict=False))
    if len(set(roots.values())) == 1:
        return _solver(next(iter(roots.values())))
    return {domain: _solver(root) for domain, root in roots.items()}


def _solver(webroot: str | None) -> dict[str, Any]:
    return {"type": "http-01", "webroot": webroot or ""}


def _deploy(reload: Reload) -> dict[str, Any]:
    if reload.service is None:
        return {"reload": {"command": list(reload.command)}}
    target: dict[str, Any] = {"reload": {"service": reload.service}}
    # Another kind of server does not answer on port 443, where certd would look.
    return target if reload.service in _WEB_SERVERS else target | {"verify": False}


def _server_name(reload: Reload | None, entries: Sequence[Entry]) -> str | None:
    """The service's own name where it can be one, else a number."""
    if reload is None:
        return None
    if reload.service is not None and reload.service[0] not in ".-" and not set(reload.service) - set(_PLAIN):
        return reload.service
    distinct = list(dict.fromkeys(entry.certificate.reload for entry in entries))
    return f"server-{distinct.index(reload) + 1}"


def _flow(value: Any) -> str:
    """A value in YAML's flow style: keys that are plain words stay bare."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return value if value == "http-01" else _quoted(value) if isinstance(value, str) else json.dumps(value)


def _key(key: str) -> str:
    return key if key.isalpha() and key.islower() else _quoted(key)


def _bare(name: str) -> str:
    return name if name[:1].isalpha() and name not in _WORDS else _quoted(name)


def _quoted(text: str) -> str:
    """JSON's strings are YAML's; letters beyond ASCII stay, control characters are escaped."""
    return json.dumps(text, ensure_ascii=not text.isprintable())


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"  {line}" for line in lines]
