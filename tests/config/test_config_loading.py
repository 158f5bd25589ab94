"""certd.config.loading: the files; and the example, and a big one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from configuring import CA, DEFAULTS, KEY, SOLVERS, Folder

from certd.config import load
from certd.errors import ConfigError

_EXAMPLE = Path(__file__).parents[2] / "config.example.yaml"


def _certificates(*domains: str) -> str:
    return "certificates:\n" + "".join(f"  - domains: [{domain}]\n" for domain in domains)


def test_included_files_are_read_in_the_order_of_their_names(folder: Folder) -> None:
    """Relative to the main file, after its own certificates; hidden files, directories and empty files are nothing."""
    folder.write("conf.d/20.yaml", _certificates("c.jp"))
    folder.write("conf.d/10.yaml", _certificates("b.jp", "b2.jp"))
    folder.write("conf.d/.10.yaml.swp.yaml", "not: [this")
    folder.write("conf.d/15.yaml", "# nothing yet\n")
    folder.write("conf.d/30.yml", "nor: this")
    (folder.path / "conf.d" / "dir.yaml").mkdir()
    config = folder.load(CA + DEFAULTS + "include: conf.d/*.yaml\n" + _certificates("a.jp"))
    assert list(config.certificates) == ["a.jp", "b.jp", "b2.jp", "c.jp"]
    assert config.warnings == ()


def test_include_takes_a_list_and_absolute_paths_and_each_file_once(folder: Folder) -> None:
    """A pattern that matches nothing is fine; a file that is not there is not."""
    path = folder.write("x/one.yaml", _certificates("b.jp"))
    text = f"{CA}{DEFAULTS}include: [{path}, 'x/*.yaml', 'y/*.yaml']\n"
    assert list(folder.load(text).certificates) == ["b.jp"]
    assert "there is no file" in folder.errors(text.replace("'y/*.yaml'", "y.yaml"))[0]


@contextmanager
def nobody() -> Iterator[None]:
    """The rights of a user without any, for a while; who is no root has them already."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("mode", [0o700, 0o744])
