"""certd.challenges.http01: files below a web root that a hostile token or link cannot lead away from."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parts import Webroot

from certd.challenges import OPTIONS
from certd.challenges.fetch import MAX_REDIRECTS
from certd.challenges.http01 import Http01, WebrootOptions
from certd.config import load
from certd.errors import CertdError, ChallengeError, ConnectFailed, TlsFailed
from certd.http import Exchanger
from certd.model.orders import Task

TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
ANSWER = f"{TOKEN}.thumbprint"


def task(token: str = TOKEN, identifier: str = "www.example.jp") -> Task:
    return Task(identifier, False, "http-01", "https://ca.example/chall", token, "https://ca.example/authz")


def place_in(webroot: Path, token: str = TOKEN) -> str:
    return json.dumps({"webroot": str(webroot), "token": token})


def present(webroot: Path, token: str = TOKEN) -> str:
    solver = Http01(WebrootOptions(str(webroot)))
    place = solver.place(task(token), ANSWER)
    solver.present(task(token), ANSWER, place)
    return place


def challenge_directory(webroot: Path) -> Path:
    return webroot / ".well-known" / "acme-challenge"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_web_root_that_is_not_there_is_said_with_the_configuration(tmp_path: Path) -> None:
    """Before the first order fails for it. One that this user may not look at is nobody's mistake."""
    config, webroot = tmp_path / "config.yaml", tmp_path / "html"
    config.write_text(
        "cas: {ca: {directory: 'https://ca.example.jp/dir', terms_of_service_agreed: true}}\n"
        f"defaults: {{challenge: {{type: http-01, webroot: {webroot}}}}}\n"
        "certificates: [{domains: [a.example.jp]}]\n"
    )
    expected = f"{config}:2: defaults.challenge: webroot: there is no directory {webroot} on this machine"
    assert load(config, solvers=OPTIONS).warnings == (expected,)
    webroot.write_text("a file")
    assert load(config, solvers=OPTIONS).warnings == (expected,)
    webroot.unlink()
    webroot.mkdir()
    assert load(config, solvers=OPTIONS).warnings == ()
    assert WebrootOptions(f"/{'n' * 300}").host_warning() is None


def test_present_and_clean_up(tmp_path: Path) -> None:
    """The file is where RFC 8555 section 8.3 wants it, with nothing else beside it; then it is gone."""
    place = present(tmp_path)
    assert (challenge_directory(tmp_path) / TOKEN).read_text() == ANSWER
    assert [one.name for one in challenge_directory(tmp_path).iterdir()] == [TOKEN]
    Http01.clean_up(place)
    assert list(challenge_directory(tmp_path).iterdir()) == []


def test_place_is_pure_and_holds_no_secret(tmp_path: Path) -> None:
    """Web root and token only; nothing is written before the place is recorded."""
    solver = Http01(WebrootOptions(str(tmp_path / "not-there")))
    place = solver.place(task(), ANSWER)
    assert json.loads(place) == {"webroot": str(tmp_path / "not-there"), "token": TOKEN}
    assert list(tmp_path.iterdir()) == []


def test_modes_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    """The web server runs as another user and must be able to read."""
    before = os.umask(0o077)
    try:
        present(tmp_path)
    finally:
        os.umask(before)
    assert mode(challenge_directory(tmp_path) / TOKEN) == 0o644
    assert mode(challenge_directory(tmp_path)) == 0o755
    assert mode(tmp_path / ".well-known") == 0o755


