"""Fixed paths as links through live/, and back; at no moment is a path missing."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path

import pytest
from authority import Authority

from certd import pki
from certd.errors import PkiError, Refused
from certd.migrate import links
from certd.migrate.links import SUFFIX
from certd.migrate.owner import read_as_owner


@pytest.fixture
def live(tmp_path: Path) -> Path:
    """live/www -> a version; `renew` makes another."""
    state = tmp_path / "state"
    for number, text in (("0001", "one"), ("0002", "two")):
        version = state / "certs" / number
        version.mkdir(parents=True)
        for name in ("cert", "chain", "privkey"):
            (version / f"{name}.pem").write_text(f"{name} {text}\n")
        (version / "fullchain.pem").write_text(f"cert {text}\nchain {text}\n")
    (state / "live").mkdir()
    (state / "live" / "www").symlink_to("../certs/0001")
    return state / "live" / "www"


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """The files that a server names today: the layout of Apache 2.4.6."""
    home = tmp_path / "pki"
    home.mkdir()
    files = {"www.cer": "cert one\n", "www.key": "privkey one\n", "ca.cer": "chain one\n"}
    for name, text in files.items():
        (home / name).write_text(text)
    (home / "www.key").chmod(0o640)
    return [home / name for name in files]


def renew(live: Path, version: str = "0002") -> None:
    live.unlink()
    live.symlink_to(f"../certs/{version}")


def test_links_and_back(paths: list[Path], live: Path) -> None:
    """The originals are kept, the paths follow the live link, and undo leaves what was there, mode and all."""
    before = [(path.read_bytes(), path.stat().st_mode, path.stat().st_ino) for path in paths]
    links.link(paths, live)
    assert [path.readlink() for path in paths] == [live / name for name in ("cert.pem", "privkey.pem", "chain.pem")]
    assert [path.with_name(path.name + SUFFIX).read_bytes() for path in paths] == [content for content, _, _ in before]
    assert links.undo(paths, live) == [f"- {path} is the original again" for path in paths]
    assert [(path.read_bytes(), path.stat().st_mode, path.stat().st_ino) for path in paths] == before
    assert sorted(path.name for path in paths[0].parent.iterdir()) == ["ca.cer", "www.cer", "www.key"]


def test_linking_again_changes_nothing(paths: list[Path], live: Path) -> None:
    """Also after a renewal, when the originals are no longer what is served."""
    links.link(paths, live)
    renew(live)
    said = links.link(paths, live)
    assert all(line.startswith("= ") for line in said)
    assert paths[0].read_text() == "cert two\n"


def test_nothing_is_linked_unless_all_of_it_can_be(paths: list[Path], live: Path) -> None:
    """One byte of the last file differs: the first is as it was."""
    paths[2].write_text("chain one\n\n")
    with pytest.raises(Refused, match=r"ca\.cer is not the same to the byte"):
        links.link(paths, live)
    assert not any(path.is_symlink() for path in paths)
    assert len(list(paths[0].parent.iterdir())) == 3


def test_a_path_is_there_at_every_moment(paths: list[Path], live: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that starts in the middle finds the same content under every path."""
    real = os.rename, os.replace, os.link, os.symlink
    seen: list[bool] = []

    def look() -> None:
        seen.append([path.read_text() for path in paths] == ["cert one\n", "privkey one\n", "chain one\n"])

    def watched(call):  # type: ignore[no-untyped-def]
        def run(*args, **kwargs):  # type: ignore[no-untyped-def]
            look()
            result = call(*args, **kwargs)
            look()
            return result

        return run

    for name, call in zip(("rename", "replace", "link", "symlink"), real, strict=True):
        monkeypatch.setattr(os, name, watched(call))
    links.link(paths, live)
    links.undo(paths, live)
    assert len(seen) > 20
    assert all(seen)


