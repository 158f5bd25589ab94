"""The sources of the package fit each other and the project; nothing is built here (`make test-rpm` does that)."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from certd.challenges import OPTIONS
from certd.config import Surroundings, load
from certd.errors import ConfigError

ROOT = Path(__file__).parents[2]
PACKAGING = ROOT / "packaging"
SPEC = (PACKAGING / "certd.spec").read_text()
LOCK = (PACKAGING / "requirements.lock").read_text()


def locked(text: str) -> dict[str, str]:
    return {canonicalize_name(n): v for n, v in re.findall(r"^([A-Za-z0-9_.-]+)==([^ \n]+)", text, re.MULTILINE)}


def needed() -> set[str]:
    """The requirements of pyproject.toml and theirs, without the tests', for every Python that is packaged."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found: set[str] = set()
    todo = [Requirement(line) for line in project["dependencies"]]
    while todo:
        requirement = todo.pop()
        marker = requirement.marker
        if marker is not None and not any(
            marker.evaluate({"python_version": v, "python_full_version": v, "extra": ""}) for v in ("3.11", "3.12")
        ):
            continue
        name = canonicalize_name(requirement.name)
        if name not in found:
            found.add(name)
            todo.extend(Requirement(line) for line in importlib.metadata.requires(name) or ())
    return found


def test_what_is_bundled_is_what_the_tests_ran_with() -> None:
    """Each requirement, direct or not, in the very version of requirements-test.lock, and nothing else."""
    tested = locked((ROOT / "requirements-test.lock").read_text())
    assert locked(LOCK) == {name: tested[name] for name in needed()}


def test_every_file_that_is_bundled_is_known_by_its_hash() -> None:
    """pip then refuses any other; binary wheels have one for each Python and machine."""
    entries = [entry for entry in re.split(r"\n(?=[a-z])", LOCK) if "==" in entry]
    hashes = {entry.split("==")[0]: len(re.findall(r"--hash=sha256:[0-9a-f]{64}", entry)) for entry in entries}
    assert set(hashes.values()) == {1, 2, 4}
    assert (hashes["requests"], hashes["cryptography"], hashes["cffi"], hashes["pyyaml"]) == (1, 2, 4, 4)


def test_what_the_spec_installs_is_there() -> None:
    """Each file and each pattern of %install."""
    named = re.findall(r"(?<=\s)((?:packaging|docs|systemd)/[\w./*-]+)", SPEC.split("%install")[1].split("%pre\n")[0])
    assert len(named) >= 10
    for pattern in named:
        assert list(ROOT.glob(pattern)), pattern


def test_scriptlets_know_the_units_by_their_names() -> None:
    """All that systemd/ has, by the same macro."""
    assert "%(cd systemd && echo *.service)" in SPEC
    assert sorted(path.name for path in (ROOT / "systemd").glob("*.service")) == [
        "certd-prepare.service",
        "certd.service",
    ]


def test_the_daemon_is_where_the_units_look_for_it() -> None:
    """Below a directory `bin`, so that SELinux calls it bin_t."""
    (prefix,) = re.findall(r"^%global prefix (.*)$", SPEC, re.MULTILINE)
    for unit in (ROOT / "systemd").glob("*.service"):
        (start,) = re.findall(r"^ExecStart=(\S+)", unit.read_text(), re.MULTILINE)
        assert start == f"{prefix}/bin/certd"


@pytest.mark.skipif(shutil.which("rpmspec") is None, reason="rpm is not installed")
@pytest.mark.parametrize(("define", "python", "release"), [([], "3.12", "py312"), (["3.11"], "3.11", "py311")])
def test_rpm_understands_the_spec(define: list[str], python: str, release: str) -> None:
    """The version is pyproject's; the interpreter follows the macro; what is bundled is declared."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    options = [word for value in define for word in ("--define", f"certd_python {value}")]
    options += ["--queryformat", "[%{REQUIRES}\n][%{PROVIDES}\n]%{NEVRA}\n", "--target", "aarch64-linux"]
    done = subprocess.run(
        ["rpmspec", "-q", "--define", f"_sourcedir {PACKAGING}", *options, "packaging/certd.spec"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.split("\n")
    assert f"certd-{version}-1.{release}.aarch64" in lines
    assert {f"/usr/bin/python{python}", "polkit", "systemd", "user(certd)"} <= set(lines)
    assert {f"bundled(python3dist({name}))" for name in locked(LOCK)} <= set(lines)


ELSEWHERE = Surroundings.current(check_host=False)
"""The package makes the directories that its configuration names; this machine has none of them."""


def test_the_packaged_configuration_asks_for_what_only_the_operator_knows() -> None:
    """Each mistake that `certd check` finds in it stands at a place marked with FILL IN."""
    with pytest.raises(ConfigError) as caught:
        load(PACKAGING / "config.yaml", solvers=OPTIONS)
    lines = (PACKAGING / "config.yaml").read_text().splitlines()
    told = [*caught.value.problems, *caught.value.warnings]
    mistakes = [line for line in told if "no directory /var/lib/certd-challenges" not in line]  # the package makes it
    assert len(mistakes) == 3
    for mistake in mistakes:
        number = int(mistake.split(":")[1])
        above = [line for line in lines[:number] if not line.strip() or "FILL IN" in line]
        assert "FILL IN" in above[-1], mistake


def test_the_packaged_configuration_is_complete_once_it_is_filled_in(tmp_path: Path) -> None:
    """With and without certificates; it uses Apache's snippet, and the unit of the shipped polkit rule."""
    key = tmp_path / "eab-hmac.key"
    key.write_text("c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0")
    key.chmod(0o600)
    text = (PACKAGING / "config.yaml").read_text()
    for blank, filled in [
        ("contact: []", "contact: [ops@example.jp]"),
        ("terms_of_service_agreed: false", "terms_of_service_agreed: true"),
        ("kid: FILL-IN", "kid: KID"),
        ("/etc/certd/eab-hmac.key\n      #", f"{key}\n      #"),
    ]:
        assert text.count(blank) == 1
        text = text.replace(blank, filled)
    path = tmp_path / "config.yaml"
    path.write_text(text)
    (warning,) = load(path, solvers=OPTIONS, surroundings=ELSEWHERE).warnings
    assert "no certificate is configured" in warning
    sample = "# certificates:\n#   - domains: [www.example.jp, example.jp]\ncertificates: []\n"
    assert sample in text
    path.write_text(text.replace(sample, sample.replace("certificates: []\n", "").replace("# ", "")))
    config = load(path, solvers=OPTIONS, surroundings=ELSEWHERE)
    assert list(config.certificates) == ["www.example.jp"]
    assert config.warnings == ()
    directory = "/var/lib/certd-challenges"
    assert f"webroot: {directory}}}" in text
    assert f"{directory}/.well-known/acme-challenge" in (PACKAGING / "apache/certd-challenge.conf").read_text()
    assert f"%dir {directory}\n" in SPEC
    assert '"httpd.service"' in (PACKAGING / "polkit/50-certd.rules").read_text()
