"""The package keeps its layers, every library has one owner, pure modules are pure; and the rules can fail."""

from __future__ import annotations

import tomllib

import pytest
from layering import FORBIDDEN_NAMES, LAYERS, MAX_LINES, OWNERS, PURE, ROOT, package_sources, violations


def test_the_package_keeps_its_rules():
    """No import goes upward or sideways, in a circle or past a library's owner; names and lengths hold."""
    sources = package_sources()
    assert "certd.model.records" in sources
    assert violations(sources) == []


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("certd.plan.backoff", "from certd.store import Store", "layer 2 imports certd.store of layer 5"),
        ("certd.acme.client", "import certd.engine", "layer 3 imports certd.engine of layer 7"),
        ("certd.store", "from certd import budget", "layer 5 imports certd.budget of layer 5"),
        ("certd.daemon", "from certd.lab import ca", "layer 9 imports certd.lab.ca of layer 9"),
        ("certd.store.disk", "def f():\n    from certd.cli import main", "layer 5 imports certd.cli of layer 10"),
        (
            "certd.model.specs",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from certd.config import Loader",
            "layer 1 imports certd.config of layer 2",
        ),
        ("certd.engine", "import requests.adapters", "requests belongs to certd.http"),
        ("certd.acme.client", "from josepy import JWK", "josepy belongs to certd.acme.jws"),
        ("certd.status", "if False:\n    import yaml", "yaml belongs to certd.config"),
        ("certd.challenges.hook", "from subprocess import run", "subprocess belongs to certd.deploy, certd.lab"),
        ("certd.store", "import numpy", "numpy has no owner"),
        ("certd.store", "from . import disk", "relative import of ."),
        ("certd.plan.gate", "from certd.text import printable", "pure, but imports certd.text"),
        ("certd.plan.gate", "import time", "pure, but imports time"),
        ("certd.plan.gate", "from urllib.request import urlopen", "pure, but imports urllib.request"),
        ("certd.plan.gate", "import datetime\nx = datetime.datetime.now()", "pure, but calls now()"),
        ("certd.acme.order", "from certd.acme.client import Client", "pure, but imports certd.acme.client"),
        ("certd.acme.messages", "open('/etc/passwd')", "pure, but calls open()"),
        ("certd.cli", "import importlib\nimportlib.import_module('certd')", "import_module() hides an import"),
        ("certd.teapot", "", "has no layer"),
        ("certd.store.helpers", "", "a name that says nothing"),
        ("certd.store.disk", "x = 1\n" * (MAX_LINES + 1), f"{MAX_LINES + 1} lines"),
    ],
)
def test_a_violation_is_found(module, source, complaint):
    """Each rule, broken once in an otherwise clean package, is reported at its module, once."""
    clean = dict.fromkeys(("certd.budget", "certd.lab.ca", "certd.acme.client", "certd.store"), "")
    assert violations(clean) == []
    found = violations({**clean, module: source})
    assert len(found) == 1
    assert found[0].startswith(f"{module}:")
    assert complaint in found[0]


def test_a_circle_is_found():
    """Modules of one package may import each other, but not in a circle."""
    chain = {"certd.store.a": "from certd.store import b", "certd.store.b": "import certd.store.c"}
    assert violations({**chain, "certd.store.c": ""}) == []
    (found,) = violations({**chain, "certd.store.c": "from certd.store.a import A"})
    assert "certd.store.a -> certd.store.b -> certd.store.c -> certd.store.a" in found


def test_what_is_allowed_is_not_reported():
    """Downward imports, one's own package, an owner's library and msgspec pass."""
    sources = {
        "certd.errors": "",
        "certd.acme.problem": "from certd.errors import ProblemError\nimport msgspec",
        "certd.acme.jws": "import josepy\nfrom certd.acme.problem import Problem",
        "certd.engine": "import time, logging\nfrom certd.acme import jws\nimport certd.errors",
    }
    assert violations(sources) == []


def test_the_linter_bans_the_same_libraries():
    """Ruff bans each owned library, and lifts the ban only below units that own something: an editor shows it early."""
    ruff = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    assert set(OWNERS) <= set(ruff["flake8-tidy-imports"]["banned-api"])
    lifted = {path for path, rules in ruff["per-file-ignores"].items() if "TID251" in rules} - {"tests/**"}
    owners = {owner.replace(".", "/") for units in OWNERS.values() for owner in units}
    assert {path.removesuffix(".py").removesuffix("/**") for path in lifted} == owners


def test_the_tables_name_known_units():
    """Owners and pure modules are units that have a layer; no layer is given to a forbidden name."""
    for unit in [*PURE, *(owner for owners in OWNERS.values() for owner in owners)]:
        assert ".".join(unit.split(".")[:2]) in LAYERS
    assert not any(FORBIDDEN_NAMES.intersection(unit.split(".")) for unit in LAYERS)
