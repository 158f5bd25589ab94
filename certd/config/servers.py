"""Reload targets: the named ones, those that `deploy` describes in place, and the built-in one that keeps files only.

One distinct reload is one server, however often it is written: only so can certd promise that nothing is swapped while
that server loads.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec

from certd.config import schema
from certd.config.layers import Layer, Layers
from certd.config.problems import Place, Report, shown
from certd.config.shape import require
from certd.config.surroundings import Surroundings
from certd.config.verify import check_program, resolve_after, resolve_verify
from certd.model.specs import CommandReload, Deployment, ServerSpec, ServiceReload

FILES = "files"
"""The id of the built-in server: files only, nothing to reload."""

_DERIVED = ("service-", "command-")

Reload = ServiceReload | CommandReload


class Servers:
    """Every server of the configuration; grows as deployments describe new ones."""

    def __init__(self, report: Report, around: Surroundings, reload_min_interval: timedelta) -> None:
        self._report = report
        self._around = around
        self._interval = reload_min_interval
        self._specs: dict[str, ServerSpec] = {}
        self._by_reload: dict[Reload, str] = {}
        self._named: dict[str, Layers] = {}

    @property
    def specs(self) -> dict[str, ServerSpec]:
        """The servers found so far, by id."""
        return dict(self._specs)

    def add_named(self, raw: Mapping[str, Any], place: Place) -> None:
        """Takes in the `servers` of the file."""
        for name, data in raw.items():
            self._add_named(name, data, place.at(name))

    def _add_named(self, name: str, data: dict[str, Any], place: Place) -> None:
        self._named[name] = Layers(Layer(data, place))
        require(data, schema.Server, place, self._report)
        if name == FILES or name.startswith(_DERIVED):
            self._report.error(
                place, f"{name} is a name that certd gives; choose one without service-, command- or files"
            )
        # Checked here too, for servers that no certificate uses yet.
        resolve_verify(self._named[name].below("verify"), self._report)
        resolve_after(self._named[name].below("after"), self._report, self._around)
        if "reload" not in data:
            return
        reload = self._reload(Layers(Layer(data["reload"], place.at("reload"))))
        if reload is None:
            return
        if reload in self._by_reload:
            same = self._by_reload[reload]
            self._report.error(
                place.at("reload"),
                f"the same reload as server {same}; one server has one name, and its deployments may differ in verify",
                other=self._named[same].place("reload"),
            )
            return
        self._by_reload[reload] = name
        self._specs[name] = ServerSpec(name, reload, self._interval)

    def files_only(self) -> Deployment:
        """The deployment where none is configured."""
        self._specs.setdefault(FILES, ServerSpec(FILES, None, self._interval))
        return Deployment(FILES, None)

    def deployment(self, layers: Layers) -> Deployment | None:
        """What one item of `deploy` means: {server: NAME} or {reload: ...}. None: mistakes, which were reported."""
        before = self._report.errors
        data = layers.merged()
        server, beneath = self._target(data, layers)
        verify_layers, after_layers = layers.below("verify"), layers.below("after")
        if beneath is not None:
            verify_layers = verify_layers.over(beneath.below("verify")) if verify_layers else beneath.below("verify")
            after_layers = after_layers or beneath.below("after")
        verify = resolve_verify(verify_layers, self._report)
        if server == FILES and verify_layers is None:
            verify = None
        after = resolve_after(after_layers, self._report, self._around)
        if server is None or self._report.errors > before:
            return None
        return Deployment(server, verify, after)

    def _target(self, data: dict[str, Any], layers: Layers) -> tuple[str | None, Layers | None]:
        """The server's id, and the named server's own settings."""
        name, reload_data = data.get("server"), data.get("reload")
        if name is not None and reload_data is not None:
            self._report.error(layers.place("reload"), "give server or reload, not both")
            return None, None
        if name == FILES:
            return self.files_only().server, None
        if name is not None:
            if name not in self._named:
                known = ", ".join(sorted(self._named)) or "none"
                self._report.error(
                    layers.place("server"), f"there is no server {shown(name)} below servers; defined: {known}"
                )
                return None, None
            return (name if name in self._specs else None), self._named[name]
        if reload_data is None:
            if not self._report.has_below(layers.place()):
                self._report.error(layers.place(), "names no target; give server: NAME, or reload: {service: NAME}")
            return None, None
        reload = self._reload(layers.below("reload"))
        if reload is None:
            return None, None
        server = self._by_reload.setdefault(reload, _derived_id(reload))
        self._specs.setdefault(server, ServerSpec(server, reload, self._interval))
        return server, self._named.get(server)

    def _reload(self, layers: Layers | None) -> Reload | None:
        assert layers is not None
        raw = msgspec.convert(layers.merged(), schema.Reload)
        place = layers.place()
        if raw.service is not None:
            if raw.command is not None or raw.active is not None or raw.start is not None:
                self._report.error(place, "give service or command; active and start go with command only")
                return None
            return ServiceReload(raw.service.removesuffix(".service"))
        if raw.command is None:
            if not self._report.has_below(place):
                self._report.error(place, "says nothing; give service: NAME, or command: [PROGRAM, ...]")
            return None
        good = [
            check_program(argv[0], layers.place(key, 0), self._report, self._around)
            for key, argv in (("command", raw.command), ("active", raw.active), ("start", raw.start))
            if argv is not None
        ]
        if not all(good):
            return None
        return CommandReload(tuple(raw.command), tuple(raw.active or ()), tuple(raw.start or ()))


def target_layer(value: Any, place: Place) -> Layer:
    """One item of `deploy`, a name or a mapping, as a layer with a mapping."""
    return Layer({"server": value}, place, keyed=False) if isinstance(value, str) else Layer(value, place)


def combine(over: Layer, base: Layer) -> Layers:
    """A certificate's target on top of the default one; what names another target replaces what named the first."""
    kept = dict(base.value)
    if over.value.get("reload") is not None:
        kept.pop("server", None)
        if not _same_way(over.value["reload"], kept.get("reload")):
            kept.pop("reload", None)
    if over.value.get("server") is not None:
        kept.pop("reload", None)
    return Layers(over, base._replace(value=kept))


def _same_way(over: Mapping[str, Any], base: Mapping[str, Any] | None) -> bool:
    return base is not None and not (
        ("service" in over and "command" in base) or ("command" in over and "service" in base)
    )


def _derived_id(reload: Reload) -> str:
    """The id of a server that is described in place: the same for the same reload, always."""
    words = (
        ["service", reload.service]
        if isinstance(reload, ServiceReload)
        else ["command", reload.command, reload.active, reload.start]
    )
    digest = hashlib.sha256(json.dumps(words, ensure_ascii=True, separators=(",", ":")).encode()).hexdigest()[:8]
    if isinstance(reload, CommandReload):
        return f"command-{digest}"
    return f"service-{reload.service if _is_plain(reload.service) else digest}"


def _is_plain(unit: str) -> bool:
    return len(unit) <= 80 and all(char.isdigit() or "a" <= char <= "z" or char in "._-" for char in unit)
