"""certbot's settings files."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from certd.migrate.inifile import parse

TEXT = """\
# renew_before_expiry = 30 days
version = 2.1.0
cert = /etc/letsencrypt/live/www.example.jp/cert.pem

[renewalparams]
account = 76cdacb0
pre_hook = None
renew_hook = "systemctl reload httpd"
webroot_path = /var/www/html,
[[webroot_map]]
www.example.jp = /var/www/html
[other]
a = b = c
"""


def test_sections_values_and_comments() -> None:
    """Sections lie in each other by their brackets; None is nothing, quotes are taken off, a comment sets nothing."""
    conf = parse(TEXT)
    params = conf.section("renewalparams")
    assert (conf.get("version"), conf.get("renew_before_expiry")) == ("2.1.0", "")
    assert (params.get("account"), params.get("pre_hook", "x")) == ("76cdacb0", "x")
    assert params.get("renew_hook") == "systemctl reload httpd"
    assert params.section("webroot_map").values == {"www.example.jp": "/var/www/html"}
    assert conf.section("other").get("a") == "b = c"
    assert conf.section("nothing").section("either").values == {}


@given(st.text(alphabet="[]= a\n\"'#"))
def test_no_text_is_too_strange(text: str) -> None:
    """Whatever lies there, there is an answer."""
    parse(text)
