"""Every mistake at its line, and all of them in one run: certd.config.shape, .resolve and what they call."""

from __future__ import annotations

import re

import pytest
from configuring import CA, DEFAULTS, KEY, Folder

_SOUND = CA + DEFAULTS + "certificates: [{domains: [example.jp]}]\n"


def test_a_sound_file_has_no_errors(folder: Folder) -> None:
    """What the tables below start from."""
    assert folder.errors(_SOUND) == []


# Each: what replaces what in the sound file, and the beginning of the only error.
_REPLACED = [
    ("https://ca", "http://ca", '1: cas.ca.directory: "http://ca.example.jp/dir" is not an https URL'),
    ("directory: https://ca.example.jp/dir, ", "", "1: cas.ca.directory: missing; must be the https URL"),
    ("agreed: true", "agreed: false", "1: cas.ca.terms_of_service_agreed: must be true"),
    (", terms_of_service_agreed: true", "", "1: cas.ca.terms_of_service_agreed: must be true"),
    ("agreed: true", "agreed: maybe", '1: cas.ca.terms_of_service_agreed: must be true or false, not "maybe"'),
    ("agreed: true", "agreed: true, account_key: dsa", "1: cas.ca.account_key: must be one of rsa2048, rsa3072"),
    ("agreed: true", "agreed: true, trust: ca.pem", '1: cas.ca.trust: must be an absolute path, not "ca.pem"'),
    ("agreed: true", "agreed: true, trust: /nowhere/ca.pem", "1: cas.ca.trust: cannot read /nowhere/ca.pem: No such"),
    ("agreed: true", "agreed: true, limits: {in_flight: 0}", "1: cas.ca.limits.in_flight: must be a whole number from"),
    ("agreed: true", "agreed: true, limits: {new_orders: 1/0s}", "1: cas.ca.limits.new_orders: 0s is out of range"),
    ("agreed: true", "agreed: true, eab: {kid: K}", "1: cas.ca.eab: the key is missing; give hmac_key_file or"),
    (
        "agreed: true",
        "agreed: true, eab: {kid: K, hmac_key_file: /a, hmac_key_credential: b}",
        "1: cas.ca.eab: give hmac_key_file or hmac_key_credential, not both",
    ),
    (
        "agreed: true",
        "agreed: true, eab: {kid: K, hmac_key_file: /nowhere/key}",
        "1: cas.ca.eab.hmac_key_file: cannot read /nowhere/key: No such file or directory",
    ),
    ("[ops@example.jp]", "[ops]", '1: cas.ca.contact[0]: "ops" is not an e-mail address such as ops@example.jp'),
    ("[ops@example.jp]", "[a@b.jp, mailto:A@b.jp]", "1: cas.ca.contact[1]: A@b.jp is given twice (the other one:"),
    ("[ops@example.jp]", "ops@example.jp", "1: cas.ca.contact: must be a list of e-mail addresses, not"),
    ("{ca: {", "{Ca: {", "1: cas.Ca: the key must be a name (a to z"),
    (
        "http-01",
        "http-02",
        '2: defaults.challenge.type: "http-02" is not a way to solve challenges; allowed: dns-01 or',
    ),
    ("type: http-01, ", "", "2: defaults.challenge.type: missing; allowed: dns-01 or http-01"),
    ("/var/www/html", "html", "2: defaults.challenge: webroot must be an absolute path"),
    ("/var/www/html", "[html]", "2: defaults.challenge.webroot: must be text, not a list"),
    (
        "webroot: /var/www/html",
        "webrot: x, webroot: /x",
        "2: defaults.challenge.webrot: unknown key; did you mean webroot?",
    ),
    (", webroot: /var/www/html", "", "2: defaults.challenge.webroot: missing; must be text"),
    ("{type: http-01, webroot: /var/www/html}", "{}", "2: defaults.challenge: empty; give type: dns-01 or http-01"),
    (
        "{challenge: {type: http-01, webroot: /var/www/html}}",
        "{}",
        "3: certificates[0].challenge: missing; give it here or in",
    ),
    ("defaults: {", "defaults: {ca: [ca, cb], ", "2: defaults.ca: 2 CAs are given; only one CA for now"),
    ("defaults: {", "defaults: {ca: [], ", "2: defaults.ca: 0 CAs are given; only one CA for now"),
    ("defaults: {", "defaults: {ca: cb, ", '2: defaults.ca: there is no CA "cb" below cas; defined: ca'),
    (
        "defaults: {",
        "defaults: {key: rsa1024, ",
        "2: defaults.key: must be one of rsa2048, rsa3072, rsa4096, p256, p384",
    ),
    ("defaults: {", "defaults: {name: x, ", "2: defaults.name: unknown key; allowed: ca, key, challenge"),
    ("defaults: {", "defaults: {renew_before: 2/3, ", "2: defaults.renew_before: 2/3 is out of range; 1/20 to 1/2"),
    ("defaults: {", "defaults: {renew_before: 1m, ", "2: defaults.renew_before: 1m is out of range; 1h to 365d"),
    (
        "defaults: {",
        "defaults: {renew_before: soon, ",
        "2: defaults.renew_before: must be a fraction of the lifetime such",
    ),
    ("defaults: {", "defaults: {ocsp: {max_wait: 2d}, ", "2: defaults.ocsp.max_wait: 2d is out of range; 0s to 1d"),
    (
        "defaults: {",
        "defaults: {ocsp: {propagation_delay: 25h}, ",
        "2: defaults.ocsp.propagation_delay: 25h is out of range; 0s to 1d is allowed",
    ),
    (
        "defaults: {",
        "defaults: {ocsp: {propagation_delay: 10:30}, ",
        "2: defaults.ocsp.propagation_delay: must be a duration such as 90s, 10m, 1h or 30d, not the number 630 (put",
    ),
    ("defaults: {", "defaults: {ocsp: {max_wait: off}, ", "2: defaults.ocsp.max_wait: must be a duration such as"),
    (
        "defaults: {",
        "defaults: {ocsp: {confirm: 1}, ",
        "2: defaults.ocsp.confirm: must be true or false, not the number 1",
    ),
    ("defaults: {", "defaults: {ocsp: {first_issue: now}, ", "2: defaults.ocsp.first_issue: must be one of immediate,"),
    ("defaults: {", "defaults: {ocsp: [], ", "2: defaults.ocsp: must be a mapping with the keys propagation_delay"),
    ("defaults: {", "defaults: {files: {group: no-such-group-here}, ", "2: defaults.files.group: there is no group"),
    ("defaults: {", "defaults: {files: {group: on}, ", "2: defaults.files.group: must be the name of a group of this"),
    (
        "defaults: {",
        "defaults: {deploy: web, ",
        '2: defaults.deploy: there is no server "web" below servers; defined: none',
    ),
    (
        "defaults: {",
        "defaults: {deploy: {verify: false}, ",
        "2: defaults.deploy: names no target; give server: NAME, or",
    ),
    ("defaults: {", "defaults: {deploy: [files, files], ", "2: defaults.deploy[1]: server files is named twice"),
    (
        "defaults: {",
        "defaults: {deploy: {server: files, reload: {service: a}}, ",
        "2: defaults.deploy.reload: give server or",
    ),
    (
        "defaults: {",
        "defaults: {deploy: {reload: {command: apachectl graceful}}, ",
        "2: defaults.deploy.reload.command: must be a list of words such as [/usr/sbin/apachectl, graceful] (there is "
        'never a shell), not "apachectl graceful"',
    ),
    (
        "defaults: {",
        "defaults: {deploy: {reload: {command: [apachectl, graceful]}}, ",
        '2: defaults.deploy.reload.command[0]: "apachectl" is not an absolute path',
    ),
    (
        "defaults: {",
        "defaults: {deploy: {reload: {command: []}}, ",
        "2: defaults.deploy.reload.command: must be a list",
    ),
    (
        "defaults: {",
        "defaults: {deploy: {reload: {command: [/x, 1]}}, ",
        "2: defaults.deploy.reload.command[1]: must be text",
    ),
    ("defaults: {", "defaults: {deploy: {reload: {}}, ", "2: defaults.deploy.reload: says nothing; give service: NAME"),
    (
        "defaults: {",
        "defaults: {deploy: {reload: {service: -a}}, ",
        "2: defaults.deploy.reload.service: must be the name",
    ),
    (
        "defaults: {",
        "defaults: {deploy: {reload: {service: a, start: [/b]}}, ",
        "2: defaults.deploy.reload: give service or command",
    ),
    (
        "defaults: {",
        "defaults: {deploy: {server: files, verify: {connect: [here]}}, ",
        '2: defaults.deploy.verify.connect[0]: "here" is not an address',
    ),
    (
        "defaults: {",
        "defaults: {deploy: {server: files, after: [{timeout: 2m}]}, ",
        "2: defaults.deploy.after[0].command: missing; must be a list of words",
    ),
    ("[example.jp]", "[]", "3: certificates[0].domains: must be a list of 1 to 100 domains, not an empty list"),
    ("[example.jp]", "example.jp", "3: certificates[0].domains: must be a list of 1 to 100 domains, not"),
    (
        "[example.jp]",
        f"[{', '.join(f'd{n}.jp' for n in range(101))}]",
        "3: certificates[0].domains: must be a list of 1 to",
    ),
    ("[example.jp]", "[example.jp, Example.jp]", "3: certificates[0].domains[1]: example.jp is given twice"),
    ("[example.jp]", '["*.example.jp"]', "3: certificates[0].domains[0]: *.example.jp cannot be validated by http-01"),
    ("[example.jp]", "[192.0.2.1]", '3: certificates[0].domains[0]: "192.0.2.1" is an IP address'),
    ("[example.jp]", f"[{'a.' * 60}jp]", "3: certificates[0].name: missing; the first domain is too long"),
    ("{domains:", "{domain: x, domains:", "3: certificates[0].domain: unknown key; did you mean domains?"),
    ("{domains: [example.jp]}", "example.jp", "3: certificates[0]: must be a mapping with the keys"),
    ("{domains: [example.jp]}", "{name: a}", "3: certificates[0].domains: missing; must be a list of 1 to 100 domains"),
    ("{domains:", "{name: Example.jp, domains:", "3: certificates[0].name: must be a name (a to z"),
    ("{domains:", "{name: ../x, domains:", "3: certificates[0].name: must be a name (a to z"),
    ("{domains:", "{name: 1, domains:", "3: certificates[0].name: must be a name (a to z"),
    (
        "{domains:",
        "{challenge: {www.example.jp: {type: http-01, webroot: /x}}, domains:",
        "3: certificates[0].domains[0]: no",
    ),
    ("{domains:", "{challenge: {a_b: {type: http-01, webroot: /x}}, domains:", "3: certificates[0].challenge.a_b: "),
]

