"""What a sound configuration means: certd.config.settings, .servers, .challenge, .certificates and .authorities."""

from __future__ import annotations

import grp
import os
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

import pytest
from configuring import CA, DEFAULTS, KEY, Folder

from certd.config import solver_for
from certd.model import specs
from certd.model.specs import (
    AfterCommand,
    CertificateSpec,
    CommandReload,
    Deployment,
    FirstIssue,
    KeyType,
    OcspPolicy,
    ServerSpec,
    ServiceReload,
    SolverSpec,
    VerifySpec,
)

_HTTP = SolverSpec("http-01", {"webroot": "/var/www/html"})


def _one(folder: Folder, certificate: str, rest: str = "", defaults: str = DEFAULTS) -> CertificateSpec:
    config = folder.load(f"{CA}{defaults}{rest}certificates: [{certificate}]\n")
    (spec,) = config.certificates.values()
    return spec


def test_what_is_not_said_is_the_default(folder: Folder) -> None:
    """The defaults of the file are those of the specifications."""
    config = folder.load(CA + DEFAULTS + "certificates: [{domains: [example.jp]}]\n")
    ca = specs.CaSpec("ca", "https://ca.example.jp/dir", ("ops@example.jp",), True)
    certificate = CertificateSpec(
        "example.jp", ("example.jp",), "ca", challenges=(("*", _HTTP),), deploy=(Deployment("files", None),)
    )
    assert config == specs.Config(
        path=folder.main,
        state_dir=Path("/var/lib/certd"),
        runtime_dir=Path("/run/certd"),
        cas={"ca": ca},
        servers={"files": ServerSpec("files", None)},
        certificates={"example.jp": certificate},
    )


def test_writing_the_defaults_out_changes_nothing(folder: Folder) -> None:
    """A section without keys is a section with its defaults."""
    said = "{domains: [example.jp], ocsp: {}, files: {}, key: rsa2048, renew_before: null, deploy: null}"
    assert _one(folder, said) == _one(folder, "{domains: [example.jp]}")
    rest = "servers: {web: {reload: {service: httpd}, verify: {}}}\n"
    assert _one(folder, "{domains: [a.jp], deploy: web}", rest).deploy == (Deployment("web", VerifySpec()),)


def test_everything_said_arrives(folder: Folder) -> None:
    """Every key of a full file, in the specification where it belongs."""
    key = folder.write("eab.key", KEY, 0o600)
    trust = folder.write("roots.pem", "-----BEGIN CERTIFICATE-----\n")
    group = grp.getgrgid(os.getgid()).gr_name
    config = folder.load(f"""\
        state_dir: /srv/state
        runtime_dir: /srv/run
        status_group: {group}
        keep_versions: 7
        cas:
          jprs:
            directory: https://acme.example.jp/dir
            contact: [mailto:a@example.jp, b@example.jp]
            terms_of_service_agreed: true
            eab: {{kid: KID, hmac_key_file: {key}, issued: 2026-11-20}}
            trust: {trust}
            account_key: p384
            limits: {{in_flight: 3, new_orders: 50/1d}}
        limits: {{workers: 4, orders_per_day: 3, reload_min_interval: 1m}}
        http: {{proxy: "http://proxy.example.jp:3128", timeout: 10s}}
        health: {{warn: 1/5, critical: 1/10}}
        log: {{level: debug}}
        certificates:
          - name: first
            domains: [B.example.jp, a.example.jp]
            key: p256
            renew_before: 30d
            challenge: {{type: dns-01, provider: x}}
            ocsp: {{propagation_delay: 20m, confirm: false, early: true, max_wait: 2h, first_issue: wait}}
            files: {{combined: false}}
        """)
    assert (config.state_dir, config.runtime_dir) == (Path("/srv/state"), Path("/srv/run"))
    assert (config.socket_group, config.keep_versions, config.workers) == (group, 7, 4)
    assert (config.proxy, config.http_timeout) == ("http://proxy.example.jp:3128", timedelta(seconds=10))
    assert config.health == specs.HealthPolicy(Fraction(1, 5), Fraction(1, 10))
    assert config.log_level == "debug"
    ca = config.cas["jprs"]
    assert ca.contact == ("a@example.jp", "b@example.jp")
    assert ca.eab is not None
    assert (ca.eab.kid, ca.eab.hmac_key_file, str(ca.eab.issued)) == ("KID", key, "2026-11-20")
    assert (ca.trust, ca.account_key) == (trust, KeyType.P384)
    assert ca.limits == specs.CaLimits(3, 50, timedelta(days=1))
    assert config.servers["files"].reload_min_interval == timedelta(minutes=1)
    spec = config.certificates["first"]
    assert spec.domains == ("b.example.jp", "a.example.jp")
    assert (spec.key, spec.renew_before, spec.orders_per_day) == (KeyType.P256, timedelta(days=30), 3)
    assert spec.challenges == (("*", SolverSpec("dns-01", {"provider": "x"})),)
    delay, wait = timedelta(minutes=20), timedelta(hours=2)
    assert spec.ocsp == OcspPolicy(delay, False, True, wait, FirstIssue.WAIT)
    assert spec.files == specs.FilesSpec(None, False)


