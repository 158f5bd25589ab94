"""The CAs of the file: raw to CaSpec, with everything that can be known before the CA is asked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import UnsetType

from certd.config import files, schema
from certd.config.eab import VARIABLE, read_eab_key
from certd.config.problems import Place, Report
from certd.config.shape import require
from certd.config.surroundings import Surroundings
from certd.config.values import email, https_url, parse_rate
from certd.errors import ConfigError
from certd.model.specs import CaLimits, CaSpec, EabSpec

JPRS_EAB_LIFE = timedelta(days=14)
JPRS_MOST_CONTACTS = 6


def is_jprs(directory: str) -> bool:
    """Whether this is JPRS's service; only warnings and hints depend on it."""
    host = urlsplit(directory).hostname or ""
    return host == "jprs.jp" or host.endswith(".jprs.jp")


def resolve_cas(raw: Mapping[str, Any], place: Place, report: Report, around: Surroundings) -> dict[str, CaSpec]:
    """The CAs without mistakes, by name; the mistakes go to `report`."""
    specs = {name: _ca(name, ca, place.at(name), report, around) for name, ca in raw.items()}
    return {name: spec for name, spec in specs.items() if spec is not None}


def _ca(name: str, data: dict[str, Any], place: Place, report: Report, around: Surroundings) -> CaSpec | None:
    before = report.errors
    require(data, schema.Ca, place, report)
    raw = msgspec.convert(data, schema.Ca)
    directory = None
    if not isinstance(raw.directory, UnsetType):
        directory = report.value(place.at("directory"), https_url, raw.directory)
    contact = _contact(raw.contact, place.at("contact"), report)
    if not raw.terms_of_service_agreed:
        where = f" (their URL is `termsOfService` in what {directory} answers)" if directory is not None else ""
        report.error_unless_known(
            place.at("terms_of_service_agreed"),
            f"must be true: read the CA's terms of service{where} and agree to them; there is no account without",
        )
    eab = _eab(raw.eab, data.get("eab"), place.at("eab"), report, around)
    trust = _trust(raw.trust, place.at("trust"), report, around)
    rate = report.value(place.at("limits", "new_orders"), parse_rate, raw.limits.new_orders)
    if directory is not None and is_jprs(directory):
        _jprs_warnings(raw, place, report, around)
    if report.errors > before or directory is None or rate is None:
        return None
    return CaSpec(
        name=name,
        directory=directory,
        contact=contact,
        terms_of_service_agreed=True,
        eab=eab,
        trust=trust,
        account_key=raw.account_key,
        limits=CaLimits(raw.limits.in_flight, *rate),
    )


def _contact(raw: list[str], place: Place, report: Report) -> tuple[str, ...]:
    seen: dict[str, int] = {}
    addresses: list[str] = []
    for index, text in enumerate(raw):
        address = report.value(place.at(index), email, text)
        if address is None:
            continue
        addresses.append(address)
        if address.lower() in seen:
            report.error(place.at(index), f"{address} is given twice", other=place.at(seen[address.lower()]))
        seen.setdefault(address.lower(), index)
    return tuple(addresses)


def _eab(raw: schema.Eab | None, data: Any, place: Place, report: Report, around: Surroundings) -> EabSpec | None:
    if raw is None:
        return None
    require(data, schema.Eab, place, report)
    if raw.hmac_key_file is not None and raw.hmac_key_credential is not None:
        report.error(place, "give hmac_key_file or hmac_key_credential, not both")
        return None
    if raw.hmac_key_file is None and raw.hmac_key_credential is None:
        if not report.has_below(place):
            report.error(place, "the key is missing; give hmac_key_file or hmac_key_credential")
        return None
    if raw.issued is not None and raw.issued > around.today:
        report.warning(place.at("issued"), f"{raw.issued} is in the future")
    spec = EabSpec(
        kid="" if isinstance(raw.kid, UnsetType) else raw.kid,
        hmac_key_file=None if raw.hmac_key_file is None else Path(raw.hmac_key_file),
        hmac_key_credential=raw.hmac_key_credential,
        issued=raw.issued,
    )
    if around.check_host:
        _check_key(spec, place, report, around)
    return spec


def _check_key(spec: EabSpec, place: Place, report: Report, around: Surroundings) -> None:
    key = "hmac_key_credential" if spec.hmac_key_file is None else "hmac_key_file"
    if spec.hmac_key_file is None and VARIABLE not in around.environ:
        # `certd check` in a shell, or `certd prepare` before the web server, is not given what the service gets.
        report.warning(
            place.at(key),
            f"not looked at: ${VARIABLE} is not set here; only a unit with LoadCredential={spec.hmac_key_credential}:"
            "PATH has it",
        )
        return
    try:
        read_eab_key(spec, around.environ)
    except ConfigError as error:
        report.error(place.at(key), error.problems[0])
        return
    if spec.hmac_key_file is not None and (warning := around.reading_warning(spec.hmac_key_file)) is not None:
        report.warning(place.at(key), warning)


def _trust(raw: str | None, place: Place, report: Report, around: Surroundings) -> Path | None:
    if raw is None:
        return None
    path = Path(raw)
    if around.check_host:
        try:
            found = b"-----BEGIN CERTIFICATE-----" in files.content(path)
        except OSError as error:
            report.error(place, f"cannot read {path}: {error.strerror}")
        else:
            if not found:
                report.error(place, f"{path} holds no certificate in PEM form")
            elif (warning := around.reading_warning(path)) is not None:
                report.warning(place, warning)
    return path


def _jprs_warnings(raw: schema.Ca, place: Place, report: Report, around: Surroundings) -> None:
    if not 1 <= len(raw.contact) <= JPRS_MOST_CONTACTS:
        report.warning(
            place.at("contact"),
            f"{len(raw.contact)} addresses; JPRS takes 1 to {JPRS_MOST_CONTACTS} and refuses to register others",
        )
    if raw.eab is None:
        report.warning(place.at("eab"), "JPRS registers an account only with the reseller's credentials (eab)")
    elif raw.eab.issued is not None and around.today - raw.eab.issued > JPRS_EAB_LIFE:
        report.warning(
            place.at("eab", "issued"),
            f"issued {raw.eab.issued}, more than {JPRS_EAB_LIFE.days} days ago: an account that is not registered yet "
            "needs new credentials from the reseller",
        )
