"""Files of the old client: read whole, bounded, never written."""

from __future__ import annotations

from pathlib import Path

from certd import atomicfile
from certd.errors import Refused
from certd.text import printable

LARGEST = 1024 * 1024


def read(path: Path) -> bytes:
    """The content of a regular file. Raises Refused with one sentence."""
    try:
        return atomicfile.read_file(path, limit=LARGEST)
    except atomicfile.TooLarge:
        raise Refused(f"{shown(path)} is larger than {LARGEST // 1024} KiB, which no file of this kind is") from None
    except (atomicfile.NotRegular, FileNotFoundError, NotADirectoryError, ValueError):  # the last: NUL is in no path
        raise Refused(f"{shown(path)} is not there, or is no regular file") from None
    except OSError as error:
        raise Refused(f"cannot read {shown(path)}: {error.strerror}; run this as root") from None


def read_text(path: Path) -> str:
    """As `read`; what is not UTF-8 is escaped, and lines end in one way."""
    return read(path).decode("utf-8", "backslashreplace").replace("\r\n", "\n")


def read_if_there(path: Path) -> bytes:
    """As `read`, but nothing where there is no such file."""
    return read(path) if path.is_file() else b""


def directories(path: Path) -> list[Path]:
    """The directories in a directory, sorted. Raises Refused."""
    try:
        return sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.is_symlink())
    except FileNotFoundError:
        return []
    except ValueError:
        raise Refused(f"cannot list {shown(path)}: no path has a NUL in it; correct the old client's file") from None
    except OSError as error:
        raise Refused(f"cannot list {shown(path)}: {error.strerror}; run this as root") from None


def demand_directory(path: Path, client: str) -> None:
    """Raises Refused where there is no such directory, or it may not be read."""
    try:
        if path.is_dir():
            next(iter(path.iterdir()), None)
            return
    except OSError as error:
        raise Refused(f"cannot read {shown(path)}: {error.strerror}; run this as root") from None
    raise Refused(f"there is no directory {shown(path)}; say where {client} keeps its files: certd import {client} DIR")


def shown(path: Path) -> str:
    """The path, fit for a message."""
    return printable(str(path), 400)
