"""Finding what starts the old client."""

from __future__ import annotations

from pathlib import Path

import pytest

from certd.migrate.schedule import starters


def put(root: Path, path: str, text: str = "") -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


@pytest.mark.parametrize(
    ("client", "line"),
    [
        ("acme.sh", '12 3 * * * "/root/.acme.sh"/acme.sh --cron --home "/root/.acme.sh" > /dev/null'),
        ("certbot", "0 */12 * * * root test -x /usr/bin/certbot && certbot -q renew"),
        ("dehydrated", "5 4 * * * root /usr/bin/dehydrated -c -f /etc/dehydrated/config"),
        ("dehydrated", "5 4 * * * /usr/bin/dehydrated --cron"),
    ],
)
def test_cron_lines_are_found_wherever_they_lie(client: str, line: str, tmp_path: Path) -> None:
    """A user's table, a file of cron.d, a daily script; comments and other clients' lines are not taken for one."""
    put(tmp_path, "var/spool/cron/root", f"# {line}\nMAILTO=x\n{line}\n")
    put(tmp_path, "etc/cron.d/own", f"{line}\n")
    put(tmp_path, "etc/cron.daily/own", f"#!/bin/sh\n{line}\n")
    put(tmp_path, "etc/crontab", "* * * * * root run-parts\n")
    found = starters(client, tmp_path)
    assert [text.partition(": ")[0] for text in found] == [
        f"{tmp_path}/etc/cron.d/own, line 1",
        f"{tmp_path}/var/spool/cron/root, line 3",
        f"{tmp_path}/etc/cron.daily/own, line 2",
    ]
    assert "crontab -e -u root" in found[1]
    others = {"acme.sh", "certbot", "dehydrated"} - {client}
    assert not any(starters(other, tmp_path) for other in others)


def test_the_content_of_a_line_is_not_repeated(tmp_path: Path) -> None:
    """It may hold a token."""
    put(tmp_path, "var/spool/cron/root", "1 1 * * * CF_Token=secret acme.sh --cron\n")
    assert "secret" not in "".join(starters("acme.sh", tmp_path))


def test_timers_are_found_enabled_or_not(tmp_path: Path) -> None:
    """By the packages of Debian, EPEL and snap."""
    put(tmp_path, "usr/lib/systemd/system/certbot-renew.timer")
    put(tmp_path, "lib/systemd/system/certbot.timer")
    put(tmp_path, "etc/systemd/system/timers.target.wants/certbot.timer")
    assert starters("certbot", tmp_path) == [
        "certbot-renew.timer (not enabled): systemctl disable --now certbot-renew.timer",
        "certbot.timer (enabled): systemctl disable --now certbot.timer",
    ]


def test_nothing_is_found_where_there_is_nothing(tmp_path: Path) -> None:
    """An empty host, and a table that may not be read or is no file."""
    (tmp_path / "etc/cron.d/own").mkdir(parents=True)
    assert starters("certbot", tmp_path) == []
