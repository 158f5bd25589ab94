"""Machines to install certd on: booted containers, where this host can have them; else the tests are skipped.

They need root, minutes and a network for their first image, so they are collected only when asked for: `make
test-service`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from baseimage import NEEDED, Unavailable, base_image
from machine import Machine, MakeMachine
from package import PYTHON, ROOT, Package, Packages, later_tree
from place import Place, own_network

collect_ignore_glob = [] if os.environ.get("CERTD_TEST_SERVICE") else ["test_*.py"]


@pytest.fixture(scope="session")
def ground() -> Iterator[Path]:
    """The image, once it is known that a machine of it boots here; and a network of its own for all that follows."""
    if os.geteuid() != 0:
        pytest.skip("needs root: containers are booted")
    missing = [program for program in NEEDED if shutil.which(program) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (apt-get install mmdebstrap systemd-container iproute2)")
    try:
        image = base_image()
    except Unavailable as reason:
        pytest.skip(f"no image for the machines: {reason}")
    # The last that needs the host's network.
    subprocess.run([ROOT / "packaging/wheels", PYTHON, os.uname().machine], check=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(own_network())
        except OSError as error:
            pytest.skip(f"no network of one's own: {error}")
        yield image


@pytest.fixture(scope="session")
def bootable(ground: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image; the tests are skipped, with what systemd-nspawn says, where no container boots."""
    try:
        machine = Machine(tmp_path_factory.mktemp("trial"), [ground], "trial")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no layers of file systems: {error}")
    try:
        machine.boot()
    except AssertionError as error:
        pytest.skip(f"containers do not boot here: {error}")
    finally:
        machine.close()
    return ground


@pytest.fixture(scope="session")
def packages(ground: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Packages]:
    """The RPM of this tree for the image's Python, and the same of a version that is one later."""
    now, later = Package(ROOT), Package(later_tree(tmp_path_factory.mktemp("later") / "certd"))
    now.begin()
    yield Packages(now, later)
    now.end()
    later.end()


@pytest.fixture(scope="session")
def place(ground: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The CA and its responder, on the machines' network."""
    made = Place(tmp_path_factory.mktemp("place"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def installed(bootable: Path, packages: Packages, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The layers of a disk on which the package is installed."""
    root = tmp_path_factory.mktemp("installed")
    machine = Machine(root, [bootable], "installed")
    try:
        machine.put("/root/certd.rpm", packages.now.path.read_bytes())
        packages.later.begin()
        machine.chroot("rpm -i --nodeps --force-debian /root/certd.rpm")
        machine.chroot("rm /root/certd.rpm")
    finally:
        machine.close()
    return [machine.layer, bootable]


@pytest.fixture
def make_machine(
    place: Place, bootable: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[MakeMachine]:
    """Makes a machine: `make_machine(layers)`, off. One test's machines end with it."""
    with ExitStack() as stack:

        def make(layers: Sequence[Path] = (bootable,)) -> Machine:
            print(f"\n=== {request.node.name}: {' '.join((request.function.__doc__ or '').split())}", flush=True)
            machine = Machine(tmp_path_factory.mktemp("machine"), layers, "web")
            stack.callback(machine.close)
            return machine

        yield make
    place.proxy.relent()


@pytest.fixture
def machine(make_machine: MakeMachine, installed: list[Path]) -> Machine:
    """A machine with certd installed and nothing configured; it is off."""
    return make_machine(installed)


@pytest.fixture
def serve(machine: Machine, place: Place) -> Callable[..., str]:
    """Furnishes the machine, boots it with everything enabled, and waits for the first certificate; its serial."""

    def serve(*names: str, **settings: Any) -> str:
        place.furnish(machine, names, **settings)
        machine.chroot("systemctl enable httpd certd 2>&1")
        machine.boot()
        serials = [place.wait_until_served(name) for name in names]
        for name in names:
            machine.wait_for(f"Live and confirmed. certificate={name}")
        return serials[0]

    return serve


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    machine = getattr(item, "funcargs", {}).get("machine")
    if report.failed and machine is not None:
        with contextlib.suppress(AssertionError, OSError, subprocess.SubprocessError):  # one that is off has none
            print(machine.run("journalctl --no-pager -o short-precise -n 60", quiet=True, code=None), file=sys.stderr)
    return report
