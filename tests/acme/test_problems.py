"""certd.acme.problems: every failure has a kind, a code and prose in two languages."""

from __future__ import annotations

import csv
import errno
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certd import errors
from certd.acme import explanations_en, explanations_ja
from certd.acme.judgements import KINDS, TABLE
from certd.acme.order import AUTHORIZATION_GONE, NO_CHALLENGE
from certd.acme.problem import ACME_PREFIX
from certd.acme.problems import Verdict, judge, judge_order, prose
from certd.model.codes import Kind
from certd.model.orders import OrderFailed
from certd.model.records import Step

ROWS = list(csv.DictReader(Path(__file__).with_name("jprs_errors.csv").read_text(encoding="utf-8").splitlines()))

RFC8555_TYPES = (
    "accountDoesNotExist alreadyRevoked badCSR badNonce badPublicKey badRevocationReason badSignatureAlgorithm caa "
    "compound connection dns externalAccountRequired incorrectResponse invalidContact malformed orderNotReady "
    "rateLimited rejectedIdentifier serverInternal tls unauthorized unsupportedContact unsupportedIdentifier "
    "userActionRequired"
)


def remedy(code: str) -> str:
    text = prose(code)
    assert text is not None
    return text.remedy


def problem(type: str, status: int = 400, detail: str = "", asked: str = "newOrder") -> errors.ProblemError:
    return errors.ProblemError(type=ACME_PREFIX + type, status=status, detail=detail, asked=asked)


ASKED = {"19": "authorization", "20": "challenge", "13": "newAccount", "14": "newAccount", "15": "newAccount"}
KIND_OF = {
    "retry-now": Kind.TRANSIENT,  # the client resends; what comes out of it has failed twenty times
    "new-order": Kind.NEW_ORDER,
}
READ_AGAIN_FIRST = {"18", "20"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"row{row['n']}")
def test_each_row_of_jprs(row: dict[str, str]) -> None:
    """Matched by type, status, message and what was asked for: the kind that the service's list calls for."""
    detail = row["message"].replace("[%s]", "[www.example.jp]")
    error = problem(row["type"], int(row["http_status"]), detail, ASKED.get(row["n"], "finalize"))
    verdict = judge(error, Step.NEW_ORDER)
    (entry,) = [one for one in TABLE if one.row == int(row["n"])]
    assert verdict.code == entry.code
    assert (entry.type, entry.status, entry.message) == (row["type"], int(row["http_status"]), row["message"])
    expected = KIND_OF.get(row["kind"]) or Kind(row["kind"])
    # "read the order once more and go on from its real status; else a new order" is what a poll does.
    assert verdict.kind is (Kind.POLL if row["n"] in READ_AGAIN_FIRST else expected)
    assert detail[:60] in verdict.text


def test_every_row_has_its_own_code() -> None:
    """The 29 rows are told apart, 17 from 19 and 18 from 20 included."""
    assert len(ROWS) == 29
    codes = [entry.code for entry in TABLE if entry.row]
    assert len(codes) == len(set(codes)) == 29


@pytest.mark.parametrize("name", [*RFC8555_TYPES.split(), "alreadyReplaced"])
def test_each_type_of_the_rfcs_is_known(name: str) -> None:
    """RFC 8555 section 6.7 and RFC 9773 section 5: no type is judged by its status alone, with either prefix."""
    assert judge(problem(name, 403), Step.NEW_ORDER).code.startswith("acme:")
    assert judge(problem(name, 403), Step.NEW_ORDER).code != "acme:unknown"


@pytest.mark.parametrize(
    ("status", "asked", "code", "kind"),
    [
        (401, "newOrder", "acme:account-status", Kind.ACCOUNT),
        (401, "account", "acme:account-status", Kind.ACCOUNT),
        (403, "newOrder", "acme:account-status", Kind.ACCOUNT),
        (403, "authorization", "acme:unauthorized", Kind.VALIDATION),
        (403, "challenge", "acme:unauthorized", Kind.VALIDATION),
        (403, "newAccount", "acme:registration-refused", Kind.OPERATOR),
    ],
)
def test_unauthorized(status: int, asked: str, code: str, kind: Kind) -> None:
    """401 speaks of the account (row 27), 403 inside an authorization of a validation."""
    verdict = judge(problem("unauthorized", status, "no", asked), Step.POLL)
    assert (verdict.code, verdict.kind) == (code, kind)


