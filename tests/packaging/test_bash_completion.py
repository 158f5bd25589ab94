"""Completion in a real bash: what it offers is what the program knows."""

from __future__ import annotations

import argparse
import shutil
import subprocess
from pathlib import Path

import pytest

from certd.cli.parser import build_parser

SCRIPT = Path(__file__).parents[2] / "packaging" / "bash-completion" / "certd"

DAEMON = """#!/bin/sh
printf '%s\\n' "$*" >>"$0.calls"
printf '%s' '{"servers":[{"name":"web","active":true}],"certificates":[{"name":"a.example","domains":["a.example"]},\
{"name":"b.example","domains":["b.example"]}]}'
"""

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")


def offered(line: str, directory: Path) -> list[str]:
    """What bash would offer at the end of the line; `directory` is first on the PATH, and the working directory."""
    program = (
        f'source {SCRIPT}; COMP_LINE=$1; COMP_POINT=${{#1}}; read -ra COMP_WORDS <<<"$1"; '
        '[[ $1 == *" " ]] && COMP_WORDS+=(""); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); '
        "compopt() { :; }; $(complete -p certd | sed 's/.*-F \\([a-z_]*\\).*/\\1/') certd; "
        "printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", program, "bash", line],
        capture_output=True,
        text=True,
        check=True,
        cwd=directory,
        env={"PATH": f"{directory}:/usr/bin:/bin"},
    )
    assert done.stderr == ""
    return sorted(done.stdout.split())


def commands() -> dict[str, argparse.ArgumentParser]:
    (action,) = [a for a in build_parser({})._actions if isinstance(a, argparse._SubParsersAction)]
    return dict(action.choices)


def options(parser: argparse.ArgumentParser) -> list[str]:
    return sorted(word for action in parser._actions for word in action.option_strings)


def test_the_commands_are_offered(tmp_path: Path) -> None:
    """All of them, and those that begin as the word does; also behind options."""
    assert offered("certd ", tmp_path) == sorted(commands())
    assert offered("certd -c x --lang ja he", tmp_path) == ["health"]


def test_options_before_the_command(tmp_path: Path) -> None:
    """Those of the program itself."""
    assert offered("certd -", tmp_path) == options(build_parser({}))


@pytest.mark.parametrize("name", sorted(commands()))
def test_a_command_s_options_are_offered(name: str, tmp_path: Path) -> None:
    """All of them, and no other's."""
    assert offered(f"certd {name} -", tmp_path) == options(commands()[name])


@pytest.mark.parametrize("command", ["status", "renew", "rollback", "forget"])
def test_certificates_are_offered_by_name(command: str, tmp_path: Path) -> None:
    """As the daemon knows them, asked by the configuration that the line names."""
    (tmp_path / "certd").write_text(DAEMON)
    (tmp_path / "certd").chmod(0o755)
    assert offered(f"certd -c other.yaml {command} ", tmp_path) == ["a.example", "b.example"]
    assert offered(f"certd {command} b", tmp_path) == ["b.example"]
    calls = (tmp_path / "certd.calls").read_text().splitlines()
    assert calls == ["--config other.yaml status --json", "status --json"]


def test_without_a_daemon_nothing_is_offered_and_nothing_is_said(tmp_path: Path) -> None:
    """A failing `certd status` is no error of the shell."""
    (tmp_path / "certd").write_text("#!/bin/sh\necho certd: nobody answers >&2\nexit 1\n")
    (tmp_path / "certd").chmod(0o755)
    assert offered("certd renew ", tmp_path) == []


def test_values_of_options(tmp_path: Path) -> None:
    """Languages, and files."""
    (tmp_path / "my.yaml").touch()
    assert offered("certd --lang ", tmp_path) == ["en", "ja"]
    assert offered("certd status --config my", tmp_path) == ["my.yaml"]


def test_the_daemon_s_real_answer_has_the_form_that_is_looked_for() -> None:
    """`name` is followed by `domains` in a certificate, and in nothing else."""
    import msgspec

    from certd.status import shape

    with_both = [
        struct.__name__
        for struct in vars(shape).values()
        if isinstance(struct, type) and issubclass(struct, msgspec.Struct) and "domains" in struct.__struct_fields__
    ]
    assert with_both == ["CertificateState"]
    assert shape.CertificateState.__struct_fields__[:2] == ("name", "domains")
