"""Files that an operator names, read without trust in what they are: a FIFO would never end, a device neither."""

from __future__ import annotations

from pathlib import Path

from certd import atomicfile

LARGEST = 64 * 1024 * 1024


def content(path: Path) -> bytes:
    """The bytes of a regular file of at most `LARGEST` bytes. Raises OSError, with words for an operator."""
    try:
        return atomicfile.read_file(path, limit=LARGEST)
    except atomicfile.NotRegular:
        raise OSError(0, "not a regular file") from None
    except atomicfile.TooLarge:
        raise OSError(0, f"larger than {LARGEST // 1024 // 1024} MiB") from None
