"""http-01 by files below a web server's document root (RFC 8555 section 8.3).

The token comes from the CA and becomes a file name, in a directory that web applications may write to. So it is
checked to be base64url, and every step below the web root is taken relative to a directory handle that refuses
symbolic links: neither the CA nor an application can lead certd to write or delete anywhere else.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from certd.acme.fields import is_token
from certd.challenges.fetch import TooManyRedirects, fetch
from certd.errors import ChallengeError, ExchangeError, TlsFailed
from certd.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from certd.challenges.fetch import Route, Send
    from certd.model.orders import Task

_COMPONENTS = (".well-known", "acme-challenge")
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class WebrootOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The configuration of http-01."""

    webroot: str
    """Absolute path of the directory that the server shows as ``/`` on port 80 for these names."""
    self_check: bool | str = True
    """Whether certd fetches its own response before the CA is asked; or, behind a NAT, HOST:PORT to fetch it from."""

    def __post_init__(self) -> None:
        if not _is_webroot(self.webroot):
            raise ValueError("webroot must be an absolute path")
        if isinstance(self.self_check, str) and _host_and_port(self.self_check) is None:
            raise ValueError("self_check must be true, false, or HOST:PORT")

    def host_warning(self) -> str | None:
        """What on this machine stands in the way; None where nothing does, or it cannot be seen."""
        try:
            missing = not stat.S_ISDIR(Path(self.webroot).stat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            missing = True
        except OSError:  # not for us to look at; the daemon may
            return None
        return f"webroot: there is no directory {printable(self.webroot)} on this machine" if missing else None


class _Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    webroot: str
    token: str


class Http01:
    """Writes ``WEBROOT/.well-known/acme-challenge/TOKEN``."""

    type: ClassVar[str] = "http-01"

    def __init__(self, options: WebrootOptions) -> None:
        self._webroot = options.webroot
        self._self_check = options.self_check

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Http01:
        """Raises ChallengeError where the options are not those of `WebrootOptions`."""
        try:
            return cls(msgspec.convert(dict(options), WebrootOptions))
        except msgspec.ValidationError as error:
            raise ChallengeError(
                f"http-01: {error}; the options are webroot, an absolute path, and self_check"
            ) from error

    def place(self, task: Task, key_authorization: str) -> str:  # noqa: ARG002 - the protocol has it for dns-01
        """The web root and the token; see `Solver.place`."""
        return msgspec.json.encode(_Place(self._webroot, _checked(task.token))).decode("ascii")

    def present(self, task: Task, key_authorization: str, place: str) -> None:  # noqa: ARG002 - as above
        """Write the response where `place` says; see `Solver.present`.

        Written beside and renamed, so that the CA never reads half of it. Nothing is synced to disk: the file is worth
        something for the seconds until the CA has read it, and a machine that crashes in between costs one validation.
        """
        where = _parsed(place)
        with _explained(f"the response to http-01 cannot be put below {where.webroot}", where.webroot):
            directory = _open_directory(where.webroot, create=True)
            try:
                _write(directory, where.token, key_authorization.encode("ascii"))
            finally:
                os.close(directory)

    @staticmethod
    def clean_up(place: str) -> None:
        """Delete the file; the directories stay, other orders may be using them. See `Solver.clean_up`."""
        where = _parsed(place)
        with _explained(f"the response to http-01 cannot be removed below {where.webroot}", where.webroot):
            try:
                directory = _open_directory(where.webroot, create=False)
            except FileNotFoundError:
                return
            try:
                for name in (where.token, _beside(where.token)):
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(name, dir_fd=directory)
            finally:
                os.close(directory)

    def self_check(self, task: Task, key_authorization: str, send: Send, *, route: Route | None = None) -> str | None:
        """Fetch the response over HTTP as RFC 8555 section 8.3 has the CA do; see `Solver.self_check`.

        Only a hint: the CA may see another network than this machine does. `route` is for tests; the configuration's
        `self_check` comes first.
        """
        if not self._self_check:
            return None
        if isinstance(self._self_check, str) and (fixed := _host_and_port(self._self_check)) is not None:
            target = fixed

            def route(_: str, __: int) -> tuple[str, int]:
                return target

        host = f"[{task.identifier}]" if ":" in task.identifier else task.identifier
        url = f"http://{host}/{'/'.join(_COMPONENTS)}/{_checked(task.token)}"
        advice = f"the CA may fail as well; does {host} on port 80 show {self._webroot}?"
        try:
            page, found_at = fetch(send, url, route=route)
        except TlsFailed:
            return None  # redirected to https: CAs do not look at that certificate, which may be the one to be renewed
        except (ExchangeError, TooManyRedirects) as error:
            return f"{url}: {error}; {advice}"
        at = url if found_at == url else f"{url} (redirected to {printable(found_at, 200)})"
        if page.status != 200:
            return f"{at} answers {page.status} from here; {advice}"
        # RFC 8555 section 8.3: "the server SHOULD ignore whitespace characters at the end of the body".
        if page.body.rstrip() != key_authorization.encode("ascii"):
            return f"{at} shows something else than was put there; {advice}"
        return None


def _checked(token: str) -> str:
    # Checked again, though the parser did: this is where it becomes a file name.
    if not is_token(token):
        raise ChallengeError(f"http-01: {printable(token, 60)!r} is not a token; nothing is written under that name")
    return token


def _parsed(place: str) -> _Place:
    try:
        where = msgspec.json.decode(place, type=_Place)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise ChallengeError(f"http-01: the recorded place cannot be read: {printable(place, 200)}") from error
    _checked(where.token)
    if not _is_webroot(where.webroot):
        raise ChallengeError(f"http-01: the recorded place has no absolute path: {printable(place, 200)}")
    return where


def _is_webroot(path: str) -> bool:
    return path.startswith("/") and "\0" not in path


def _host_and_port(text: str) -> tuple[str, int] | None:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdecimal() or not 0 < int(port) < 65536:
        return None
    return host.removeprefix("[").removesuffix("]"), int(port)


def _beside(token: str) -> str:
    # One name per token, so that a repetition finds what an interrupted run left. Short enough for every token.
    return f".{token[:200]}.new"


def _open_directory(webroot: str, *, create: bool) -> int:
    """A handle of the challenge directory. The web root itself may be a link, as the operator wrote it."""
    handle = os.open(webroot, _DIRECTORY)
    for name in _COMPONENTS:
        try:
            below = _open_below(handle, name, create=create)
        finally:
            os.close(handle)
        handle = below
    return handle


def _open_below(parent: int, name: str, *, create: bool) -> int:
    if create:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o755, dir_fd=parent)
            # The umask must not keep the web server out; only of directories that are ours.
            made = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
            try:
                os.fchmod(made, 0o755)
            except OSError:
                os.close(made)
                raise
            return made
    return os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)


