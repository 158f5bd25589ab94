"""certd, killed at its k-th act: `KILL_AT=k KILL_LOG=FILE python killed_certd.py ARGUMENTS OF CERTD`.

An act changes something outside the process: a name appears, moves or goes; a request is sent; a server's command is
run. It dies when the act is done and nothing else is: the world has changed, and certd does not know yet. There are no
other moments: until the next act SIGKILL finds the same world. KILL_LOG gets one line per act, so that the last one
tells where it died. Everything is wrapped from outside; certd itself knows nothing of this.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import wraps
from typing import Any

_NAMES = ("rename", "replace", "link", "symlink", "mkdir", "unlink", "rmdir")
_COMMANDS = ("reload", "start", "run")


class _Moments:
    """Counts moments, in every thread, and ends the process at the chosen one."""

    def __init__(self, last: int, log: str) -> None:
        self._last = last
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def after(self, what: str, act: Callable[..., Any], describe: Callable[..., str]) -> Callable[..., Any]:
        @wraps(act)
        def wrapped(*arguments: Any, **options: Any) -> Any:
            result = act(*arguments, **options)
            self._moment(f"{what} {describe(*arguments)}")
            return result

        return wrapped

    def _moment(self, what: str) -> None:
        # Held while dying as well: no other thread gets beyond the act that it is in.
        with self._lock:
            number = next(self._numbers)
            os.write(self._log, f"{number} {what}\n".encode())
            if number == self._last:
                os.kill(os.getpid(), signal.SIGKILL)
                threading.Event().wait()


def main() -> int:
    moments = _Moments(int(os.environ.pop("KILL_AT")), os.environ.pop("KILL_LOG"))
    for name in _NAMES:
        setattr(os, name, moments.after(name, getattr(os, name), lambda *paths: " ".join(map(str, paths))))

    from certd import deploy
    from certd.__main__ import main as certd_main
    from certd.http import Exchanger

    for name in _COMMANDS:
        setattr(deploy, name, moments.after(name, getattr(deploy, name), lambda *_: ""))
    send = moments.after("send", Exchanger.send, lambda _, method, url: f"{method} {url}")
    Exchanger.send = send  # type: ignore[method-assign]
    return certd_main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
