"""Every error that certd raises on purpose.

The tree, ours apart from theirs::

    CertdError                    str(error) is one sentence fit for an operator; `code` is stable
    ├── ConfigError               the configuration cannot be used; carries every problem found
    ├── StateError                the state directory
    │   ├── LockHeld              another certd runs on it; carries the holder
    │   ├── UnknownSchema         written by a newer certd; nothing may be touched
    │   └── BrokenRecord          a record that does not parse; nothing may be overwritten
    ├── ExchangeError             an HTTP exchange that brought no usable answer
    │   ├── ConnectFailed         refused, reset, no route, name not found
    │   ├── DeadlineExceeded      the total deadline passed
    │   ├── TlsFailed             the peer's certificate or handshake
    │   ├── BodyTooLarge          more bytes than the cap allows
    │   └── InsecureUrl           not https where https is demanded
    ├── ProtocolError             the CA's answer breaks RFC 8555 (type, form, missing field)
    ├── ProblemError              the CA answered with a problem document (RFC 7807)
    ├── PkiError                  a key, request or certificate that is not what it must be
    ├── OcspError                 an OCSP answer that proves nothing
    │   ├── OcspUnreachable       no answer
    │   └── OcspInvalid           an answer that does not verify
    ├── ChallengeError            a challenge could not be presented or cleaned up
    ├── CommandFailed             a reload, start or after command; carries its output
    │   └── CommandDenied         the service manager does not let this user reload or start the server
    ├── NotifyFailed              a notice that a command or webhook did not take; carries its Retry-After
    ├── Refused                   an operator's request that cannot be carried out now
    └── IllegalTransition         a bug of ours: an event that the phase does not know
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta


_PARTS_TOLD = 3
"""Subproblems in the text of a ProblemError."""


class CertdError(Exception):
    """Base of all errors; `code` is a stable reason code, the text one sentence for an operator."""

    code = "error"


class ConfigError(CertdError):
    """The configuration cannot be used; `problems` are lines ``FILE:LINE: path.to.key: what and what is allowed``.

    `warnings` are lines of the same form about what is allowed, but probably not meant.
    """

    code = "config"

    def __init__(self, problems: Sequence[str], warnings: Sequence[str] = ()) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)
        self.warnings = tuple(warnings)


class StateError(CertdError):
    """The state directory cannot be read or written."""

    code = "state"


class LockHeld(StateError):
    """Another process works on this state directory; `holder` names it."""

    code = "lock-held"

    def __init__(self, text: str, holder: str) -> None:
        super().__init__(text)
        self.holder = holder


class UnknownSchema(StateError):
    """A record was written by a newer certd; it must not be touched."""

    code = "unknown-schema"


class BrokenRecord(StateError):
    """A record does not parse; it is kept as it is, for a person to look at."""

    code = "broken-record"


class ExchangeError(CertdError):
    """An HTTP exchange brought no usable answer."""

    code = "exchange"


class ConnectFailed(ExchangeError):
    """Refused, reset, no route, or the name was not found."""

    code = "connect-failed"


class DeadlineExceeded(ExchangeError):
    """The total deadline of the exchange passed."""

    code = "deadline-exceeded"


class TlsFailed(ExchangeError):
    """The peer's certificate or the TLS handshake failed."""

    code = "tls-failed"


class BodyTooLarge(ExchangeError):
    """The answer has more bytes than the cap allows."""

    code = "body-too-large"


class InsecureUrl(ExchangeError):
    """A URL that is not https (RFC 8555 section 6.1)."""

    code = "insecure-url"


class ProtocolError(CertdError):
    """The CA's answer breaks RFC 8555: a wrong type or form, or a missing field."""

    code = "protocol"


class ProblemError(CertdError):
    """The CA answered with an error (RFC 8555 section 6.7).

    `type` is the full problem type, `status` the HTTP status, `detail` the CA's text (escaped, capped),
    `subproblems` the pairs of identifier and text, `retry_after` the parsed Retry-After or None, and `asked`
    what was asked for (``"newOrder"``, ``"order"``, ``"authorization"`` and so on). `sent` is the request without
    secrets, for the log of a request that the CA calls wrong.
    """

    code = "problem"

    def __init__(
        self,
        *,
        type: str,
        status: int,
        detail: str,
        asked: str,
        retry_after: timedelta | None = None,
        subproblems: tuple[tuple[str, str], ...] = (),
        sent: str = "",
    ) -> None:
        short = type.removeprefix("urn:ietf:params:acme:error:")
        parts = "; ".join(f"{name}: {text}" if name else text for name, text in subproblems[:_PARTS_TOLD])
        more = f" and {len(subproblems) - _PARTS_TOLD} more" if len(subproblems) > _PARTS_TOLD else ""
        super().__init__(
            f"{asked}: the CA answered {status} {short}: {detail}" + (f" ({parts}{more})" if parts else "")
        )
        self.type = type
        self.status = status
        self.detail = detail
        self.asked = asked
        self.retry_after = retry_after
        self.subproblems = subproblems
        self.sent = sent


class PkiError(CertdError):
    """A key, a request or a certificate is not what it must be; `code` tells which check failed."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class OcspError(CertdError):
    """An OCSP answer that proves nothing (RFC 6960)."""

    code = "ocsp"


class OcspUnreachable(OcspError):
    """The responder gave no answer, or said tryLater or an internal error."""

    code = "ocsp-unreachable"


class OcspInvalid(OcspError):
    """The responder's answer does not verify: signature, delegation, freshness or serial."""

    code = "ocsp-invalid"


class ChallengeError(CertdError):
    """A challenge could not be presented or cleaned up."""

    code = "challenge"


class CommandFailed(CertdError):
    """A reload, start, active or after command failed; `output` is its capped output."""

    code = "command-failed"

    def __init__(self, text: str, output: str = "") -> None:
        super().__init__(text)
        self.output = output


class CommandDenied(CommandFailed):
    """The service manager does not let certd's user reload or start the server: nothing was done to it."""

    code = "reload-denied"


class NotifyFailed(CertdError):
    """A command or webhook did not take a notice; `retry_after` is the webhook's parsed Retry-After or None."""

    code = "notify-failed"

    def __init__(self, text: str, retry_after: timedelta | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class Refused(CertdError):
    """An operator's request that cannot be carried out now; the text says why and what to do."""

    code = "refused"


class IllegalTransition(CertdError):
    """An event that the phase does not know: a bug of ours, never the operator's."""

    code = "illegal-transition"
