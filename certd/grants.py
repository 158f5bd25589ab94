"""What the host must grant a daemon that is not root: a rule of polkit, and lines for its unit.

Pure: text for a configuration. Nothing here looks whether the host grants it; only a reload and a challenge prove that.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from certd.challenges import written_below
from certd.errors import ConfigError
from certd.model.specs import ServiceReload

if TYPE_CHECKING:
    from collections.abc import Iterable

    from certd.model.specs import Config

USER = "certd"
"""The user and the group of the shipped units."""
STATE_DIR = Path("/var/lib/certd")
RUNTIME_DIR = Path("/run/certd")
CHALLENGES = Path("/var/lib/certd-challenges")
"""Where the shipped unit lets certd write."""

_HOMES = (Path("/home"), Path("/root"), Path("/run/user"))
"""What ProtectHome= hides."""
_TEMPORARY = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - named, not used
"""What PrivateTmp= replaces."""
_UNIT_TYPES = (
    *(".service", ".socket", ".target", ".device", ".mount", ".automount", ".swap", ".timer", ".path", ".slice"),
    ".scope",
)

_RULE = """\
// Lets certd, which is not root, reload the web server when a certificate is new, and start it when it has failed.
// Exactly these units, these two verbs and this user; everything else is decided as if this file did not exist.
// Printed by `certd polkit-rule`.
polkit.addRule(function (action, subject) {
    var units = %(units)s;
    var verbs = ["reload", "start"];
    if (action.id === "org.freedesktop.systemd1.manage-units" &&
        subject.user === %(user)s &&
        units.indexOf(action.lookup("unit")) >= 0 &&
        verbs.indexOf(action.lookup("verb")) >= 0) {
        return polkit.Result.YES;
    }
    return polkit.Result.NOT_HANDLED;
});
"""
_NO_RULE = """\
// No server of this configuration is reloaded through systemd, so nothing is allowed here.
// Printed by `certd polkit-rule`.
"""
_HEAD = """\
# What this configuration needs beyond the shipped units. Printed by `certd systemd-paths`, for both of them:
# /etc/systemd/system/certd.service.d/paths.conf and /etc/systemd/system/certd-prepare.service.d/paths.conf
"""


def units(config: Config) -> tuple[str, ...]:
    """The units of systemd that certd reloads and starts, by their full names, sorted."""
    reloads = (server.reload for server in config.servers.values())
    return tuple(sorted({unit_name(reload.service) for reload in reloads if isinstance(reload, ServiceReload)}))


def unit_name(service: str) -> str:
    """The unit that systemctl takes `service` for: a name without a type is a service."""
    return service if service.endswith(_UNIT_TYPES) else f"{service}.service"


def polkit_rule(names: Iterable[str]) -> str:
    """The JavaScript rule that lets the daemon's user reload and start these units, by no other verb.

    JavaScript only: the older pkla files know neither unit nor verb, and would give away every unit.
    """
    found = list(names)
    if not found:
        return _NO_RULE
    # JSON in ASCII is JavaScript, whatever the name holds.
    return _RULE % {"units": json.dumps(found), "user": json.dumps(USER)}


def drop_in(config: Config) -> str:
    """Lines of both units for what `config` needs and they deny; comments only where they deny nothing.

    Raises ConfigError for a path that no unit can name.
    """
    lines = [*_directories(config), *_writable(config), *_groups(config)]
    if not lines:
        return f"{_HEAD}# Nothing: they allow all of it.\n"
    return f"{_HEAD}[Service]\n" + "".join(f"{line}\n" for line in lines)


def _directories(config: Config) -> list[str]:
    """A directory of systemd's own care, where state or runtime directory can be one: made, and given to the user."""
    lines = []
    if config.state_dir != STATE_DIR and _cared_for(config.state_dir, STATE_DIR):
        lines.append(f"StateDirectory={_quoted(config.state_dir.name)}")
    if config.runtime_dir != RUNTIME_DIR and _cared_for(config.runtime_dir, RUNTIME_DIR):
        lines.append(f"RuntimeDirectory={_quoted(config.runtime_dir.name)}")
        # The lines are for certd-prepare too, which ends while the daemon runs.
        lines.append("RuntimeDirectoryPreserve=yes")
    return lines


def _writable(config: Config) -> list[str]:
    wanted = {
        path
        for spec in config.certificates.values()
        for _, solver in spec.challenges
        if (path := written_below(solver))
    }
    paths = {Path(path) for path in wanted}
    own = ((config.state_dir, STATE_DIR), (config.runtime_dir, RUNTIME_DIR))
    paths |= {path for path, shipped in own if not _cared_for(path, shipped)}
    outside = sorted(path for path in paths if not _within(path, (STATE_DIR, RUNTIME_DIR, CHALLENGES)))
    top = [path for path in outside if not _within(path, [other for other in outside if other != path])]
    lines = []
    if any(_within(path, _HOMES) for path in top):
        lines.append("ProtectHome=read-only")
    if any(_within(path, _TEMPORARY) for path in top):
        lines.append("PrivateTmp=no")
    # With a dash: one that is missing must not keep the daemon from its other certificates.
    return lines + [f"ReadWritePaths={_quoted(f'-{path}')}" for path in top]


def _cared_for(path: Path, shipped: Path) -> bool:
    """Whether systemd can make it, beside the shipped one. (What follows a colon would be the name of a link.)"""
    return path.parent == shipped.parent and ":" not in path.name


def _groups(config: Config) -> list[str]:
    groups = {spec.files.group for spec in config.certificates.values()} | {config.socket_group}
    named = sorted(group for group in groups if group is not None and group != USER)
    return [f"SupplementaryGroups={' '.join(named)}"] if named else []


def _within(path: Path, directories: Iterable[Path]) -> bool:
    return any(path.is_relative_to(directory) for directory in directories)


def _quoted(text: str) -> str:
    """One word of a unit's line."""
    if not text.isprintable():
        raise ConfigError([f"{text!r}: a unit of systemd cannot name this path; choose one without control characters"])
    escaped = text.replace("%", "%%")
    if not set(escaped) & set("\"'\\ ;"):
        return escaped
    return '"' + escaped.replace("\\", "\\\\").replace('"', '\\"') + '"'
