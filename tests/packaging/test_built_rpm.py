"""The package itself. `make test-rpm` builds it for this machine's Python and names it in CERTD_RPM."""

from __future__ import annotations

import _imp
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from throwaway import Throwaway

ROOT = Path(__file__).parents[2]
BUILT = os.environ.get("CERTD_RPM", "")
AGAIN = os.environ.get("CERTD_RPM_AGAIN", "")

if not BUILT:
    pytest.skip("make test-rpm builds the package and tests it", allow_module_level=True)

PLACES = {
    "/etc/certd": "040750 root certd",
    "/etc/certd/conf.d": "040750 root certd",
    "/etc/certd/config.yaml": "0100640 root certd",
    "/etc/httpd/conf.d/certd-challenge.conf": "0100644 root root",
    "/usr/bin/certd": "0120777 root root",
    "/usr/lib/certd/bin/certd": "0100755 root root",
    "/usr/lib/certd/bin/python": "0120777 root root",
    "/usr/lib/certd/pyvenv.cfg": "0100644 root root",
    "/usr/lib/systemd/system/certd-prepare.service": "0100644 root root",
    "/usr/lib/systemd/system/certd.service": "0100644 root root",
    "/usr/lib/sysusers.d/certd.conf": "0100644 root root",
    "/usr/share/bash-completion/completions/certd": "0100644 root root",
    "/usr/share/certd/certd.schema.json": "0100644 root root",
    "/usr/share/doc/certd/LICENSE": "0100644 root root",
    "/usr/share/doc/certd/README.md": "0100644 root root",
    "/usr/share/doc/certd/config.example.yaml": "0100644 root root",
    "/usr/share/doc/certd/docs/STATE.md": "0100644 root root",
    "/usr/share/man/man5/certd.yaml.5.gz": "0100644 root root",
    "/usr/share/man/man8/certd.8.gz": "0100644 root root",
    "/usr/share/polkit-1/rules.d/50-certd.rules": "0100644 root root",
    "/usr/share/selinux/packages/certd.cil": "0100644 root root",
    "/var/lib/certd": "040711 certd certd",
    "/var/lib/certd-challenges": "040755 certd certd",
}

CONFIG = "/etc/certd/config.yaml"

OLD_RPM = {
    "rpmlib(CompressedFileNames) <= 3.0.4-1",
    "rpmlib(FileDigests) <= 4.6.0-1",
    "rpmlib(PayloadFilesHavePrefix) <= 4.0-1",
    "rpmlib(PayloadIsXz) <= 5.2-1",
}
"""What the rpm of RHEL 8 (4.14) can do, and more."""


