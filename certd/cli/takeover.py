"""`certd adopt`: a running site's certificate becomes the first live version."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from certd.challenges import OPTIONS
from certd.cli.migrate import readable
from certd.clock import utc_now
from certd.config import load
from certd.errors import ConfigError, Refused
from certd.migrate import carry, links, takeover, vhosts
from certd.migrate.directives import VirtualHost
from certd.migrate.owner import leads_into
from certd.migrate.sources import shown
from certd.migrate.takeover import Adopted, Served
from certd.model.specs import CertificateSpec
from certd.store import Store
from certd.text import printable


@dataclass(frozen=True)
class Wanted:
    """The command line's options."""

    name: str
    certificate: Path | None = None
    key: Path | None = None
    chain: Path | None = None
    apache_config: Path | None = None
    links: bool = False
    undo: bool = False
    dry_run: bool = False


def adopt(config_path: Path, wanted: Wanted) -> int:
    """Take over, or with `undo` put back; what was done and what is to be done goes to stdout."""
    _check_usage(wanted)
    config = load(config_path, solvers=OPTIONS)
    spec = config.certificates.get(wanted.name)
    if spec is None:
        listed = printable(", ".join(sorted(config.certificates)) or "none", 500)
        raise Refused(f"{printable(wanted.name)} is no certificate of {config_path}; there are: {listed}")
    with readable():
        served, host = _served(spec, wanted, config.state_dir)
    live = config.state_dir.absolute() / "live" / spec.name
    if wanted.undo:
        return _undo(served, live, dry=wanted.dry_run)
    with readable():
        is_own = host is not None and leads_into(served.certificate.parent, config.state_dir)
        if wanted.links and not is_own:
            links.check(served.paths(), live, key=served.key, group=spec.files.group)
    if is_own:
        _say([f"{spec.name}: the virtual host at {host} takes its files from certd already; there is nothing to do."])
        return 0
    with _store(config.state_dir, dry=wanted.dry_run) as store:
        adopted = takeover.adopt(
            spec,
            served,
            store,
            state_dir=config.state_dir,
            now=utc_now(),
            dry=wanted.dry_run,
            exact=wanted.links,
        )
        _say(_told(spec, adopted))
        if wanted.links:  # before the lock is given up: no renewal comes between two paths
            _say(_linked(served, live, dry=wanted.dry_run, there=adopted.version is not None))
    if not wanted.links:
        version = vhosts.find_apache(wanted.apache_config).version() if host is not None else ()
        _say(include_lines(live, served, host, version))
    return 0


def _check_usage(wanted: Wanted) -> None:
    if (wanted.certificate is None) != (wanted.key is None):
        raise ConfigError(["certd adopt: --cert and --key are given together, or neither of them"])
    if wanted.chain is not None and wanted.certificate is None:
        raise ConfigError(["certd adopt: --chain is given together with --cert and --key"])


def _served(spec: CertificateSpec, wanted: Wanted, state_dir: Path) -> tuple[Served, VirtualHost | None]:
    """The files, and the virtual host that names them if Apache was asked."""
    if wanted.certificate is not None and wanted.key is not None:
        chain = wanted.chain.absolute() if wanted.chain is not None else None
        return Served(wanted.certificate.absolute(), wanted.key.absolute(), chain), None
    apache = vhosts.find_apache(wanted.apache_config)
    host = vhosts.serving(spec.domains, vhosts.hosts(apache))
    try:
        return takeover.choose(spec, host.certificates, host.keys, host.chains, state_dir=state_dir), host
    except Refused as error:
        if not wanted.undo:
            raise
        raise Refused(f"{error}; name the paths with --cert, --key and --chain") from None


def _store(state_dir: Path, *, dry: bool) -> Store | nullcontext[None]:
    if dry:
        with readable():
            return Store.open_read_only(state_dir) if state_dir.is_dir() else nullcontext(None)
    return carry.open_store(state_dir, purpose="certd adopt", now=utc_now())


def _told(spec: CertificateSpec, adopted: Adopted) -> list[str]:
    leaf = adopted.certificates.leaf
    which = f"serial {leaf.serial}, until {leaf.not_after:%Y-%m-%d}"
    what = f"the certificate of {shown(adopted.served.certificate)} ({which})"
    if adopted.version is None:
        text = f"{spec.name}: {what} would become the live version. Dry run: nothing was written."
    elif adopted.there:
        text = f"{spec.name}: {what} is live already, as version {adopted.version}."
    else:
        text = f"{spec.name}: {what} is live now, as version {adopted.version}."
    return [text, *(f"  * {remark}." for remark in adopted.remarks)]


def include_lines(live: Path, served: Served, host: VirtualHost | None, version: tuple[int, ...]) -> list[str]:
    """The line for the virtual host of an Apache of this version (empty: not known), and what it replaces."""
    old = version and version < vhosts.TAKES_CHAINS
    line = f"    Include {live}/{'apache-2.4.6.conf' if old else 'apache.conf'}"
    if host is None:
        files = ", ".join(map(shown, served.paths()))
        told = ["", f"In the virtual host, in place of the lines that name {files}:", line]
        return [*told, f"(Before Apache 2.4.8: Include {live}/apache-2.4.6.conf)", *_then()]
    replaced = [f"    {printable(one.text, 300)}    ({shown(one.path)}, line {one.line})" for one in host.lines]
    return ["", f"In the virtual host at {host}, put this line:", line, "in place of:", *replaced, *_then()]


def _then() -> list[str]:
    return ["Then: httpd -t && systemctl reload httpd. certd itself changes nothing in Apache's configuration."]


def _linked(served: Served, live: Path, *, dry: bool, there: bool) -> list[str]:
    with readable():
        if dry and not there:
            done = [f"+ {shown(path)} -> {live}/..." for path in served.paths()]
        else:
            done = (links.plan if dry else links.link)(served.paths(), live)
    if dry:
        return ["Dry run: no link was made. These paths would become links:", *(f"  {line}" for line in done)]
    return [
        "Apache's configuration stays as it is; these paths lead to certd's live files now:",
        *(f"  {line}" for line in done),
        "The old client must be ended: it would write through these links. `certd adopt NAME --undo` puts all back.",
        "The Include line is safer: with it Apache never reads a key and a certificate of two versions.",
    ]


def _undo(served: Served, live: Path, *, dry: bool) -> int:
    with readable():
        done = links.undo(served.paths(), live, dry=dry)
    if not done:
        listed = ", ".join(map(shown, served.paths()))
        raise Refused(f"none of {listed} is a link through {live}; name the paths with --cert, --key and --chain")
    if dry:
        _say(["Dry run: nothing was changed. These links would be put back:", *(f"  {line}" for line in done)])
        return 0
    _say([*(f"  {line}" for line in done), "Then: httpd -t && systemctl reload httpd. What certd keeps of it stays."])
    return 0


def _say(lines: Sequence[str]) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
