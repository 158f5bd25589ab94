"""One delivery to one outlet: a command that reads JSON, or a webhook that JSON is posted to."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import msgspec

from certd import deploy
from certd.errors import CommandFailed, ExchangeError, NotifyFailed
from certd.http import Exchanger

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from certd.alarms.message import Message
    from certd.model.specs import NotifySpec

ANSWER_LIMIT = 64 * 1024
"""Bytes of a webhook's answer, which nobody reads."""
LONGEST_VARIABLE = 4000
"""Characters of the text in the environment."""


def outlet_id(spec: NotifySpec) -> str:
    """The same for the same command or URL, whatever else is configured; tells nothing of it."""
    words = json.dumps([spec.command, spec.webhook], ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(words.encode()).hexdigest()[:16]


class Post:
    """Delivers messages. Safe to share between threads; what it does ends within the outlet's timeout."""

    def __init__(self, *, proxy: str | None, now: Callable[[], datetime]) -> None:
        # The configuration has seen to it that webhooks are https, but for those on the loopback.
        self._exchanger = Exchanger(proxy=proxy, connections=4, require_https=False)
        self._now = now

    def close(self) -> None:
        self._exchanger.close()

    def deliver(self, spec: NotifySpec, message: Message) -> None:
        """Raises NotifyFailed, whose text names no more of a webhook than its host."""
        body = msgspec.json.encode(message)
        if spec.command:
            _run(spec, message, body)
        else:
            self._send(spec, body)

    def _send(self, spec: NotifySpec, body: bytes) -> None:
        headers = {"Content-Type": "application/json"}
        try:
            answer = self._exchanger.send(
                "POST", spec.webhook, headers=headers, body=body, deadline=spec.timeout, limit=ANSWER_LIMIT
            )
        except ExchangeError as error:
            raise NotifyFailed(str(error)) from None
        if not 200 <= answer.status < 300:
            raise NotifyFailed(
                f"POST {spec.place}: it answered with status {answer.status}", answer.retry_after(self._now())
            )


def _run(spec: NotifySpec, message: Message, body: bytes) -> None:
    environment = {
        "CERTD_ALARM_STATUS": str(message.status),
        "CERTD_ALARM_HOST": message.host,
        "CERTD_ALARM_COUNT": str(len(message.notices)),
        "CERTD_ALARM_TEXT": message.text[:LONGEST_VARIABLE],
    }
    # A message ends with a line break, for commands that read lines.
    try:
        deploy.tell(spec.command, body + b"\n", environment, timeout=spec.timeout)
    except CommandFailed as error:
        raise NotifyFailed(str(error)) from None
