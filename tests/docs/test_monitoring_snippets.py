"""What docs/MONITORING.md tells people to write is taken from it and run: by the real agents, on the real socket.

Only places are other ones: sockets, programs and directories are put below the test's own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from documents import Block, blocks
from parts import LOOPBACK, Apache, Process, eventually, find, free_port
from views import DAY, NOW, certificate, view

from certd.model.view import View
from certd.sockets import StatusSocket

DOCUMENT = "docs/MONITORING.md"


class Host:
    """A status socket with a view that tests change, and the places of the document below one directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.view: View = view()
        self.runtime_dir = root / "run"
        self.textfiles = root / "node_exporter"
        self.plugins = root / "plugins"
        self.program = root / "bin" / "certd"
        for path in (self.textfiles, self.plugins, self.program.parent):
            path.mkdir()
        config = root / "config.yaml"
        config.write_text(f"runtime_dir: {self.runtime_dir}\n")
        self.program.write_text(f'#!/bin/sh\nexec {sys.executable} -m certd -c {config} "$@"\n')
        self.program.chmod(0o755)
        self.socket = StatusSocket(self.runtime_dir / "status.sock", lambda: self.view, lambda: NOW)
        self.socket.open()

    def placed(self, text: str) -> str:
        """The text, with this test's places for the document's."""
        places = {
            "/usr/lib64/nagios/plugins": self.plugins,
            "/usr/lib/zabbix/externalscripts": self.plugins,
            "/usr/bin/certd": self.program,
            "/run/certd": self.runtime_dir,
            "/var/lib/node_exporter": self.textfiles,
        }
        for shown, real in places.items():
            text = text.replace(shown, str(real))
        return text

    def run(self, line: str) -> subprocess.CompletedProcess[str]:
        """One line of the document, by the shell."""
        environment = {**os.environ, "PATH": f"{self.program.parent}:{os.environ['PATH']}:/usr/sbin:/sbin"}
        return subprocess.run(
            ["/bin/sh", "-c", self.placed(line)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env=environment,
        )

    def in_trouble(self) -> None:
        self.view = view([certificate(left=20 * DAY)])

    def in_great_trouble(self) -> None:
        self.view = view([certificate(left=2 * DAY)])


@pytest.fixture
def host() -> Iterator[Host]:
    """Below a directory that others may pass, since Apache's workers are others."""
    root = Path(tempfile.mkdtemp(prefix="certd-monitoring-"))
    root.chmod(0o755)
    made = Host(root)
    yield made
    made.socket.close()
    shutil.rmtree(root)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts a program of the machine, and ends it with the test."""
    started: list[Process] = []

    def one(*argv: str) -> Process:
        made = Process(Path(argv[0]).name, argv, tmp_path / "agent.log")
        started.append(made)
        made.start()
        return made

    yield one
    for process in started:
        process.stop()


def program(name: str, package: str) -> str:
    """Its path; the test is skipped, with the reason, where it is not installed."""
    found = find(name) or shutil.which(name, path="/usr/lib/nagios/plugins:/usr/lib64/nagios/plugins")
    if found is None:
        pytest.skip(f"{name} is not installed (apt-get install {package})")
    return found


def as_somebody() -> list[str]:
    """What to put before NRPE's argv, since it refuses to run as root: root in the guise of another user."""
    if os.getuid() != 0:
        return []
    guise = ["unshare", "--user", "--map-user=65534", "--map-group=65534"]
    if subprocess.run([*guise, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("NRPE does not run as root, and this machine has no user namespaces")
    return guise


def block(beginning: str) -> Block:
    """The one block of code that has a line beginning like this."""
    found = [b for b in blocks(DOCUMENT) if any(line.startswith(beginning) for line in b.text.splitlines())]
    assert len(found) == 1, f"{len(found)} blocks with {beginning!r}"
    return found[0]


def lines(beginning: str) -> list[str]:
    """The lines of the document's blocks that begin like this."""
    found = [line for b in blocks(DOCUMENT) for line in b.text.splitlines() if line.startswith(beginning)]
    assert found, f"no line begins with {beginning!r}"
    return found


# --- the socket and the plug-in -----------------------------------------------------------------------------------


def test_the_lines_with_curl(host: Host) -> None:
    """Each that is shown answers with what it is shown for."""
    for line in lines("curl "):
        done = host.run(line)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["status"] == "ok"


def test_the_plug_in(host: Host) -> None:
    """One line, and the exit codes 0, 1 and 2; 2 as well when nobody answers."""
    plugin = host.plugins / "check_certd"
    plugin.write_text(host.placed(block("exec /usr/bin/certd health").text))
    plugin.chmod(0o755)
    assert host.run(str(plugin)).stdout == "CERTD OK: no problems\n"
    host.in_trouble()
    done = host.run(str(plugin))
    assert (done.returncode, done.stdout.count("\n")) == (1, 1)
    host.in_great_trouble()
    assert host.run(str(plugin)).returncode == 2
    assert host.run(f"{plugin} --lang ja").stdout.startswith("CERTD CRITICAL: ")
    host.socket.close()
    assert host.run(str(plugin)).returncode == 2


def test_nrpe(host: Host, start: Callable[..., Process], tmp_path: Path) -> None:
    """A real NRPE runs the command, and hands on the line and the exit code."""
    nrpe, check = program("nrpe", "nagios-nrpe-server"), program("check_nrpe", "nagios-nrpe-plugin")
    plugin = host.plugins / "check_certd"
    plugin.write_text(host.placed(block("exec /usr/bin/certd health").text))
    plugin.chmod(0o755)
    port = free_port()
    (command,) = lines("command[check_certd]=")
    config = tmp_path / "nrpe.cfg"
    config.write_text(
        f"server_address={LOOPBACK}\nserver_port={port}\nallowed_hosts={LOOPBACK}\ndont_blame_nrpe=0\n"
        f"pid_file={tmp_path}/nrpe.pid\nlog_file={tmp_path}/nrpe.log\n{host.placed(command)}\n"
    )
    start(*as_somebody(), nrpe, "-c", str(config), "-f", "-n")
    asked = [check, "-H", LOOPBACK, "-p", str(port), "-n", "-c", "check_certd"]

    def answer() -> tuple[int, str]:
        done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=60)
        return done.returncode, done.stdout

    eventually(lambda: answer() == (0, "CERTD OK: no problems\n"), "NRPE answers")
    host.in_great_trouble()
    code, line = answer()
    assert code == 2
    assert line.startswith("CERTD CRITICAL: certificate example.jp: The live certificate expires in 2 days")


def test_zabbix(host: Host, tmp_path: Path) -> None:
    """The real agent gets the number, the line, the JSON and the time from each parameter."""
    agent = program("zabbix_agentd", "zabbix-agent")
    script = host.plugins / "certd"
    script.write_text(host.placed(block("ask() {").text))
    script.chmod(0o755)
    config = tmp_path / "zabbix_agentd.conf"
    parameters = "\n".join(host.placed(line) for line in lines("UserParameter="))
    config.write_text(f"Hostname=web1\nServer={LOOPBACK}\nAllowRoot=1\nLogFile={tmp_path}/agent.log\n{parameters}\n")

    def value(key: str) -> str:
        # As the document's lines show it, and with the test's own file.
        done = subprocess.run([agent, "-c", str(config), "-t", key], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.partition("[t|")[2].rstrip()[:-1]

    assert {line.split()[2].strip("'").partition("[")[0] for line in lines("zabbix_agentd -t")} <= {
        line.partition("=")[2].partition(",")[0].removesuffix("[*]") for line in lines("UserParameter=")
    }
    assert (value("certd.health"), value("certd.health.text")) == ("0", "CERTD OK: no problems")
    host.in_great_trouble()
    assert value("certd.health") == "2"
    assert value("certd.health.text").startswith("CERTD CRITICAL: ")
    assert json.loads(value("certd.status"))["certificates"][0]["name"] == "example.jp"
    assert float(value("certd.not_after[example.jp]")) == (NOW + 2 * DAY).timestamp()
    assert value("certd.not_after[other.example.jp]") == ""
    host.socket.close()
    assert value("certd.health") == "2"


# --- Prometheus ---------------------------------------------------------------------------------------------------


def unit(name: str) -> str:
    """The unit of the document, by a line that only it has."""
    return block({"service": "Type=oneshot", "timer": "[Timer]"}[name]).text


def collect(host: Host) -> list[int]:
    """What the service does, line by line; the exit codes, up to the first that is not 0."""
    codes: list[int] = []
    for line in unit("service").splitlines():
        if line.startswith("ExecStart=") and not any(codes):
            codes.append(host.run(line.removeprefix("ExecStart=")).returncode)
    return codes


def test_the_node_exporter_shows_the_metrics(host: Host, start: Callable[..., Process]) -> None:
    """What the service writes is read by a real node exporter; where certd does not answer the old file stays."""
    exporter = program("prometheus-node-exporter", "prometheus-node-exporter")
    assert collect(host) == [0, 0]
    port = free_port()
    start(
        exporter,
        f"--web.listen-address={LOOPBACK}:{port}",
        "--collector.disable-defaults",
        "--collector.textfile",
        f"--collector.textfile.directory={host.textfiles}",
    )

    def scraped() -> str:
        try:
            with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/metrics", timeout=10) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    text = eventually(scraped, "the node exporter answers")
    assert "\ncertd_health 0\n" in text
    assert 'certd_certificate_not_after_seconds{name="example.jp"}' in text
    assert "node_textfile_scrape_error 0" in text
    assert f'node_textfile_mtime_seconds{{file="{host.textfiles}/certd.prom"}}' in text
    host.socket.close()
    codes = collect(host)
    assert len(codes) == 1 and codes[0] != 0
    assert "\ncertd_health 0\n" in scraped()


def test_promtool_finds_nothing_to_complain_of(host: Host) -> None:
    """The metrics follow the conventions of Prometheus."""
    promtool = program("promtool", "prometheus")
    host.in_trouble()
    text = host.run("curl -s --unix-socket /run/certd/status.sock http://localhost/metrics").stdout
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_units_are_understood(host: Host, tmp_path: Path) -> None:
    """systemd itself finds no mistake in service and timer."""
    systemd = program("systemd-analyze", "systemd")
    paths = []
    for kind in ("service", "timer"):
        path = tmp_path / f"certd-metrics.{kind}"
        path.write_text(unit(kind))
        paths.append(str(path))
    done = subprocess.run([systemd, "verify", *paths], capture_output=True, text=True, check=False, timeout=60)
    said = [line for line in done.stderr.splitlines() if "certd-metrics" in line]
    assert not said, done.stderr


RULES = {
    "critical": {
        "series": 'certd_problems{instance="web1",code="server-down",severity="critical"}',
        "values": "1x20",
        "alert": "CertdCritical",
        "labels": {"instance": "web1", "code": "server-down", "severity": "critical"},
        "summary": "certd on web1: server-down",
        "at": "6m",
    },
    "warning": {
        "series": 'certd_problems{instance="web1",code="not-served",severity="warning"}',
        "values": "1x90",
        "alert": "CertdWarning",
        "labels": {"instance": "web1", "code": "not-served", "severity": "warning"},
        "summary": "certd on web1: not-served",
        "at": "61m",
    },
    "silent": {
        "series": 'node_textfile_mtime_seconds{instance="web1",file="/var/lib/node_exporter/certd.prom"}',
        "values": "0x40",
        "alert": "CertdSilent",
        "labels": {"instance": "web1", "file": "/var/lib/node_exporter/certd.prom", "severity": "critical"},
        "summary": "certd on web1 does not answer",
        "at": "16m",
    },
    "expires": {
        "series": 'certd_certificate_not_after_seconds{instance="web1",name="example.jp"}',
        "values": "173700x40",
        "alert": "CertificateExpires",
        "labels": {"instance": "web1", "name": "example.jp", "severity": "critical"},
        "summary": "example.jp on web1 expires in 2d 0h 0m 0s",
        "at": "15m",
    },
}
"""A series in time that must raise an alarm, and what it says. promtool's time begins at 0."""


@pytest.mark.parametrize("case", RULES)
def test_the_alarm_rules(case: str, tmp_path: Path) -> None:
    """promtool takes the rules, and each alarm comes after its time, with its words; a healthy host raises none."""
    promtool = program("promtool", "prometheus")
    rules = block("groups:").text
    (tmp_path / "rules.yml").write_text(rules)
    wanted = RULES[case]
    rule = next(r for r in yaml.safe_load(rules)["groups"][0]["rules"] if r["alert"] == wanted["alert"])
    expected = {"exp_labels": wanted["labels"], "exp_annotations": {"summary": wanted["summary"]}}
    if "description" in rule["annotations"]:
        said = rule["annotations"]["description"].replace("{{ $labels.code }}", wanted["labels"]["code"])
        expected["exp_annotations"]["description"] = said
    quiet = [
        {"series": 'certd_problems{instance="web2",code="not-served",severity="warning"}', "values": "0x90"},
        {
            "series": 'certd_certificate_not_after_seconds{instance="web2",name="example.jp"}',
            "values": f"{60 * 86400}x90",
        },
        {"series": 'node_textfile_mtime_seconds{instance="web2",file="/x/certd.prom"}', "values": "0+60x90"},
    ]
    tests = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": wanted["series"], "values": wanted["values"]}, *quiet],
                "alert_rule_test": [
                    {"eval_time": "0m", "alertname": wanted["alert"], "exp_alerts": []},
                    {"eval_time": wanted["at"], "alertname": wanted["alert"], "exp_alerts": [expected]},
                ],
            }
        ],
    }
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(tests))
    for words in (["check", "rules", "rules.yml"], ["test", "rules", "tests.yml"]):
        done = subprocess.run([promtool, *words], cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr


def test_apache_shows_the_metrics(host: Host, tmp_path: Path) -> None:
    """The lines for a reverse proxy, in a real Apache."""
    text = host.placed(block("<Location").text).replace("192.0.2.10", LOOPBACK)
    apache = Apache(tmp_path / "apache", [], tmp_path / "live", modules=("authz_host", "proxy", "proxy_http"))
    host.socket.path.chmod(0o666)  # stands for Apache's membership in status_group
    with apache.httpd.configuration.open("a") as configuration:
        configuration.write(f"\n{text}\n")
    try:
        apache.start()
        url = f"http://{LOOPBACK}:{apache.http_port}/certd-metrics"
        with urllib.request.urlopen(url, timeout=10) as answer:
            assert b"\ncertd_up 1.0\n" in answer.read()
    finally:
        apache.close()
