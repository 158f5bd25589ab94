"""The command line's grammar."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path

from certd import __version__

DEFAULT_CONFIG = Path("/etc/certd/config.yaml")

_EPILOG = (
    "Exit codes: 0 done, 1 failed, 2 usage or configuration. `certd health`: 0 ok, 1 warning, 2 critical, 3 unknown."
)


def build_parser(environ: Mapping[str, str] = os.environ) -> argparse.ArgumentParser:
    """The parser of all commands. `environ` chooses the default language."""
    parser = argparse.ArgumentParser(
        prog="certd", description="Keeps the TLS certificates of Apache servers renewed.", epilog=_EPILOG
    )
    parser.add_argument("--version", action="version", version=f"certd {__version__}")
    _add_common(parser, DEFAULT_CONFIG, language(environ))
    # The common options are understood after the command as well; there they have no default of their own.
    common = argparse.ArgumentParser(add_help=False)
    _add_common(common, argparse.SUPPRESS, argparse.SUPPRESS)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text, parents=[common])

    add("run", "Run the daemon.")
    once = add("once", "Do everything that is due, waits included, then exit.")
    once.add_argument("--no-wait", action="store_true", help="leave when only waits are left")
    check = add("check", "Check the configuration, and nothing else.")
    check.add_argument("--schema", action="store_true", help="print the JSON Schema of the configuration file")
    add("prepare", "Make placeholders, so that the web server can start before the first certificate exists.")
    status = add("status", "Show what is, what happens next, when and why.")
    status.add_argument("name", nargs="?", metavar="NAME", help="one certificate, in full")
    status.add_argument("--json", action="store_true", help="the daemon's own answer")
    status.add_argument("--all", action="store_true", help="every certificate, however many there are")
    add("health", "One line for monitoring; exit code 0 ok, 1 warning, 2 critical, 3 unknown.")
    renew = add("renew", "Order a new certificate now.")
    renew.add_argument("names", nargs="+", metavar="NAME")
    renew.add_argument("--now", action="store_true", help="activate it without waiting for the OCSP responders")
    rollback = add("rollback", "Go back to the previous version of a certificate.")
    rollback.add_argument("name", metavar="NAME")
    forget = add("forget", "Delete the files of a certificate that is no longer configured.")
    forget.add_argument("name", metavar="NAME")
    forget.add_argument("--yes", action="store_true", help="do not ask")
    explain = add("explain", "Explain a code, a problem type, a CA's message, or its problem document.")
    explain.add_argument("words", nargs="+", metavar="WORDS", help="any of these; - reads standard input")
    taking = add("import", "Take over accounts, certificates and settings of another ACME client.")
    taking.add_argument("client", choices=("acme.sh", "certbot", "dehydrated"), metavar="CLIENT", help="%(choices)s")
    taking.add_argument(
        "directory",
        nargs="?",
        type=Path,
        metavar="DIR",
        help="where it keeps its files (default: ~/.acme.sh, /etc/letsencrypt, /etc/dehydrated)",
    )
    taking.add_argument("--dry-run", action="store_true", help="show what would be written, and write nothing")
    taking.add_argument(
        "--state-dir", type=Path, metavar="DIR", help="the state directory, where there is no configuration yet"
    )
    adopt = add("adopt", "Make the certificate that Apache serves today the first live version.")
    adopt.add_argument("name", metavar="NAME")
    adopt.add_argument("--cert", type=Path, metavar="FILE", help="its certificate; without it, Apache is asked")
    adopt.add_argument("--key", type=Path, metavar="FILE", help="its private key")
    adopt.add_argument(
        "--chain", type=Path, metavar="FILE", help="its intermediates, where they have a file of their own"
    )
    adopt.add_argument(
        "--apache-config", type=Path, metavar="FILE", help="Apache's main file, where it is not its default"
    )
    way = adopt.add_mutually_exclusive_group()
    way.add_argument("--links", action="store_true", help="turn the paths of today into links to certd's live files")
    way.add_argument("--undo", action="store_true", help="put back what --links replaced")
    adopt.add_argument("--dry-run", action="store_true", help="show what would be done, and do nothing")
    add("polkit-rule", "Print the rule that lets the user certd reload and start the configured servers.")
    add("systemd-paths", "Print the lines that the unit needs for the directories and groups of the configuration.")
    demo = add("demo", "See all of it work on this machine: a lab CA, an Apache, a renewal.")
    demo.add_argument("--keep", action="store_true", help="leave its files for a look")
    return parser


def language(environ: Mapping[str, str]) -> str:
    """`ja` where the environment asks for Japanese, else `en`."""
    wanted = next((environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environ.get(name)), "")
    return "ja" if wanted.startswith("ja") else "en"


def _add_common(parser: argparse.ArgumentParser, config: object, lang: object) -> None:
    parser.add_argument(
        "-c",
        "--config",
        type=Path,
        default=config,
        metavar="FILE",
        help=f"the configuration file (default: {DEFAULT_CONFIG})",
    )
    parser.add_argument("--lang", choices=("en", "ja"), default=lang, help="the language of explanations")