_ADDED = [
    ("limts: {}", "4: limts: unknown key; did you mean limits? allowed: state_dir"),
    ("limits: {workers: yes}", "4: limits.workers: must be a whole number from 1 to 256, not true"),
    ("limits: {workers: 0}", "4: limits.workers: must be a whole number from 1 to 256, not the number 0"),
    ("limits: {orders_per_day: 1000}", "4: limits.orders_per_day: must be a whole number from 1 to 50"),
    ("limits: {reload_min_interval: 2h}", "4: limits.reload_min_interval: 2h is out of range; 0s to 1h is allowed"),
    ("limits:", "4: limits: must be a mapping with the keys workers, orders_per_day, reload_min_interval, not empty"),
    ("health: {warn: 1/8}", "4: health.critical: 1/8 is not below health.warn, which is 1/8"),
    ("health: {warn: 2}", "4: health.warn: must be a fraction such as 1/3, not the number 2"),
    ("http: {proxy: 'ftp://u:pw@x'}", "4: http.proxy: not a proxy such as http://proxy.example.jp:3128"),
    ("http: {proxy: 'https://x:3128'}", "4: http.proxy: proxies are spoken to by http only, such as http://proxy"),
    ("http: {timeout: 0s}", "4: http.timeout: 0s is out of range; 1s to 10m is allowed"),
    ("include: {}", "4: include: must be a path with or without stars such as conf.d/*.yaml, or a list of them, not"),
    ("log: {level: loud}", '4: log.level: must be one of debug, info, warning, error, not "loud"'),
    ("state_dir: var", '4: state_dir: must be an absolute path, not "var"'),
    ("state_dir: /var/../x", "4: state_dir: must be an absolute path below / without .."),
    ("state_dir: /var/cert$d", "4: state_dir: Apache cannot be given this path: no quotes, backslashes, $, %"),
    (f"runtime_dir: /{'r' * 95}", "4: runtime_dir: 2 bytes too long: the paths of sockets end at 107 bytes"),
    ("state_dir: /run/certd", "1: runtime_dir: the same as state_dir; the two must differ"),
    ("status_group: no-such-group-here", "4: status_group: there is no group no-such-group-here on this machine"),
    ("keep_versions: 1", "4: keep_versions: must be a whole number from 2 to 1000"),
    ("servers: {web: {}}", "4: servers.web.reload: missing; must be a mapping with the keys service, command"),
    ("servers: {files: {reload: {service: a}}}", "4: servers.files: files is a name that certd gives"),
    ("servers: {service-a: {reload: {service: a}}}", "4: servers.service-a: service-a is a name that certd gives"),
    (
        "servers:\n  a: {reload: {service: httpd}}\n  b: {reload: {service: httpd.service}}",
        "6: servers.b.reload: the same reload as server a; one server has one name",
    ),
    (
        "servers: {web: {reload: {service: a}, verify: {timeout: 1h}}}",
        "4: servers.web.verify.timeout: 1h is out of range",
    ),
    (
        "servers: {web: {reload: {service: a}, verify: no way}}",
        "4: servers.web.verify: must be a mapping with the keys",
    ),
    ("cas: {}", "4: cas: this key is given twice; keep one of them (the other one:"),
    ("include: nothing.yaml", '4: include: there is no file "nothing.yaml", seen from'),
    ("include: config.yaml", '4: include: "config.yaml" names this file itself'),
    (
        "include: 7",
        "4: include: must be a path with or without stars such as conf.d/*.yaml, or a list of them, not the",
    ),
    ("include: ['']", '4: include[0]: there is no file ""'),
]


