"""The kernel's own word on what a process changed: strace, read into the words of `acts.py`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

_CALLS = {
    "open": "create", "openat": "create", "openat2": "create", "creat": "create",
    "write": "write", "writev": "write", "pwrite64": "pwrite", "pwritev": "write", "pwritev2": "write",
    "sendfile": "write", "copy_file_range": "write", "splice": "write",
    "truncate": "truncate", "ftruncate": "ftruncate", "fallocate": "posix_fallocate",
    "fsync": "fsync", "fdatasync": "fsync", "sync_file_range": "fsync", "flock": "flock",
    "rename": "rename", "renameat": "rename", "renameat2": "rename",
    "link": "link", "linkat": "link", "symlink": "symlink", "symlinkat": "symlink",
    "unlink": "unlink", "unlinkat": "unlink", "rmdir": "rmdir",
    "mkdir": "mkdir", "mkdirat": "mkdir", "mknod": "mknod", "mknodat": "mknod",
    "chmod": "chmod", "fchmod": "fchmod", "fchmodat": "chmod", "fchmodat2": "chmod",
    "chown": "chown", "lchown": "chown", "fchown": "fchown", "fchownat": "chown",
    "utime": "utime", "utimes": "utime", "utimensat": "utime", "futimesat": "utime",
    "setxattr": "setxattr", "lsetxattr": "setxattr", "fsetxattr": "setxattr",
    "removexattr": "removexattr", "lremovexattr": "removexattr", "fremovexattr": "removexattr",
    "mmap": "mmap", "io_uring_setup": "io_uring",
}  # fmt: skip
"""Every call of Linux that changes files or entries, and how the acts name it."""
_SAME = {"replace": "rename", "remove": "unlink", "fdatasync": "fsync", "lchown": "chown"}

_LINE = re.compile(r"^(?P<pid>\d+) +(?P<call>\w+)\((?P<rest>.*)\) = (?P<result>-?\w+)")
_BY_HANDLE = re.compile(r"(?<!^cre)at2?$")
"""Calls that take a directory's handle and a name."""
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_HANDLED = re.compile(r'(?:(?P<handle>\d+)<(?P<directory>[^>]*)>|AT_FDCWD(?:<[^>]*>)?), "(?P<name>[^"]*)"')
_DESCRIPTOR = re.compile(r"^\d+<(?P<path>[^>]*)>")


def tracer(output: Path) -> Sequence[str]:
    """The argv to put before a program's: all its processes are traced."""
    calls = ",".join(f"?{call}" for call in _CALLS)
    return ("strace", "-f", "-y", "-s", "4", "-qq", "-o", str(output), "-e", f"trace={calls}")


def changes(output: Path, pid: int, places: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """What process `pid` changed below `places`, in order: the word and the path."""
    for line in output.read_text(errors="replace").splitlines():
        found = _LINE.match(line)
        if found is None or int(found["pid"]) != pid or found["result"].startswith("-1"):
            continue
        call, rest = found["call"], found["rest"]
        what, where = _CALLS[call], _place(call, rest)
        if not where.startswith(places) or not _changes(what, rest):
            continue
        yield "rmdir" if call == "unlinkat" and "AT_REMOVEDIR" in rest else what, where


def in_one_word(what: str) -> str:
    """An act's word, where the kernel has one for several."""
    return _SAME.get(what, what)


def _changes(what: str, rest: str) -> bool:
    if what == "create":
        return "O_CREAT" in rest or "O_TRUNC" in rest
    return what != "mmap" or ("MAP_SHARED" in rest and "PROT_WRITE" in rest)


def _place(call: str, rest: str) -> str:
    """The entry or file that a call is about: of two paths the last one."""
    if call == "mmap":
        mapped = re.search(r"\d+<([^>]*)>", rest)
        return mapped[1] if mapped else ""
    if _BY_HANDLE.search(call):
        last = list(_HANDLED.finditer(rest))[-1]
        return f"{last['directory']}/{last['name']}" if last["handle"] else last["name"]
    descriptor = _DESCRIPTOR.match(rest)
    if descriptor:
        return descriptor["path"]
    names = _QUOTED.findall(rest)
    return names[-1] if names else ""
