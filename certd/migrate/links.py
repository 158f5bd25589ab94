"""Fixed paths as symbolic links through `live/`, and back. Each step is one rename: at no moment is a path missing.

The content stays the same to the byte, or nothing is done; the originals stay beside the links, with `SUFFIX`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from certd import atomicfile, pki
from certd.errors import PkiError, Refused
from certd.migrate import readers
from certd.migrate.owner import acting_as_owner, leads_into, read_as_owner
from certd.migrate.readers import Access
from certd.migrate.sources import shown

SUFFIX = ".before-certd"
_TRIES = 5
"""To read a version before the live link moves on, which it does once in many days."""
_CHAIN = "chain.pem"
_WITH_KEY = ("privkey.pem", "combined.pem")
_FILES = ("fullchain.pem", "cert.pem", _CHAIN, *_WITH_KEY)


def link(paths: Sequence[Path], live: Path) -> list[str]:
    """Turn each path into a link to the file of `live` that has its content; one line for each.

    All are judged before the first is touched, and all become links or none: a certificate that follows `live` and a
    key that does not would part at the next renewal. Raises Refused, which names everything that is in the way.
    """
    wanted = _judged(paths, live)
    new = [path for path, target in wanted.items() if _leads_to(path) != target]
    kept: list[Path] = []
    at = Path()
    try:
        for at in new:
            _keep(at, kept)
        for at in new:
            atomicfile.replace_symlink(at, str(wanted[at]))
    except OSError as error:
        left = _take_back(new, kept, wanted)
        text = f"{', '.join(map(shown, left))} stay links; --undo puts them back" if left else "no link was made"
        raise Refused(f"cannot make {shown(at)} a link: {error.strerror}; {text}") from None
    return [
        f"+ {shown(path)} -> {target}; the original is {shown(_kept(path))}"
        if path in new
        else f"= {shown(path)} -> {target}"
        for path, target in wanted.items()
    ]


def plan(paths: Sequence[Path], live: Path) -> list[str]:
    """What `link` would say, with nothing done. Raises Refused."""
    return [
        f"{'=' if _leads_to(path) == target else '+'} {shown(path)} -> {target}"
        for path, target in _judged(paths, live).items()
    ]


def check(paths: Sequence[Path], live: Path, *, key: Path, group: str | None) -> None:
    """What can be told before there are live files to compare with; `group` is what `files.group` says.

    Raises Refused for everything that `link` would.
    """
    demand_outside(paths, _state_dir(live))
    new = [path for path in paths if _follows(path, live) is None]
    wrong = _taken(new, live)
    access = readers.planned(_state_dir(live), group)
    if key in new and access is not None:
        wrong += _withheld(key, access, live)
    if wrong:
        raise Refused(f"{'; '.join(wrong)}; nothing was changed")


def _judged(paths: Sequence[Path], live: Path) -> dict[Path, Path]:
    """What each path leads to, or is to lead to."""
    demand_outside(paths, _state_dir(live))
    targets: dict[Path, Path] = {}
    wrong: list[str] = []
    for path in paths:
        there = _follows(path, live)
        if there is not None:
            targets[path] = there
            continue
        content = read_as_owner(path, _state_dir(live))
        target = next((live / name for name in _FILES if _content(live / name, live) == content), None)
        if target is None:
            wrong.append(
                f"{shown(path)} is not the same to the byte as any file in {live}: use the Include line instead, which "
                "does not need that"
            )
        else:
            targets[path] = target
            if target.name in _WITH_KEY:
                with acting_as_owner(_state_dir(live)):
                    new = Access.of(target)
                wrong += _withheld(path, new, live)
    wrong += _taken([path for path in paths if _follows(path, live) is None], live)
    # A file with intermediates may be shared by many names: it goes on following the one that came first.
    followed = {target.parent for target in targets.values() if target.name != _CHAIN}
    if len(followed) > 1:
        listed = ", ".join(f"{shown(path)} -> {target}" for path, target in targets.items() if target.name != _CHAIN)
        wrong.append(f"{listed} would part at the next renewal: put back what follows another name first, by --undo")
    if wrong:
        raise Refused(f"{'; '.join(wrong)}; no link was made")
    return targets


def _take_back(new: Sequence[Path], kept: Sequence[Path], wanted: Mapping[Path, Path]) -> list[Path]:
    """Bring the originals back, and forget the second names that were made for it; the paths that stay links."""
    left = []
    for path in new:
        try:
            if _leads_to(path) == wanted[path]:
                _kept(path).replace(path)
            elif path in kept:
                _kept(path).unlink()
        except OSError:
            left.append(path)
    return [path for path in left if _leads_to(path) == wanted[path]]


def demand_outside(paths: Sequence[Path], state_dir: Path) -> None:
    """Raises Refused for paths that lie in certd's own directory: each would become a link to itself."""
    inside = [path for path in paths if leads_into(path.parent, state_dir)]
    if inside:
        listed = ", ".join(map(shown, inside))
        raise Refused(
            f"{listed}: a path in certd's own directory {state_dir} follows certd already; --links is for the paths of "
            "somebody else; nothing was changed"
        )


