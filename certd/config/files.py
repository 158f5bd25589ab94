"""Files that an operator names, read without trust in what they are: a FIFO would never end, a device neither."""

from __future__ import annotations

from pathlib import Path

LARGEST = 64 * 1024 * 1024


def content(path: Path) -> bytes:
    """The bytes of a regular file of at most `LARGEST` bytes. Raises OSError."""
    if path.exists() and not path.is_file():
        raise OSError(0, "not a regular file")
    with path.open("rb") as file:
        text = file.read(LARGEST + 1)
    if len(text) > LARGEST:
        raise OSError(0, f"larger than {LARGEST // 1024 // 1024} MiB")
    return text
