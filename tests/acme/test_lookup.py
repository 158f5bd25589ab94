"""certd.acme.lookup: whatever an operator has at hand leads to what certd itself would make of it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certd.acme.judgements import KINDS, TABLE
from certd.acme.lookup import explain
from certd.acme.problem import ACME_PREFIX, OLD_PREFIX
from certd.errors import ProblemError

ROWS = list(csv.DictReader(Path(__file__).with_name("jprs_errors.csv").read_text(encoding="utf-8").splitlines()))
TYPES = sorted({entry.type for entry in TABLE})
# What the same words mean depends on the object that was asked for.
SHARED = [{"17", "19"}, {"18", "20"}]


def codes(query: str) -> list[str]:
    return [one.code for one in explain(query)]


def of(*rows: str) -> set[str]:
    return {entry.code for entry in TABLE if str(entry.row) in rows}


def problem(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": ACME_PREFIX + name} | fields


def document(row: dict[str, str]) -> str:
    detail = row["message"].replace("[%s]", "[www.example.jp]")
    return json.dumps(
        {"type": ACME_PREFIX + row["type"], "status": int(row["http_status"]), "detail": detail}, indent=1
    )


def expected(row: dict[str, str]) -> set[str]:
    return of(*next((rows for rows in SHARED if row["n"] in rows), {row["n"]}))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"row{row['n']}")
def test_each_row_of_jprs_by_its_words(row: dict[str, str]) -> None:
    """The message word for word, with a value in it, or as it stands in some line: this row, and no other."""
    message = row["message"].replace("[%s]", "[www.example.jp]")
    assert set(codes(row["message"])) == set(codes(message)) == set(codes(f"acme.sh: {message} (400)")) == expected(row)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"row{row['n']}")
def test_each_row_of_jprs_by_its_document(row: dict[str, str]) -> None:
    """The problem document as it came, or pasted with what stood around it; the CA's own words are shown."""
    text = document(row)
    assert set(codes(text)) == set(codes(f"[Thu] response='{text}'")) == expected(row)
    assert all(one.message == json.loads(text)["detail"] for one in explain(text, "ja"))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"row{row['n']}")
def test_each_row_of_jprs_by_a_line_of_the_log(row: dict[str, str]) -> None:
    """certd's own line names what was asked for as well: rows 17 and 19, 18 and 20 are told apart."""
    asked = "authorization" if row["n"] in ("19", "20") else "order"
    message = row["message"].replace("[%s]", "[www.example.jp]")
    error = ProblemError(type=ACME_PREFIX + row["type"], status=int(row["http_status"]), detail=message, asked=asked)
    line = f"Nov 26 13:00:00 web1 certd[7]: {error}. certificate=www.example.jp step=poll"
    assert set(codes(line)) == of(row["n"])


@pytest.mark.parametrize("name", TYPES)
def test_each_type_is_known(name: str) -> None:
    """RFC 8555 section 6.7, RFC 9773 section 5 and the profiles: with either prefix or none, in any case of letters."""
    for query in (name, ACME_PREFIX + name, OLD_PREFIX + name, name.lower()):
        found = explain(query)
        assert found, query
        assert {one.type for one in found} == {name}


@pytest.mark.parametrize("code", sorted(KINDS))
def test_each_code_is_known(code: str) -> None:
    """As it stands in the status; in both languages."""
    for lang in ("en", "ja"):
        (found,) = explain(code, lang)  # type: ignore[arg-type]
        assert found.code == code
        assert found.happened
        assert found.does
        assert found.remedy


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (problem("unauthorized", status=401), ["acme:account-status"]),
        (
            problem("unauthorized", status=403),
            ["acme:unauthorized", "acme:account-status", "acme:registration-refused"],
        ),
        (problem("malformed", status=404, detail="No order"), ["order-vanished", "http:not-found"]),
        (problem("malformed", status=400, detail="Something new"), ["acme:malformed"]),
        (problem("somethingNew", status=400), ["acme:unknown"]),
    ],
)
def test_documents_are_judged_as_certd_judges_them(value: dict[str, Any], found: list[str]) -> None:
    """By type and status; what was asked for is not in a document, so each meaning it can have is told."""
    assert codes(json.dumps(value)) == found


