"""The image of every machine of these tests: a small Debian with systemd, polkit, and an Apache as RHEL has it.

Debian's part is made once (two minutes, with a network), the rest in seconds. Both are kept outside the tree, by names
that change with what they are made of.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

RECIPE = Path(__file__).parent / "image"
SUITE = "bookworm"
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "polkitd", "rpm", "python3", "ca-certificates", "curl", "procps"),
    *("apache2", "apache2-dev", "gcc", "libc6-dev"),
)
"""The second row is for Apache and the module that Debian does not build."""
NEEDED = ("mmdebstrap", "systemd-nspawn", "nsenter", "unshare", "ip")


class Unavailable(Exception):
    """Why no image can be made here."""


def base_image() -> Path:
    """The image's directory, never to be written to. Raises Unavailable."""
    cache = Path(os.environ.get("CERTD_CACHE") or Path.home() / ".cache" / "certd")
    debian = cache / f"{SUITE}-{_digest(SUITE, *PACKAGES)}"
    recipe = [path.read_text() for path in sorted(RECIPE.iterdir())]
    image = cache / f"service-{SUITE}-{_digest(debian.name, *recipe)}"
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"{cache} cannot be made: {error.strerror}") from error
    with (cache / "service.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not debian.is_dir():
            print(f"Making {debian}: two minutes, once")
            # In a mount namespace, so that what it mounts below the directory is gone with it, however it ends.
            argv = (
                "unshare",
                "--mount",
                "mmdebstrap",
                "--quiet",
                "--variant=minbase",
                f"--include={','.join(PACKAGES)}",
            )
            _make(debian, lambda half: _run(*argv, SUITE, half), cache.glob(f"{SUITE}-*"))
        if not image.is_dir():
            _make(image, lambda half: _finish(debian, half), cache.glob(f"service-{SUITE}-*"))
    return image


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _finish(debian: Path, half: str) -> None:
    _run("cp", "-a", "--reflink=auto", str(debian), half)
    _run(str(RECIPE / "make"), half)


def _make(final: Path, fill: Callable[[str], None], older: Iterable[Path]) -> None:
    """Whole or not at all, instead of the older ones."""
    for old in older:
        # Never into anything that is mounted there.
        _run("rm", "-rf", "--one-file-system", str(old))
    half = final.with_suffix(".half")
    fill(str(half))
    half.rename(final)


def _run(*argv: str) -> None:
    done = subprocess.run(["nice", *argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise Unavailable(f"{argv[0]} failed: {' | '.join(done.stdout.strip().splitlines()[-3:])}")
