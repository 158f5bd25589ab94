"""A real Apache on high ports: certd's own laboratory server, with what tests do to servers and count about them."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from certd.errors import Refused
from certd.lab.apache import RUNNING, LabApache
from certd.lab.httpd import find_binary, load_lines
from parts.handshake import served_serial
from parts.ports import free_port
from parts.processes import eventually, forget_log, watch_log

_GRACEFUL = re.compile("Graceful restart requested|Doing graceful restart")
"""The two wordings of the processing models that LabApache may get."""
_BROKEN = "\nNoSuchDirective broken-by-the-test\n"


class Apache(LabApache):
    """One Apache. Each name's virtual host includes `live_dir/NAME/apache.conf`, or names the pem files there.

    It starts only if these files exist: write them with `TestAuthority.write`, or let certd prepare them. `command`
    makes the argv of a reload target from `status`, `graceful`, `start` and `stop`.
    """

    def __init__(
        self,
        root: Path,
        names: Sequence[str] | Mapping[str, Sequence[str]],
        live_dir: Path,
        *,
        plain_paths: bool = False,
        webroot: Path | None = None,
        http_port: int | None = None,
        extra: Mapping[str, Sequence[str]] | None = None,
        modules: Sequence[str] = (),
    ) -> None:
        """Writes the configuration below `root`; skips the test where there is no Apache, or not these `modules`.

        `webroot` must be passable for another user if this one is root; without one a directory is made that is.
        `extra`: more lines for the virtual host of a name. A test may change it, and calls `write` then.
        """
        binary = find_binary()
        if binary is None:
            pytest.skip("apache2 is not installed (apt-get install apache2-bin)")
        try:
            self._load_lines = load_lines(binary, modules)
        except Refused as error:
            pytest.skip(str(error))
        self.extra = dict(extra or {})
        self._own_webroot = None if webroot else _public_directory()
        super().__init__(
            root,
            http_port or free_port(),
            free_port(),
            names,
            live_dir,
            plain_paths,
            webroot or self._own_webroot,
        )
        self.write()

    # --- its life

    def start(self) -> None:
        watch_log(self.httpd.error_log, f"apache: {self.httpd.error_log}")
        super().start()

    def reload(self) -> None:
        """A graceful restart, waited for until the new configuration is loaded."""
        before = self.loads()
        self.graceful()
        eventually(lambda: self.loads() > before, "apache: the graceful restart to end")

    def kill(self) -> None:
        """End the parent and its children at once, as a crash that leaves the pid file."""

        def gone() -> bool:
            # Again and again: the parent may have forked a child while its processes were being listed.
            pids = self._pids()
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not pids

        eventually(gone, "apache: to be gone")

    def wake(self) -> None:
        """Let processes that were stopped by SIGSTOP go on."""
        for pid in self._pids():
            os.kill(pid, signal.SIGCONT)

    def close(self) -> None:
        """End it, however it fares, and remove what lies outside its directory."""
        if self.is_running():
            self.mend_config()
            self.httpd.control("stop")
        self.kill()
        forget_log(self.httpd.error_log)
        if self._own_webroot is not None:
            shutil.rmtree(self._own_webroot, ignore_errors=True)

    # --- what it is

    def is_running(self) -> bool:
        return self.status() == RUNNING

    @property
    def pid(self) -> int | None:
        """The parent process; None when it does not run. A graceful restart keeps it."""
        return self.httpd.pid()

    def served(self, name: str) -> str | None:
        """The serial served for `name` now, lower-case hex; None: no handshake succeeded."""
        return served_serial(self.tls_port, name)

    def log(self) -> str:
        try:
            return self.httpd.error_log.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def reloads(self) -> int:
        """How many graceful restarts it was asked for and began; refused ones never reach it."""
        return len(_GRACEFUL.findall(self.log()))

    def loads(self) -> int:
        """How often it has loaded its configuration: starts and graceful restarts that ended well."""
        return self.log().count("resuming normal operations")

    # --- what is done to it

    def break_config(self) -> None:
        """From now on a reload or start is refused; what runs, runs on."""
        with self.httpd.configuration.open("a") as configuration:
            configuration.write(_BROKEN)

    def mend_config(self) -> None:
        text = self.httpd.configuration.read_text()
        self.httpd.configuration.write_text(text.replace(_BROKEN, ""))

    def _main(self) -> list[str]:
        # As many children as Apache has by default: graceful restarts in a row leave old ones behind for a while.
        room = ["<IfModule !prefork.c>", "  ServerLimit 16", "  MaxRequestWorkers 256", "</IfModule>"]
        return [*self._load_lines, *super()._main(), *room]

    def _certificate(self, live: Path) -> list[str]:
        return [*super()._certificate(live), *self.extra.get(live.name, ())]

    def _pids(self) -> list[int]:
        """This server's processes, and no other's: those whose argv names its configuration file."""
        mine = os.fsencode(str(self.httpd.configuration))
        return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and mine in _argv(entry)]


def _argv(process: Path) -> list[bytes]:
    try:
        return (process / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def _public_directory() -> Path:
    """A new directory that every user can pass, unlike pytest's temporary ones."""
    directory = Path(tempfile.mkdtemp(prefix="certd-test-webroot-"))
    directory.chmod(0o755)
    return directory
