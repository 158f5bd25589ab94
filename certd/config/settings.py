"""The settings that `defaults` and every certificate share: merged, checked, and one object for all that are equal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from fractions import Fraction
from typing import Any

import msgspec

from certd.config import challenge, schema, servers
from certd.config.challenge import SolverTypes
from certd.config.layers import Layer, Layers
from certd.config.problems import Place, Report, shown
from certd.config.servers import Servers
from certd.config.shape import DROPPED
from certd.config.surroundings import Surroundings
from certd.config.values import duration_within, parse_fraction
from certd.model.specs import Deployment, FilesSpec, KeyType, OcspPolicy

FAILED = DROPPED
"""Instead of a value: something is wrong with it, and has been reported."""

KEYS = ("ca", "key", "challenge", "renew_before", "ocsp", "deploy", "files")

_NO_TIME = timedelta(0)
_LONGEST_DELAY = timedelta(days=1)
_RENEW_BEFORE = (timedelta(hours=1), timedelta(days=365))
_EARLIEST, _LATEST = Fraction(1, 2), Fraction(1, 20)
"""Of the lifetime left: never before half of life; past 19/20 of it is an emergency (ARCHITECTURE 4d)."""


class Defaults:
    """Resolves the settings of one certificate after the other on top of `defaults`."""

    def __init__(
        self,
        data: Mapping[str, Any],
        place: Place,
        report: Report,
        *,
        cas: Mapping[str, Any],
        solvers: SolverTypes,
        reload_targets: Servers,
        around: Surroundings,
    ) -> None:
        self._data = data
        self._place = place
        self._report = report
        self._cas = cas
        self._cas_place = Place(place.source, ("cas",))
        self._solvers = solvers
        self._servers = reload_targets
        self._around = around
        self._known: dict[tuple[str, bytes], Any] = {}
        self._parsers: dict[str, Callable[[Layer | None, Layer | None, Place], Any]] = {
            "ca": self._ca,
            "key": self._key,
            "challenge": self._challenge,
            "renew_before": self._renew_before,
            "ocsp": self._ocsp,
            "deploy": self._deploy,
            "files": self._files,
        }
        self._values = {key: self._parse(key, None, place) for key in KEYS if key in data}

    def place(self, key: str, certificate: Mapping[str, Any], place: Place) -> Place:
        """Where the value of `key` that counts for this certificate was written."""
        written_here = key in certificate or key not in self._data
        return place.at(key) if written_here else self._place.at(key)

    def value(self, key: str, certificate: Mapping[str, Any], place: Place) -> Any:
        """The resolved value of `key` for the certificate at `place`; FAILED after an error.

        Equal settings are the same object: ten thousand certificates cost ten thousand references.
        """
        if key not in certificate:
            if key not in self._values and self._report.has_below(self._place.at(key)):
                return FAILED
            if key not in self._values:
                value = self._parse(key, None, place)
                if value is FAILED:
                    return FAILED
                self._values[key] = value
            return self._values[key]
        memory = (key, msgspec.msgpack.encode(certificate[key]))
        if memory in self._known:
            return self._known[memory]
        before = self._report.errors
        value = self._parse(key, Layer(certificate[key], place.at(key)), place)
        if self._report.errors == before:
            self._known[memory] = value
        return value

    def _parse(self, key: str, over: Layer | None, place: Place) -> Any:
        base = Layer(self._data[key], self._place.at(key)) if key in self._data else None
        before = self._report.errors
        value = self._parsers[key](over, base, place.at(key))
        return FAILED if self._report.errors > before else value

    def _ca(self, over: Layer | None, base: Layer | None, place: Place) -> Any:
        layer = over or base
        known = ", ".join(sorted(self._cas)) or "none"
        if layer is None:
            if len(self._cas) == 1:
                return next(iter(self._cas))
            if not self._cas and self._report.has_below(self._cas_place):
                return FAILED
            self._report.error(place, f"missing; must be the name of a CA below cas, here or in defaults: {known}")
            return FAILED
        names = [layer.value] if isinstance(layer.value, str) else layer.value
        if len(names) != 1:
            self._report.error(layer.place, f"{len(names)} CAs are given; only one CA for now")
            return FAILED
        if names[0] not in self._cas and not self._report.has_below(self._cas_place.at(names[0])):
            self._report.error(layer.place, f"there is no CA {shown(names[0])} below cas; defined: {known}")
        return names[0]

    def _key(self, over: Layer | None, base: Layer | None, _place: Place) -> Any:
        layer = over or base
        return KeyType(layer.value) if layer is not None else KeyType.RSA2048

    def _challenge(self, over: Layer | None, base: Layer | None, place: Place) -> Any:
        if over is not None:
            return self._challenges(challenge.combine(over, base))
        if base is not None:
            return self._challenges(Layers(base))
        self._report.error(
            place, "missing; give it here or in defaults, such as {type: http-01, webroot: /var/www/html}"
        )
        return FAILED

    def _challenges(self, layers: Layers) -> Any:
        found = challenge.resolve_challenges(layers, self._solvers, self._report)
        for _, solver in found or ():
            try:
                options = msgspec.convert(solver.options, self._solvers[solver.type])
            except msgspec.ValidationError:
                continue  # reported
            look = getattr(options, "host_warning", None)
            if self._around.check_host and look is not None and (warning := look()) is not None:
                self._report.warning(layers.place(), warning)
        return found

    def _renew_before(self, over: Layer | None, base: Layer | None, _place: Place) -> Any:
        layer = over or base
        if layer is None or layer.value is None:
            return None
        if "/" not in layer.value:
            return self._report.value(layer.place, duration_within, layer.value, *_RENEW_BEFORE)
        fraction = self._report.value(layer.place, parse_fraction, layer.value)
        if fraction is not None and not _LATEST <= fraction <= _EARLIEST:
            self._report.error(layer.place, f"{layer.value} is out of range; {_LATEST} to {_EARLIEST} is allowed")
        return fraction

    def _ocsp(self, over: Layer | None, base: Layer | None, _place: Place) -> Any:
        layers = _stacked(over, base)
        if layers is None:
            return OcspPolicy()
        raw = msgspec.convert(layers.merged(), schema.Ocsp)
        delay, wait = (
            self._report.value(layers.place(key), duration_within, text, _NO_TIME, _LONGEST_DELAY)
            for key, text in (("propagation_delay", raw.propagation_delay), ("max_wait", raw.max_wait))
        )
        if delay is None or wait is None:
            return FAILED
        return OcspPolicy(delay, raw.confirm, raw.early, wait, raw.first_issue)

    def _files(self, over: Layer | None, base: Layer | None, _place: Place) -> Any:
        layers = _stacked(over, base)
        if layers is None:
            return FilesSpec()
        raw = msgspec.convert(layers.merged(), schema.Files)
        if raw.group is not None:
            error = self._around.group_error(raw.group)
            if error is not None:
                self._report.error(layers.place("group"), error)
        return FilesSpec(raw.group, raw.combined)

    def _deploy(self, over: Layer | None, base: Layer | None, _place: Place) -> Any:
        layer = over or base
        if layer is None or layer.value is None or layer.value == []:
            return (self._servers.files_only(),)
        single = [item for item in (over, base) if item is not None and isinstance(item.value, str | dict)]
        if isinstance(layer.value, list):
            targets = [
                Layers(servers.target_layer(item, layer.place.at(index))) for index, item in enumerate(layer.value)
            ]
        elif len(single) == 2:
            targets = [servers.combine(*(servers.target_layer(item.value, item.place) for item in single))]
        else:
            targets = [Layers(servers.target_layer(layer.value, layer.place))]
        return self._deployments(targets)

    def _deployments(self, targets: list[Layers]) -> tuple[Deployment, ...]:
        found: dict[str, Deployment] = {}
        for layers in targets:
            deployment = self._servers.deployment(layers)
            if deployment is None:
                continue
            if deployment.server in found:
                self._report.error(layers.place(), f"server {deployment.server} is named twice")
            found[deployment.server] = deployment
        return tuple(found.values())


def _stacked(over: Layer | None, base: Layer | None) -> Layers | None:
    layers = [layer for layer in (over, base) if layer is not None]
    return Layers(*layers) if layers else None
