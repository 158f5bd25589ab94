"""dehydrated: config, domains.txt, certs/ALIAS/*.pem, and accounts/CA/{account_key.pem,account_id.json}."""

from __future__ import annotations

import base64
import binascii
import json
import re
from pathlib import Path

from certd import pki
from certd.errors import PkiError, Refused
from certd.migrate import shellconf, sources, webroots
from certd.migrate.found import Account, Certificate, Installation
from certd.migrate.shellconf import Settings
from certd.migrate.sources import shown
from certd.model.specs import KeyType
from certd.text import printable

CLIENT = "dehydrated"
DEFAULT_DIRECTORY = "/etc/dehydrated"

_PRESETS = {
    "": "https://acme-v02.api.letsencrypt.org/directory",
    "letsencrypt": "https://acme-v02.api.letsencrypt.org/directory",
    "letsencrypt-test": "https://acme-staging-v02.api.letsencrypt.org/directory",
    "zerossl": "https://acme.zerossl.com/v2/DV90",
    "buypass": "https://api.buypass.com/acme/directory",
    "buypass-test": "https://api.test4.buypass.no/acme/directory",
}
_RSA = {"2048": KeyType.RSA2048, "3072": KeyType.RSA3072, "4096": KeyType.RSA4096}
_CURVES = {"prime256v1": KeyType.P256, "secp384r1": KeyType.P384}
_PER_CERTIFICATE = {
    *("KEY_ALGO", "OCSP_MUST_STAPLE", "KEYSIZE", "CHALLENGETYPE", "HOOK", "PREFERRED_CHAIN", "WELLKNOWN"),
    "RENEW_DAYS",
}
_TRUST = re.compile(r"--cacert[= ]+([^ ]+)")
_DEFAULT_WELL_KNOWN = "/var/www/dehydrated"


def read(directory: Path) -> Installation:
    """All that the file `config` in this directory leads to. Raises Refused where there is no such thing."""
    sources.demand_directory(directory, CLIENT)
    if not (directory / "config").is_file():
        raise Refused(f"{shown(directory)} holds nothing of dehydrated: there is no file config")
    found = Installation(CLIENT, directory)
    settings = _settings(directory, found)
    base = Path(settings.get("BASEDIR"))
    _read_accounts(settings, Path(settings.get("ACCOUNTDIR") or base / "accounts"), found)
    listed = Path(settings.get("DOMAINS_TXT") or base / "domains.txt")
    for alias, domains in _lines(sources.read_if_there(listed).decode("utf-8", "replace")):
        try:
            _read_certificate(alias, domains, settings, Path(settings.get("CERTDIR") or base / "certs"), found)
        except Refused as error:
            found.note(printable(alias), f"not carried over: {error}")
    if not listed.is_file():
        found.note(shown(listed), "there is no such file, so it is not known which certificates are wanted")
    return found


def _settings(directory: Path, found: Installation) -> Settings:
    files = [directory / "config"]
    settings = Settings({"BASEDIR": str(directory)})
    while files:
        path = files.pop(0)
        settings = shellconf.parse(sources.read_text(path), settings.values)
        for line in settings.obscure:
            found.note(shown(path), f"line {line} is no plain assignment; it was not read")
        if path.name == "config" and (more := settings.get("CONFIG_D")):
            files = sorted(Path(more).glob("*.sh"))
    return settings


def _read_accounts(settings: Settings, home: Path, found: Installation) -> None:
    """The account of every CA that was ever used; the directory is called by the CA's URL, in base64url."""
    bundle = _TRUST.search(settings.get("CURL_OPTS"))
    trust = Path(bundle[1].strip("\"'")) if bundle is not None else None
    email = settings.get("CONTACT_EMAIL")
    for path in sources.directories(home):
        directory = _url_of(path.name)
        if directory is None or not (path / "account_key.pem").is_file():
            continue
        if (path / "deactivated").exists():
            found.note(printable(directory), "the account is deactivated; it is not taken along")
            continue
        try:
            key = pki.pkcs8_from_pem(sources.read(path / "account_key.pem"))
            contact, bound = _registration(sources.read_if_there(path / "registration_info.json"))
            url = _account_url(sources.read_if_there(path / "account_id.json"))
        except (Refused, PkiError) as error:
            found.note(shown(path), f"the account at {printable(directory)} cannot be taken along: {error}")
            continue
        told = contact or ((email,) if email else ())
        found.accounts.append(Account(directory, directory, url, key, told, trust, path))
        if bound or settings.get("EAB_HMAC_KEY"):
            text = "it was registered with EAB credentials; the account exists, so they are not needed again"
            found.note(printable(directory), f"{text} and not taken along" if settings.get("EAB_HMAC_KEY") else text)


