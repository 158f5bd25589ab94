"""The configuration of the demo, as an operator would write it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from certd.lab import LabCa
from certd.lab.demo.site import Names, Site
from certd.lab.options import LOOPBACK

DELAY = 8
"""Seconds of propagation_delay: JPRS's ten minutes, for the impatient."""
OCSP_LAG = 5
"""Seconds until the lab's responder knows a certificate."""


def render(ca: LabCa, site: Site, names: Names, *, root: Path, kid: str, key_file: Path) -> str:
    """The text of config.yaml."""
    certificates = "".join(
        f"  - {{name: {_text(name)}, domains: {_list(domains)}}}\n" for name, domains in names.items()
    )
    return f"""\
# What `certd demo` ran with. A real one: config.example.yaml has every key.
state_dir: {_text(root / "state")}
runtime_dir: {_text(root / "run")}
cas:
  lab:
    directory: {ca.directory_url}
    contact: [ops@example.test]
    terms_of_service_agreed: true
    eab: {{kid: {_text(kid)}, hmac_key_file: {_text(key_file)}}}
    trust: {_text(ca.trust_path)}
servers:
  web:
    reload:
      command: {_list(site.argv("reload"))}
      active: {_list(site.argv("status"))}
      start: {_list(site.argv("start"))}
    verify: {{connect: ["{LOOPBACK}:{site.tls_port}"], timeout: 20s}}
defaults:
  ca: lab
  # Port 80 is for root; without self_check the lab CA alone would know of the other one.
  challenge: {{type: http-01, webroot: {_text(site.webroot)}, self_check: "{LOOPBACK}:{site.http_port}"}}
  # The default is 10m. first_issue: wait shows the gate at the very first certificate too.
  ocsp: {{propagation_delay: {DELAY}s, max_wait: 1m, first_issue: wait}}
  deploy: web
certificates:
{certificates}"""


def _text(value: str | Path) -> str:
    # JSON's strings and lists are YAML's.
    return json.dumps(str(value))


def _list(values: Sequence[str]) -> str:
    return json.dumps(list(values))
