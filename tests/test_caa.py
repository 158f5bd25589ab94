"""certd.caa: what stands in a CA's way, and how a name server is asked for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import dns.rcode
import pytest
from parts import NameServer
from parts.nameserver import SILENCE

from certd.caa import Property, RecordSet, ask_resolver, finding, relevant_set

OURS = ("jprs.jp",)
OTHER = Property(0, "issue", "letsencrypt.org")
JPRS = Property(0, "issue", "jprs.jp")
NOBODY = Property(0, "issue", ";")
WILD_OTHER = Property(0, "issuewild", "letsencrypt.org")
MAIL = Property(0, "iodef", "mailto:ops@example.jp")


def asking(zone: Mapping[str, tuple[Property, ...]]) -> Callable[[str, float], tuple[Property, ...]]:
    return lambda name, _: zone.get(name, ())


@pytest.mark.parametrize(
    ("zone", "domain", "owner"),
    [
        ({"a.example.jp": (OTHER,), "example.jp": (JPRS,)}, "a.example.jp", "a.example.jp"),
        ({"example.jp": (JPRS,)}, "a.b.example.jp", "example.jp"),
        ({"example.jp": (JPRS,)}, "*.example.jp", "example.jp"),
        ({"jp": (JPRS,)}, "a.example.jp", "jp"),
        ({"b.example.jp": (JPRS,)}, "a.example.jp", None),
    ],
)
def test_the_set_that_governs(zone: dict[str, tuple[Property, ...]], domain: str, owner: str | None) -> None:
    """RFC 8659 section 3: the name's own, else the next parent's, up to the top; a wildcard's is its parent's."""
    found = relevant_set(domain, lambda name: zone.get(name, ()))
    assert (found.owner if found else None) == owner


@pytest.mark.parametrize(
    ("properties", "domain", "needed"),
    [
        ((OTHER,), "www.example.jp", 'example.jp. CAA 0 issue "jprs.jp"'),
        ((NOBODY,), "www.example.jp", 'example.jp. CAA 0 issue "jprs.jp"'),
        ((OTHER, JPRS), "www.example.jp", None),
        ((Property(0, "issue", " JPRS.jp "),), "www.example.jp", None),
        ((Property(0, "issue", "jprs.jp; validationmethods=dns-01"),), "www.example.jp", 'CAA 0 issue "jprs.jp"'),
        ((Property(0, "issue", "jprs.jp;"),), "www.example.jp", None),
        ((MAIL,), "www.example.jp", None),
        ((JPRS, WILD_OTHER), "www.example.jp", None),
        ((WILD_OTHER,), "www.example.jp", None),
        ((JPRS, WILD_OTHER), "*.example.jp", 'example.jp. CAA 0 issuewild "jprs.jp"'),
        ((OTHER,), "*.example.jp", 'example.jp. CAA 0 issue "jprs.jp"'),
        ((JPRS, Property(128, "tbs", "Unknown")), "www.example.jp", "the critical property tbs forbids every CA"),
        ((JPRS, Property(0, "tbs", "Unknown")), "www.example.jp", None),
        ((JPRS, Property(128, "iodef", "mailto:ops@example.jp")), "www.example.jp", None),
    ],
)
def test_what_is_in_the_way(properties: tuple[Property, ...], domain: str, needed: str | None) -> None:
    """RFC 8659 sections 4.1 to 4.3, RFC 8657: the set that was found, and the record that is missing in it."""
    told = finding([domain], OURS, asking({"example.jp": properties}))
    if needed is None:
        assert told == f"no CAA record that forbids it is seen from here, for {domain}"
    else:
        assert told.startswith(f"{domain}: found example.jp. {properties[0]}")
        assert needed in told


def test_a_ca_whose_name_is_not_known() -> None:
    """Then the set is named all the same."""
    told = finding(["example.jp"], (), asking({"example.jp": (OTHER, MAIL)}))
    assert told == (
        'example.jp: found example.jp. CAA 0 issue "letsencrypt.org", CAA 0 iodef "mailto:ops@example.jp"; '
        "needed: a record that names the CA"
    )


def test_of_many_names_the_one_that_is_forbidden() -> None:
    """And no name server is asked twice for one name."""
    asked: list[str] = []

    def ask(name: str, seconds: float) -> tuple[Property, ...]:
        asked.append(name)
        return {"c.example.jp": (OTHER,), "example.jp": (JPRS,)}.get(name, ())

    assert finding(["a.example.jp", "b.example.jp", "c.example.jp"], OURS, ask).startswith("c.example.jp: found c.")
    assert asked == ["a.example.jp", "example.jp", "b.example.jp", "c.example.jp"]


def test_what_can_not_be_looked_up_is_told() -> None:
    """It may be the CA's trouble as well; a set that is found to forbid says more."""

    def ask(name: str, seconds: float) -> tuple[Property, ...]:
        if name == "a.jp":
            raise OSError("answered SERVFAIL")
        return (OTHER,) if name == "b.jp" else ()

    told = finding(["a.jp", "c.jp"], OURS, ask)
    assert told == "the CAA records of a.jp cannot be looked up here: answered SERVFAIL"
    assert finding(["a.jp", "b.jp"], OURS, ask).startswith("b.jp: found")


