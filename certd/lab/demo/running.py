"""Does a server of the demo run? `python -I -S running.py PID_FILE` answers by LSB codes: 0 yes, 1 died, 3 stopped.

Run as a file, not as a module, and without anything to import: certd asks before and after each step of a deployment,
and an interpreter with all of the lab in it takes longer to start than the step takes.
"""

from __future__ import annotations

import sys

RUNNING, DEAD, STOPPED = 0, 1, 3


def status(pid_file: str) -> int:
    """The LSB code. The process must name the pid file's directory, else the pid is somebody else's by now."""
    try:
        with open(pid_file, encoding="ascii") as file:  # noqa: PTH123 - pathlib alone takes longer than all of this
            pid = int(file.read())
    except FileNotFoundError:
        return STOPPED
    except ValueError:
        return DEAD
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123 - as above
            return RUNNING if pid_file.rpartition("/")[0] in file.read() else DEAD
    except OSError:
        return DEAD


if __name__ == "__main__":
    sys.exit(status(sys.argv[1]))
