"""Fixtures for the tests of the effects: the real world and the lab CA."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from issuance import Issuance, Times
from parts import Webroot

from certd.lab import LabCa, LabOptions


@pytest.fixture
def times() -> Times:
    return Times()


@pytest.fixture
def lab(webroot: Webroot, times: Times) -> Iterator[LabCa]:
    """A lab CA that asks for no EAB and lags not."""
    with LabCa(LabOptions(http_port=webroot.port, eab_required=False, processing_polls=1), clock=times) as lab:
        yield lab


@pytest.fixture
def issuance(tmp_path: Path, lab: LabCa, webroot: Webroot, times: Times) -> Iterator[Issuance]:
    """A world whose account is not registered yet."""
    issuance = Issuance(tmp_path, lab, webroot, times)
    yield issuance
    issuance.close()


@pytest.fixture
def registered(issuance: Issuance) -> Issuance:
    """A world with an account."""
    issuance.register()
    return issuance