def undo(paths: Sequence[Path], live: Path, *, dry: bool = False) -> list[str]:
    """Put back what `link` replaced; one line for each path. With `dry` nothing is done. Raises Refused.

    Where the certificate was renewed meanwhile, the original is older than what is served: the path then becomes a file
    with what is served now, and the original stays where it is. Where nothing is served, since the links lead nowhere,
    the originals are all there is. `paths` are all that a server reads: where some of them are no links, what they
    hold decides which of the two it is, since a certificate with another one's key would stop the server.
    """
    linked = [path for path in paths if _leads_below(path, live)]
    missing = [_kept(path) for path in linked if not os.path.lexists(_kept(path))]
    if missing:
        raise Refused(f"the original of a link is missing: {', '.join(map(shown, missing))}; nothing was changed")
    contents, remark = _contents_after(linked, [path for path in paths if path not in linked], live)
    if dry:
        return [f"- {shown(path)}" for path in linked] + remark
    ready: dict[Path, Path] = {}
    at = Path()
    try:
        for at, content in contents.items():
            ready[at] = _kept(at) if content is None else _written(at, content)
    except OSError as error:
        _remove(ready)
        raise Refused(f"cannot put {shown(at)} back: {error.strerror}; nothing was changed") from None
    try:
        for at, source in ready.items():
            source.replace(at)
            atomicfile.sync_directory(at.parent)
    except OSError as error:
        _remove(ready)
        raise Refused(f"cannot put {shown(at)} back: {error.strerror}; correct that and run this again") from None
    return [_told(path, original=contents[path] is None) for path in linked] + remark


def _contents_after(
    linked: Sequence[Path], others: Sequence[Path], live: Path
) -> tuple[dict[Path, bytes | None], list[str]]:
    """What each link becomes a file with, None for the original; and what is worth knowing of that."""
    back: dict[Path, bytes | None] = dict.fromkeys(linked)
    served = _served(linked, live)
    if served is None:
        return back, []
    originals = {path: _content(_kept(path), live) or b"" for path in linked}
    beside = [_content(path, live) or b"" for path in others]
    if served != originals and _belong_together([*served.values(), *beside]):
        return {**served}, []
    where = ", ".join(map(shown, others or linked))
    if _belong_together([*originals.values(), *beside]):
        return back, [] if served == originals else [f"* what is served now is newer, but does not belong to {where}"]
    raise Refused(
        f"{where}: the certificate and the private key would not belong together, neither with what is served now nor "
        "with the originals; nothing was changed. Put the files that belong to the rest there first"
    )


