"""certd.config.notify: whom to tell."""

from __future__ import annotations

import sys
from datetime import timedelta

import pytest
from configuring import CA, DEFAULTS, Folder

from certd.model.specs import NotifySpec

HOOK = "https://hooks.example.jp/services/S3CRET"
_REST = CA + DEFAULTS + "certificates: [{domains: [example.jp]}]\n"


def _notify(folder: Folder, text: str) -> tuple[NotifySpec, ...]:
    return folder.load(f"{_REST}notify: {text}\n").notify


def test_nobody_by_default(folder: Folder) -> None:
    """The key may be left out, or be null."""
    assert folder.load(_REST).notify == _notify(folder, "null") == ()


def test_command_and_webhook_of_one_entry_are_two_ways(folder: Folder) -> None:
    """Each with the entry's other keys."""
    found = _notify(
        folder, f"{{command: [{sys.executable}, -x], webhook: {HOOK}, minimum: critical, lang: ja, timeout: 5s}}"
    )
    shared = {"timeout": timedelta(seconds=5), "minimum": "critical", "lang": "ja"}
    assert found == (NotifySpec(command=(sys.executable, "-x"), **shared), NotifySpec(webhook=HOOK, **shared))  # type: ignore[arg-type]


def test_a_list_of_entries(folder: Folder) -> None:
    """With defaults; http on the loopback is allowed."""
    hooks = ["http://127.0.0.1:8080/x", "http://[::1]/", "http://localhost:9/"]
    found = _notify(folder, "[" + ", ".join(f'{{webhook: "{hook}"}}' for hook in hooks) + "]")
    assert found == tuple(NotifySpec(webhook=hook) for hook in hooks)
    assert (found[0].timeout, found[0].minimum, found[0].lang) == (timedelta(seconds=30), "warning", "en")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{}", "notify: tells nobody; give command: [PROGRAM, ...] or webhook: https://..."),
        ("[{lang: ja}]", "notify[0]: tells nobody"),
        ("yes", "notify: must be a mapping with command or webhook, or a list of up to 10 of them, not true"),
        ("[" + "{}, " * 11 + "]", "notify: must be a mapping with command or webhook, or a list of up to 10"),
        ("{command: tell}", "notify.command: must be a list of words"),
        ("{command: []}", "notify.command: must be a list of words"),
        ("{command: [tell]}", 'notify.command[0]: "tell" is not an absolute path; the PATH is not searched'),
        ("{webhook: 5}", "notify.webhook: must be an https URL, or an http URL on the loopback; what is there is not"),
        ("{webhook: ftp://S3CRET}", "notify.webhook: not an https URL such as https://hooks.example.jp/certd"),
        ("{webhook: http://S3CRET.jp/}", "notify.webhook: http is allowed on the loopback only"),
        ("{webhook: http://10.0.0.1/S3CRET}", "notify.webhook: http is allowed on the loopback only"),
        ("{webhook: https://a:S3CRET@b.jp/}", "notify.webhook: not a URL for a webhook: it names a host"),
        ("{webhook: https://@b.jp/S3CRET}", "notify.webhook: not a URL for a webhook: it names a host"),
        ("{webhook: https:///S3CRET}", "notify.webhook: not a URL for a webhook: it names a host"),
        ('{webhook: "https://b.jp/ S3CRET"}', "notify.webhook: not a URL: no spaces, ASCII only"),
        ('{webhook: "https://b.jp/\\x07S3CRET"}', "notify.webhook: not a URL: no spaces, ASCII only"),
        ('{webhook: "https://[b.jp/S3CRET"}', "notify.webhook: not a URL"),
        ("{webhook: https://b.jp:0/S3CRET}", "notify.webhook: the port of the URL is not a number from 1 to 65535"),
        (f"{{webhook: {HOOK}, timeout: 10m}}", "notify.timeout: 10m is out of range; 1s to 5m is allowed"),
        (f"{{webhook: {HOOK}, minimum: ok}}", 'notify.minimum: must be one of warning, critical, not "ok"'),
        (f"{{webhook: {HOOK}, lang: fr}}", 'notify.lang: must be one of en, ja, not "fr"'),
        (f"{{webhook: {HOOK}, retries: 3}}", "notify.retries: unknown key; "),
        (f"[{{webhook: {HOOK}}}, {{webhook: {HOOK}}}]", "notify[1].webhook: the same as another one"),
    ],
)
def test_mistakes(folder: Folder, text: str, error: str) -> None:
    """Each at its place; a URL, which may hold a token, is never repeated."""
    errors = folder.errors(f"{_REST}notify: {text}\n")
    assert any(error in line for line in errors), errors
    assert "S3CRET" not in "".join(errors)


def test_a_program_that_is_not_there_is_a_warning(folder: Folder) -> None:
    """It may come with a package that is installed later."""
    (line,) = folder.warnings(f"{_REST}notify: {{command: [/no/such/program]}}\n")
    assert "notify.command[0]: there is no program /no/such/program on this machine" in line


def test_a_url_in_a_file_that_others_read_is_a_warning(folder: Folder) -> None:
    """Who has the URL may write there: its path or query is often all that keeps strangers out. It is not repeated."""
    text = f"{_REST}notify: [{{webhook: {HOOK}}}, {{webhook: https://b.jp/?t=S3CRET}}, {{webhook: https://c.jp/}}]\n"
    assert folder.warnings(text) == []
    folder.write("config.yaml", text, 0o644)
    lines = folder.warnings()
    assert [line.partition(": the URL")[0] for line in lines] == [
        "config.yaml:4: notify[0].webhook",
        "config.yaml:4: notify[1].webhook",
    ]
    assert all(f"others may read or change {folder.main}; do: chmod o= {folder.main}" in line for line in lines)
    assert "S3CRET" not in "".join(lines)
    folder.check_host = False
    assert folder.warnings() == []