@pytest.mark.parametrize("name", ["connection", "dns", "tls", "incorrectResponse", "unauthorized", "whatever"])
@pytest.mark.parametrize("status", [0, 400, 401, 403])
def test_failed_validations(name: str, status: int) -> None:
    """Whatever the reason why an authorization failed: new orders, first quickly, then daily."""
    failed = OrderFailed(ACME_PREFIX + name, "a.jp: http-01: no", status, "a.jp", validation=True)
    assert judge_order(failed).kind is Kind.VALIDATION


@pytest.mark.parametrize(
    ("failed", "code", "kind"),
    [
        (OrderFailed(ACME_PREFIX + "caa", "x", 403, "a.jp", True), "acme:caa", Kind.OPERATOR),
        (OrderFailed(ACME_PREFIX + "unauthorized", "x", 403), "acme:unauthorized", Kind.VALIDATION),
        (OrderFailed(NO_CHALLENGE, "x"), "order:no-challenge", Kind.OPERATOR),
        (OrderFailed(AUTHORIZATION_GONE, "x", validation=True), "order:authorization-gone", Kind.NEW_ORDER),
        (OrderFailed("", "x", validation=True), "order:validation-failed", Kind.VALIDATION),
        (OrderFailed("about:blank", "x"), "order:invalid", Kind.NEW_ORDER),
    ],
)
def test_failed_orders(failed: OrderFailed, code: str, kind: Kind) -> None:
    """What next_step reports becomes a kind and a code."""
    assert judge_order(failed) == Verdict(kind, code, "x")


@pytest.mark.parametrize(
    ("status", "asked", "code", "kind"),
    [
        (404, "order", "order-vanished", Kind.NEW_ORDER),
        (404, "authorization", "order-vanished", Kind.NEW_ORDER),
        (404, "directory", "http:not-found", Kind.TRANSIENT),
        (404, "certificate", "http:not-found", Kind.TRANSIENT),
        (429, "newOrder", "http:too-many-requests", Kind.RATE_LIMITED),
        (503, "newNonce", "http:unavailable", Kind.TRANSIENT),
        (407, "directory", "http:proxy-authentication", Kind.OPERATOR),
        (403, "directory", "http:refused", Kind.TRANSIENT),
    ],
)
def test_answers_without_a_type(status: int, asked: str, code: str, kind: Kind) -> None:
    """Something in between, or a CA without a problem document, is judged by its status."""
    error = errors.ProblemError(type="about:blank", status=status, detail="", asked=asked)
    verdict = judge(error, Step.POLL)
    assert (verdict.code, verdict.kind) == (code, kind)


def test_malformed_404_is_a_missing_object() -> None:
    """Some CAs answer so for an order that a replica does not have yet: it must not count as a bug of ours."""
    assert judge(problem("malformed", 404, "No order for ID 5", "order"), Step.POLL).code == "order-vanished"


def test_compound_is_judged_by_its_parts() -> None:
    """RFC 8555 section 6.7.1; what each part says of which name is in the text."""
    error = errors.ProblemError(
        type=ACME_PREFIX + "compound",
        status=403,
        detail="several",
        asked="newOrder",
        subproblems=(("a.jp", "rejectedIdentifier: no"), ("b.jp", "caa: no")),
    )
    verdict = judge(error, Step.NEW_ORDER)
    assert verdict.code == "acme:rejected-identifier"
    assert "a.jp: rejectedIdentifier: no; b.jp: caa: no" in verdict.text


def test_the_message_of_a_part_counts() -> None:
    """JPRS tells most of its errors apart by their messages alone."""
    parts = (("www.example.jp", "malformed: The FQDN is invalid: [www.example.jp]"),)
    error = errors.ProblemError(
        type=ACME_PREFIX + "compound", status=400, detail="one", asked="newOrder", subproblems=parts
    )
    assert judge(error, Step.NEW_ORDER).code == "jprs:fqdn-invalid"


