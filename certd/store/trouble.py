"""What the operating system's refusals mean for the operator."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

from certd.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MEANING = {
    errno.ENOSPC: "the file system is full; free some space, certd then goes on by itself",
    errno.EDQUOT: "the disk quota is used up; raise it or free some space, certd then goes on by itself",
    errno.EROFS: "the file system is mounted read-only; look for disk errors and mount it for writing again",
    errno.EACCES: "permission denied; give the path to the user that runs certd, and look for SELinux denials",
    errno.EPERM: "not permitted; give the path to the user that runs certd, and look for SELinux denials",
    errno.EIO: "the disk reports an input/output error; check it",
    errno.EMFILE: "too many open files; raise LimitNOFILE of the service",
}


@contextmanager
def explained(doing: str, path: Path) -> Iterator[None]:
    """Turn an OSError of the block into a StateError that names `path` and says what to do."""
    try:
        yield
    except OSError as error:
        meaning = (
            _MEANING.get(error.errno or 0) or f"{error.strerror or error}; see docs/STATE.md for what belongs there"
        )
        raise StateError(f"cannot {doing} {path}: {meaning}") from error
