"""The program: reads the command line, runs one command, and turns whatever comes of it into an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from typing import TYPE_CHECKING

from certd.cli.parser import build_parser
from certd.errors import CertdError, ConfigError
from certd.text import printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character must not turn an answer into an error.
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")
    try:
        code = _dispatch(build_parser().parse_args(argv))
        sys.stdout.flush()
    except SystemExit as leaving:  # argparse: --help, --version, wrong usage
        return leaving.code if isinstance(leaving.code, int) else 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read us has seen enough (`certd status | head`); the flush at exit must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except CertdError as error:
        sys.stderr.write(f"certd: {error}\n")
        return 1
    except Exception as error:  # nobody foresaw it: one sentence, unless a developer asks
        if os.environ.get("CERTD_DEBUG"):
            traceback.print_exc()
        else:
            what = printable(f"{type(error).__name__}: {error}", 500)
            sys.stderr.write(f"certd: an error nobody foresaw: {what}. CERTD_DEBUG=1 in the environment shows more.\n")
        return 1
    return code


def _dispatch(args: argparse.Namespace) -> int:
    """Each branch imports what it needs, and no more."""
    match args.command:
        case "run" | "once" | "prepare":
            return _serve(args)
        case "demo":
            from certd.lab import demo

            return demo.run(keep=args.keep)
        case "check":
            from certd.cli import check

            return check.schema() if args.schema else check.check(args.config, check.daemon_user())
        case "import":
            from certd.cli import migrate

            return migrate.import_from(args.client, args.directory, args.config, args.state_dir, dry_run=args.dry_run)
        case "adopt":
            return _adopt(args)
        case "polkit-rule" | "systemd-paths":
            from certd.cli import host

            return (host.polkit_rule if args.command == "polkit-rule" else host.systemd_paths)(args.config)
        case "explain":
            from certd.cli import explain

            return explain.explain(args.words, args.lang)
        case "status" | "health":
            from certd.cli import show

            if args.command == "health":
                return show.health(args.config, args.lang)
            return show.status(args.config, args.name, as_json=args.json, everything=args.all, lang=args.lang)
        case _:
            return _operate(args)


def _serve(args: argparse.Namespace) -> int:
    from certd import daemon, logs

    logs.set_up("info")  # until the configuration says otherwise
    match args.command:
        case "run":
            return daemon.run(args.config)
        case "once":
            return daemon.once(args.config, wait=not args.no_wait)
        case _:
            return daemon.prepare(args.config)


def _adopt(args: argparse.Namespace) -> int:
    from certd.cli import takeover

    wanted = takeover.Wanted(
        args.name,
        args.cert,
        args.key,
        args.chain,
        apache_config=args.apache_config,
        links=args.links,
        undo=args.undo,
        dry_run=args.dry_run,
    )
    return takeover.adopt(args.config, wanted)


def _operate(args: argparse.Namespace) -> int:
    from certd.cli import operate

    match args.command:
        case "renew":
            return operate.renew(args.config, args.names, now=args.now)
        case "rollback":
            return operate.rollback(args.config, args.name)
        case _:
            return operate.forget(args.config, args.name, sure=args.yes)


if __name__ == "__main__":
    sys.exit(main())
