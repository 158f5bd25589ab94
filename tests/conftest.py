"""Fixtures for every test: the real parts, ended when their test ends, their logs shown when it fails."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from parts import Apache, LabSite, Pebble, PebbleOptions, Responder, Site, Webroot, watched_tails

PARTS = {
    *("hostile_pebble", "make_labsite", "make_site", "running_apache", "start_apache", "start_pebble", "pebble"),
    "shared_pebble",
}
"""Fixtures that need installed programs: their tests get the marker `parts`."""

TRIED_TWICE = {"system", "hostile", "lab", "parts_selftest", "service"}
"""Folders, besides the marker `parts`, whose tests wait for real programs. On a loaded machine one may be starved of
time: it is tried once more, and the summary says so (R). A test that fails twice has failed."""

FOREIGN = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "NOTIFY_SOCKET", "WATCHDOG_USEC")
"""Variables of the machine that would change what is tested; proxies go as well."""


settings.register_profile("certd", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("certd")  # a busy machine is no failure


def pytest_configure() -> None:
    for name in [name for name in os.environ if name in FOREIGN or name.lower().endswith("_proxy")]:
        del os.environ[name]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        parts = PARTS.intersection(getattr(item, "fixturenames", ()))
        if parts:
            item.add_marker("parts")
        if parts or TRIED_TWICE.intersection(item.path.parts):
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    if report.failed:
        report.sections.extend(watched_tails())
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many answers were spoilt by the tests of a CA that misbehaves, over all workers."""
    ends = [one for some in terminalreporter.stats.values() for one in some if getattr(one, "when", "") == "teardown"]
    counts = [value for report in ends for name, value in report.user_properties if name == "hostile_answers"]
    if counts:
        terminalreporter.write_line(f"{sum(counts)} hostile answers given in {len(counts)} tests")


@pytest.fixture
def part_dir(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Makes a new directory for a part, apart from the test's own `tmp_path`."""
    return lambda name: tmp_path_factory.mktemp(name)


@pytest.fixture
def start_pebble(part_dir: Callable[[str], Path]) -> Iterator[Callable[..., Pebble]]:
    """Starts a Pebble: `start_pebble(http_port=..., responder=..., **PebbleOptions)`; `responder` answers for it."""
    with ExitStack() as parts:

        def start(*, http_port: int | None = None, responder: Responder | None = None, **options: object) -> Pebble:
            if responder is not None:
                options["ocsp_url"] = responder.url
            pebble = Pebble(part_dir("pebble"), PebbleOptions(**options), http_port=http_port)  # type: ignore[arg-type]
            parts.callback(pebble.stop)
            pebble.start()
            if responder is not None:
                responder.issuer = pebble
            return pebble

        yield start


@pytest.fixture
def pebble(start_pebble: Callable[..., Pebble]) -> Pebble:
    """A Pebble of this test alone: strict, no nonce rejected, no authorization used again, no EAB."""
    return start_pebble()


@pytest.fixture(scope="session")
def shared_pebble(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    """One Pebble for all tests of this worker that use account and names of their own; counters want a `mark()`."""
    pebble = Pebble(tmp_path_factory.mktemp("shared-pebble"))
    try:
        pebble.start()
        yield pebble
    finally:
        pebble.stop()


@pytest.fixture
def responder() -> Iterator[Responder]:
    """A running OCSP responder: give it to `start_pebble(responder=...)`."""
    responder = Responder()
    responder.start()
    yield responder
    responder.stop()


@pytest.fixture
def webroot(tmp_path: Path) -> Iterator[Webroot]:
    """A running web server for `tmp_path/webroot`: give its port to `start_pebble(http_port=...)`."""
    webroot = Webroot(tmp_path / "webroot")
    webroot.start()
    yield webroot
    webroot.stop()


@pytest.fixture
def start_apache(part_dir: Callable[[str], Path]) -> Iterator[Callable[..., Apache]]:
    """Starts an Apache: `start_apache(names, live_dir, plain_paths=..., webroot=..., http_port=..., start=...)`."""
    with ExitStack() as parts:

        def start_one(
            names: Sequence[str] | Mapping[str, Sequence[str]],
            live_dir: Path,
            *,
            plain_paths: bool = False,
            webroot: Path | None = None,
            http_port: int | None = None,
            start: bool = True,
        ) -> Apache:
            root = part_dir("apache")
            apache = Apache(root, names, live_dir, plain_paths=plain_paths, webroot=webroot, http_port=http_port)
            parts.callback(apache.close)
            if start:
                apache.start()
            return apache

        yield start_one


@pytest.fixture
def make_site(part_dir: Callable[[str], Path]) -> Iterator[Callable[..., Site]]:
    """Makes a `Site` (its arguments); `site.start()` starts it. All is ended with the test."""
    with ExitStack() as parts:

        def make(names: Sequence[str] | Mapping[str, Sequence[str]], **options: object) -> Site:
            site = Site(part_dir("site"), names, **options)  # type: ignore[arg-type]
            parts.callback(site.close)
            return site

        yield make


@pytest.fixture
def make_labsite(part_dir: Callable[[str], Path]) -> Iterator[Callable[..., LabSite]]:
    """Makes a `LabSite` (its arguments). All is ended with the test."""
    with ExitStack() as parts:

        def make(names: Sequence[str], **options: object) -> LabSite:
            site = LabSite(part_dir("labsite"), names, **options)  # type: ignore[arg-type]
            parts.callback(site.close)
            return site

        yield make