@pytest.mark.parametrize(("old", "new", "error"), _REPLACED)
def test_a_mistake_is_named_with_its_line_and_path(folder: Folder, old: str, new: str, error: str) -> None:
    """One mistake gives one error: where, what, and what is allowed."""
    assert old in _SOUND
    errors = folder.errors(_SOUND.replace(old, new))
    assert len(errors) == 1, errors
    assert errors[0].startswith(f"config.yaml:{error}")


@pytest.mark.parametrize(("line", "error"), _ADDED)
def test_a_line_too_many_is_named(folder: Folder, line: str, error: str) -> None:
    """The same for the rest of the file."""
    errors = folder.errors(_SOUND + line + "\n")
    assert len(errors) == 1, errors
    assert errors[0].startswith(f"config.yaml:{error}")


def test_secrets_are_never_repeated(folder: Folder) -> None:
    """A key in the wrong place, a password in a wrong URL."""
    text = _SOUND.replace("agreed: true", f"agreed: true, eab: {{kid: K, hmac_key_file: {KEY}, hmac: {KEY}}}")
    errors = folder.errors(text + "http: {proxy: [hunter2]}\n")
    assert len(errors) == 3
    assert KEY not in "\n".join(errors)
    assert "hunter2" not in "\n".join(errors)


def test_control_characters_do_not_reach_the_operator(folder: Folder) -> None:
    """Neither from values nor from keys."""
    errors = folder.errors(_SOUND + '"\\e[31m": 1\n"\\u202e": 1\nkeep_versions: "\\e]0;x"\n')
    assert len(errors) == 5
    assert all(error.isprintable() for error in errors)


