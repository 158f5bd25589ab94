"""certbot: renewal/NAME.conf, live/NAME/*.pem, and accounts/HOST/PATH/ID/{private_key,regr,meta}.json."""

from __future__ import annotations

import json
import re
from pathlib import Path

from certd import pki
from certd.errors import PkiError, Refused
from certd.migrate import inifile, reloads, sources, webroots
from certd.migrate.found import Account, Certificate, Installation, Reload
from certd.migrate.sources import shown
from certd.model.specs import KeyType
from certd.text import printable

CLIENT = "certbot"
DEFAULT_DIRECTORY = "/etc/letsencrypt"

_FILES = ("cert", "chain", "fullchain", "privkey")
_CURVES = {"secp256r1": KeyType.P256, "secp384r1": KeyType.P384}
_RSA = {"2048": KeyType.RSA2048, "3072": KeyType.RSA3072, "4096": KeyType.RSA4096}
_RELOADING = ("renew_hook", "post_hook")
_HOOKS = ("pre", "deploy", "post")
_DAYS = re.compile(r"([0-9]{1,3}) days?")


def read(directory: Path) -> Installation:
    """All that is in certbot's configuration directory (--config-dir). Raises Refused where there is no such thing."""
    sources.demand_directory(directory, CLIENT)
    confs = sorted((directory / "renewal").glob("*.conf"))
    if not confs and not (directory / "accounts").is_dir():
        raise Refused(f"{shown(directory)} holds nothing of certbot: neither renewal/ nor accounts/")
    found = Installation(CLIENT, directory)
    email = inifile.parse(sources.read_if_there(directory / "cli.ini").decode("utf-8", "replace")).get("email")
    _read_accounts(directory / "accounts", (email,) if email else (), found)
    for conf in confs:
        try:
            _read_certificate(conf, directory, found)
        except Refused as error:
            found.note(printable(conf.stem), f"not carried over: {error}")
    _note_hooks(directory / "renewal-hooks", found)
    return found


def _read_accounts(home: Path, contact: tuple[str, ...], found: Installation) -> None:
    for path in sorted(home.rglob("private_key.json")) if home.is_dir() else []:
        # HOST/PATH.../ID; servers that were renamed are links to the new name, which rglob does not follow.
        *server, account = path.parent.relative_to(home).parts or ("",)
        directory = "https://" + "/".join(server)
        try:
            key = pki.pkcs8_from_jwk(sources.read(path))
            url = _url(sources.read_if_there(path.with_name("regr.json")))
        except (Refused, PkiError) as error:
            found.note(shown(path.parent), f"the account at {printable(directory)} cannot be taken along: {error}")
            continue
        found.accounts.append(Account(account, directory, url, key, contact, None, path.parent))
    if found.accounts and not contact:
        found.note(
            "accounts", "certbot does not keep the e-mail address; add `contact` to the CA's entry if it needs one"
        )


def _url(registration: bytes) -> str | None:
    try:
        said = json.loads(registration or b"{}")
    except (ValueError, RecursionError):
        return None
    url = said.get("uri") if isinstance(said, dict) else None
    return url if isinstance(url, str) and url else None


def _read_certificate(path: Path, directory: Path, found: Installation) -> None:
    conf = inifile.parse(sources.read_text(path))
    params = conf.section("renewalparams")
    name = path.stem
    if not params.values:
        raise Refused(f"{shown(path)} has no section [renewalparams]")
    key, parts = _files(name, conf, directory, found)
    domains = _domains(name, params, parts)
    about = printable(name)
    _note_the_rest(about, params, found)
    found.certificates.append(
        Certificate(
            name=name.lower(),
            domains=domains,
            account=params.get("account") or None,
            webroots=_webroots(about, domains, params, found),
            key_type=_key_type(about, params, found),
            reload=(reload := _reload(params)),
            obscure_reload=_obscure_reload(params) if reload is None else "",
            renew_before=_renew_before(conf.get("renew_before_expiry")),
            source=path,
            key=key,
            parts=parts,
        )
    )