def test_an_interrupted_link_goes_on(paths: list[Path], live: Path) -> None:
    """The original had its second name, the link was not made yet."""
    os.link(paths[0], paths[0].with_name(paths[0].name + SUFFIX))
    links.link(paths, live)
    assert paths[0].is_symlink()


def test_an_original_of_another_time_is_not_overwritten(paths: list[Path], live: Path) -> None:
    """Somebody's file of that name stays."""
    kept = paths[0].with_name(paths[0].name + SUFFIX)
    kept.write_text("something else\n")
    with pytest.raises(Refused, match="exists with another content"):
        links.link(paths, live)
    assert kept.read_text() == "something else\n"
    assert not paths[0].is_symlink()


def test_all_conflicts_are_told_before_anything_is_touched(paths: list[Path], live: Path) -> None:
    """The certificate must not follow certd while the key stays: they would part at the next renewal."""
    for path in paths[1:]:
        path.with_name(path.name + SUFFIX).write_text("years old\n")
    said = r"www\.key\.before-certd exists .*; .*ca\.cer\.before-certd exists .*"
    for ask in (links.link, links.plan):
        with pytest.raises(Refused, match=said):
            ask(paths, live)
    with pytest.raises(Refused, match=said):
        links.check(paths, live, key=paths[1], group=None)
    assert not any(path.is_symlink() for path in paths)
    assert not paths[0].with_name(paths[0].name + SUFFIX).exists()


