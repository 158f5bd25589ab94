"""One life of certd after the other, each in a process of its own, by a clock that all of them share with the CA.

Run as a program it is the mother of these processes: single-threaded, with everything imported, it forks one for each
line of its standard input and answers with how that one ended. So a life begins within milliseconds, and no thread of
a test is copied into it.
"""

from __future__ import annotations

import json
import logging
import mmap
import os
import struct
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from clockwork import Time, Turned
from killpoints.acts import Acts

from certd.errors import StateError
from certd.model.codes import Because
from certd.model.records import Idle, Staged
from certd.status import snapshot
from certd.status.shape import CertificateState, ServerState

NAME, SERVER = "one.test", "web"
LONGEST = timedelta(days=40)
PREPARED = "prepared"
"""The goal of `certd prepare`, and of a start up to its first tick."""


class SharedTime(Time):
    """A `Time` in a file of 16 bytes, for all processes that map it."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._bytes = mmap.mmap(file.fileno(), 16)
        self.wrong_by = timedelta(0)

    @classmethod
    def begin(cls, path: Path, at: datetime) -> SharedTime:
        path.write_bytes(struct.pack("<dd", at.timestamp(), 1000.0))
        return cls(path)

    @property
    def true(self) -> datetime:  # type: ignore[override]
        return datetime.fromtimestamp(struct.unpack_from("<d", self._bytes)[0], UTC)

    @property
    def monotonic(self) -> float:  # type: ignore[override]
        return float(struct.unpack_from("<d", self._bytes, 8)[0])

    def pass_by(self, length: timedelta) -> None:
        wall, monotonic = struct.unpack("<dd", self._bytes[:16])
        seconds = length.total_seconds()
        self._bytes[:16] = struct.pack("<dd", wall + seconds, monotonic + seconds)


class Life(msgspec.Struct):
    """What a process is to live for."""

    config: str
    time: str
    log: str
    """Of its acts."""
    places: tuple[str, ...]
    goal: str
    """PREPARED, or one of GOALS."""
    word: str = ""
    """What the operator says at its begin: renew, rollback."""
    again: bool = False
    """A life before this one was to hear the word already; it is said again only if that one has not recorded it."""
    before: str | None = None
    """The serial that was live before the story."""
    last: int = 0
    """It dies at this act; 0: at none."""


class Daughter(Turned):
    """certd, as it is in its process."""

    def __init__(self, life: Life) -> None:
        super().__init__(Path(life.config), SharedTime(Path(life.time)))
        self.life = life

    def live(self) -> None:
        self.start()
        if self.life.word:
            self._say()
        if self.life.goal != PREPARED:
            self.until(lambda: GOALS[self.life.goal](self), self.life.goal, LONGEST)
        self.crash()

    def certificate(self) -> CertificateState:
        return self.state(NAME)

    def server(self) -> ServerState:
        return snapshot(self.engine.view(), self.now).servers[0]

    def at_rest(self) -> bool:
        """Nothing is under way and nothing is owed."""
        server = self.server()
        return self.certificate().phase == "idle" and server.phase == "settled" and server.wanted == server.confirmed

    def _turn(self) -> None:
        with suppress(StateError):  # as the daemon does
            super()._turn()

    def _say(self) -> None:
        if self.life.again and self._was_heard():
            return
        if self.life.word == "renew":
            self.engine.renew(NAME)
        else:
            self.engine.rollback(NAME)

    def _was_heard(self) -> bool:
        record = self.record(NAME)
        if self.serial(NAME) != self.life.before:
            return True
        if self.life.word == "rollback":
            return isinstance(record, Staged) and record.because is Because.ROLLBACK
        return not isinstance(record, Idle) or record.ledger.requested is not None or record.ledger.attempts > 0


def _renewed(certd: Daughter) -> bool:
    serial = certd.serial(NAME)
    return serial is not None and serial != certd.life.before and certd.at_rest()


def _staged(certd: Daughter) -> bool:
    return certd.certificate().phase == "staged"


def _rejected(certd: Daughter) -> bool:
    return NAME in certd.server().rejected and certd.server().phase == "settled"


def _refused(certd: Daughter) -> bool:
    server = certd.server()
    failed = server.failure is not None and server.failure.code == "server-config-broken"
    return failed and server.phase == "settled" and certd.certificate().phase == "installed"


GOALS: dict[str, Callable[[Daughter], bool]] = {
    "staged": _staged,
    "renewed": _renewed,
    "rejected": _rejected,
    "refused": _refused,
}


def _one(life: Life) -> int:
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    try:
        certd = Daughter(life)
        Acts(life.places, life.last, Path(life.log), lambda: certd.now).install()
        certd.live()
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def main() -> None:
    for line in sys.stdin.buffer:
        life = msgspec.json.decode(line, type=Life)
        pid = os.fork()
        if not pid:
            os._exit(_one(life))
        _, status = os.waitpid(pid, 0)
        print(json.dumps([pid, os.waitstatus_to_exitcode(status)]), flush=True)


if __name__ == "__main__":
    main()
