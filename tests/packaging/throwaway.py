"""A root file system to throw away: this machine's own, with everything that is written going to memory."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

SET_UP = """
set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/written" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/written,workdir=$1/work" "$1/root"
mount -t proc proc "$1/root/proc"
mount --bind /dev "$1/root/dev"
mount -t tmpfs tmpfs "$1/root/run"
echo ready
exec sleep infinity
"""


class Throwaway:
    """Programs run in it as root, and see nothing of what runs outside but the processes."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        # A mount namespace ends with its last process, and takes all that was mounted with it.
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", SET_UP, "sh", str(directory)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @staticmethod
    def possible() -> bool:
        """Whether this process may make one: root, where overlays can be mounted."""
        return os.geteuid() == 0 and "overlay" in Path("/proc/filesystems").read_text()

    @property
    def root(self) -> Path:
        """As seen from outside."""
        return Path(f"/proc/{self._holder.pid}/root{self.directory}/root")

    def wait(self) -> None:
        """Until it can be used; raises AssertionError where it cannot be made."""
        assert self._holder.stdout is not None
        assert self._holder.stderr is not None
        assert self._holder.stdout.readline() == "ready\n", self._holder.stderr.read()

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program in it; stdout and stderr are one text."""
        inside = ["nsenter", f"--mount=/proc/{self._holder.pid}/ns/mnt", "chroot", f"{self.directory}/root"]
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root"}
        done = subprocess.run(
            [*inside, *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            env=environment,
        )
        assert done.returncode == 0 or not check, done.stdout
        return done

    def stop(self) -> None:
        """End it; nothing of it is left."""
        self._holder.terminate()
        self._holder.communicate()
