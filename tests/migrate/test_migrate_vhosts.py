"""Which files a virtual host names: by its text, and by Apache's word where it begins."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certd.cli.takeover import include_lines
from certd.errors import Refused
from certd.migrate.directives import VirtualHost, read_host
from certd.migrate.takeover import Served
from certd.migrate.vhosts import BINARIES, Apache, find_apache, hosts, serving


def host(tmp_path: Path, text: str, line: int = 1, **defines: str) -> VirtualHost:
    path = tmp_path / "site.conf"
    path.write_text(text)
    return read_host(path, line, root=tmp_path, defines=defines)


def test_names_and_files_of_one_host(tmp_path: Path) -> None:
    """Any case, quotes, continued lines, ports and schemes, relative paths; not what lies before or after it."""
    found = host(
        tmp_path,
        "SSLCertificateFile /before.cer\n"
        "<VirtualHost *:443>\n"
        "  # SSLCertificateFile /comment.cer\n"
        '  serveralias  a.jp "B.jp" \\\n    c.jp\n'
        "  ServerName https://www.example.jp:443\n"
        '  SSLCertificateFile "/etc/pki/my certs/www.cer"\n'
        "  sslcertificatekeyfile private/www.key\n"
        "  SSLCertificateChainFile '/etc/pki/ca.cer'\n"
        "</VirtualHost>\n"
        "SSLCertificateFile /after.cer\n",
        2,
    )
    assert found.names == ["www.example.jp", "a.jp", "b.jp", "c.jp"]
    assert found.certificates == [Path("/etc/pki/my certs/www.cer")]
    assert found.keys == [tmp_path / "private/www.key"]
    assert found.chains == [Path("/etc/pki/ca.cer")]
    assert [directive.line for directive in found.lines] == [7, 8, 9]


def test_included_files_are_followed(tmp_path: Path) -> None:
    """One by one, by stars, a whole directory, within each other; optional ones may be missing."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "a.inc").write_text("Include conf/b.inc\n")
    (tmp_path / "conf" / "b.inc").write_text("SSLCertificateFile /b.cer\n")
    (tmp_path / "conf" / "x-1.conf").write_text("SSLCertificateKeyFile /x.key\n")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "z").write_text("ServerAlias z.jp\n")
    lines = "Include conf/a.inc\nIncludeOptional conf/x-*.conf\nInclude more\nIncludeOptional nothing/*.conf\n"
    found = host(tmp_path, f"<VirtualHost *>\n{lines}</VirtualHost>\n")
    assert (found.certificates, found.keys, found.names) == ([Path("/b.cer")], [Path("/x.key")], ["z.jp"])
    assert found.lines[0].path == tmp_path / "conf" / "b.inc"


@pytest.mark.parametrize("pattern", ["inc/**.conf", "**/**c.cer.conf", "inc/**"])
def test_two_stars_are_one(tmp_path: Path, pattern: str) -> None:
    """Apache has no pattern for directories below directories."""
    (tmp_path / "inc/deep").mkdir(parents=True)
    (tmp_path / "inc/c.cer.conf").write_text("SSLCertificateFile c.cer\n")
    (tmp_path / "inc/deep/d.cer.conf").write_text("SSLCertificateFile d.cer\n")
    found = host(tmp_path, f"<VirtualHost *:443>\nInclude {pattern}\n</VirtualHost>\n")
    assert [path.name for path in found.certificates][:1] == ["c.cer"]


@pytest.mark.parametrize("letter", ["\x0c", "\x0b", "\x1c", "\x85", "\u2028"])
def test_only_a_line_feed_ends_a_line(tmp_path: Path, letter: str) -> None:
    """The number is Apache's own; what follows in a comment is a comment."""
    text = f"# {letter}SSLCertificateFile /no.cer\n<VirtualHost *:443>\n# {letter}SSLCertificateFile /no.cer\n"
    found = host(tmp_path, text + "SSLCertificateFile /a.cer\n</VirtualHost>\n", 2)
    assert found.certificates == [Path("/a.cer")]
    assert found.lines[0].line == 4


def test_a_circle_of_includes_ends(tmp_path: Path) -> None:
    """Apache refuses it as well."""
    (tmp_path / "a.inc").write_text("Include a.inc\n")
    with pytest.raises(Refused, match="deep"):
        host(tmp_path, "<VirtualHost *>\nInclude a.inc\n</VirtualHost>\n")


def test_variables_that_apache_tells_are_put_in(tmp_path: Path) -> None:
    """Those of Define; another one is not guessed."""
    text = "<VirtualHost *>\nSSLCertificateFile ${PKI}/www.cer\n</VirtualHost>\n"
    assert host(tmp_path, text, PKI="/etc/pki").certificates == [Path("/etc/pki/www.cer")]
    with pytest.raises(Refused, match="has a variable in it; give --cert and --key"):
        host(tmp_path, text)


