"""Plain data of all files to one Config: nothing here reads YAML, and nothing raises; problems go to the report."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from certd.config import schema
from certd.config.authorities import resolve_cas
from certd.config.certificates import Certificates, check_groups
from certd.config.challenge import SolverTypes
from certd.config.notify import resolve_notify
from certd.config.problems import Place, Report
from certd.config.servers import Servers
from certd.config.settings import Defaults
from certd.config.shape import prune, require
from certd.config.surroundings import Surroundings
from certd.config.values import duration_within, parse_fraction, proxy_url
from certd.model.specs import Config, HealthPolicy
from certd.text import fits_apache

_NO_TIME = timedelta(0)
_LONGEST_RUNTIME_DIR = 107 - len("/control.sock")
"""Bytes; unix(7) has room for so many in a socket's path."""
_RELOAD_INTERVAL = (_NO_TIME, timedelta(hours=1))
_HTTP_TIMEOUT = (timedelta(seconds=1), timedelta(minutes=10))

MAIN = Place(0)
"""The file that was asked for; included files are 1, 2 and so on."""


def resolve(
    path: Path,
    data: dict[str, Any],
    included: Sequence[tuple[Place, dict[str, Any]]],
    *,
    solvers: SolverTypes,
    around: Surroundings,
    report: Report,
) -> Config | None:
    """The Config of the main file's `data` and of the data of `included` files; None if anything is wrong with it."""
    data = prune(data, schema.File, MAIN, report)
    require(data, schema.File, MAIN, report)
    raw = msgspec.convert({**data, "certificates": None}, schema.File)
    cas_data = data.get("cas", {})
    cas = resolve_cas(cas_data, MAIN.at("cas"), report, around)
    interval = report.value(
        MAIN.at("limits", "reload_min_interval"), duration_within, raw.limits.reload_min_interval, *_RELOAD_INTERVAL
    )
    servers = Servers(report, around, interval or _NO_TIME)
    servers.add_named(data.get("servers", {}), MAIN.at("servers"))
    defaults = Defaults(
        data.get("defaults", {}),
        MAIN.at("defaults"),
        report,
        cas=cas_data,
        solvers=solvers,
        reload_targets=servers,
        around=around,
    )
    health = _health(raw.health, report)
    certificates = Certificates(defaults, cas, health, raw.limits.orders_per_day, report)
    _add_all(certificates, [(MAIN, data), *included], report)
    notify = resolve_notify(raw.notify, MAIN.at("notify"), path, report, around)
    _check_top(raw, path, report, around)
    check_groups(certificates.specs, raw.status_group, MAIN.at("status_group"), report)
    timeout = report.value(MAIN.at("http", "timeout"), duration_within, raw.http.timeout, *_HTTP_TIMEOUT)
    if report.errors or timeout is None:
        return None
    return Config(
        path=path,
        state_dir=Path(raw.state_dir),
        runtime_dir=Path(raw.runtime_dir),
        cas=cas,
        servers=servers.specs,
        certificates=certificates.specs,
        health=health,
        notify=notify,
        workers=raw.limits.workers,
        proxy=raw.http.proxy,
        http_timeout=timeout,
        log_level=raw.log.level.value,
        socket_group=raw.status_group,
        keep_versions=raw.keep_versions,
    )


def _add_all(certificates: Certificates, files: Sequence[tuple[Place, dict[str, Any]]], report: Report) -> None:
    entries = 0
    for place, data in files:
        for index, entry in enumerate(data.get("certificates") or ()):
            certificates.add(entry, place.at("certificates", index))
            entries += 1
    if entries == 0 and not report.errors:
        report.warning(MAIN.at("certificates"), "no certificate is configured, so there is nothing to renew")


def _check_top(raw: schema.File, path: Path, report: Report, around: Surroundings) -> None:
    if Path(raw.state_dir) == Path(raw.runtime_dir):
        report.error(MAIN.at("runtime_dir"), "the same as state_dir; the two must differ")
    for key, text in (("state_dir", raw.state_dir), ("runtime_dir", raw.runtime_dir)):
        if ".." in Path(text).parts or Path(text) == Path("/"):
            report.error(MAIN.at(key), "must be an absolute path below / without ..")
    if not fits_apache(raw.state_dir):
        unfit = "Apache cannot be given this path: no quotes, backslashes, $, % or control characters"
        report.error(MAIN.at("state_dir"), unfit)
    if (room := _LONGEST_RUNTIME_DIR - len(raw.runtime_dir.encode("utf-8", "replace"))) < 0:
        report.error(MAIN.at("runtime_dir"), f"{-room} bytes too long: the paths of sockets end at 107 bytes")
    if raw.http.proxy is not None and report.value(MAIN.at("http", "proxy"), proxy_url, raw.http.proxy) is not None:
        _check_secrecy(raw.http.proxy, path, report, around)
    if raw.status_group is not None:
        error = around.group_error(raw.status_group)
        if error is not None:
            report.error(MAIN.at("status_group"), error)


def _check_secrecy(proxy: str, path: Path, report: Report, around: Surroundings) -> None:
    """The proxy's password has no file of its own: it is as secret as the configuration."""
    if "@" in proxy and around.open_to_others(path):
        report.error(
            MAIN.at("http", "proxy"), f"holds a password, and others may read or change {path}; do: chmod o= {path}"
        )


def _health(raw: schema.Health, report: Report) -> HealthPolicy:
    place = MAIN.at("health")
    warn = report.value(place.at("warn"), parse_fraction, raw.warn)
    critical = report.value(place.at("critical"), parse_fraction, raw.critical)
    if warn is None or critical is None:
        return HealthPolicy()
    if critical >= warn:
        report.error(place.at("critical"), f"{critical} is not below health.warn, which is {warn}")
    return HealthPolicy(warn, critical)