def test_a_directory_that_may_not_be_looked_into_is_not_an_empty_one(mode: int) -> None:
    """Its certificates would be gone without a word, and nothing would renew them."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)  # of one's own: pytest's are closed above it
        folder = Folder(Path(name))
        folder.write("config.yaml", CA + DEFAULTS + "include: conf.d/*.yaml\n" + _certificates("a.jp"), 0o644)
        folder.write("conf.d/b.yaml", _certificates("b.jp"), 0o644)
        closed = folder.path / "conf.d"
        closed.chmod(mode if os.geteuid() == 0 else 0o000)
        with nobody():
            errors = folder.errors()
        closed.chmod(0o755)
        assert errors == [f"config.yaml:3: include: {closed} may not be looked into by this user; give it access, or "
                          "name another place"]  # fmt: skip
        (folder.path / "secret").mkdir(mode=0o700)
        folder.write("secret/c.yaml", _certificates("c.jp"))
        (closed / "c.yaml").symlink_to(folder.path / "secret/c.yaml")
        (folder.path / "secret").chmod(0o700 if os.geteuid() == 0 else 0o000)
        with nobody():
            errors = folder.errors()
        (folder.path / "secret").chmod(0o700)
        assert errors == ["conf.d/c.yaml:1: (file): cannot read the file: Permission denied"]


def test_included_files_hold_certificates_only(folder: Folder) -> None:
    """Whatever else stands there is refused, by the name of that file; names must differ across files."""
    folder.write("conf.d/a.yaml", _certificates("a.jp") + "include: x\ndefault: 1\n")
    folder.write("conf.d/b.yaml", "- a\n")
    folder.write("conf.d/c.yaml", "certificates: [{name: b.jp, domains: [c.jp]}]\n")
    assert folder.errors(CA + DEFAULTS + "include: conf.d/*.yaml\n" + _certificates("b.jp")) == [
        "conf.d/a.yaml:3: include: belongs into the main file; included files hold certificates only",
        "conf.d/a.yaml:4: default: unknown key; included files hold certificates only",
        "conf.d/b.yaml:1: (file): this is not a mapping; a configuration has the keys cas, defaults, certificates and "
        "others",
        "conf.d/c.yaml:1: certificates[0].name: a second certificate with the name b.jp "
        f"(the other one: {folder.main}:5)",
    ]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "config.yaml:1: (file): the file is empty"),
        ("# nothing\n", "config.yaml:1: (file): the file is empty"),
        ("[]\n", "config.yaml:1: (file): this is not a mapping"),
        ("text\n", "config.yaml:1: (file): this is not a mapping"),
        ("{}\n", "config.yaml:1: cas: missing; must be a mapping of names to CAs"),
        ("cas: [\n", "config.yaml:2: (file): not YAML"),
    ],
)
def test_files_that_are_no_configuration(folder: Folder, text: str, error: str) -> None:
    """Each gives one error."""
    (found,) = folder.errors(text)
    assert found.startswith(error)


def test_a_file_that_cannot_be_read(folder: Folder) -> None:
    """Missing, or a directory: an error of the configuration like any other."""
    assert folder.errors() == ["config.yaml:1: (file): cannot read the file: No such file or directory"]
    folder.main.mkdir()
    assert folder.errors() == ["config.yaml:1: (file): cannot read the file: not a regular file"]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[1, 2]: 3\n", "config.yaml:1: (file): a key must be text"),
        ("[" * 100_000, "nested more than"),
        (f'include: "a\\0b"\n{CA}{DEFAULTS}certificates: []\n', "config.yaml:1: include: line breaks and control"),
    ],
)
def test_odd_files_are_errors_and_nothing_else(folder: Folder, text: str, error: str) -> None:
    """Neither a traceback nor a run without end."""
    assert error in folder.errors(text)[0]


@pytest.mark.parametrize("place", ["main", "trust"])
def test_a_fifo_holds_nobody_up(folder: Folder, place: str) -> None:
    """It is never opened: whoever opens one waits for a writer."""
    fifo = folder.main if place == "main" else folder.path / "roots.pem"
    os.mkfifo(fifo)
    text = (
        None if place == "main" else CA.replace("agreed: true", f"agreed: true, trust: {fifo}") + "certificates: []\n"
    )
    (found,) = folder.errors(text) if text is not None else folder.errors()
    assert "not a regular file" in found


def test_errors_carry_the_warnings_apart(folder: Folder) -> None:
    """Both are worth seeing in one run."""
    with pytest.raises(ConfigError) as caught:
        folder.load(CA + "certificates: [{domains: [a.jp]}, {domains: [x.jp, a.jp]}]\n")
    assert len(caught.value.problems) == 2
    assert len(caught.value.warnings) == 1
    assert str(caught.value).count("\n") == 1


def test_the_example_is_a_sound_configuration(folder: Folder) -> None:
    """Apart from the secret, which only its operator has."""
    with pytest.raises(ConfigError, match=r"config\.example\.yaml:\d+: cas\.jprs\.eab\.hmac_key_file") as caught:
        load(_EXAMPLE, solvers=SOLVERS)
    assert len(caught.value.problems) == 1
    key = folder.write("eab.key", KEY, 0o600)
    config = folder.load(_EXAMPLE.read_text("utf-8").replace("/etc/certd/eab-hmac.key", str(key)))
    assert list(config.certificates) == ["example.jp", "shop.example.jp"]
    assert config.warnings == ()


def test_the_values_of_the_example_are_the_defaults(folder: Folder) -> None:
    """What the example calls a default is one: without these lines nothing changes."""
    key = folder.write("eab.key", KEY, 0o600)
    text = _EXAMPLE.read_text("utf-8").replace("/etc/certd/eab-hmac.key", str(key))
    short = f"""\
        cas:
          jprs:
            directory: https://acme.amecert.jprs.jp/DV/getDirectory
            contact: [ops@example.jp]
            terms_of_service_agreed: true
            eab: {{kid: KID, hmac_key_file: {key}, issued: 2026-11-20}}
        servers: {{web: {{reload: {{service: httpd}}}}}}
        defaults: {{challenge: {{type: http-01, webroot: /var/www/html}}, deploy: web, renew_before: 1/3}}
        certificates:
          - domains: [example.jp, www.example.jp]
          - {{domains: [shop.example.jp], challenge: {{webroot: /var/www/shop}}}}
        """
    assert folder.load(text) == folder.load(short)


def test_ten_thousand_certificates(folder: Folder) -> None:
    """All arrive, in order, and what is equal is one object; a mistake among them is found at its line."""
    entries = "".join(
        f"  - domains: [s{n}.example.jp, www.s{n}.example.jp]\n    ocsp: {{propagation_delay: {n % 3 + 1}m}}\n"
        for n in range(10_000)
    )
    config = folder.load(CA + DEFAULTS + "certificates:\n" + entries)
    assert list(config.certificates) == [f"s{n}.example.jp" for n in range(10_000)]
    specs = list(config.certificates.values())
    assert all(spec.ocsp.propagation_delay.seconds == (n % 3 + 1) * 60 for n, spec in enumerate(specs))
    for field in ("challenges", "deploy", "files", "ca"):
        assert len({id(getattr(spec, field)) for spec in specs}) == 1
    assert len({id(spec.ocsp) for spec in specs}) == 3
    broken = entries.replace("[s7777.example.jp,", "[s7777_.example.jp,")
    (error,) = folder.errors(CA + DEFAULTS + "certificates:\n" + broken)
    assert error.startswith("config.yaml:15558: certificates[7777].domains[0]: ")


def test_ten_thousand_mistakes_are_all_reported(folder: Folder) -> None:
    """However many there are."""
    entries = "".join(f"  - {{domains: [s{n}.example.jp], kee: p256}}\n" for n in range(10_000))
    errors = folder.errors(CA + DEFAULTS + "certificates:\n" + entries)
    assert len(errors) == 10_000
    assert errors[9_999].startswith("config.yaml:10003: certificates[9999].kee: unknown key; did you mean key?")
