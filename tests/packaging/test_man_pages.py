"""The manual pages say what the program says: every command, option, key and default, and nothing else."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from certd.challenges import OPTIONS
from certd.cli.parser import build_parser
from certd.config import json_schema

PAGES = Path(__file__).parents[2] / "packaging" / "man"

SECTIONS = {
    "The file": "File",
    "cas.NAME": "Ca",
    "cas.NAME.eab": "Eab",
    "cas.NAME.limits": "CaLimits",
    "servers.NAME": "Server",
    "servers.NAME.reload": "Reload",
    "servers.NAME.verify": "Verify",
    "servers.NAME.after": "After",
    "defaults": "Settings",
    "certificates": "Certificate",
    "ocsp": "Ocsp",
    "deploy": "Deploy",
    "files": "Files",
    "limits": "Limits",
    "http": "Http",
    "health": "Health",
    "notify": "Notify",
    "log": "Log",
}
"""Headings of certd.yaml(5), and the types of the schema; `challenge: TYPE` is the options of a solver."""

SAID_ELSEWHERE: dict[tuple[str, str], Any] = {("Verify", "connect"): ["127.0.0.1:443"]}
"""Defaults that are not in the schema, since an empty list is not what they mean."""


def source(page: str) -> str:
    return (PAGES / page).read_text().replace("\\-", "-")


def plain(line: str) -> str:
    """A line of a page without its macro, quotes and fonts."""
    line = re.sub(r"^\.(B|I|BR|RB|BI|RI)\b", "", line)
    return re.sub(r"\s+", " ", re.sub(r'\\f.|"', "", line)).strip()


def heads(text: str) -> list[str]:
    """The tag lines: what follows .TP or .TQ."""
    return [plain(line) for line in re.findall(r"^\.T[PQ]\n(.*)$", text, re.MULTILINE)]


def commands() -> dict[str, argparse.ArgumentParser]:
    parser = build_parser({})
    (action,) = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    return dict(action.choices)


def words(parser: argparse.ArgumentParser) -> set[str]:
    return {word for action in parser._actions for word in action.option_strings}


def command_section() -> str:
    return source("certd.8").split(".SH COMMANDS\n")[1].split("\n.SH ")[0]


def test_every_command_has_an_entry_and_no_entry_is_without_a_command() -> None:
    """certd(8) and `certd --help` name the same commands."""
    assert sorted(head.split()[0].strip("[") for head in heads(command_section())) == sorted(commands())


@pytest.mark.parametrize("name", sorted(commands()))
def test_an_entry_names_the_command_s_own_options(name: str) -> None:
    """All of them, and none that the command does not know."""
    common = words(build_parser({}))
    own = {word for word in words(commands()[name]) - common if word.startswith("--")}
    (entry,) = [e for e in command_section().split(".TP\n") if re.split(r"[ \[]", plain(e.splitlines()[0]))[0] == name]
    assert set(re.findall(r"--[a-z-]+", plain(entry.splitlines()[0]))) == own


def test_the_common_options_are_there() -> None:
    """Long and short."""
    section = source("certd.8").split(".SH OPTIONS\n")[1].split(".SH ")[0]
    assert set(re.findall(r"(?<![a-z-])--?[a-z]+", " ".join(heads(section)))) == words(build_parser({}))


def definitions() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Heading, name, and definition of everything that has keys."""
    schema = json_schema(OPTIONS)
    known = {"File": schema, **schema["$defs"]}
    titles = {name: title for title, name in SECTIONS.items()}
    for name, definition in known.items():
        if "properties" in definition:
            heading = f"challenge: {name.removeprefix('Solver-')}" if name.startswith("Solver-") else titles.get(name)
            yield heading or f"(no heading for {name})", name, definition


def sections() -> dict[str, list[str]]:
    found = {}
    for part in source("certd.yaml.5").split(".SH KEYS\n")[1].split("\n.SH ")[0].split(".SS ")[1:]:
        heading, _, text = part.partition("\n")
        found[heading] = heads(text)
    return found


def test_every_kind_of_mapping_has_a_heading_of_its_own() -> None:
    """A new type in the schema, or a new solver, is missed."""
    assert sorted(sections()) == sorted(heading for heading, _, _ in definitions())


@pytest.mark.parametrize(
    ("heading", "name", "definition"), list(definitions()), ids=lambda x: x if type(x) is str else ""
)
def test_every_key_is_there_with_its_default(heading: str, name: str, definition: dict[str, Any]) -> None:
    """`key: default`, as it would be written; keys without a default stand alone."""
    documented = sections()[heading]
    inherited = json_schema(OPTIONS)["$defs"]["Settings"]["properties"] if name == "Certificate" else {}
    expected = {}
    for key, value in definition["properties"].items():
        if key in inherited:
            continue
        if "const" in value:
            expected[key] = value["const"]
        elif (name, key) in SAID_ELSEWHERE:
            expected[key] = SAID_ELSEWHERE[name, key]
        elif "default" in value:
            expected[key] = value["default"]
        elif "$ref" in value and key not in definition.get("required", []) and key != "challenge":
            expected[key] = {}
        else:
            expected[key] = ...
    found = {}
    for head in documented:
        key, _, default = head.partition(":")
        found[key] = yaml.safe_load(default) if default.strip() else ...
    assert json.dumps(found, sort_keys=True, default=str) == json.dumps(expected, sort_keys=True, default=str)


@pytest.mark.skipif(shutil.which("man") is None, reason="man is not installed")
@pytest.mark.parametrize("page", ["certd.8", "certd.yaml.5"])
def test_they_are_set_without_a_warning(page: str) -> None:
    """groff has nothing to say about them."""
    command = ["man", "--warnings=all", "--encoding=UTF-8", "--local-file", str(PAGES / page)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={"PATH": "/usr/bin:/bin", "MANWIDTH": "80"}
    )
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) > 80


def test_the_example_is_a_configuration(tmp_path: Path) -> None:
    """What stands under EXAMPLE is read without a mistake, but for the key file that is not there."""
    from certd.config import load
    from certd.errors import ConfigError

    text = source("certd.yaml.5").split(".SH EXAMPLE\n.nf\n")[1].split(".fi\n")[0]
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "config.yaml", solvers=OPTIONS)
    assert [problem.split(": ")[1] for problem in caught.value.problems] == ["cas.jprs.eab.hmac_key_file"]
