"""The certificates of all files: names, domains, settings, and what they say against each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from certd.config.authorities import is_jprs
from certd.config.challenge import Challenges, solver_for
from certd.config.names import check_name, default_name, normal_domain
from certd.config.problems import Place, Report, shown
from certd.config.schema import Certificate
from certd.config.settings import FAILED, KEYS, Defaults
from certd.config.shape import require
from certd.model.specs import CaSpec, CertificateSpec, HealthPolicy, KeyType

_FIELDS = {"challenge": "challenges"}
_MOST_NAMED = 5
"""Domains that one warning about overlaps names."""


class Certificates:
    """Takes in one certificate after the other; `specs` are those without mistakes, by name."""

    def __init__(
        self, defaults: Defaults, cas: Mapping[str, CaSpec], health: HealthPolicy, orders_per_day: int, report: Report
    ) -> None:
        self._defaults = defaults
        self._cas = cas
        self._health = health
        self._orders_per_day = orders_per_day
        self._report = report
        self._names: dict[str, Place] = {}
        self._wanted: dict[tuple[str, KeyType, frozenset[str]], Place] = {}
        self._owners: dict[str, tuple[frozenset[str], Place]] = {}
        self.specs: dict[str, CertificateSpec] = {}

    def add(self, data: dict[str, Any], place: Place) -> None:
        """One entry of a certificates list."""
        before = self._report.errors
        require(data, Certificate, place, self._report)
        domains = self._domains(data.get("domains", ()), place.at("domains"))
        name = self._name(data, domains, place)
        values = {_FIELDS.get(key, key): self._defaults.value(key, data, place) for key in KEYS}
        if domains:
            self._check_challenges(domains, values["challenges"], place)
            self._check_others(domains, values["ca"], values["key"], place)
        self._warn(values, data, place)
        if self._report.errors == before and name is not None and FAILED not in values.values():
            self.specs[name] = CertificateSpec(
                name=name, domains=domains, orders_per_day=self._orders_per_day, **values
            )

    def _domains(self, raw: Sequence[str], place: Place) -> tuple[str, ...]:
        seen: dict[str, int] = {}
        for index, text in enumerate(raw):
            domain = self._report.value(place.at(index), normal_domain, text, wildcard=True)
            if domain is None:
                continue
            if domain in seen:
                self._report.error(place.at(index), f"{domain} is given twice", other=place.at(seen[domain]))
            seen.setdefault(domain, index)
        for domain, index in seen.items():
            self._warn_domain(domain, seen, place.at(index))
        return tuple(seen)

    def _warn_domain(self, domain: str, others: Mapping[str, int], place: Place) -> None:
        first, dot, parent = domain.partition(".")
        if not dot:
            self._report.warning(place, f"{domain} has no dot; public CAs issue for full domain names only")
        elif first != "*" and f"*.{parent}" in others:
            self._report.warning(place, f"{domain} is covered by *.{parent} already; some CAs refuse both together")

    def _name(self, data: Mapping[str, Any], domains: tuple[str, ...], place: Place) -> str | None:
        if "name" in data:
            name, where = data["name"], place.at("name")
        elif domains and len(default_name(domains[0])) > 100:
            self._report.error(place.at("name"), "missing; the first domain is too long to be the name, at most 100")
            return None
        elif domains:
            name, where = default_name(domains[0]), place
        else:
            return None
        if self._report.value(where, check_name, name) is None:
            return None
        if name in self._names:
            self._report.error(where, f"a second certificate with the name {name}", other=self._names[name])
            return None
        self._names[name] = where
        return str(name)

    def _check_challenges(self, domains: tuple[str, ...], challenges: Challenges, place: Place) -> None:
        if challenges is FAILED:
            return
        for index, domain in enumerate(domains):
            solver = solver_for(challenges, domain)
            where = place.at("domains", index)
            if solver is None:
                patterns = ", ".join(pattern for pattern, _ in challenges)
                self._report.error(where, f"no challenge matches {domain}; there are only {patterns}")
            elif solver.type == "http-01" and domain.startswith("*."):
                # RFC 8555 section 8.3: http-01 proves one host; a wildcard needs dns-01 (section 8.4).
                self._report.error(where, f"{domain} cannot be validated by http-01; wildcards need dns-01")

    def _check_others(self, domains: tuple[str, ...], ca: str, key: KeyType, place: Place) -> None:
        names = frozenset(domains)
        if ca is not FAILED and key is not FAILED:
            same = self._wanted.setdefault((ca, key, names), place)
            if same is not place:
                self._report.error(
                    place, f"the same domains with the same key type on the same CA ({ca}) as another one", other=same
                )
                return
        shared: dict[Place, list[str]] = {}
        for domain in domains:
            owner_names, owner = self._owners.setdefault(domain, (names, place))
            # The same set with another key type or CA is meant: RSA and ECDSA of one name side by side.
            if owner is not place and owner_names != names:
                shared.setdefault(owner, []).append(domain)
        for owner, overlap in shared.items():
            named = ", ".join(overlap[:_MOST_NAMED]) + (" and more" if len(overlap) > _MOST_NAMED else "")
            self._report.warning(place.at("domains"), f"{named}: in another certificate as well", other=owner)

    def _warn(self, values: Mapping[str, Any], data: Mapping[str, Any], place: Place) -> None:
        ca, key, before = self._cas.get(values["ca"]), values["key"], values["renew_before"]
        if ca is not None and key is not FAILED and key is not KeyType.RSA2048 and is_jprs(ca.directory):
            self._report.warning(
                self._defaults.place("key", data, place), f"{key.value}: JPRS issues for rsa2048 keys only"
            )
        if before is not FAILED and isinstance(before, type(self._health.warn)) and before <= self._health.warn:
            self._report.warning(
                self._defaults.place("renew_before", data, place),
                f"{before}: health.warn is {self._health.warn}, so health would warn before the renewal begins",
            )


def check_groups(specs: Mapping[str, CertificateSpec], socket_group: str | None, place: Place, report: Report) -> None:
    """The status socket is for a group that reads no keys (ARCHITECTURE 8)."""
    if socket_group is None:
        return
    for spec in specs.values():
        if spec.files.group == socket_group:
            report.error(
                place, f"{shown(socket_group)} may read the keys of {spec.name} (files.group); name another group"
            )
            return
