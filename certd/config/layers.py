"""Defaults and what overrides them: mappings merge key by key, lists and scalars replace.

A merged value came from several places. Layers remembers them, so that a mistake is reported where it was written.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from certd.config.problems import Place


class Layer(NamedTuple):
    """A value, and where it was written. `keyed` False: its keys are not in the file, ``web`` for ``{server: web}``."""

    value: Any
    place: Place
    keyed: bool = True

    def at(self, *keys: str | int) -> Place:
        """The place of what is at `keys` in it."""
        return self.place.at(*keys) if self.keyed else self.place


class Layers:
    """The same setting written at one or more places; the first layer counts most."""

    def __init__(self, *layers: Layer) -> None:
        assert layers, "a setting that is nowhere has no layers"
        self._layers = layers

    def place(self, *keys: str | int) -> Place:
        """Where the value at `keys` below this setting was written; the first layer's place if nowhere."""
        for layer in self._layers:
            if _holds(layer.value, keys):
                return layer.at(*keys)
            if keys and not isinstance(layer.value, dict):
                break
        return self._layers[0].at(*keys)

    def merged(self) -> Any:
        """The value that counts."""
        value = self._layers[-1].value
        for layer in reversed(self._layers[:-1]):
            value = merge(value, layer.value)
        return value

    def below(self, key: str) -> Layers | None:
        """The layers of one key of this mapping; None where no layer has it."""
        found = []
        for layer in self._layers:
            if not isinstance(layer.value, dict):
                break
            if key in layer.value:
                found.append(Layer(layer.value[key], layer.at(key)))
        return Layers(*found) if found else None

    def over(self, base: Layers | None) -> Layers:
        """These layers on top of those of `base`."""
        return Layers(*self._layers, *base._layers) if base is not None else self


def merge(base: Any, over: Any) -> Any:
    """`over` on top of `base`; neither is changed."""
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    return {**base, **{key: merge(base[key], value) if key in base else value for key, value in over.items()}}


def _holds(value: Any, keys: tuple[str | int, ...]) -> bool:
    for key in keys:
        if isinstance(key, int):
            if not isinstance(value, list) or key >= len(value):
                return False
        elif not isinstance(value, dict) or key not in value:
            return False
        value = value[key]
    return True