def test_mappings_merge_and_the_rest_replaces(folder: Folder) -> None:
    """A certificate says only what differs."""
    defaults = """\
defaults:
  challenge: {type: dns-01, provider: x, ttl: 5}
  ocsp: {early: true, max_wait: 2h}
  deploy:
    reload: {service: httpd}
    verify: {connect: ["127.0.0.1:1", "127.0.0.1:2"], timeout: 5s}
    after: [{command: [/bin/true]}]
"""
    said = (
        """{domains: [a.jp], challenge: {ttl: 6}, ocsp: {max_wait: 3h}, deploy: {verify: {connect: ["127.0.0.1:3"]}}}"""
    )
    spec = _one(folder, said, defaults=defaults)
    assert spec.challenges == (("*", SolverSpec("dns-01", {"provider": "x", "ttl": 6})),)
    assert spec.ocsp == OcspPolicy(early=True, max_wait=timedelta(hours=3))
    (deployment,) = spec.deploy
    assert deployment.server == "service-httpd"
    assert deployment.verify == VerifySpec((specs.Address("127.0.0.1", 3),), timeout=timedelta(seconds=5))
    assert deployment.after == (AfterCommand(("/bin/true",)),)
    assert _one(folder, "{domains: [a.jp], deploy: {verify: false}}", defaults=defaults).deploy[0].verify is None


def test_another_way_replaces_the_default_one(folder: Folder) -> None:
    """Options of one solver, reload or server mean nothing to another."""
    defaults = "defaults: {challenge: {type: http-01, webroot: /x}, deploy: {server: web, verify: {timeout: 5s}}}\n"
    rest = "servers: {web: {reload: {service: httpd}}}\n"
    spec = _one(folder, "{domains: [a.jp], challenge: {type: dns-01, provider: x}}", rest, defaults)
    assert spec.challenges == (("*", SolverSpec("dns-01", {"provider": "x"})),)
    spec = _one(folder, "{domains: [a.jp], deploy: {reload: {service: nginx}}}", rest, defaults)
    assert spec.deploy == (Deployment("service-nginx", VerifySpec(timeout=timedelta(seconds=5))),)
    spec = _one(
        folder,
        "{domains: [a.jp], deploy: {verify: false}}",
        rest,
        defaults.replace("{server: web, verify: {timeout: 5s}}", "web"),
    )
    assert spec.deploy == (Deployment("web", None),)
    spec = _one(folder, "{domains: [a.jp], deploy: null}", rest, defaults)
    assert spec.deploy == (Deployment("files", None),)