def test_a_mode_that_is_refused_loses_no_descriptor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some file systems know no modes; each attempt would cost the daemon one handle."""

    def refuse(descriptor: int, mode: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchmod", refuse)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(ChallengeError, match="Operation not permitted"):
        present(tmp_path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_directories_that_exist_keep_their_modes(tmp_path: Path) -> None:
    """What is not ours is not changed, neither by presenting nor by cleaning up."""
    challenge_directory(tmp_path).mkdir(parents=True)
    challenge_directory(tmp_path).chmod(0o750)
    (challenge_directory(tmp_path) / "of-somebody-else").touch()
    Http01.clean_up(present(tmp_path))
    assert mode(challenge_directory(tmp_path)) == 0o750
    assert [one.name for one in challenge_directory(tmp_path).iterdir()] == ["of-somebody-else"]


def test_both_may_be_repeated(tmp_path: Path) -> None:
    """After a crash either is done again: also over a file half written, and where everything is gone."""
    place = present(tmp_path)
    (challenge_directory(tmp_path) / f".{TOKEN}.new").write_text("half")
    (challenge_directory(tmp_path) / TOKEN).write_text("old")
    present(tmp_path)
    assert (challenge_directory(tmp_path) / TOKEN).read_text() == ANSWER
    (challenge_directory(tmp_path) / f".{TOKEN}.new").write_text("half")
    Http01.clean_up(place)
    Http01.clean_up(place)
    assert list(challenge_directory(tmp_path).iterdir()) == []
    challenge_directory(tmp_path).rmdir()
    Http01.clean_up(place)
    Http01.clean_up(place_in(tmp_path / "gone"))


def test_clean_up_knows_only_the_recorded_place(tmp_path: Path) -> None:
    """A changed web root in the configuration does not matter: no instance is needed."""
    (tmp_path / "old").mkdir()
    place = present(tmp_path / "old")
    Http01.clean_up(place)
    assert list(challenge_directory(tmp_path / "old").iterdir()) == []


@pytest.mark.parametrize(
    "token",
    ["../../../etc/cron.d/x", "..", ".", "", "/etc/passwd", "a/b", "short", TOKEN + "\n", TOKEN + "\0", TOKEN + "/x"],
)
def test_a_hostile_token_is_never_a_path(tmp_path: Path, token: str) -> None:
    """Refused when the place is made, when it is used, and when it is cleaned up."""
    solver = Http01(WebrootOptions(str(tmp_path)))
    with pytest.raises(ChallengeError):
        solver.place(task(token), ANSWER)
    with pytest.raises(ChallengeError):
        solver.present(task(token), ANSWER, place_in(tmp_path, token))
    with pytest.raises(ChallengeError):
        Http01.clean_up(place_in(tmp_path, token))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("linked", [".well-known", ".well-known/acme-challenge"])
def test_links_are_not_followed(tmp_path: Path, linked: str) -> None:
    """An application that may write below the web root cannot aim certd at another directory."""
    webroot, target = tmp_path / "html", tmp_path / "target"
    (webroot / linked).parent.mkdir(parents=True)
    (target / "acme-challenge").mkdir(parents=True)
    (webroot / linked).symlink_to(target)
    for innocent in (target / TOKEN, target / "acme-challenge" / TOKEN):
        innocent.write_text("innocent")
    with pytest.raises(ChallengeError, match="symbolic link"):
        present(webroot)
    with pytest.raises(ChallengeError, match="symbolic link"):
        Http01.clean_up(place_in(webroot))
    for innocent in (target / TOKEN, target / "acme-challenge" / TOKEN):
        assert innocent.read_text() == "innocent"


@pytest.mark.parametrize("name", [TOKEN, f".{TOKEN}.new"])
def test_a_planted_link_is_replaced_not_followed(tmp_path: Path, name: str) -> None:
    """Neither the file nor the one beside it writes through a link; clean-up removes the link, not its target."""
    victim = tmp_path / "victim"
    victim.write_text("innocent")
    webroot = tmp_path / "html"
    challenge_directory(webroot).mkdir(parents=True)
    (challenge_directory(webroot) / name).symlink_to(victim)
    place = present(webroot)
    assert victim.read_text() == "innocent"
    assert not (challenge_directory(webroot) / TOKEN).is_symlink()
    (challenge_directory(webroot) / TOKEN).unlink()
    (challenge_directory(webroot) / TOKEN).symlink_to(victim)
    Http01.clean_up(place)
    assert victim.read_text() == "innocent"
    assert list(challenge_directory(webroot).iterdir()) == []


def test_the_web_root_itself_may_be_a_link(tmp_path: Path) -> None:
    """It is the operator's own word, and current releases are often linked."""
    (tmp_path / "release-7").mkdir()
    (tmp_path / "current").symlink_to("release-7")
    present(tmp_path / "current")
    assert (challenge_directory(tmp_path / "release-7") / TOKEN).exists()


def test_errors_say_what_to_do(tmp_path: Path) -> None:
    """No web root, a file where a directory must be, a directory where the file must be, a name too long."""
    with pytest.raises(ChallengeError, match=r"there is no directory .*/none; set `webroot`"):
        present(tmp_path / "none")
    (tmp_path / ".well-known").touch()
    with pytest.raises(ChallengeError, match="a file or a symbolic link where a directory must be"):
        present(tmp_path)
    (tmp_path / ".well-known").unlink()
    (challenge_directory(tmp_path) / TOKEN).mkdir(parents=True)
    with pytest.raises(ChallengeError, match="Is a directory"):
        present(tmp_path)
    assert [one.name for one in challenge_directory(tmp_path).iterdir()] == [TOKEN]
    with pytest.raises(ChallengeError, match="too long"):
        present(tmp_path, "A" * 256)


