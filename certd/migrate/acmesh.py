"""acme.sh: account.conf, ca/HOST/PATH/{account.key,account.json,ca.conf}, and a directory for each certificate."""

from __future__ import annotations

import base64
import binascii
import json
from pathlib import Path
from urllib.parse import urlsplit

from certd import pki
from certd.errors import PkiError, Refused
from certd.migrate import reloads, shellconf, sources, webroots
from certd.migrate.found import Account, Certificate, Installation
from certd.migrate.sources import shown
from certd.model.specs import KeyType
from certd.text import printable

CLIENT = "acme.sh"
DEFAULT_DIRECTORY = "~/.acme.sh"

_START, _END = "__ACME_BASE64__START_", "__ACME_BASE64__END_"
_ECC = "_ecc"
_KEYS = {
    "": KeyType.RSA2048,
    "2048": KeyType.RSA2048,
    "3072": KeyType.RSA3072,
    "4096": KeyType.RSA4096,
    "ec-256": KeyType.P256,
    "ec-384": KeyType.P384,
}
_HOOKS = {
    "Le_PreHook": "a command that runs before each renewal",
    "Le_PostHook": "a command that runs after each attempt",
    "Le_RenewHook": "a command that runs after each renewal",
    "Le_DeployHook": "acme.sh's deploy hooks",
}
_INSTALLED = ("Le_RealCertPath", "Le_RealKeyPath", "Le_RealCACertPath", "Le_RealFullChainPath")
_OWN = {"ca", "dnsapi", "deploy", "notify", "tmp"}


def read(directory: Path) -> Installation:
    """All that is in acme.sh's home (its --home, or --config-home). Raises Refused where there is no such thing."""
    sources.demand_directory(directory, CLIENT)
    found = Installation(CLIENT, directory)
    settings = _settings(directory / "account.conf", found)
    homes = [
        path for path in sources.directories(Path(settings.get("CERT_HOME") or directory)) if path.name not in _OWN
    ]
    confs = {path: _settings(conf, found) for path in homes if (conf := path / f"{_domain_of(path)}.conf").is_file()}
    if not confs and not (directory / "ca").is_dir():
        raise Refused(f"{shown(directory)} holds nothing of acme.sh: neither ca/ nor DOMAIN/DOMAIN.conf")
    apis = [conf.get("Le_API") for conf in confs.values()] + [settings.get("DEFAULT_ACME_SERVER")]
    _read_accounts(directory, settings, [api for api in apis if api], found)
    if settings.get("HTTPS_INSECURE"):
        found.note("acme.sh", "it did not verify the CA's own certificate (HTTPS_INSECURE); certd always does")
    for path, values in confs.items():
        name = path.name.lower()
        if name.endswith(_ECC) and path.with_name(path.name.removesuffix(_ECC)) not in confs:
            name = name.removesuffix(_ECC)
        _read_certificate(path, values, name, settings, found)
    return found


def _settings(path: Path, found: Installation) -> shellconf.Settings:
    if not path.is_file():
        return shellconf.Settings()
    settings = shellconf.parse(sources.read_text(path))
    for line in settings.obscure:
        found.note(shown(path), f"line {line} is no plain assignment; it was not read")
    settings.values = {name: _decoded(value) for name, value in settings.values.items()}
    return settings


def _decoded(value: str) -> str:
    if not (value.startswith(_START) and value.endswith(_END)):
        return value
    try:
        return base64.b64decode(value.removeprefix(_START).removesuffix(_END)).decode("utf-8", "backslashreplace")
    except (binascii.Error, ValueError):
        return ""


def _domain_of(path: Path) -> str:
    return path.name.removesuffix(_ECC)


def _place_of(api: str) -> tuple[str, str]:
    """Where acme.sh keeps the account of a CA, below ca/: its host, without the port, and the path of its directory.

    Nowhere, if it is no URL.
    """
    try:
        parts = urlsplit(api)
    except ValueError:
        return "", ""
    return parts.hostname or "", parts.path.strip("/")


def _read_accounts(directory: Path, settings: shellconf.Settings, apis: list[str], found: Installation) -> None:
    home = Path(settings.get("CA_HOME") or directory / "ca")
    urls = {_place_of(api): api for api in apis}
    for conf in sorted(home.rglob("ca.conf")) if home.is_dir() else []:
        host, *path = conf.parent.relative_to(home).parts or ("",)
        api = urls.get((host, "/".join(path)), f"https://{host}/{'/'.join(path)}")
        try:
            _read_account(conf, api, settings, found)
        except (Refused, PkiError) as error:
            found.note(shown(conf.parent), f"the account at {printable(api)} cannot be taken along: {error}")


def _read_account(conf: Path, api: str, settings: shellconf.Settings, found: Installation) -> None:
    values = _settings(conf, found)
    key = pki.pkcs8_from_pem(sources.read(Path(settings.get("ACCOUNT_KEY_PATH") or conf.parent / "account.key")))
    url = values.get("ACCOUNT_URL") or None
    email = values.get("CA_EMAIL") or settings.get("ACCOUNT_EMAIL")
    contact = _contact(conf.parent / "account.json") or ((email,) if email else ())
    bundle = settings.get("CA_BUNDLE")
    found.accounts.append(Account(api, api, url, key, contact, Path(bundle) if bundle else None, conf.parent))
    if kid := values.get("CA_EAB_KEY_ID"):
        known = (
            "the account exists, so they are not needed and not taken along"
            if url
            else "no account URL is noted: if the CA asks for them, copy the MAC key from there into a file with mode "
            "0600 and name it below eab in the configuration"
        )
        found.note(printable(api), f"EAB credentials are in {shown(conf)} (key identifier {printable(kid)}); {known}")