def test_challenges_by_pattern(folder: Folder) -> None:
    """The most specific pattern comes first, in whatever order they are written; a certificate's merge with others."""
    defaults = """\
defaults:
  challenge:
    "*": {type: http-01, webroot: /all}
    "*.example.jp": {type: dns-01, provider: x}
    "*.a.example.jp": {type: http-01, webroot: /a}
"""
    own = '{shop.example.jp: {type: http-01, webroot: /s}, "*": {webroot: /z}}'
    said = f'{{domains: ["*.example.jp", shop.example.jp], challenge: {own}}}'
    spec = _one(folder, said, defaults=defaults)
    assert [pattern for pattern, _ in spec.challenges] == ["shop.example.jp", "*.a.example.jp", "*.example.jp", "*"]
    found = {
        domain: solver_for(spec.challenges, domain)
        for domain in ("shop.example.jp", "*.example.jp", "b.example.jp", "b.a.example.jp", "example.jp")
    }
    assert {domain: solver and (solver.options.get("webroot") or solver.type) for domain, solver in found.items()} == {
        "shop.example.jp": "/s",
        "*.example.jp": "dns-01",
        "b.example.jp": "dns-01",
        "b.a.example.jp": "/a",
        "example.jp": "/z",
    }
    assert solver_for(spec.challenges[:1], "example.jp") is None


def test_one_reload_is_one_server(folder: Folder) -> None:
    """However often and wherever it is written; its id is the same for ever."""
    config = folder.load(
        CA
        + DEFAULTS
        + """\
servers: {web: {reload: {service: httpd}, verify: {timeout: 9s}, after: [{command: [/bin/true]}]}}
certificates:
  - {domains: [a.jp], deploy: [{reload: {service: httpd.service}}, {reload: {service: nginx}}]}
  - {domains: [b.jp], deploy: {reload: {service: nginx.service}, verify: false}}
  - {domains: [c.jp], deploy: {reload: {command: [/bin/true, now]}}}
  - {domains: [d.jp], deploy: {reload: {command: [/bin/true, now]}}}
  - {domains: [e.jp], deploy: {reload: {command: [/bin/true, now], start: [/bin/true]}}}
  - {domains: [f.jp], deploy: {server: web, verify: {names: [F.jp]}, after: []}}
  - {domains: [g.jp], deploy: {reload: {service: A@b}}}
"""
    )
    deployments = {name: spec.deploy for name, spec in config.certificates.items()}
    nine = timedelta(seconds=9)
    assert deployments["a.jp"] == (
        Deployment("web", VerifySpec(timeout=nine), (AfterCommand(("/bin/true",)),)),
        Deployment("service-nginx"),
    )
    assert deployments["b.jp"] == (Deployment("service-nginx", None),)
    assert deployments["c.jp"] == deployments["d.jp"] == (Deployment("command-f4e0b749"),)
    assert deployments["e.jp"][0].server not in ("command-f4e0b749", "web")
    assert deployments["f.jp"] == (Deployment("web", VerifySpec(names=("f.jp",), timeout=nine)),)
    assert deployments["g.jp"][0].server.startswith("service-")
    assert "@" not in deployments["g.jp"][0].server
    assert len(config.servers) == 5
    assert config.servers["web"].reload == ServiceReload("httpd")
    assert config.servers["command-f4e0b749"].reload == CommandReload(("/bin/true", "now"))


def test_the_built_in_server_may_run_commands(folder: Folder) -> None:
    """Nothing to reload, nothing to look at, unless asked for."""
    spec = _one(folder, "{domains: [a.jp], deploy: {server: files, after: [{command: [/bin/true], timeout: 2m}]}}")
    assert spec.deploy == (Deployment("files", None, (AfterCommand(("/bin/true",), timedelta(minutes=2)),)),)


def test_names_come_from_the_first_domain(folder: Folder) -> None:
    """Wildcards and IDN have names that a directory can have."""
    defaults = "defaults: {challenge: {type: dns-01, provider: x}}\n"
    assert _one(folder, '{domains: ["*.日本語.jp"]}', defaults=defaults).name == "_wildcard.xn--wgv71a119e.jp"


