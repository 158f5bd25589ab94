"""Every reader of strangers' bytes, fed with changed seeds and with anything; `make fuzz` does it for longer."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from seeds import seeds
from targets import TARGETS

SEEDS = seeds()
_BITS = st.binary(max_size=12) | st.sampled_from([b"\x00", b"\xff" * 4, b"\r\n", b"\n", b"[" * 2000, b"\x30\x84", b'"'])


@st.composite
def changed(draw: st.DrawFn, seed: bytes) -> bytes:
    """A seed with some parts cut out, repeated, or replaced."""
    data = seed
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(data)))
        end = draw(st.integers(begin, min(len(data), begin + 40)))
        data = data[:begin] + draw(_BITS | st.just(data[begin:end] * 2)) + data[end:]
    return data


def anything(name: str) -> st.SearchStrategy[bytes]:
    return st.one_of(*[changed(seed) for seed in SEEDS[name]], st.binary(max_size=200))


@pytest.mark.parametrize("name", TARGETS)
def test_seeds(name: str) -> None:
    """What changes begin with is understood, or refused in good form."""
    for seed in SEEDS[name]:
        TARGETS[name](seed)


@pytest.mark.parametrize("name", TARGETS)
def test_anything(name: str) -> None:
    """A safe value or an error of our own, never anything else."""

    @settings(deadline=None, suppress_health_check=list(HealthCheck))
    @given(anything(name))
    def feed(data: bytes) -> None:
        TARGETS[name](data)

    feed()
