"""What happened to a server: who asked it to load, when it had loaded, when live links moved."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from parts import Apache, Background

_LINE = re.compile(r"^\[(?P<time>[^\]]+)\] \[[a-z_]+:[a-z]+\] \[pid (?P<pid>\d+)", re.MULTILINE)
_TIME = "%a %b %d %H:%M:%S.%f %Y"
_BEGINS, _LOADED, _DIED = "Doing graceful restart", "resuming normal operations", "Configuration Failed"

_NOTED = """\
#!/bin/sh
# What certd asks this server to do, with the time, and when each live link was moved last (its inode's ctime).
word=$1; shift
find {live} -type l -printf 'moved %C@ %f %l\\n' >> {notes}
date "+$word %s.%N" >> {notes}
exec "$@"
"""


class Notes:
    """Wraps the commands of one Apache, and compares what certd asked with what the server's log says."""

    def __init__(self, directory: Path, apache: Apache, live_dir: Path) -> None:
        self._apache = apache
        self._notes = directory / "notes"
        self._script = directory / "noted.sh"
        self._script.write_text(_NOTED.format(live=live_dir, notes=self._notes))

    def argv(self, word: str) -> list[str]:
        """The command for `graceful` or `start`, noted."""
        return ["/bin/sh", str(self._script), word, *self._apache.command(word)]

    def requests(self) -> list[tuple[str, float]]:
        """What certd asked for: the word, and when."""
        found = (line.split() for line in self._lines() if not line.startswith("moved"))
        return [(word, float(when)) for word, when in found]

    def moves(self) -> set[tuple[float, str, str]]:
        """When links were moved, which, and to what."""
        found = (line.split() for line in self._lines() if line.startswith("moved"))
        return {(float(when), name, target) for _, when, name, target in found}

    def moved_while_loading(self) -> list[tuple[str, float, float, float]]:
        """Link moves between a request of certd's and the moment at which the server had loaded: none, by I2."""
        wrong = []
        for word, asked in self.requests():
            loaded = self._loaded(word, asked)
            wrong += [(name, when, asked, loaded) for when, name, _ in self.moves() if asked < when < loaded]
        return wrong

    def moved_while_others_load(self) -> int:
        """How many links moved while the server loaded for somebody else: what only the Include is immune to."""
        log = [(when, what) for when, _, what in events(self._apache)]
        loads = [(begin, end) for (begin, what), (end, _) in pairwise(log) if what == _BEGINS]
        return sum(1 for when, _, _ in self.moves() if any(begin < when < end for begin, end in loads))

    def _loaded(self, word: str, asked: float) -> float:
        """The end of the load that a request led to; the server's death ends it as well."""
        log = [(when, what) for when, _, what in events(self._apache) if when > asked]
        begins = min((when for when, what in log if what == _BEGINS), default=asked) if word == "graceful" else asked
        return min((when for when, what in log if when > begins and what != _BEGINS), default=asked)

    def _lines(self) -> list[str]:
        return self._notes.read_text().splitlines() if self._notes.exists() else []


class SomebodyElse(Background):
    """Reloads a server gracefully a second after each load, as long as it runs, and knows nothing of certd.

    Not every second by the clock: on a busy machine a load takes longer than that, and a server that does nothing but
    load serves nobody, whoever else is there.
    """

    def __init__(self, apache: Apache) -> None:
        super().__init__()
        self._apache = apache
        self._done = threading.Event()
        self.reloads = 0

    def _end(self) -> None:
        self._done.set()

    def _run(self) -> None:
        while not self._done.wait(0.1):
            if self._is_at_rest() and self._apache.is_running() and self._apache.httpd.control("graceful")[0] == 0:
                self.reloads += 1
                self._done.wait(0.5)  # the signal is on its way

    def _is_at_rest(self) -> bool:
        """A second has passed since the end of the last load, and no other has begun."""
        when, _, what = events(self._apache)[-1]
        return what == _LOADED and time.time() - when >= 1


def events(apache: Apache) -> list[tuple[float, int, str]]:
    """When loads began and ended, by the server's log: time, pid of the parent, what."""
    found = []
    for line in apache.log().splitlines():
        head = _LINE.match(line)
        what = next((word for word in (_BEGINS, _LOADED, _DIED) if word in line), None)
        if head and what:
            found.append((datetime.strptime(head["time"], _TIME).astimezone().timestamp(), int(head["pid"]), what))
    return found


def deaths(apache: Apache) -> int:
    """How often the server's parent process was replaced: it died, and somebody started another."""
    parents: Sequence[int] = [pid for _, pid, what in events(apache) if what == _LOADED]
    return sum(1 for before, after in pairwise(parents) if before != after)