@pytest.mark.parametrize(
    ("error", "step", "code", "kind"),
    [
        (errors.ConnectFailed("x"), Step.POLL, "transport:connect-failed", Kind.TRANSIENT),
        (errors.DeadlineExceeded("x"), Step.POLL, "transport:deadline-exceeded", Kind.TRANSIENT),
        (errors.TlsFailed("x"), Step.POLL, "transport:tls-failed", Kind.TRANSIENT),
        (errors.BodyTooLarge("x"), Step.POLL, "transport:body-too-large", Kind.TRANSIENT),
        (errors.InsecureUrl("x"), Step.POLL, "transport:insecure-url", Kind.OPERATOR),
        (errors.ExchangeError("x"), Step.POLL, "transport:exchange", Kind.TRANSIENT),
        (errors.ProtocolError("x"), Step.POLL, "protocol:broken-answer", Kind.TRANSIENT),
        (errors.PkiError("key-mismatch", "x"), Step.DOWNLOAD, "pki:key-mismatch", Kind.TRANSIENT),
        (errors.PkiError("key-unreadable", "x"), Step.FINALIZE, "pki:key-unreadable", Kind.NEW_ORDER),
        (errors.PkiError("novel", "x"), Step.STORE, "pki:novel", Kind.OPERATOR),
        (errors.ChallengeError("x"), Step.PRESENT, "challenge:not-presented", Kind.OPERATOR),
        (OSError(errno.ENOSPC, "x"), Step.STORE, "os:no-resources", Kind.TRANSIENT),
        (PermissionError(errno.EACCES, "x"), Step.STORE, "os:permission", Kind.OPERATOR),
        (OSError(errno.EIO, "x"), Step.STORE, "os:error", Kind.TRANSIENT),
        (errors.BrokenRecord("x"), Step.STORE, "state:broken-record", Kind.OPERATOR),
        (errors.OcspInvalid("x"), Step.OCSP, "ocsp:ocsp-invalid", Kind.TRANSIENT),
        (errors.CommandFailed("x"), Step.RELOAD, "command:command-failed", Kind.TRANSIENT),
        (errors.Refused("x"), Step.STORE, "refused:refused", Kind.OPERATOR),
        (errors.ConfigError(["x"]), Step.STORE, "config:config", Kind.OPERATOR),
        (errors.IllegalTransition("x"), Step.STORE, "bug:illegal-transition", Kind.BUG),
        (errors.CertdError("x"), Step.STORE, "bug:error", Kind.BUG),
    ],
)
def test_errors_that_are_not_the_cas(error: errors.CertdError | OSError, step: Step, code: str, kind: Kind) -> None:
    """Each branch of the exception tree has a code of its own."""
    verdict = judge(error, step)
    assert (verdict.code, verdict.kind) == (code, kind)
    assert "x" in verdict.text
    assert prose(code, "en")
    assert prose(code, "ja")


def test_a_full_webroot_is_not_the_operators_mistake() -> None:
    """A full disk may be empty in an hour: it is tried again soon."""
    error = errors.ChallengeError("cannot write")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert judge(error, Step.PRESENT).kind is Kind.TRANSIENT


def test_every_code_has_prose_in_both_languages() -> None:
    """Happened, does and remedy, none empty, none in the other language, and no prose without a code."""
    assert set(explanations_en.TEXTS) == set(explanations_ja.TEXTS) == set(KINDS)
    assert set(explanations_en.BY_KIND) == set(explanations_ja.BY_KIND) == set(Kind)
    for code in KINDS:
        english, japanese = prose(code), prose(code, "ja")
        assert english is not None
        assert japanese is not None
        for text in (english.happened, english.does, english.remedy):
            assert text
            assert text.isascii()
        for text in (japanese.happened, japanese.does, japanese.remedy):
            assert any("ぁ" <= char <= "ヿ" for char in text), text


def test_the_remedies_name_what_helps() -> None:
    """The facts of the service that an operator needs are in the text."""
    assert 'CAA 0 issue "jprs.jp"' in remedy("acme:caa")
    assert "14 days" in remedy("jprs:eab-invalid")
    assert "reseller" in remedy("acme:rejected-identifier")
    assert "RS256" in remedy("acme:bad-signature-algorithm")
    assert prose("no:such-code") is None


@given(st.text(), st.integers(0, 999), st.text(), st.text(), st.sampled_from(Step))
def test_any_problem_has_a_verdict(type: str, status: int, detail: str, asked: str, step: Step) -> None:
    """Whatever a CA invents: a known code and a printable text."""
    error = errors.ProblemError(type=type, status=status, detail=detail, asked=asked)
    verdict = judge(error, step)
    assert verdict.code in KINDS
    assert verdict.text.isprintable()
    assert len(verdict.text) <= 600