def _contact(path: Path) -> tuple[str, ...]:
    """The addresses that the CA confirmed at the registration."""
    try:
        said = json.loads(sources.read_if_there(path) or b"{}")
        addresses = said.get("contact") if isinstance(said, dict) else None
    except (ValueError, RecursionError):
        return ()
    return tuple(one.removeprefix("mailto:") for one in addresses or () if isinstance(one, str) and "mailto:" in one)


def _read_certificate(
    path: Path, conf: shellconf.Settings, name: str, account: shellconf.Settings, found: Installation
) -> None:
    domain = _domain_of(path)
    domains = (conf.get("Le_Domain") or domain, *_listed(conf.get("Le_Alt")))
    _note_the_rest(name, conf, found)
    key, parts = _files(name, path, domain, found)
    found.certificates.append(
        Certificate(
            name=name,
            domains=domains,
            account=conf.get("Le_API") or account.get("DEFAULT_ACME_SERVER") or _only(found),
            webroots=_webroots(name, domains, conf.get("Le_Webroot"), found),
            key_type=_key_type(name, conf.get("Le_Keylength"), found),
            reload=(reload := reloads.understood(conf.get("Le_ReloadCmd"))),
            obscure_reload="Le_ReloadCmd" if reload is None and conf.get("Le_ReloadCmd") else "",
            source=path,
            key=key,
            parts=parts,
        )
    )


def _only(found: Installation) -> str | None:
    return found.accounts[0].id if len(found.accounts) == 1 else None


def _listed(text: str) -> list[str]:
    return [part for part in text.split(",") if part and part != "no"]


def _files(name: str, path: Path, domain: str, found: Installation) -> tuple[bytes, tuple[bytes, ...]]:
    """Key and certificates as they lie there. The full chain repeats leaf and issuers, and is there for old versions
    that lack ca.cer.
    """
    try:
        key = sources.read_if_there(path / f"{domain}.key")
        cert, chain = (sources.read_if_there(path / file) for file in (f"{domain}.cer", "ca.cer"))
        full = sources.read_if_there(path / "fullchain.cer")
    except Refused as error:
        found.note(name, f"{error}")
        return b"", ()
    if not key and (path / f"{domain}.csr").is_file():
        found.note(name, "it was issued for a request (CSR) whose key is elsewhere; certd makes a key of its own")
    if not key or not (cert or full):
        return b"", ()
    return key, (cert, chain) if cert and chain else (full or cert,)


def _webroots(name: str, domains: tuple[str, ...], text: str, found: Installation) -> tuple[str | None, ...]:
    """One entry for each domain; the last that is given counts for those that follow."""
    given = text.split(",") if text else ["no"]
    result: list[str | None] = []
    told: dict[str, str | None] = {}
    current = given[0]
    for index, _ in enumerate(domains):
        current = (given[index] if index < len(given) else "") or current
        if current not in told:
            told[current] = _webroot(name, current, found)
        result.append(told[current])
    return tuple(result)


def _webroot(name: str, way: str, found: Installation) -> str | None:
    if way.startswith("/"):
        return way
    if way in ("no", "apache", "stateless") or way.startswith("nginx:"):
        how = {"no": "it was validated by acme.sh's own listener on port 80 (--standalone)"}.get(
            way, f"it was validated by acme.sh's {printable(way.rstrip(':'))} mode"
        )
        return webroots.shipped(found, name, how)
    kind = "dns-01" if way.startswith("dns") else "a way that certd does not have"
    found.note(name, f"it is validated by {kind} ({printable(way)}); it stays with acme.sh, or needs http-01")
    return None


def _key_type(name: str, text: str, found: Installation) -> KeyType | None:
    if text in _KEYS:
        return _KEYS[text]
    found.note(
        name, f"its key type {printable(text)} is none that certd makes; the default of the configuration counts"
    )
    return None


def _note_the_rest(name: str, conf: shellconf.Settings, found: Installation) -> None:
    for key, what in _HOOKS.items():
        if conf.get(key):
            found.note(name, f"{key} ({what}) is not carried over; `after` of a server runs programs without a shell")
    if copies := [conf.get(key) for key in _INSTALLED if conf.get(key)]:
        listed = ", ".join(printable(copy) for copy in copies)
        found.note(name, f"acme.sh copied its files to {listed}; certd does not: see `certd adopt {name}`")
    if conf.get("Le_OCSP_Staple"):
        found.note(name, "OCSP must-staple is not asked for by certd")
    if conf.get("Le_Preferred_Chain"):
        found.note(name, "a preferred chain is not carried over; certd takes the CA's default chain")
    if conf.get("Le_Certificate_Profile"):
        found.note(name, "a certificate profile is not carried over; certd takes the CA's default")
    if conf.get("Le_PFXPassword"):
        found.note(name, "the PKCS #12 file that acme.sh made is not made by certd")