def test_what_only_apache_can_judge_is_not_guessed(tmp_path: Path) -> None:
    """mod_ssl is taken to be there; other conditions matter only where they are about the files."""
    text = "<VirtualHost *>\n<IfModule mod_ssl.c>\nSSLCertificateFile /a.cer\n</IfModule>\n"
    text += (
        "<IfModule !mod_ssl.c>\nSSLCertificateFile /b.cer\n</IfModule>\n<IfVersion >= 2.4>\nHeader x\n</IfVersion>\n"
    )
    assert host(tmp_path, f"{text}</VirtualHost>\n").certificates == [Path("/a.cer")]
    text += "<IfVersion < 2.4.8>\nSSLCertificateChainFile /c.cer\n</IfVersion>\n"
    with pytest.raises(Refused, match=r"line 12 is inside <ifversion>, which only Apache can judge"):
        host(tmp_path, f"{text}</VirtualHost>\n")


@pytest.mark.parametrize("text", ["", "Listen 443\n", "<VirtualHost *>\nServerName a.jp\n"])
def test_a_place_where_no_host_is_says_so(tmp_path: Path, text: str) -> None:
    """The file was changed since Apache looked, or a macro made the host."""
    with pytest.raises(Refused, match="give --cert and --key"):
        host(tmp_path, text)


@given(st.text(alphabet="<>/VirtualHostIfModule !\"'\\\n#${} ServerName"))
def test_no_text_is_too_strange(text: str) -> None:
    """An answer, or one sentence."""
    with tempfile.TemporaryDirectory() as name, contextlib.suppress(Refused):
        host(Path(name), f"<VirtualHost *>\n{text}\n</VirtualHost>\n")


def named(name: str, cert: str, *aliases: str) -> VirtualHost:
    certificates = [Path(cert)] if cert else []
    return VirtualHost(Path("/etc/httpd/conf.d/x.conf"), 1, [name, *aliases] if name else [], certificates)


def test_the_host_that_serves_the_domains() -> None:
    """By its name before its aliases, by the first domain before the others; plain HTTP does not count."""
    http, www, shop = named("www.jp", ""), named("www.jp", "/w.cer", "jp"), named("shop.jp", "/s.cer", "*.www.jp")
    assert serving(["www.jp", "jp"], [http, shop, www]) is www
    assert serving(["jp"], [http, shop, www]) is www
    assert serving(["a.www.jp"], [http, shop, www]) is shop
    twice = named("www.jp", "/w.cer")
    assert serving(["www.jp"], [twice, www]) is twice


def test_a_host_without_a_name_serves_everything() -> None:
    """As the one in CentOS's ssl.conf, if it is the only one."""
    only = named("", "/localhost.crt")
    assert serving(["www.jp"], [named("www.jp", ""), only]) is only


def test_no_host_or_several_are_told() -> None:
    """Nothing is guessed."""
    with pytest.raises(Refused, match=r"no virtual host with a certificate for b\.jp"):
        serving(["b.jp"], [named("a.jp", "/a.cer"), named("c.jp", "/c.cer")])
    with pytest.raises(Refused, match="nor any with SSLCertificateFile inside"):
        serving(["b.jp"], [named("b.jp", "")])
    with pytest.raises(Refused, match="several virtual hosts"):
        serving(["a.jp"], [named("a.jp", "/a.cer"), named("a.jp", "/b.cer")])


def test_old_and_new_apaches_get_their_own_line(tmp_path: Path) -> None:
    """Before 2.4.8 the intermediates need a file of their own: CentOS 7 has 2.4.6."""
    served = Served(Path("/w.cer"), Path("/w.key"), Path("/ca.cer"))
    for said, file in (("2.4.6 (CentOS)", "apache-2.4.6.conf"), ("2.4.62 (Red Hat Enterprise Linux)", "apache.conf")):
        httpd = tmp_path / f"httpd-{said[:6].strip()}"
        httpd.write_text(f"#!/bin/sh\necho 'Server version: Apache/{said}'\necho 'Server built: today'\n")
        httpd.chmod(0o755)
        lines = include_lines(Path("/s/live/w"), served, named("w", "/w.cer"), Apache(httpd).version())
        assert f"    Include /s/live/w/{file}" in lines
    unknown = include_lines(Path("/s/live/w"), served, None, ())
    assert "    Include /s/live/w/apache.conf" in unknown
    assert any("apache-2.4.6.conf" in line for line in unknown)


def test_an_apache_that_does_not_answer_is_told(tmp_path: Path) -> None:
    """No Apache; one whose configuration is broken."""
    with pytest.raises(Refused, match="no Apache on this host"):
        find_apache(binaries=[str(tmp_path / "httpd")])
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho 'AH00526: Syntax error on line 1'\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(Refused, match="AH00526: Syntax error on line 1"):
        hosts(Apache(broken))
    assert all(name.startswith("/") for name in BINARIES)