def test_time_for_all_questions_together() -> None:
    """A hundred names behind a name server that is silent do not take a hundred times its time."""
    asked: list[float] = []

    def ask(name: str, seconds: float) -> tuple[Property, ...]:
        asked.append(seconds)
        raise TimeoutError("the name servers did not answer in time")

    told = finding([f"{n}.jp" for n in range(100)], OURS, ask, seconds=0.0)
    assert asked == []
    assert told.startswith("the CAA records of 0.jp cannot be looked up here: ")


def test_hostile_records_stay_on_one_line() -> None:
    """Anybody may put anything into a zone."""
    many = tuple(Property(0, "issue", "\x1b[31m" + "x" * 500) for _ in range(50))
    told = str(RecordSet("example.jp", many))
    assert told.isprintable()
    assert len(told) < 350
    assert told.endswith(" and 47 more")


ZONE = {
    ("example.jp", "CAA"): ['0 issue "letsencrypt.org"', '0 Iodef "mailto:ops@example.jp"'],
    ("www.example.jp", "A"): ["192.0.2.1"],
    ("alias.example.jp", "CNAME"): ["elsewhere.test"],
    ("elsewhere.test", "CAA"): ['128 issue "ca.test"'],
}


def test_name_servers_are_asked(tmp_path: Path) -> None:
    """Properties as they are; () where a name has none, or is none; an alias is followed."""
    with NameServer(ZONE) as server:
        ask = partial(ask_resolver, resolv_conf=server.resolv_conf(tmp_path), port=server.port)
        assert sorted(ask("example.jp", 5)) == [Property(0, "iodef", "mailto:ops@example.jp"), OTHER]
        assert ask("www.example.jp", 5) == ()
        assert ask("no.example.jp", 5) == ()
        assert ask("alias.example.jp", 5) == (Property(128, "issue", "ca.test"),)
        assert finding(["deep.down.example.jp"], OURS, ask).startswith("deep.down.example.jp: found example.jp. CAA 0")


@pytest.mark.parametrize(
    ("trouble", "words"), [(dns.rcode.SERVFAIL, "SERVFAIL"), (dns.rcode.REFUSED, "REFUSED"), (SILENCE, "in time")]
)
def test_name_servers_that_do_not_answer(tmp_path: Path, trouble: int, words: str) -> None:
    """An OSError that says so, within the time."""
    with NameServer(ZONE, {"example.jp": trouble}) as server, pytest.raises(OSError, match=words):
        ask_resolver("example.jp", 1.0, resolv_conf=server.resolv_conf(tmp_path), port=server.port)


def test_a_machine_without_name_servers(tmp_path: Path) -> None:
    """No /etc/resolv.conf, or nonsense for a name: an OSError, nothing else."""
    with pytest.raises(OSError, match="cannot open"):
        ask_resolver("example.jp", 1.0, resolv_conf=tmp_path / "none")
    with NameServer({}) as server, pytest.raises(OSError, match="label"):
        ask_resolver("x" * 70, 1.0, resolv_conf=server.resolv_conf(tmp_path), port=server.port)
