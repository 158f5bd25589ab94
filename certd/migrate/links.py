"""Fixed paths as symbolic links through `live/`, and back. Each step is one rename: at no moment is a path missing.

The content stays the same to the byte, or nothing is done; the originals stay beside the links, with `SUFFIX`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from certd import atomicfile
from certd.errors import Refused
from certd.migrate import sources
from certd.migrate.owner import leads_into, read_as_owner
from certd.migrate.sources import shown

SUFFIX = ".before-certd"
_FILES = ("fullchain.pem", "cert.pem", "privkey.pem", "chain.pem", "combined.pem")


def link(paths: Sequence[Path], live: Path) -> list[str]:
    """Turn each path into a link to the file of `live` that has its content; one line for each.

    All are looked at before the first is touched. Raises Refused.
    """
    demand_outside(paths, _state_dir(live))
    wanted = {path: _same_content(path, live) for path in paths}
    said = []
    for path, target in wanted.items():
        there = _leads_to(path)
        # A file with intermediates may be shared by many names: it goes on following the one that came first.
        if there is not None and there.parent.parent == live.parent:
            said.append(f"= {shown(path)} -> {there}")
            continue
        try:
            _keep(path)
            atomicfile.replace_symlink(path, str(target))
        except OSError as error:
            raise Refused(f"cannot make {shown(path)} a link: {error.strerror}; the paths before it are done") from None
        said.append(f"+ {shown(path)} -> {target}; the original is {shown(_kept(path))}")
    return said


def plan(paths: Sequence[Path], live: Path) -> list[str]:
    """What `link` would say, with nothing done. Raises Refused."""
    demand_outside(paths, _state_dir(live))
    return [f"+ {shown(path)} -> {_same_content(path, live)}" for path in paths]


def demand_outside(paths: Sequence[Path], state_dir: Path) -> None:
    """Raises Refused for paths that lie in certd's own directory: each would become a link to itself."""
    inside = [path for path in paths if leads_into(path.parent, state_dir)]
    if inside:
        listed = ", ".join(map(shown, inside))
        raise Refused(
            f"{listed}: a path in certd's own directory {state_dir} follows certd already; --links is for the paths of "
            "somebody else; nothing was changed"
        )


def undo(paths: Sequence[Path], live: Path) -> list[str]:
    """Put back what `link` replaced; one line for each path. Raises Refused.

    Where the certificate was renewed meanwhile, the original is older than what is served: the path then becomes a file
    with what is served now, and the original stays where it is. Where nothing is served, since the links lead nowhere,
    the originals are all there is.
    """
    linked = [path for path in paths if leads_below(path, live)]
    served = {path: read_as_owner(path, _state_dir(live)) for path in linked if path.exists()}
    current = len(served) < len(linked) or all(_content(_kept(path)) == now for path, now in served.items())
    said = []
    for path in linked:
        try:
            said.append(_put_back(path, None if current else served[path]))
        except OSError as error:
            raise Refused(f"cannot put {shown(path)} back: {error.strerror}; the paths before it are done") from None
    return said


def leads_below(path: Path, live: Path) -> bool:
    """Whether the path is a link to a file of `live`."""
    target = _leads_to(path)
    return target is not None and target.parent == live


def _state_dir(live: Path) -> Path:
    return live.parent.parent


def _put_back(path: Path, served: bytes | None) -> str:
    """`served`: what the path becomes a file with; None for the original."""
    kept = _kept(path)
    if not os.path.lexists(kept):
        raise Refused(f"{shown(path)} is a link, but {shown(kept)} is missing; nothing was changed there")
    if served is None:
        kept.replace(path)
        atomicfile.sync_directory(path.parent)
        return f"- {shown(path)} is the original again"
    # Born with the mode and group of the original; a key must not be open to others for a moment.
    mode, group = (kept.stat().st_mode & 0o777, kept.stat().st_gid) if kept.exists() else (0o600, None)
    atomicfile.write_atomic(path, served, mode=mode, group=group)
    return f"- {shown(path)} is a file with what is served now; the original, which is older, stays at {shown(kept)}"


def _same_content(path: Path, live: Path) -> Path:
    content = read_as_owner(path, _state_dir(live))
    for name in _FILES:
        if _content(live / name) == content:
            return live / name
    raise Refused(
        f"{shown(path)} is not the same to the byte as any file in {live}; no link was made. Use the Include line "
        "instead, which does not need that"
    )


def _keep(path: Path) -> None:
    """The original under its second name; a link is kept as a link."""
    kept = _kept(path)
    if os.path.lexists(kept):
        if kept.lstat().st_ino == path.lstat().st_ino or _content(kept) == sources.read(path):
            return
        raise Refused(f"{shown(kept)} exists with another content; move it away first")
    os.link(path, kept, follow_symlinks=False)
    atomicfile.sync_directory(path.parent)


def _kept(path: Path) -> Path:
    return path.with_name(path.name + SUFFIX)


def _leads_to(path: Path) -> Path | None:
    return path.readlink() if path.is_symlink() else None


def _content(path: Path) -> bytes | None:
    try:
        return sources.read(path) if path.is_file() else None
    except (OSError, Refused):
        return None