def _files(name: str, conf: inifile.Section, directory: Path, found: Installation) -> tuple[bytes, tuple[bytes, ...]]:
    """Key and full chain, by the paths that the file names, or where they lie in a copy of the whole directory."""
    here = directory / "live" / name
    paths = {
        kind: path if (path := Path(conf.get(kind))).is_absolute() and path.is_file() else here / f"{kind}.pem"
        for kind in _FILES
    }
    try:
        key, chain = sources.read_if_there(paths["privkey"]), sources.read_if_there(paths["fullchain"])
    except Refused as error:
        found.note(printable(name), str(error))
        return b"", ()
    return (key, (chain,)) if key and chain else (b"", ())


def _domains(name: str, params: inifile.Section, parts: tuple[bytes, ...]) -> tuple[str, ...]:
    """certbot keeps them in the certificate itself; the map of web roots tells their order, if there is one."""
    ordered = list(params.section("webroot_map").values)
    try:
        names = set(pki.read_leaf(parts[0]).names) if parts else set(ordered)
    except PkiError:
        names = set(ordered)
    first = [name] if name in names else []
    return tuple(dict.fromkeys([*first, *(one for one in ordered if one in names), *sorted(names)]))


def _webroots(
    about: str, domains: tuple[str, ...], params: inifile.Section, found: Installation
) -> tuple[str | None, ...]:
    way = params.get("authenticator")
    if way == "webroot":
        by_domain = params.section("webroot_map").values
        given = [path for path in params.get("webroot_path").split(",") if path.strip()]
        last = given[-1].strip() if given else None
        if missing := [domain for domain in domains if not by_domain.get(domain, last)]:
            found.note(about, f"no web root is noted for {printable(', '.join(missing))}")
        return tuple(by_domain.get(domain, last) for domain in domains)
    if way in ("standalone", "apache", "nginx") and not any(domain.startswith("*.") for domain in domains):
        how = "certbot's own listener" if way == "standalone" else f"certbot's {way} plug-in"
        return (webroots.shipped(found, about, f"it was validated by {how}"),) * len(domains)
    found.note(
        about, f"it is validated by {printable(way) or 'nothing known'}; it stays with certbot, or needs http-01"
    )
    return (None,) * len(domains)


def _key_type(about: str, params: inifile.Section, found: Installation) -> KeyType | None:
    if params.get("key_type", "rsa") == "ecdsa":
        wanted = params.get("elliptic_curve", "secp256r1")
        kind = _CURVES.get(wanted)
    else:
        wanted = params.get("rsa_key_size", "2048")
        kind = _RSA.get(wanted)
    if kind is None:
        found.note(
            about, f"its key type {printable(wanted)} is none that certd makes; the configuration's default counts"
        )
    return kind


def _reload(params: inifile.Section) -> Reload | None:
    """What the hook of this certificate reloads, else the plug-in that installs it."""
    for key in _RELOADING:
        if (reload := reloads.understood(params.get(key))) is not None:
            return reload
    service = {"apache": "httpd", "nginx": "nginx"}.get(params.get("installer"))
    return Reload(service=service) if service is not None else None


def _obscure_reload(params: inifile.Section) -> str:
    return next((key for key in _RELOADING if params.get(key)), "")


def _renew_before(text: str) -> str | None:
    match = _DAYS.fullmatch(text.strip())
    return f"{match[1]}d" if match is not None else None


def _note_the_rest(about: str, params: inifile.Section, found: Installation) -> None:
    if params.get("pre_hook"):
        found.note(about, "pre_hook (a command that runs before each renewal) is not carried over")
    if params.get("must_staple") == "True":
        found.note(about, "OCSP must-staple is not asked for by certd")
    if params.get("preferred_chain"):
        found.note(about, "a preferred chain is not carried over; certd takes the CA's default chain")
    if params.get("reuse_key") == "True":
        found.note(about, "certbot kept the key at renewals (reuse_key); certd makes a new one each time")
    if params.get("installer") in ("apache", "nginx"):
        found.note(about, "certbot edited the server's configuration; certd does not: see `certd adopt`")
    if params.get("autorenew") == "False":
        found.note(about, "certbot did not renew it by itself (autorenew); certd will")


def _note_hooks(home: Path, found: Installation) -> None:
    for kind in _HOOKS:
        for path in sorted((home / kind).iterdir()) if (home / kind).is_dir() else []:
            found.note(
                shown(path), "a hook for all certificates is not carried over; see `after` in config.example.yaml"
            )
