"""Reload commands of other clients."""

from __future__ import annotations

import pytest

from certd.migrate.found import Reload
from certd.migrate.reloads import understood


@pytest.mark.parametrize(
    ("command", "service"),
    [
        ("systemctl reload httpd", "httpd"),
        ("systemctl restart httpd.service", "httpd"),
        ("/usr/bin/systemctl --quiet reload apache2", "apache2"),
        ("sudo systemctl reload nginx", "nginx"),
        ("service httpd force-reload", "httpd"),
        ("/sbin/service httpd graceful", "httpd"),
        ("service httpd reload || true", "httpd"),
        ("systemctl reload httpd >/dev/null 2>&1", "httpd"),
        ("systemctl reload httpd > /dev/null 2>&1 || :", "httpd"),
        ("apachectl graceful", "httpd"),
        ("/usr/sbin/apachectl -k graceful", "httpd"),
        ("/usr/sbin/httpd -k graceful", "httpd"),
        ("apache2ctl -k graceful", "apache2"),
        ("/etc/init.d/apache2 reload", "apache2"),
        ("nginx -s reload", "nginx"),
        ("systemctl reload php@8.2", "php@8.2"),
    ],
)
def test_reloads_of_services_are_recognised(command: str, service: str) -> None:
    """However it is spelt; a restart becomes a reload, and what hides the outcome falls away."""
    assert understood(command) == Reload(service=service)


def test_a_program_with_its_arguments_stays_one() -> None:
    """An absolute path and words need no shell."""
    assert understood("/usr/local/bin/renewed --site 'a b'") == Reload(
        command=("/usr/local/bin/renewed", "--site", "a b")
    )


@pytest.mark.parametrize(
    "command",
    [
        "",
        "systemctl reload httpd; rm -rf /",
        "systemctl --user restart httpd",
        "systemctl --host=web2 reload httpd",
        f"systemctl {' ' * 200_000} reload httpd nginx",
        "systemctl reload httpd && echo done",
        "cat $CERT_PATH > /etc/x.pem",
        "renewed",
        "kill -HUP `cat /run/httpd.pid`",
        "/usr/local/bin/renewed 'not closed",
        "service httpd",
        "systemctl stop httpd",
    ],
)
def test_what_needs_a_shell_or_a_path_is_not_guessed(command: str) -> None:
    """No half of a command is taken for the whole."""
    assert understood(command) is None
