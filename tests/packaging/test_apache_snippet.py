"""The Apache snippet that is shipped: a real Apache answers a challenge through it."""

from __future__ import annotations

import http.client
from contextlib import closing
from pathlib import Path

SNIPPET = Path(__file__).parents[2] / "packaging/apache/certd-challenge.conf"
TOKEN = "tokenAtokenBtokenCtokenD"
SHIPPED = "/var/lib/certd-challenges"


def test_a_challenge_is_answered_from_certd_s_own_directory(start_apache, tmp_path):
    """Whatever the document root is, the response comes from the directory of the snippet."""
    apache = start_apache([], tmp_path / "live", start=False)
    challenges = Path(apache.webroot) / "elsewhere"
    directory = challenges / ".well-known/acme-challenge"
    directory.mkdir(parents=True)
    (directory / TOKEN).write_text("the response")
    for path in (challenges, challenges / ".well-known", directory):
        path.chmod(0o755)
    with apache.httpd.configuration.open("a") as configuration:
        configuration.write("\n" + SNIPPET.read_text().replace(SHIPPED, str(challenges)))
    apache.start()
    with closing(http.client.HTTPConnection("127.0.0.1", apache.http_port, timeout=10)) as connection:
        connection.request("GET", f"/.well-known/acme-challenge/{TOKEN}", headers={"Host": "any.example"})
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"the response")