def _served(linked: Sequence[Path], live: Path) -> dict[Path, bytes] | None:
    """What the links lead to, of one version even if the live link moves meanwhile; None where they lead nowhere."""
    for _ in range(_TRIES):
        version = _version(live)
        files = {path: version / path.readlink().name for path in linked}
        with acting_as_owner(_state_dir(live)):
            there = all(file.exists() for file in files.values())
        contents = {path: read_as_owner(file, _state_dir(live)) for path, file in files.items()} if there else None
        if _version(live) == version:
            return contents
    raise Refused(f"{live} moves again and again; nothing was changed, run this again")


def _version(live: Path) -> Path:
    """The directory that is live at this moment."""
    return live.parent / live.readlink() if live.is_symlink() else live


def _belong_together(contents: Sequence[bytes]) -> bool:
    """Whether each private key among them has its certificate there."""
    try:
        for content in contents:
            if b"PRIVATE KEY-----" in content:
                pki.gather_set(content, contents)
    except PkiError:
        return False
    return True


def _follows(path: Path, live: Path) -> Path | None:
    """What the path leads to, if it is a file of `live`, or of what is live under another name."""
    target = _leads_to(path)
    return target if target is not None and target.parent.parent == live.parent else None


def _leads_below(path: Path, live: Path) -> bool:
    """Whether the path is a link to a file of `live`."""
    target = _leads_to(path)
    return target is not None and target.parent == live


def _state_dir(live: Path) -> Path:
    return live.parent.parent


def _written(path: Path, content: bytes) -> Path:
    """A file beside the path, to be renamed to it, with the mode, the group and, by root, the owner of the original."""
    kept, made = _kept(path), path.with_name(f"{atomicfile.TEMP_PREFIX}{path.name}")
    # From its birth; a key must not be open to others for a moment.
    mode, group = (kept.stat().st_mode & 0o777, kept.stat().st_gid) if kept.exists() else (0o600, None)
    atomicfile.write_atomic(made, content, mode=mode, group=group)
    if os.geteuid() == 0 and kept.exists():
        os.chown(made, kept.stat().st_uid, -1)
    return made


def _remove(ready: Mapping[Path, Path]) -> None:
    """What was written and is not wanted any more; the originals stay."""
    for path, source in ready.items():
        if source != _kept(path):
            with suppress(OSError):
                source.unlink(missing_ok=True)


def _told(path: Path, *, original: bool) -> str:
    if original:
        return f"- {shown(path)} is the original again"
    older = shown(_kept(path))
    return f"- {shown(path)} is a file with what is served now; the original, which is older, stays at {older}"


def _withheld(path: Path, new: Access, live: Path) -> list[str]:
    """A complaint if somebody reads the key at the path who could not read it by a link."""
    try:
        found = readers.cut_off(Access.of(path), new)
    except OSError:
        return []  # whoever reads it says so
    if found is None:
        return []
    who, group = found
    return [f"{who} may read {shown(path)}, and would not be let: set `files.group: {group}` for {live.name} first"]


def _taken(paths: Sequence[Path], live: Path) -> list[str]:
    """A complaint for each path for whose original the second name is not free."""
    return [
        f"{shown(_kept(path))} exists with another content: move it away first"
        for path in paths
        if os.path.lexists(_kept(path))
        and _kept(path).lstat().st_ino != path.lstat().st_ino
        and _content(_kept(path), live) != read_as_owner(path, _state_dir(live))
    ]


def _keep(path: Path, made: list[Path]) -> None:
    """The original under its second name too, a link as a link; `made` gets the path if the name is new."""
    if os.path.lexists(_kept(path)):
        return  # of an interrupted run, or with the same content
    os.link(path, _kept(path), follow_symlinks=False)
    made.append(path)
    atomicfile.sync_directory(path.parent)


def _kept(path: Path) -> Path:
    return path.with_name(path.name + SUFFIX)


def _leads_to(path: Path) -> Path | None:
    return path.readlink() if path.is_symlink() else None


def _content(path: Path, live: Path) -> bytes | None:
    try:
        return read_as_owner(path, _state_dir(live))
    except Refused:
        return None