@pytest.mark.parametrize(
    ("second", "error"),
    [
        ("{domains: [b.jp, A.jp]}", "certificates[1]: the same domains with the same key type on the same CA (ca)"),
        ("{name: a.jp, domains: [c.jp]}", "certificates[1].name: a second certificate with the name a.jp"),
        ("{name: x, domains: [a.jp, b.jp], key: p256}", None),
        ("{name: x, domains: [a.jp, b.jp], ca: cb}", None),
    ],
)
def test_certificates_that_are_the_same(folder: Folder, second: str, error: str | None) -> None:
    """Same names and key type on one CA are a mistake; another key type or CA is meant."""
    cas = CA.replace("cas: {", "cas: {cb: {directory: https://cb.jp/, terms_of_service_agreed: true}, ")
    defaults = DEFAULTS.replace("{challenge", "{ca: ca, challenge")
    text = f"{cas}{defaults}certificates:\n  - {{domains: [a.jp, b.jp]}}\n  - {second}\n"
    errors = folder.errors(text)
    if error is None:
        assert errors == []
        assert folder.warnings(text) == []
    else:
        assert len(errors) == 1
        assert error in errors[0]
        assert errors[0].endswith("config.yaml:4)")


def test_a_status_group_that_reads_keys_is_refused(folder: Folder) -> None:
    """The status is for people who may not see keys."""
    group = grp.getgrgid(os.getgid()).gr_name
    text = f"{CA}{DEFAULTS}status_group: {group}\ncertificates: [{{domains: [a.jp], files: {{group: {group}}}}}]\n"
    assert ["status_group" in error for error in folder.errors(text)] == [True]


def test_warnings(folder: Folder) -> None:
    """What is allowed, but probably not meant; each at its line, apart from the errors."""
    folder.uid = 1000
    program = folder.write("apachectl", "#!/bin/sh\n", 0o755)
    key = folder.write("eab.key", KEY, 0o600)
    found = folder.warnings(f"""\
        cas:
          jprs:
            directory: https://acme.amecert.jprs.jp/DV/getDirectory
            terms_of_service_agreed: true
            eab: {{kid: K, hmac_key_file: {key}, issued: 2026-11-08}}
        defaults:
          challenge: {{type: dns-01, provider: x}}
          key: p256
        certificates:
          - domains: [example.jp, www.example.jp, "*.example.jp"]
          - domains: [shop.jp, example.jp]
            renew_before: 1/5
          - domains: [intranet]
            key: rsa2048
            deploy: {{reload: {{command: [{program}], start: [/no/such/program]}}}}
        """)
    assert [line.removeprefix("config.yaml:") for line in found] == [
        "2: cas.jprs.contact: 0 addresses; JPRS takes 1 to 6 and refuses to register others",
        "5: cas.jprs.eab.issued: issued 2026-11-08, more than 14 days ago: an account that is not registered yet "
        "needs new credentials from the reseller",
        "8: defaults.key: p256: JPRS issues for rsa2048 keys only",
        "10: certificates[0].domains[1]: www.example.jp is covered by *.example.jp already; "
        "some CAs refuse both together",
        f"11: certificates[1].domains: example.jp: in another certificate as well (the other one: {folder.main}:10)",
        "12: certificates[1].renew_before: 1/5: health.warn is 1/4, so health would warn before the renewal begins",
        "13: certificates[2].domains[0]: intranet has no dot; public CAs issue for full domain names only",
        "15: certificates[2].deploy.reload.command[0]: apachectl needs root, but certd does not run as root; "
        "use reload: {service: NAME}",
        "15: certificates[2].deploy.reload.start[0]: there is no program /no/such/program on this machine",
    ]