def test_every_mistake_is_found_in_one_run(folder: Folder) -> None:
    """Sorted by file and line; a mistake in one place hides none in another, nor follows from it."""
    folder.write("conf.d/10.yaml", "certificates:\n  - domains: [a.jp, b_.jp]\n    keyy: p256\ncas: {}\n")
    folder.write("conf.d/20.yaml", "certificates:\n  - domains: [a.jp\n")
    text = """\
        state_dir: relative
        cas:
          one:
            contact: [x]
            eab: {hmac_key_file: /nowhere/key}
          two: {directory: "http://two.example.jp/", terms_of_service_agreed: true}
        servers:
          web: {reload: {service: httpd}, verify: {timeout: 30}}
        defaults:
          ca: three
          ocsp: {propagation_delay: 3d}
          challenge: {type: http-01, webrot: /x}
        certificates:
          - domains: [example.jp, example.jp]
            key: rsa
            deploy: [{reload: {service: "a b"}}, wbe]
          - domains: ["*.example.jp"]
            ca: one
            challenge: {webroot: /x}
          - {name: example.jp, ca: two, domains: [c.jp], ocsp: {max_wait: 1h}}
          - nothing
        include: conf.d/*.yaml
        """
    found = [re.sub(r"^([^:]*:\d+: [^:]*):.*", r"\1", line) for line in folder.errors(text)]
    assert found == [
        "config.yaml:1: state_dir",
        "config.yaml:3: cas.one.directory",
        "config.yaml:3: cas.one.terms_of_service_agreed",
        "config.yaml:4: cas.one.contact[0]",
        "config.yaml:5: cas.one.eab.kid",
        "config.yaml:5: cas.one.eab.hmac_key_file",
        "config.yaml:6: cas.two.directory",
        "config.yaml:8: servers.web.verify.timeout",
        "config.yaml:10: defaults.ca",
        "config.yaml:11: defaults.ocsp.propagation_delay",
        "config.yaml:12: defaults.challenge.webrot",
        "config.yaml:12: defaults.challenge.webroot",
        "config.yaml:14: certificates[0].domains[1]",
        "config.yaml:15: certificates[0].key",
        "config.yaml:16: certificates[0].deploy[0].reload.service",
        "config.yaml:16: certificates[0].deploy[1]",
        "config.yaml:17: certificates[1].domains[0]",
        "config.yaml:20: certificates[2].name",
        "config.yaml:21: certificates[3]",
        "conf.d/10.yaml:2: certificates[0].domains[1]",
        "conf.d/10.yaml:3: certificates[0].keyy",
        "conf.d/10.yaml:4: cas",
        "conf.d/20.yaml:3: (file)",
    ]
