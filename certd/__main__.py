"""The program: reads the command line, runs one command, and turns whatever comes of it into an exit code."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from certd.cli.parser import build_parser
from certd.errors import CertdError, ConfigError
from certd.text import printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

FAILED, USAGE, UNKNOWN, INTERRUPTED = 1, 2, 3, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    _open_streams()
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character must not turn an answer into an error.
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")
    try:
        return _run(argv)
    finally:
        _drop_unwritten()


def _run(argv: Sequence[str] | None) -> int:
    failed = FAILED
    try:
        args = build_parser().parse_args(argv)
        if args.command == "health":
            failed = UNKNOWN  # to a monitoring system 1 is a warning
        code = _dispatch(args)
        sys.stdout.flush()
    except SystemExit as leaving:  # argparse: --help, --version, wrong usage
        return leaving.code if isinstance(leaving.code, int) else 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read us has seen enough (`certd status | head`).
        return 0 if failed == FAILED else failed
    except ConfigError as error:
        _say(f"{error}\n")
        return USAGE
    except CertdError as error:
        _say(f"certd: {error}\n")
        return failed
    except Exception as error:  # nobody foresaw it: one sentence, unless a developer asks
        if os.environ.get("CERTD_DEBUG"):
            traceback.print_exc()
        else:
            what = printable(f"{type(error).__name__}: {error}", 500)
            _say(f"certd: an error nobody foresaw: {what}. CERTD_DEBUG=1 in the environment shows more.\n")
        return failed
    return code


def _open_streams() -> None:
    """Give every stream that was closed (`>&-`) to nobody: commands write without asking, and the number of a closed
    one would go to the next file that is opened.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 - until the end of the process


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # the exit code says it as well
        sys.stderr.write(text)


def _drop_unwritten() -> None:
    """What nobody reads any more, or a full disk refused, is not tried again at exit: it would change the exit code."""
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)


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