def test_seven_contacts_are_too_many_for_jprs_only(folder: Folder) -> None:
    """Other CAs take what they take."""
    contacts = ", ".join(f"c{n}@example.jp" for n in range(7))
    text = CA.replace("ops@example.jp", contacts) + DEFAULTS + "certificates: [{domains: [a.jp]}]\n"
    assert folder.warnings(text) == []
    found = folder.warnings(text.replace("ca.example.jp", "acme.amecert.jprs.jp"))
    assert ["7 addresses; JPRS takes 1 to 6" in line for line in found] == [True, False]
    assert "only with the reseller's credentials" in found[1]


def test_fresh_credentials_are_no_warning_and_future_ones_are(folder: Folder) -> None:
    """Fourteen days are fine, the fifteenth is not; a day that has not come is a slip."""
    key = folder.write("eab.key", KEY, 0o600)
    text = CA.replace("ca.example.jp", "acme.amecert.jprs.jp") + DEFAULTS + "certificates: [{domains: [a.jp]}]\n"
    for issued, expected in (("2026-11-09", []), ("2026-11-23", []), ("2026-11-24", ["2026-11-24 is in the future"])):
        eab = f"eab: {{kid: K, hmac_key_file: {key}, issued: {issued}}}, terms"
        assert [line.split(": ", 2)[2] for line in folder.warnings(text.replace("terms", eab))] == expected


def test_no_certificates_is_a_warning(folder: Folder) -> None:
    """Absent, empty or null."""
    for rest in ("", "certificates: []\n", "certificates:\n"):
        found = folder.warnings(CA + rest)
        assert len(found) == 1
        assert "certificates: no certificate is configured" in found[0]


def test_a_key_file_that_others_read_is_refused(folder: Folder) -> None:
    """And its content is not in the sentence."""
    key = folder.write("eab.key", KEY, 0o644)
    text = CA.replace("terms", f"eab: {{kid: K, hmac_key_file: {key}}}, terms") + DEFAULTS
    errors = folder.errors(text)
    assert len(errors) == 1
    assert errors[0].startswith(f"config.yaml:1: cas.ca.eab.hmac_key_file: others may read or change {key} (mode 0644)")
    folder.check_host = False
    assert folder.errors(text) == []


def test_a_password_in_a_file_that_others_read_is_refused(folder: Folder) -> None:
    """It is not repeated; without one the mode does not matter."""
    text = CA + DEFAULTS + "http: {proxy: 'http://user:hunter2@proxy.example.jp:3128'}\n"
    assert "hunter2" not in repr(folder.load(text))
    folder.write("config.yaml", text, 0o644)
    (error,) = folder.errors()
    assert error.startswith(f"config.yaml:3: http.proxy: holds a password, and others may read or change {folder.main}")
    assert "hunter2" not in error
    folder.write("config.yaml", text.replace("user:hunter2@", ""), 0o644)
    assert folder.errors() == []


def test_a_credential_is_checked_where_systemd_put_it(folder: Folder) -> None:
    """A credential that is there is fine, one that is not is a mistake."""
    folder.write("eab", KEY, 0o400)
    text = CA.replace("terms", "eab: {kid: K, hmac_key_credential: eab}, terms") + DEFAULTS
    folder.environ["CREDENTIALS_DIRECTORY"] = str(folder.path)
    assert folder.errors(text) == []
    assert f"cannot read {folder.path}/other" in folder.errors(text.replace("credential: eab", "credential: other"))[0]


def test_a_credential_is_not_looked_for_where_systemd_gave_none(folder: Folder) -> None:
    """`certd check` in a shell, and `certd prepare` in a unit of its own, work with the service's configuration."""
    text = CA.replace("terms", "eab: {kid: K, hmac_key_credential: eab}, terms") + DEFAULTS
    assert folder.errors(text) == []
    (found,) = folder.warnings(text + "certificates: [{domains: [a.jp]}]\n")
    assert found.startswith("config.yaml:1: cas.ca.eab.hmac_key_credential: not looked at: $CREDENTIALS_DIRECTORY")
    assert "LoadCredential=eab:PATH" in found