def test_documents_without_an_acme_type() -> None:
    """RFC 7807: the status alone tells; any other JSON means nothing, and is searched for words like other text."""
    assert codes('{"status": 503, "title": "Service Unavailable"}') == ["http:unavailable"]
    assert codes('{"detail": "nothing"}') == []
    assert codes('{"status": "valid", "note": "rateLimited"}') == ["acme:rate-limited"]


def test_a_compound_problem_is_told_by_its_parts() -> None:
    """RFC 8555 section 6.7.1: one paragraph for each reason, with the names that it concerns."""
    parts = [problem("caa", detail="no", identifier={"type": "dns", "value": f"{name}.jp"}) for name in "abcdefg"]
    parts += [problem("malformed", detail="The FQDN is invalid: [x]"), {"detail": "no type"}]
    first, second, third = explain(json.dumps(problem("compound", status=403, subproblems=parts)))
    assert (first.code, first.about, first.message) == ("acme:caa", "a.jp, b.jp, c.jp, d.jp, e.jp, +2", "no")
    assert (second.code, second.about) == ("jprs:fqdn-invalid", "")
    assert third.code == "http:refused"


def test_failed_objects() -> None:
    """An authorization, a challenge or an order with the reason in it: a validation that failed."""
    error = problem("connection", status=400, detail="Timeout")
    challenge = {"type": "http-01", "status": "invalid", "error": error}
    authorization = {
        "status": "invalid",
        "identifier": {"type": "dns", "value": "a.jp\x1b[2J"},
        "challenges": [{"type": "dns-01", "status": "pending"}, challenge],
    }
    (found,) = explain(json.dumps(authorization))
    assert (found.code, found.about, found.message) == ("acme:connection", "a.jp\\x1b[2J", "Timeout")
    assert (
        codes(json.dumps(challenge)) == codes(json.dumps({"status": "invalid", "error": error})) == ["acme:connection"]
    )
    # A CA that writes 401 into an authorization speaks of a validation (row 27).
    assert codes(json.dumps({"error": problem("unauthorized", status=401)})) == ["acme:unauthorized"]


def test_what_operators_have_at_hand() -> None:
    """Statuses, parts of a message, words in Japanese; and nothing where nothing is known."""
    assert codes("429") == ["acme:rate-limited", "http:too-many-requests"]
    assert codes("401 unauthorized") == ["acme:account-status"]
    assert codes("unable to create ACCOUNT") == ["jprs:eab-invalid"]
    assert codes("Unable to accept order") == ["jprs:authorization-status", "jprs:order-status"]
    assert codes("code=transport:deadline-exceeded attempts=3") == ["transport:deadline-exceeded"]
    assert set(codes("404 malformed")) == {"http:not-found", "order-vanished"}
    assert codes("400 malformed: something new") == ["acme:malformed"]
    assert len(codes("malformed")) == len([entry for entry in TABLE if entry.type == "malformed"])
    assert "jprs:eab-invalid" in [one.code for one in explain("14日", "ja")]
    assert codes("pki:anything") == ["pki:other"]
    assert codes("zzz") == codes("") == []


@given(
    st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(lambda v: json.dumps({"error": v}))
)
def test_any_query_has_an_answer(query: str) -> None:
    """Never a crash."""
    assert all(one.code in KINDS for one in explain(query))


@pytest.mark.parametrize("text", ['{"type":' * 5000, "{" * 100_000, '{"type": "x", "subproblems": ' + "[" * 9000])
def test_documents_that_are_none(text: str) -> None:
    """However deep and long."""
    assert explain(text) == ()