def _write(directory: int, token: str, content: bytes) -> None:
    beside = _beside(token)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(beside, dir_fd=directory)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(beside, flags, 0o644, dir_fd=directory), "wb") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(content)
        os.rename(beside, token, src_dir_fd=directory, dst_dir_fd=directory)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(beside, dir_fd=directory)
        raise


@contextlib.contextmanager
def _explained(what: str, webroot: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ChallengeError(f"{what}: {_reason(error, webroot)}") from error


def _reason(error: OSError, webroot: str) -> str:
    below = f"{webroot}/{'/'.join(_COMPONENTS)}"
    match error.errno:
        case errno.EROFS:
            # Much more often the unit's sandbox than a disk.
            return (
                f"{error.strerror}; if this is the sandbox of certd's unit, `certd systemd-paths` prints the lines "
                f"that let it write to {below}"
            )
        case errno.EACCES | errno.EPERM:
            return (
                f"{error.strerror}; user {_who()} must be able to write to {below}: create it and give it to that user"
            )
        case errno.ENOENT:
            return f"there is no directory {webroot}; set `webroot` to the server's document root"
        case errno.ELOOP | errno.ENOTDIR:
            return (
                f"{below} has a file or a symbolic link where a directory must be, and links are not followed; "
                "name the directory that it leads to with an Alias of the server, or remove it"
            )
        case _:
            return f"{error.strerror}"


def _who() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
