"""An Apache httpd on this machine: its binary and its modules, on Debian's layout and on RHEL's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from certd.errors import CommandFailed, Refused

BINARIES = ("httpd", "apache2")
DIRECTORIES = ("/usr/sbin", "/usr/local/sbin", "/usr/local/apache2/bin")
MODULE_DIRECTORIES = (
    "/usr/lib64/httpd/modules",
    "/usr/lib/httpd/modules",
    "/etc/httpd/modules",
    "/usr/lib/apache2/modules",
    "/usr/lib64/apache2",
    "/usr/local/apache2/modules",
)
PROCESSING_MODELS = {"event", "worker", "prefork"}
TIMEOUT = 60.0
"""Seconds for one run of the binary."""

_ROOT = re.compile(r'HTTPD_ROOT="([^"]+)"')


def find_binary() -> Path | None:
    """The httpd of this machine, or None."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *DIRECTORIES])
    found = (shutil.which(name, path=path) for name in BINARIES)
    return next((Path(binary) for binary in found if binary), None)


def run(argv: Sequence[str | Path], timeout: float = TIMEOUT) -> subprocess.CompletedProcess[str]:
    """Run the binary to its end; both streams in `stdout`. Raises `CommandFailed` when it does not end."""
    try:
        return subprocess.run(  # noqa: S603 - argv of the lab's own making, no shell
            [str(part) for part in argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(f"{argv[0]} did not end within {timeout:.0f} s") from error


def load_lines(binary: Path, wanted: Sequence[str]) -> list[str]:
    """The LoadModule lines for the modules (`ssl`, `mpm_event`) that are not compiled in.

    Raises `Refused` for a module that this machine does not have.
    """
    compiled = set(re.findall(r"\b(?:mod_)?(\w+)\.c\b", run([binary, "-l"]).stdout))
    if compiled & PROCESSING_MODELS:
        compiled |= {f"mpm_{name}" for name in PROCESSING_MODELS}  # there can be one only: the one built in serves
    missing = [name for name in wanted if name not in compiled]
    if missing and "so" not in compiled:
        raise Refused(f"{binary} loads no modules and was built without {', '.join(missing)}")
    return [_load_line(binary, name) for name in missing]


def _load_line(binary: Path, name: str) -> str:
    for directory in _module_directories(binary):
        file = directory / f"mod_{name}.so"
        if file.is_file():
            return f'LoadModule {name}_module "{file}"'
    raise Refused(f"{binary} has no mod_{name}: install it (RHEL: mod_ssl and httpd, Debian: apache2)")


def _module_directories(binary: Path) -> list[Path]:
    built = _ROOT.search(run([binary, "-V"]).stdout)
    own = [Path(built[1]) / "modules"] if built else []
    return own + [Path(directory) for directory in MODULE_DIRECTORIES]