def rpm(*options: str) -> list[str]:
    done = subprocess.run(["rpm", "-qp", *options, BUILT], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def dump() -> dict[str, list[str]]:
    """Path -> size, mtime, digest, mode, owner, group, isconfig, isdoc, rdev, symlink."""
    return {line.split(" ")[0]: line.split(" ")[1:] for line in rpm("--dump")}


def test_everything_is_at_its_place_with_its_mode_and_owner() -> None:
    """The layout; nothing else lies outside certd's own directories, and nothing is setuid or writable for others."""
    found = {path: " ".join(fields[3:6]) for path, fields in dump().items()}
    assert {path: found.get(path) for path in PLACES} == PLACES
    own = ("/usr/lib/certd", "/usr/share/doc/certd", "/usr/share/certd")
    assert [path for path in found if path not in PLACES and not path.startswith(own)] == []
    modes = {path: int(text.split()[0], 8) for path, text in found.items()}
    assert [path for path, mode in modes.items() if mode & 0o7022 and mode & 0o170000 != 0o120000] == []


def test_configuration_is_never_overwritten() -> None:
    """The operator's changes win over a new version of the package."""
    spec = (ROOT / "packaging" / "certd.spec").read_text()
    configs = {path for path, fields in dump().items() if fields[6] == "1"}
    assert configs == {"/etc/certd/config.yaml", "/etc/httpd/conf.d/certd-challenge.conf"}
    assert len(re.findall(r"%config\b", spec)) == len(re.findall(r"%config\(noreplace\)", spec)) == len(configs)


def test_it_needs_the_interpreter_and_little_else() -> None:
    """Nothing was found out by itself; the rpm of RHEL 8 can unpack it."""
    needed = {re.sub(r"^/usr/bin/python3\.\d+$", "PYTHON", line) for line in rpm("--requires")}
    assert needed == {"PYTHON", "polkit", "systemd", "shadow-utils", "/bin/sh"} | OLD_RPM


@pytest.mark.skipif(not AGAIN, reason="CERTD_RPM_AGAIN names no second build")
def test_the_same_sources_give_the_same_package() -> None:
    """Built twice, they are equal to the byte."""
    first, second = (hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in (BUILT, AGAIN))
    assert first == second


@pytest.mark.skipif(shutil.which("rpmlint") is None, reason="rpmlint is not installed")
def test_rpmlint_finds_nothing_that_is_not_explained() -> None:
    """packaging/rpmlint.toml has each exception and its reason."""
    spec = ROOT / "packaging" / "certd.spec"
    command = ["rpmlint", "-c", str(ROOT / "packaging" / "rpmlint.toml"), BUILT, str(spec)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert " 0 errors, 0 warnings" in done.stdout, done.stdout


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("unpacked")
    command = f'rpm2cpio "{Path(BUILT).resolve()}" | cpio --quiet -idm'
    subprocess.run(["sh", "-c", command], check=True, cwd=directory)
    return directory


def test_all_code_is_compiled_and_never_compared_with_its_source(unpacked: Path) -> None:
    """PEP 552: flags 1 are a hash that is not checked. No path of the machine that built it is inside."""
    library = unpacked / "usr/lib/certd/lib"
    sources = [path for path in library.rglob("*.py") if "__pycache__" not in path.parts]
    assert len(sources) > 500
    for source in sources:
        (compiled,) = source.parent.glob(f"__pycache__/{source.stem}.cpython-*.pyc")
        content = compiled.read_bytes()
        magic = int.from_bytes(content[:4], "little")  # of the Python it is for; it is mixed into the hash
        assert content[4:8] == b"\x01\0\0\0", compiled
        assert content[8:16] == _imp.source_hash(magic, source.read_bytes()), compiled
        assert b"BUILDROOT" not in content, compiled


MACHINES = {"x86_64": 62, "aarch64": 183}
"""e_machine of ELF."""


def test_libraries_are_for_its_machine_and_for_the_oldest_host(unpacked: Path) -> None:
    """All native code is for the package's own machine, and wants no newer C library than 2.17; RHEL 8 has 2.28."""
    (machine,) = rpm("--queryformat", "%{ARCH}")
    native = list((unpacked / "usr/lib/certd").rglob("*.so*"))
    assert len(native) >= 5
    for path in native:
        content = path.read_bytes()
        assert content[:4] == b"\x7fELF"
        assert int.from_bytes(content[18:20], "little") == MACHINES[machine], path
        wanted = {int(minor) for minor in re.findall(rb"GLIBC_2\.(\d+)", content)}
        assert wanted, path
        assert max(wanted) <= 17, path


def test_the_tests_and_their_tools_stay_out(unpacked: Path) -> None:
    """Exactly what is locked is bundled."""
    lock = (ROOT / "packaging" / "requirements.lock").read_text()
    locked = {f"{name.replace('-', '_')}-{v}" for name, v in re.findall(r"^(\S+)==(\S+)", lock, re.MULTILINE)}
    bundled = {path.name.removesuffix(".dist-info").lower() for path in unpacked.rglob("*.dist-info")}
    assert bundled == locked


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Throwaway]:
    """This machine, to be thrown away, with the package installed by rpm."""
    if not Throwaway.possible():
        pytest.skip("needs root, and overlays")
    throwaway = Throwaway(tmp_path_factory.mktemp("machine"))
    try:
        throwaway.wait()
        if not (throwaway.root / "etc/selinux/default/policy").is_dir():
            # There only: on the machine itself it would prepare it for SELinux.
            wanted = (
                "apt-get install --yes --no-install-recommends selinux-policy-default policycoreutils selinux-utils"
            )
            throwaway.run("sh", "-c", f"apt-get update && DEBIAN_FRONTEND=noninteractive {wanted}", check=False)
        shutil.copy(BUILT, throwaway.root / "certd.rpm")
        throwaway.run("rpm", "--install", "--nodeps", "/certd.rpm")
        yield throwaway
    finally:
        throwaway.stop()


# The tests below are steps of one life: installed, used, upgraded, removed.


def test_installed_there_is_a_user_without_a_way_in(machine: Throwaway) -> None:
    """A system user, without a shell, at home in the state directory."""
    name, _, uid, _, _, home, shell = machine.run("getent", "passwd", "certd").stdout.strip().split(":")
    assert (name, home, shell) == ("certd", "/var/lib/certd", "/sbin/nologin")
    assert 0 < int(uid) < 1000
    machine.run("rpm", "--verify", "--nodeps", "certd")


def test_installed_the_program_works_in_its_own_environment(machine: Throwaway) -> None:
    """It finds its own libraries and no others, whatever the environment and the directory say."""
    machine.run("mkdir", "/trap")
    for name in ("certd", "yaml", "msgspec", "argparse"):
        (machine.root / "trap" / f"{name}.py").write_text("raise SystemExit('trapped')")
    done = machine.run("sh", "-c", "cd /trap && PYTHONPATH=/trap PYTHONHOME=/trap certd --version")
    assert done.stdout.startswith("certd ")
    program = (
        "import sys, certd, yaml, msgspec, cryptography as c; print(sys.path[-1], yaml.__with_libyaml__, c.__file__)"
    )
    path, with_libyaml, where = machine.run("/usr/lib/certd/bin/python", "-I", "-c", program).stdout.split()
    assert re.fullmatch(r"/usr/lib/certd/lib/python3\.\d+/site-packages", path)
    assert (with_libyaml, where) == ("True", f"{path}/cryptography/__init__.py")


def test_installed_the_configuration_says_what_to_fill_in(machine: Throwaway) -> None:
    """`certd check` names the places, each with its line."""
    done = machine.run("certd", "check", check=False)
    assert done.returncode == 2
    assert "/etc/certd/config.yaml:" in done.stdout
    assert "terms_of_service_agreed: must be true" in done.stdout
    assert "Traceback" not in done.stdout


def test_installed_the_daemon_s_user_can_read_it_and_others_cannot(machine: Throwaway) -> None:
    """/etc/certd is for root and the daemon's group."""
    assert "FILL IN" in machine.run("setpriv", "--reuid=certd", "--regid=certd", "--clear-groups", "cat", CONFIG).stdout
    refused = machine.run("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "cat", CONFIG, check=False)
    assert "Permission denied" in refused.stdout


def test_installed_root_leaves_no_byte_code_behind(machine: Throwaway) -> None:
    """All code was compiled; running it changes nothing in the environment."""
    machine.run("certd", "explain", "ocsp-delay")
    verified = machine.run("rpm", "--verify", "--nodeps", "certd", check=False).stdout
    assert "/usr/lib/certd" not in verified


def test_installed_the_demo_works(machine: Throwaway) -> None:
    """A CA, a web server, certd, an issue and a renewal, all by the package alone: it finds itself in new processes."""
    done = machine.run("sh", "-c", "cd / && certd demo", check=False)
    assert done.returncode == 0, done.stdout
    assert "CERTD OK: no problems" in done.stdout


def test_installed_manual_pages_are_found(machine: Throwaway) -> None:
    """By man, in the manual's own directories."""
    if not shutil.which("man"):
        pytest.skip("man is not installed")
    found = machine.run("man", "--where", "8", "certd").stdout + machine.run("man", "--where", "5", "certd.yaml").stdout
    assert found.split() == ["/usr/share/man/man8/certd.8.gz", "/usr/share/man/man5/certd.yaml.5.gz"]


def test_installed_selinux_knows_the_labels(machine: Throwaway) -> None:
    """By a module in the store of the policy that is installed, at the priority of packages."""
    if not (machine.root / "etc/selinux/default/policy").is_dir():
        pytest.skip("selinux-policy-default cannot be installed")
    assert re.search(r"^200 +certd +cil", machine.run("semodule", "--list-modules=full").stdout, re.MULTILINE)
    table = "/etc/selinux/default/contexts/files/file_contexts"
    places = {
        "/var/lib/certd/certs/a.example/versions/0001/privkey.pem": "cert_t",
        "/var/lib/certd-challenges/.well-known/acme-challenge/token": "httpd_sys_content_t",
        "/usr/lib/certd/bin/certd": "bin_t",
        "/usr/lib/certd/lib/python3.11/site-packages/x.so": "lib_t",
    }
    found = machine.run("matchpathcon", "-n", "-f", table, *places).stdout
    assert [line.split(":")[2] for line in found.split()] == list(places.values())


def test_upgraded_state_and_configuration_stay(machine: Throwaway) -> None:
    """What the operator and the daemon wrote is as it was; units that were enabled are."""
    (machine.root / "etc/certd/config.yaml").write_text("cas: {}  # mine\n")
    (machine.root / "var/lib/certd/daemon.json").write_text("{}")
    machine.run("systemctl", "enable", "certd.service")
    machine.run("rpm", "--upgrade", "--replacepkgs", "--nodeps", "/certd.rpm")
    assert (machine.root / "etc/certd/config.yaml").read_text() == "cas: {}  # mine\n"
    assert (machine.root / "var/lib/certd/daemon.json").read_text() == "{}"
    assert (
        machine.run("systemctl", "is-enabled", "certd.service", "certd-prepare.service").stdout.split()
        == ["enabled"] * 2
    )


def test_removed_it_leaves_keys_and_says_so(machine: Throwaway) -> None:
    """State, secrets and the user stay, the units are disabled, the program and its labels are gone."""
    (machine.root / "etc/certd/eab-hmac.key").write_text("secret")
    said = machine.run("rpm", "--erase", "certd").stdout
    assert "Keys, certificates and accounts stay in /var/lib/certd" in said
    assert (machine.root / "var/lib/certd/daemon.json").read_text() == "{}"
    assert (machine.root / "etc/certd/eab-hmac.key").read_text() == "secret"
    assert (machine.root / "etc/certd/config.yaml.rpmsave").read_text() == "cas: {}  # mine\n"
    machine.run("getent", "passwd", "certd")
    left = machine.run("find", "/usr", "/etc/systemd", "-name", "*certd*", "-not", "-path", "*/test/*").stdout.split()
    assert [path for path in left if "certdata" not in path and "certdb" not in path] == []
    if (machine.root / "etc/selinux/default/policy").is_dir():
        assert "certd" not in machine.run("semodule", "--list-modules=full").stdout
