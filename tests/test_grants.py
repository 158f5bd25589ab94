"""What the host is to grant an unprivileged daemon, as text: exactly what the configuration needs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from certd import grants
from certd.errors import ConfigError
from certd.model.specs import CertificateSpec, CommandReload, Config, FilesSpec, ServerSpec, ServiceReload, SolverSpec

SHIPPED = Path(__file__).parents[1] / "packaging/polkit/50-certd.rules"


def config(
    *webroots: str,
    servers: dict[str, ServerSpec] | None = None,
    group: str | None = None,
    state_dir: str = "/var/lib/certd",
    runtime_dir: str = "/run/certd",
    socket_group: str | None = None,
) -> Config:
    """One certificate for each web root."""
    certificates = {
        f"{number}.example": CertificateSpec(
            f"{number}.example",
            (f"{number}.example",),
            "ca",
            challenges=(("*", SolverSpec("http-01", {"webroot": webroot})),),
            files=FilesSpec(group=group),
        )
        for number, webroot in enumerate(webroots)
    }
    return Config(
        path=Path("/etc/certd/config.yaml"),
        state_dir=Path(state_dir),
        runtime_dir=Path(runtime_dir),
        cas={},
        servers=servers or {},
        certificates=certificates,
        socket_group=socket_group,
    )


def lines(config: Config) -> list[str]:
    """The drop-in without its comments."""
    return [line for line in grants.drop_in(config).splitlines() if not line.startswith("#")]


def test_the_shipped_rule_is_what_the_command_prints_for_httpd() -> None:
    """So that nobody has to compare the two."""
    assert grants.polkit_rule(["httpd.service"]) == SHIPPED.read_text()


def test_the_rule_names_the_configured_units_and_no_other() -> None:
    """Commands are none of polkit's business; a unit's type is completed as systemctl does it."""
    servers = {
        "b": ServerSpec("b", ServiceReload("nginx")),
        "a": ServerSpec("a", ServiceReload("tls@1.target")),
        "c": ServerSpec("c", CommandReload(("/usr/sbin/apachectl", "graceful"))),
        "files": ServerSpec("files", None),
    }
    assert grants.units(config(servers=servers)) == ("nginx.service", "tls@1.target")
    rule = grants.polkit_rule(grants.units(config(servers=servers)))
    assert 'var units = ["nginx.service", "tls@1.target"];' in rule
    assert 'var verbs = ["reload", "start"];' in rule
    assert rule.count("polkit.Result.YES") == 1


def test_a_configuration_without_a_unit_allows_nothing() -> None:
    """What is printed can be put in place all the same: it grants nothing."""
    rule = grants.polkit_rule(())
    assert all(line.startswith("//") for line in rule.splitlines())


@pytest.mark.parametrize("name", ['a"]; return polkit.Result.YES; //.service', "a\\", "a\n", "é\u2028", "</script>"])
def test_no_name_of_a_unit_breaks_out_of_its_string(name: str) -> None:
    """Whatever it holds, it stays one string of one array on one line, in ASCII."""
    rule = grants.polkit_rule([name])
    assert rule.isascii()
    line = re.search(r"^    var units = (.*);$", rule, re.MULTILINE)
    assert line is not None
    assert json.loads(line[1]) == [name]
    assert len(rule.splitlines()) == len(grants.polkit_rule(["httpd.service"]).splitlines())


def test_what_the_shipped_unit_allows_needs_no_line() -> None:
    """The packaged default is the challenge directory; what is printed then is a comment."""
    assert lines(config("/var/lib/certd-challenges", "/var/lib/certd-challenges/more")) == []
    assert "Nothing" in grants.drop_in(config())


def test_a_web_root_elsewhere_is_one_line() -> None:
    """Each once, and none below another."""
    found = lines(config("/var/www/html", "/var/www", "/srv/web", "/srv/web", "/var/www-2"))
    assert found == [
        "[Service]",
        "ReadWritePaths=-/srv/web",
        "ReadWritePaths=-/var/www",
        "ReadWritePaths=-/var/www-2",
    ]


def test_hidden_places_are_opened_where_they_are_needed() -> None:
    """Homes are invisible and /tmp is another one, unless a web root lies there."""
    assert lines(config("/home/web/html"))[1:] == ["ProtectHome=read-only", "ReadWritePaths=-/home/web/html"]
    assert lines(config("/tmp/web"))[1:] == ["PrivateTmp=no", "ReadWritePaths=-/tmp/web"]


def test_state_and_runtime_directory_elsewhere() -> None:
    """Made by systemd where it can, named where it cannot."""
    assert lines(config(state_dir="/var/lib/other", runtime_dir="/run/other"))[1:] == [
        "StateDirectory=other",
        "RuntimeDirectory=other",
        "RuntimeDirectoryPreserve=yes",
    ]
    assert lines(config(state_dir="/srv/certd", runtime_dir="/srv/run"))[1:] == [
        "ReadWritePaths=-/srv/certd",
        "ReadWritePaths=-/srv/run",
    ]
    # systemd would make /var/lib/a, and /var/lib/b a link to it.
    assert lines(config(state_dir="/var/lib/a:b", runtime_dir="/run/a:b"))[1:] == [
        "ReadWritePaths=-/run/a:b",
        "ReadWritePaths=-/var/lib/a:b",
    ]


def test_groups_that_get_files_are_groups_of_the_process() -> None:
    """Without root, a file can be given only to a group that one belongs to."""
    found = lines(config("/var/lib/certd-challenges", group="tlskeys", socket_group="monitoring"))
    assert found[1:] == ["SupplementaryGroups=monitoring tlskeys"]
    assert lines(config("/var/lib/certd-challenges", group="certd", socket_group="certd")) == []


def test_paths_are_written_as_units_want_them() -> None:
    """Quoted where a word would end, with systemd's specifiers switched off."""
    assert lines(config("/srv/a b/100%", '/srv/"q"\\'))[1:] == [
        'ReadWritePaths="-/srv/\\"q\\"\\\\"',
        'ReadWritePaths="-/srv/a b/100%%"',
    ]
    with pytest.raises(ConfigError, match="control characters"):
        grants.drop_in(config("/srv/a\nReadWritePaths=/"))