def _url_of(name: str) -> str | None:
    try:
        url = base64.b64decode(name + "=" * (-len(name) % 4), altchars=b"-_", validate=True).decode("ascii").strip()
    except (binascii.Error, ValueError):
        return None
    return url if url.startswith("https://") else None


def _registration(text: bytes) -> tuple[tuple[str, ...], bool]:
    """The addresses that the CA confirmed, and whether the account is bound to another one (EAB)."""
    said = _object(text)
    contact = said.get("contact")
    listed = [one for one in contact if isinstance(one, str)] if isinstance(contact, list) else []
    return tuple(one.removeprefix("mailto:") for one in listed), "externalAccountBinding" in said


def _account_url(text: bytes) -> str | None:
    url = _object(text).get("url")
    return url if isinstance(url, str) and url else None


def _object(text: bytes) -> dict[str, object]:
    try:
        said = json.loads(text or b"{}")
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _lines(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """Alias and domains of each line of domains.txt: ``example.jp www.example.jp > alias``."""
    found = []
    for raw in text.lower().splitlines():
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        names, arrow, alias = line.partition(">")
        words = tuple(names.split())
        if words:
            found.append((alias.split()[0] if arrow and alias.split() else words[0], words))
    return found


def _read_certificate(alias: str, domains: tuple[str, ...], general: Settings, home: Path, found: Installation) -> None:
    if "/" in alias:
        raise Refused(f"the alias {printable(alias)} has a slash in it")
    path = home / alias
    conf = Path(general.get("DOMAINS_D")) / alias if general.get("DOMAINS_D") else path / "config"
    own = shellconf.parse(sources.read_text(conf) if conf.is_file() else "", general.values)
    for line in own.obscure:
        found.note(shown(conf), f"line {line} is no plain assignment; it was not read")
    settings = Settings(general.values | {key: own.values[key] for key in _PER_CERTIFICATE & own.values.keys()})
    key, chain = (sources.read_if_there(path / file) for file in ("privkey.pem", "fullchain.pem"))
    about = printable(alias)
    _note_the_rest(about, settings, found)
    days = settings.get("RENEW_DAYS")
    found.certificates.append(
        Certificate(
            name=alias,
            domains=domains,
            account=_PRESETS.get(settings.get("CA"), settings.get("CA")),
            webroots=(_webroot(about, settings, found),) * len(domains),
            key_type=_key_type(about, settings, found),
            obscure_reload="HOOK" if settings.get("HOOK") else "",
            renew_before=f"{days}d" if re.fullmatch("[1-9][0-9]{0,2}", days) else None,
            source=path,
            key=key if chain else b"",
            parts=(chain,) if key and chain else (),
        )
    )


def _webroot(about: str, settings: Settings, found: Installation) -> str | None:
    way = settings.get("CHALLENGETYPE") or "http-01"
    if way != "http-01":
        found.note(about, f"it is validated by {printable(way)}; it stays with dehydrated, or needs http-01")
        return None
    place = (settings.get("WELLKNOWN") or _DEFAULT_WELL_KNOWN).rstrip("/")
    if place.endswith(webroots.WELL_KNOWN):
        return place.removesuffix(webroots.WELL_KNOWN) or "/"
    # An Alias leads there. certd makes .well-known/acme-challenge below its own web root, so another one is needed.
    return webroots.shipped(found, about, f"an Alias of the web server leads to dehydrated's {printable(place)}")


def _key_type(about: str, settings: Settings, found: Installation) -> KeyType | None:
    algorithm, size = settings.get("KEY_ALGO") or "secp384r1", settings.get("KEYSIZE") or "4096"
    kind = _RSA.get(size) if algorithm == "rsa" else _CURVES.get(algorithm)
    if kind is None:
        found.note(about, f"its key type {printable(algorithm)} {printable(size)} is none that certd makes")
    return kind


def _note_the_rest(about: str, settings: Settings, found: Installation) -> None:
    if settings.get("HOOK"):
        found.note(about, f"HOOK {printable(settings.get('HOOK'))} is not carried over")
    if settings.get("OCSP_MUST_STAPLE") == "yes":
        found.note(about, "OCSP must-staple is not asked for by certd")
    if settings.get("PREFERRED_CHAIN"):
        found.note(about, "a preferred chain is not carried over; certd takes the CA's default chain")
    if settings.get("PRIVATE_KEY_RENEW") == "no":
        found.note(about, "dehydrated kept the key at renewals (PRIVATE_KEY_RENEW); certd makes a new one each time")
