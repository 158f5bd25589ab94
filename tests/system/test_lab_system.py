"""The ways of JPRS, by its lab: what it answers, what gets lost, what the clock says. Real engine, real HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from clockwork import Clockwork
from parts import LabSite, NameServer, Webroot, eventually

from certd.acme.judgements import TABLE, Judgement
from certd.caa import ask_resolver
from certd.lab.faults import ROWS, Row
from certd.model.codes import Code, Kind
from certd.model.records import Ordering, Registered, Step, Unusable
from certd.model.specs import KeyType
from certd.plan.certificate_failures import POLLS_MOST

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
NAME = "one.test"
READS_MOST = 4 * (POLLS_MOST + 2)
FAST = {"key": "p256"}
"""Where the key does not matter: RSA takes its time to be made."""

Make = Callable[..., Clockwork]


@pytest.fixture
def make(tmp_path: Path, webroot: Webroot) -> Iterator[Make]:
    made: list[Clockwork] = []

    def one(**options: object) -> Clockwork:
        made.append(Clockwork(tmp_path, webroot, [{"domains": [NAME]}], **options))  # type: ignore[arg-type]
        return made[-1]

    yield one
    for clockwork in made:
        clockwork.__exit__(None, None, None)


SHORT = {"lifetime": 4 * DAY}


# --- the main job -----------------------------------------------------------------------------------------------


def test_the_main_job(make_labsite: Callable[..., LabSite]) -> None:
    """The daemon, Apache, and a CA as JPRS: EAB spent once, RSA 2048 alone, polls of `processing`, OCSP that lags.

    The first certificate goes live at once; the next is served only after the responder has called it good.
    """
    site = make_labsite([NAME])
    site.ca.options.processing_polls = 3
    site.ca.options.accepted_keys = frozenset({KeyType.RSA2048})
    site.ca.options.ocsp_lag = HOUR
    certd = site.daemon(defaults={"key": "rsa2048", "ocsp": {"propagation_delay": "4s"}})
    certd.command("prepare")
    site.apache.start()
    certd.start()
    certd.wait_settled()
    first = site.ca.issued[0]
    assert site.served() == {NAME: first.serial}

    certd.renew(NAME)
    eventually(lambda: (certd.certificate(NAME)["staged"] or {}).get("ocsp") == "unknown", "the new set")
    staged = certd.certificate(NAME)["staged"]
    assert site.served() == {NAME: first.serial}
    site.ca.options.ocsp_lag = timedelta(0)
    certd.wait_settled(timeout=90)
    second = site.ca.issued[1]
    assert staged["serial"] == second.serial
    assert site.served() == {NAME: second.serial}
    words = certd.log.read_text()
    assert words.index("OCSP answers unknown.") < words.index("OCSP answers good.") < words.rindex("Swapped")

    assert [entry.endpoint for entry in site.ca.log].count("newAccount") == 1
    assert [order.polls for order in site.ca.orders] == [4, 4], "three times processing, then valid"
    assert len(site.ca.accounts) == 1
    eventually(lambda: certd.problems() == set(), "health to be well")


def test_two_keys_for_the_same_names(tmp_path: Path, webroot: Webroot) -> None:
    """RSA and ECDSA side by side, at a CA that hands out the order that is pending for these names: one certificate
    takes it, the other has another one soon after. Nothing waits for a certificate that is not its own."""
    two = [{"name": "ec", "domains": [NAME], "key": "p256"}, {"name": "rsa", "domains": [NAME], "key": "rsa2048"}]
    lab = {"reuse_orders": True, "processing_polls": 1}
    with Clockwork(tmp_path, webroot, two, lab=lab) as w:
        began = w.now
        w.until(lambda: w.serial("ec") and w.serial("rsa"), "both certificates", within=HOUR)
        assert w.now - began < 10 * MINUTE
        assert w.serial("ec") != w.serial("rsa")
        assert len(w.ca.issued) == 2
        assert w.asked("newOrder") == 3, "the order of the one was the other's"
        assert len(w.ca.orders) == 2
        w.settle()
        assert w.problems() == {}


def test_credentials_that_are_too_old(make: Make) -> None:
    """They live for fourteen days: after that the reseller has to be asked, and a changed configuration is tried."""
    w = make(defaults=FAST)
    w.time.pass_by(15 * DAY)
    w.work()
    shown = w.ca_state()
    assert shown.failure is not None
    assert shown.failure.code == "jprs:eab-invalid"
    assert "14 days" in shown.failure.remedy
    assert w.asked("newAccount") == 1
    w.new_credentials()
    w.reload()
    w.settle()
    assert w.problems() == {}


# --- the 29 rows ------------------------------------------------------------------------------------------------


def judgement(row: Row) -> Judgement:
    """What the table says of a row of the list."""
    return next(entry for entry in TABLE if entry.row == row.n)


REGISTRATION = [row for row in ROWS if row.on == "newAccount" and row.n != 1]
REVOCATION = [row for row in ROWS if row.on == "revokeCert"]
PASSING = [row for row in ROWS if judgement(row).kind is Kind.POLL]
ORDERS = [row for row in ROWS if row not in (*REGISTRATION, *REVOCATION) and row.n not in (1, 4, 27)]


def named(row: Row) -> str:
    return f"{row.n}-{row.type}"


def test_every_row_has_its_test() -> None:
    """Three rows answer revokeCert, which no life sends; rows 1, 4 and 27 have tests of their own."""
    tested = {row.n for row in (*REGISTRATION, *ORDERS, *REVOCATION)} | {1, 4, 27}
    assert tested == set(range(1, 30))
    assert {row.n for row in REVOCATION} == {2, 6, 21}


@pytest.mark.parametrize("row", REGISTRATION, ids=named)
def test_a_refused_registration(make: Make, row: Row) -> None:
    """The operator's to mend: kind and code in record and status, a problem in health, one attempt a day."""
    w = make_refusing(make, row)
    w.work()
    expected = judgement(row)
    failure = w.account().ledger.failure
    assert failure is not None
    assert (failure.kind, failure.code, failure.step) == (expected.kind, expected.code, Step.ACCOUNT)
    shown = w.ca_state()
    assert shown.account == "refused"
    assert shown.failure is not None
    assert (shown.failure.kind, shown.failure.code) == (expected.kind, expected.code)
    assert shown.failure.remedy
    assert Code.ACCOUNT_REFUSED in w.problems()
    waiting = w.state(NAME).waiting
    assert waiting is not None
    assert waiting.code == Code.CA_UNUSABLE

    w.sleep(4 * DAY)
    assert w.asked("newOrder") == 0
    assert 4 <= w.asked("newAccount") <= 2 * (1 + 4 * 4 // 3), "each with a question for the account before it"
    assert w.asked() <= 8 * w.asked("newAccount")

    w.ca.faults.clear()
    w.settle()
    assert w.problems() == {}


def make_refusing(make: Make, row: Row) -> Clockwork:
    w = make(defaults=FAST)
    w.ca.faults.inject(row.n, times=None, value="mailto:ops@example.jp")
    return w


@pytest.mark.parametrize("row", ORDERS, ids=named)
def test_a_failed_order(make: Make, row: Row) -> None:
    """Kind and code as the table has them; bounded orders and requests for as long as it lasts; then all is well."""
    w = make(defaults=FAST)
    expected = judgement(row)
    kind = (expected.if_validating or expected.kind) if row.on == "validation" else expected.kind
    w.ca.faults.inject(row.n, times=None, value=NAME)
    w.until(lambda: w.state(NAME).failure is not None, "the failure")
    failure = w.record(NAME).ledger.failure
    assert failure is not None
    assert (failure.kind, failure.code) == (kind, expected.code)
    shown = w.state(NAME).failure
    assert shown is not None
    assert (shown.kind, shown.code) == (kind, expected.code)
    assert shown.remedy
    assert shown.attempts == 1

    daily = kind in (Kind.OPERATOR, Kind.BUG)
    w.sleep(2 * DAY if daily else 6 * HOUR)
    orders, requests = w.asked("newOrder"), w.asked()
    assert 2 <= orders <= (3 if daily else 9), "it is tried again, and less and less"
    assert requests <= READS_MOST * orders, "no order is asked for more than its parts, and POLLS_MOST times over"
    assert isinstance(w.account(), Registered), "an order's failure is not the account's"

    w.ca.faults.clear()
    w.settle()
    assert w.problems() == {}
    assert w.record(NAME).ledger.attempts == 0


@pytest.mark.parametrize("row", PASSING, ids=named)
def test_an_answer_that_only_says_read_it_again(make: Make, row: Row) -> None:
    """Once is no failure: the order is read again, and goes on from its real status."""
    w = make(defaults=FAST)
    w.ca.faults.inject(row.n)
    w.settle()
    assert w.asked("newOrder") == 1
    assert w.record(NAME).ledger.failure is None


def test_row_8_says_which_records_are_in_the_way(make: Make, tmp_path: Path) -> None:
    """Found by asking name servers; the record to add names the CA as its directory does."""
    zone = {("test", "CAA"): ['0 issue "other.example"'], (NAME, "A"): ["127.0.0.1"]}
    with NameServer(zone) as server:
        w = make(defaults=FAST)
        w.ask_caa = partial(ask_resolver, resolv_conf=server.resolv_conf(tmp_path), port=server.port)
        w.restart()
        w.ca.faults.inject(8, times=None)
        w.until(lambda: w.state(NAME).failure is not None, "the failure")
        failure = w.state(NAME).failure
        assert failure is not None
        assert failure.code == "acme:caa"
        assert failure.text.endswith(
            f'({NAME}: found test. CAA 0 issue "other.example"; needed: test. CAA 0 issue "lab.invalid")'
        )
        assert server.asked == [NAME, "test"]
        assert failure.text in w.problems()["acme:caa"].text


def test_row_1_an_account_that_the_ca_has_forgotten(make: Make) -> None:
    """It may be a replica that lags: two more questions, ten minutes apart. Then nothing is ordered, and it is told."""
    w = make(defaults=FAST)
    w.until(lambda: isinstance(w.account(), Registered), "the account")
    w.settle()
    w.ca.forget_account(w.ca.accounts[0])
    since = w.asked()
    w.engine.renew(NAME)
    w.work()
    expected = judgement(ROWS[0])
    failure = w.record(NAME).ledger.failure
    assert failure is not None
    assert (failure.kind, failure.code) == (expected.kind, expected.code) == (Kind.ACCOUNT, failure.code)
    shown = w.state(NAME).failure
    assert shown is not None
    assert (shown.kind, shown.code) == (expected.kind, expected.code)
    assert isinstance(w.account(), Registered)

    w.until(lambda: isinstance(w.account(), Unusable), "the account to be given up", within=HOUR)
    assert "account-unusable" in w.problems()
    account_failure = w.ca_state().failure
    assert account_failure is not None
    assert account_failure.kind == Kind.ACCOUNT
    w.sleep(DAY)
    assert w.asked("newOrder", since) <= 4, "none once the account is unusable"
    assert w.asked("", since) <= 40
    assert w.serial(NAME) is not None


def test_row_27_an_account_that_the_ca_has_closed(make: Make) -> None:
    """As row 1; and when the CA opens it again, orders go on by themselves."""
    w = make(defaults=FAST)
    w.settle()
    w.ca.accounts[0].status = "deactivated"
    since = w.asked()
    w.engine.renew(NAME)
    w.work()
    expected = judgement(ROWS[26])
    failure = w.record(NAME).ledger.failure
    assert failure is not None
    assert (failure.kind, failure.code) == (expected.kind, expected.code)
    shown = w.state(NAME).failure
    assert shown is not None
    assert (shown.kind, shown.code) == (expected.kind, expected.code)
    w.until(lambda: isinstance(w.account(), Unusable), "the account to be given up", within=HOUR)
    assert "account-unusable" in w.problems()
    w.sleep(DAY)
    assert w.asked("newOrder", since) <= 4
    assert w.asked("", since) <= 40

    w.ca.accounts[0].status = "valid"
    old = w.serial(NAME)
    w.until(lambda: w.serial(NAME) != old, "the renewal")
    w.settle()
    assert w.problems() == {}


def test_row_4_a_refused_nonce_is_nobodys_business(make: Make) -> None:
    """Sent again with the nonce that came with the error: one order, no failure."""
    w = make(lab={"nonce_reject_every": 2}, defaults=FAST)
    w.settle()
    assert len(w.ca.orders) == 1
    assert sum(1 for entry in w.ca.log if entry.problem == "badNonce") >= 5
    assert w.record(NAME).ledger.failure is None


def test_row_4_for_ever(make: Make) -> None:
    """A CA that refuses every nonce is in trouble: so many sendings, then the back-off of a CA in trouble."""
    w = make(defaults=FAST)
    w.ca.faults.inject(4, times=None)
    w.until(lambda: w.state(NAME).failure is not None, "the failure")
    failure = w.record(NAME).ledger.failure
    assert failure is not None
    assert (failure.kind, failure.code) == (judgement(ROWS[3]).kind, judgement(ROWS[3]).code)
    w.sleep(6 * HOUR)
    assert len(w.record(NAME).ledger.orders) <= 9
    assert w.asked("newOrder") <= 20 * len(w.record(NAME).ledger.orders)
    w.ca.faults.clear()
    w.settle()


# --- what gets lost ---------------------------------------------------------------------------------------------


def test_a_lost_answer_to_new_account(make: Make) -> None:
    """The credentials are spent by it; the account is found by its key, and nobody asks for new ones."""
    w = make(defaults=FAST)
    w.ca.faults.lose("newAccount")
    w.settle()
    assert len(w.ca.accounts) == 1
    assert [entry.problem for entry in w.ca.log if entry.endpoint == "newAccount"] == [None, None]
    assert w.problems() == {}


def test_a_lost_answer_to_new_order(make: Make) -> None:
    """The order has no URL that anybody knows: another one follows after the back-off."""
    w = make(defaults=FAST)
    w.ca.faults.lose("newOrder")
    begin = w.now
    w.settle()
    assert len(w.ca.orders) == 2
    assert len(w.ca.issued) == 1
    assert w.now - begin >= 45 * MINUTE / 60
    assert w.problems() == {}


@pytest.mark.parametrize("endpoint", ["authorization", "challenge", "order", "finalize", "certificate"])
@pytest.mark.parametrize("crash", [False, True], ids=["", "and-a-crash"])
def test_a_lost_answer_later_costs_no_second_order(make: Make, endpoint: str, crash: bool) -> None:
    """The CA's word is asked for again: one order, one certificate, its own key."""
    w = make(defaults=FAST)
    w.ca.faults.lose(endpoint)  # type: ignore[arg-type]
    if crash:
        w.until(lambda: w.ca.faults.waiting == 0, "the answer to be lost")
        w.restart()
    w.settle()
    assert len(w.ca.orders) == 1
    assert len(w.ca.issued) == 1
    assert w.serial(NAME) == w.ca.issued[0].serial
    assert w.problems() == {}


def test_a_crash_while_the_ca_issues(make: Make) -> None:
    """The order's URL and key are on the disk: the same order is polled on (I5)."""
    w = make(lab={"processing_polls": 5})
    w.until(lambda: any(order.status == "processing" for order in w.ca.orders), "processing")
    record = w.record(NAME)
    assert isinstance(record, Ordering)
    for _ in range(3):
        w.restart()
        w.sleep(timedelta(seconds=1))
    w.settle()
    assert len(w.ca.orders) == 1
    assert w.asked("finalize") == 1


# --- time -------------------------------------------------------------------------------------------------------


def renewal_due(w: Clockwork) -> None:
    """Let the clocks stand a little before the renewal time."""
    waiting = w.state(NAME).waiting
    assert waiting is not None
    assert waiting.code == Code.NOT_DUE
    w.sleep(waiting.until - w.now - 2 * HOUR)


@pytest.mark.parametrize("jump", [100 * DAY, 3 * HOUR, -100 * DAY, -3 * HOUR], ids=str)
def test_a_clock_that_jumps(make: Make, jump: timedelta) -> None:
    """No order and no swap by such a clock, until it agrees with the CA's Date again; then all goes on."""
    w = make(lab=SHORT, defaults=FAST)
    w.settle()
    renewal_due(w)
    old, orders = w.serial(NAME), len(w.ca.orders)
    w.time.wrong_by = jump
    since = w.asked()
    w.sleep(HOUR)
    assert Code.CLOCK_UNSURE in w.problems()
    assert w.engine.renew(NAME)
    w.sleep(HOUR)
    assert w.asked("", since) <= 2 * 70, "the CA is asked for the time once a minute"
    assert len(w.ca.orders) == orders
    assert w.serial(NAME) == old
    waiting = w.state(NAME).waiting
    assert waiting is not None
    assert waiting.code == Code.CLOCK_UNSURE

    w.time.wrong_by = timedelta(0)
    w.until(lambda: w.serial(NAME) != old, "the renewal", within=HOUR)
    w.settle()
    assert Code.CLOCK_UNSURE not in w.problems()
    assert len(w.ca.orders) == orders + 1


def test_a_jump_while_a_set_waits_for_its_gate(make: Make) -> None:
    """A clock put forth over the deadline opens nothing; when it is right again the gate keeps its time."""
    w = make(defaults=FAST)
    w.settle()
    old = w.serial(NAME)
    w.engine.renew(NAME)
    w.until(lambda: w.state(NAME).phase == "staged", "the new set")
    staged = w.state(NAME).staged
    assert staged is not None
    w.time.wrong_by = 5 * HOUR
    w.sleep(2 * MINUTE)
    assert w.serial(NAME) == old
    w.time.wrong_by = timedelta(0)
    w.until(lambda: w.serial(NAME) == staged.serial, "the swap", within=HOUR)
    assert w.now >= staged.activate_at
    assert w.now <= staged.activate_at + MINUTE


def test_a_clock_that_drifted(make: Make) -> None:
    """No jump tells of it, only the CA's Date; and when it has been slewed back, that is noticed as well."""
    w = make(defaults=FAST)
    w.settle()
    old = w.serial(NAME)
    drift(w, MINUTE / 2)
    w.engine.renew(NAME)
    w.work()
    assert Code.CLOCK_UNSURE in w.problems()
    w.sleep(2 * HOUR)
    assert w.serial(NAME) == old
    drift(w, -MINUTE / 2)
    w.until(lambda: w.serial(NAME) != old, "the renewal", within=HOUR)
    w.settle()
    assert w.problems() == {}


@pytest.mark.parametrize("phase", ["idle", "staged"])
def test_a_date_that_was_wrong_once(make: Make, phase: str) -> None:
    """A CA's front end with a clock of its own: it is asked again soon, whatever the certificate is about."""
    w = make(defaults=FAST)
    w.settle()
    old = w.serial(NAME)
    w.engine.renew(NAME)
    w.until(lambda: w.state(NAME).phase == "staged", "the new set")
    if phase == "idle":
        w.settle()
        old = w.serial(NAME)
        w.engine.renew(NAME)
    w.clock.heard(w.now - HOUR)
    assert Code.CLOCK_UNSURE in w.problems()
    w.until(lambda: w.serial(NAME) != old, "the renewal", within=HOUR)
    w.settle()
    assert w.problems() == {}


def drift(w: Clockwork, step: timedelta) -> None:
    """Twenty small steps, none of which is a jump."""
    for _ in range(20):
        w.time.wrong_by += step
        w.sleep(10 * MINUTE)


def test_a_boot_with_a_clock_before_what_was_seen(make: Make) -> None:
    """A board without a battery wakes up in the past: clock-unsure until a CA's Date has set it right."""
    w = make(defaults=FAST)
    w.settle()
    w.sleep(2 * HOUR)
    w.engine.note_time()
    old, orders = w.serial(NAME), len(w.ca.orders)
    w.time.wrong_by = -400 * DAY
    w.restart()
    assert Code.CLOCK_UNSURE in w.problems()
    w.engine.renew(NAME)
    w.sleep(HOUR)
    assert Code.CLOCK_UNSURE in w.problems()
    assert len(w.ca.orders) == orders
    w.time.wrong_by = timedelta(0)
    w.until(lambda: w.serial(NAME) != old, "the renewal", within=HOUR)
    w.settle()
    assert w.problems() == {}


def test_a_machine_that_slept(make: Make) -> None:
    """A suspend looks like a jump forth; the CA's Date agrees at once, and nothing is lost but the time."""
    w = make(lab=SHORT, defaults=FAST)
    w.settle()
    renewal_due(w)
    old = w.serial(NAME)
    w.time.true += 4 * HOUR  # the monotonic clock stood still
    w.until(lambda: w.serial(NAME) != old, "the renewal", within=HOUR)
    w.settle()
    assert Code.CLOCK_UNSURE not in w.problems()