@pytest.mark.parametrize("call", ["link", "symlink"])
def test_what_fails_in_the_middle_is_taken_back(
    paths: list[Path], live: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """A disk that fills up after the first path: all of them are the files that they were."""
    before = [(path.read_bytes(), path.stat().st_ino) for path in paths]
    real, calls = getattr(os, call), []

    def failing(*args, **kwargs):  # type: ignore[no-untyped-def]
        calls.append(args)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return real(*args, **kwargs)

    monkeypatch.setattr(os, call, failing)
    with pytest.raises(Refused, match=r"cannot make .*www\.key a link: No space left on device; no link was made"):
        links.link(paths, live)
    assert [(path.read_bytes(), path.stat().st_ino) for path in paths] == before
    assert sorted(path.name for path in paths[0].parent.iterdir()) == ["ca.cer", "www.cer", "www.key"]


def test_a_certificate_and_its_key_follow_one_name(paths: list[Path], live: Path) -> None:
    """The certificate follows another name, which had the same one: with the key here it would part from it."""
    other = live.with_name("shop")
    other.symlink_to("../certs/0001")
    links.link(paths[:1], other)
    with pytest.raises(Refused, match="would part at the next renewal"):
        links.link(paths, live)
    assert not paths[1].is_symlink()


def test_links_are_kept_as_links(paths: list[Path], live: Path) -> None:
    """Debian's certbot has links in live/; undo brings the link back, not a copy."""
    real = paths[0].rename(paths[0].with_name("cert1.pem"))
    paths[0].symlink_to(real.name)
    links.link(paths, live)
    assert paths[0].readlink() == live / "cert.pem"
    links.undo(paths, live)
    assert str(paths[0].readlink()) == "cert1.pem"


def test_undo_after_a_renewal_keeps_what_is_served(paths: list[Path], live: Path) -> None:
    """The original is older: going back to it could mean an expired certificate. The paths become files again."""
    links.link(paths, live)
    renew(live)
    said = links.undo(paths, live)
    assert all("older" in line for line in said)
    assert [path.read_text() for path in paths] == ["cert two\n", "privkey two\n", "chain two\n"]
    assert not any(path.is_symlink() for path in paths)
    assert stat.S_IMODE(paths[1].stat().st_mode) == 0o640
    assert paths[0].with_name(paths[0].name + SUFFIX).read_text() == "cert one\n"


@pytest.fixture
def pair(live: Path, tmp_path: Path) -> list[Path]:
    """Real sets in the versions, and the paths of the first one's certificate and key."""
    authority = Authority()
    for number in ("0001", "0002"):
        leaf = authority.leaf("www.example.jp")
        (live.parents[1] / "certs" / number / "cert.pem").write_bytes(leaf.pem)
        (live.parents[1] / "certs" / number / "privkey.pem").write_bytes(leaf.key_pem)
    (tmp_path / "pki").mkdir()
    files = {"www.cer": "cert.pem", "www.key": "privkey.pem"}
    for path, name in files.items():
        (tmp_path / "pki" / path).write_bytes((live / name).read_bytes())
    return [tmp_path / "pki" / path for path in files]


def belong_together(pair: list[Path]) -> bool:
    """Whether a server starts with them."""
    try:
        return pki.gather_set(pair[1].read_bytes(), [pair[0].read_bytes()]) is not None
    except PkiError:
        return False


@pytest.mark.parametrize("linked", [0, 1])
def test_undo_of_half_a_set_heals_it(pair: list[Path], live: Path, linked: int) -> None:
    """Interrupted, only one of the two became a link, and the renewal parted them: the original belongs to the rest."""
    links.link([pair[linked]], live)
    renew(live)
    assert not belong_together(pair)
    said = links.undo(pair, live)
    assert said[0] == f"- {pair[linked]} is the original again"
    assert f"newer, but does not belong to {pair[1 - linked]}" in said[1]
    assert belong_together(pair)


def test_undo_of_half_a_set_is_refused_where_nothing_fits(pair: list[Path], live: Path) -> None:
    """Somebody replaced the key that is no link: neither content of the certificate is for it."""
    links.link(pair[:1], live)
    renew(live)
    pair[1].write_bytes(Authority().leaf("www.example.jp").key_pem)
    for dry in (True, False):
        with pytest.raises(Refused, match=r"www\.key: the certificate and the private key would not belong together"):
            links.undo(pair, live, dry=dry)
    assert pair[0].is_symlink()


@pytest.mark.parametrize("swaps", [1, 2, 100])
def test_a_renewal_in_the_middle_of_undo_parts_nothing(
    pair: list[Path], live: Path, monkeypatch: pytest.MonkeyPatch, swaps: int
) -> None:
    """The daemon need not be stopped: whatever moves between two reads, all files are of one version."""
    links.link(pair, live)
    renew(live)
    left = swaps

    def reading(path: Path, state_dir: Path) -> bytes:
        nonlocal left
        content = read_as_owner(path, state_dir)
        if left and path.name == "cert.pem":
            left -= 1
            renew(live, "0001" if "0002" in str(live.readlink()) else "0002")
        return content

    monkeypatch.setattr(links, "read_as_owner", reading)
    if swaps == 100:
        with pytest.raises(Refused, match="moves again and again; nothing was changed"):
            links.undo(pair, live)
        assert all(path.is_symlink() for path in pair)
        return
    links.undo(pair, live)
    assert not any(path.is_symlink() for path in pair)
    assert pair[1].read_bytes() == (live / "privkey.pem").read_bytes()
    assert belong_together(pair)


def test_undo_that_cannot_write_all_changes_nothing(
    pair: list[Path], live: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every file is written before the first path is touched."""
    links.link(pair, live)
    renew(live)
    names = sorted(path.name for path in pair[0].parent.iterdir())
    real, calls = os.write, []

    def failing(descriptor: int, data: bytes) -> int:
        calls.append(len(data))
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", failing)
    with pytest.raises(Refused, match=r"cannot put .*www\.key back: No space left on device; nothing was changed"):
        links.undo(pair, live)
    monkeypatch.undo()
    assert all(path.is_symlink() for path in pair)
    assert sorted(path.name for path in pair[0].parent.iterdir()) == names
    links.undo(pair, live)
    assert belong_together(pair)


def test_undo_without_the_original_is_refused(paths: list[Path], live: Path) -> None:
    """Nothing to put back: the link stays, and says so."""
    links.link(paths[:1], live)
    paths[0].with_name(paths[0].name + SUFFIX).unlink()
    with pytest.raises(Refused, match="is missing"):
        links.undo(paths[:1], live)
    assert paths[0].is_symlink()


def test_undo_when_the_live_files_are_gone(paths: list[Path], live: Path) -> None:
    """The state directory is lost, and Apache would not start: the originals are all there is."""
    links.link(paths, live)
    live.unlink()
    links.undo(paths, live)
    assert [path.read_text() for path in paths] == ["cert one\n", "privkey one\n", "chain one\n"]
    assert not any(path.is_symlink() for path in paths)


def test_a_file_that_two_names_share_follows_the_first(paths: list[Path], live: Path) -> None:
    """One file with intermediates for many certificates, as in the JPRS manual's ca.cer."""
    other = live.with_name("shop")
    other.symlink_to("../certs/0001")
    links.link(paths, live)
    assert links.link([paths[2]], other) == [f"= {paths[2]} -> {live / 'chain.pem'}"]
    assert links.undo([paths[2]], other) == []
    assert paths[2].readlink() == live / "chain.pem"


@pytest.mark.parametrize("way", ["state/live/www", "state/certs/0001", "elsewhere/live/www", "pki/over"])
def test_certds_own_files_become_no_links(paths: list[Path], live: Path, way: str) -> None:
    """By whatever name of the directory: each file would lead to itself, and Apache would find none of them."""
    root = live.parents[2]
    (root / "elsewhere").symlink_to("state")
    (root / "pki" / "over").symlink_to("../state/live/www")
    own = [paths[0], root / way / "cert.pem", root / way / "privkey.pem"]
    for ask in (links.link, links.plan):
        with pytest.raises(Refused, match=r"privkey\.pem: a path in certd's own directory .* nothing was changed"):
            ask(own, live)
    assert not paths[0].is_symlink()
    assert not any(path.is_symlink() for path in (root / "state/certs/0001").iterdir())


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")


@needs_root
@pytest.mark.parametrize(
    ("owner", "group", "mode", "live_group", "who"),
    [
        (0, 1, 0o640, None, "group {one}"),
        (0, 1, 0o640, 2, "group {one}"),
        (1, 0, 0o400, None, "user {one}"),
        (0, 1, 0o640, 1, None),
        (1, 0, 0o400, 1, None),
        (0, 1, 0o600, None, None),
        (0, 0, 0o640, None, None),
    ],
)
def test_nobody_loses_a_key(
    paths: list[Path], live: Path, owner: int, group: int, mode: int, live_group: int | None, who: str | None
) -> None:
    """A mail server reads the key by its group, or owns it: the live key must let it, else nothing is linked."""
    os.chown(paths[1], owner, group)
    paths[1].chmod(mode)
    if live_group is not None:
        os.chown(live / "privkey.pem", -1, live_group)
        (live / "privkey.pem").chmod(0o640)
    else:
        (live / "privkey.pem").chmod(0o600)
    if who is None:
        links.link(paths, live)
        return
    one = (pwd.getpwuid(1).pw_name if who.startswith("user") else grp.getgrgid(1).gr_name, grp.getgrgid(1).gr_name)
    said = rf"{who.format(one=one[0])} may read .*www\.key, and .*: set `files\.group: {one[1]}` for www first"
    for ask in (links.link, links.plan):
        with pytest.raises(Refused, match=said):
            ask(paths, live)
    assert not any(path.is_symlink() for path in paths)


@needs_root
def test_undo_after_a_renewal_gives_the_file_to_its_owner(paths: list[Path], live: Path) -> None:
    """Owner, group and mode are those of the original."""
    os.chown(paths[0], 1, 2)
    paths[0].chmod(0o440)
    links.link(paths, live)
    renew(live)
    links.undo(paths, live)
    found = paths[0].stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (1, 2, 0o440)
    assert paths[0].read_text() == "cert two\n"