@pytest.fixture
def unprivileged() -> Iterator[None]:
    """Not root for the length of a test: root may write everywhere."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    yield
    os.seteuid(before)


@pytest.mark.usefixtures("unprivileged")
def test_missing_permission_names_user_and_path() -> None:
    """Who could not write where, and what to do."""
    with pytest.raises(
        ChallengeError, match=r"user .* must be able to write to /sys/\.well-known/acme-challenge: create"
    ):
        present(Path("/sys"))


@pytest.mark.parametrize(
    "option", [{}, {"webroot": "relative"}, {"webroot": 5}, {"webroot": "/a", "x": 1}, {"webroot": "/\0"}]
)
def test_wrong_options(option: dict[str, Any]) -> None:
    """An absolute web root, and nothing else."""
    with pytest.raises(ChallengeError, match="webroot"):
        Http01.from_options(option)


@given(
    st.text() | st.dictionaries(st.sampled_from(["webroot", "token", "x"]), st.text() | st.integers()).map(json.dumps)
)
def test_a_broken_place_is_an_error_of_its_own(place: str) -> None:
    """Whatever stands in the record: it is done, or a ChallengeError."""
    try:
        Http01.clean_up(place)
    except CertdError as error:
        assert isinstance(error, ChallengeError)
        assert str(error).isprintable()


# --- self_check ---------------------------------------------------------------------------------------------------


@dataclass
class Page:
    status: int = 200
    body: bytes = ANSWER.encode()
    headers: Mapping[str, str] = field(default_factory=dict)


def check(
    handler: Callable[[str, Mapping[str, str]], Page], identifier: str = "www.example.jp", **more: Any
) -> tuple[str | None, list[str]]:
    asked: list[str] = []

    def send(
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        deadline: timedelta,
        limit: int,
    ) -> Page:
        assert (method, body) == ("GET", None)
        asked.append(url)
        return handler(url, headers or {})

    solver = Http01(WebrootOptions("/var/www/html"))
    return solver.self_check(task(identifier=identifier), ANSWER, send, **more), asked


def test_self_check_finds_the_response() -> None:
    """Plain HTTP at the name; white space at the end does not matter (RFC 8555 section 8.3)."""
    warning, asked = check(lambda url, headers: Page(body=ANSWER.encode() + b"\r\n"))
    assert warning is None
    assert asked == [f"http://www.example.jp/.well-known/acme-challenge/{TOKEN}"]
    assert check(lambda url, headers: Page(), "2001:db8::1")[1][0].startswith("http://[2001:db8::1]/")


def test_self_check_can_be_routed_elsewhere() -> None:
    """The connection goes where the route says, the Host header stays the name's."""
    seen: list[Mapping[str, str]] = []

    def handler(url: str, headers: Mapping[str, str]) -> Page:
        seen.append(headers)
        return Page()

    warning, asked = check(handler, route=lambda host, port: ("::1", port + 8000))
    assert warning is None
    assert asked == [f"http://[::1]:8080/.well-known/acme-challenge/{TOKEN}"]
    assert seen == [{"Host": "www.example.jp"}]


def test_self_check_follows_redirects() -> None:
    """To another path or host, relative or absolute; a warning names where it ended."""
    target = "http://other.example/x"

    def handler(url: str, headers: Mapping[str, str]) -> Page:
        if url == target:
            return Page(404)
        return Page(302, b"", {"location": target})

    warning, asked = check(handler)
    assert warning is not None
    assert f"redirected to {target}) answers 404" in warning
    assert len(asked) == 2


def test_self_check_warns_and_is_bounded() -> None:
    """Wrong content, circles, strange targets and dead servers are warnings that say what to look at."""
    for page, said in [
        (Page(body=b"hello"), "shows something else"),
        (Page(403), "answers 403"),
        (Page(301, b"", {"location": "/again"}), f"redirects more than {MAX_REDIRECTS} times"),
        (Page(301, b"", {"location": "ftp://x/\x1b"}), "redirects to ftp://x/"),
        (Page(301, b"", {"location": "http://[::1"}), "which is no http URL"),
    ]:
        warning, asked = check(lambda url, headers, page=page: page)
        assert warning is not None
        assert said in warning
        assert "does www.example.jp on port 80 show /var/www/html?" in warning
        assert warning.isprintable()
        assert len(asked) <= MAX_REDIRECTS + 1

    def dead(url: str, headers: Mapping[str, str]) -> Page:
        raise ConnectFailed("connection refused")

    warning, _ = check(dead)
    assert warning is not None
    assert "connection refused" in warning


def test_self_check_does_not_judge_https() -> None:
    """A redirect to https with an expired certificate is no obstacle: CAs do not look at it."""

    def handler(url: str, headers: Mapping[str, str]) -> Page:
        if url.startswith("https:"):
            raise TlsFailed("expired")
        return Page(301, b"", {"location": url.replace("http:", "https:")})

    assert check(handler)[0] is None


def test_self_check_over_real_http(webroot: Webroot) -> None:
    """Through `certd.http`, routed to a server on loopback."""
    solver = Http01(WebrootOptions(str(webroot.path)))
    send = Exchanger(require_https=False).send

    def route(host: str, port: int) -> tuple[str, int]:
        return "127.0.0.1", webroot.port

    warning = solver.self_check(task(), ANSWER, send, route=route)
    assert warning is not None
    assert "answers 404" in warning
    solver.present(task(), ANSWER, solver.place(task(), ANSWER))
    assert solver.self_check(task(), ANSWER, send, route=route) is None
    assert webroot.asked[-1].startswith("www.example.jp")
