"""The package that is installed on the machines: the RPM of this tree, and that of a version that is one later."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PYTHON = "3.11"
"""That of the image."""
COPIED = (
    *("packaging", "certd", "systemd", "docs", "pyproject.toml", "README*.md", "CHANGELOG.md", "LICENSE"),
    *("config.example.yaml", ".ci"),
)


class Package:
    """An RPM; it is built in the background from `begin` on, and `path` waits for it."""

    def __init__(self, tree: Path) -> None:
        self._tree = tree
        self._build: subprocess.Popen[str] | None = None
        self._path: Path | None = None

    def begin(self) -> None:
        if self._build is None:
            argv = ["nice", str(self._tree / "packaging/rpm"), PYTHON, os.uname().machine]
            self._build = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    @property
    def path(self) -> Path:
        self.begin()
        if self._path is None:
            assert self._build is not None
            output, _ = self._build.communicate()
            assert self._build.returncode == 0, output[-2000:]
            self._path = self._tree / output.strip().splitlines()[-1]
        return self._path

    def end(self) -> None:
        if self._build is not None and self._build.poll() is None:
            self._build.terminate()
            self._build.communicate()


@dataclass(frozen=True)
class Packages:
    """Two builds of the package, the second with a later version."""

    now: Package
    later: Package


def later_tree(tree: Path) -> Path:
    """A copy of this tree in the new directory `tree`, of a later version."""
    tree.mkdir()
    for path in (path for pattern in COPIED for path in ROOT.glob(pattern)):
        if path.is_dir():
            shutil.copytree(path, tree / path.name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, tree)
    for name, before in (("pyproject.toml", "version = "), ("certd/__init__.py", "__version__ = ")):
        file = tree / name
        file.write_text(re.sub(rf'^{before}"(.*)"$', rf'{before}"\1.99"', file.read_text(), flags=re.MULTILINE))
    for name in (".wheels", ".venv"):
        (tree / name).symlink_to(ROOT / name)
    return tree
