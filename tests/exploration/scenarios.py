"""What is explored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace as replace_scenario
from datetime import timedelta

from exploration.interruptions import Interruption
from exploration.scenario import Scenario
from exploration.simulation import Simulation
from msgspec.structs import replace

DUE = timedelta(days=63)
"""An age at which a certificate of 90 days is to be renewed, whatever its jitter."""
NEARLY_OVER = timedelta(days=90) - timedelta(minutes=45)
PRESSING = timedelta(days=90) * 19 / 20 - timedelta(minutes=70)
"""Seventy minutes before a finalized order that came to nothing is given up for a new one."""


def _lags(run: Simulation) -> None:
    run.ca.lag = timedelta(minutes=11)


def _knows_one_later(run: Simulation) -> None:
    run.ca.lags["b"] = timedelta(minutes=30)


def _silent(run: Simulation) -> None:
    run.ca.silent_responder = True


def _stopped(run: Simulation) -> None:
    run.timeline.plan(timedelta(seconds=1), lambda: run.stop(run.web, timedelta(hours=3)))


def _broken(run: Simulation) -> None:
    """Its configuration is broken from before the reload until an hour later; the running server goes on."""

    def mended() -> None:
        run.web.config_broken = False
        if run.web.activity.value == "failed":
            run.web.excused = True

    run.web.config_broken = False
    run.timeline.plan(timedelta(seconds=1), lambda: setattr(run.web, "config_broken", True))
    run.timeline.plan(timedelta(hours=1), mended)


def _revoked_staged(run: Simulation) -> None:
    run.ca.revokes_next["a"] = 3


def _revoked_live(run: Simulation) -> None:
    run.ca.revoked.add("fp-a0")


def _invalid(run: Simulation) -> None:
    run.ca.invalid_names.add("a")
    spec = replace(run.config.certificates["a"], orders_per_day=3)
    run.config = replace(run.config, certificates={"a": spec})


def _slow(run: Simulation) -> None:
    run.ca.slow_names["a"] = timedelta(minutes=80)


def _no_vhost(run: Simulation) -> None:
    run.web.no_vhost.add("b")


def _poison(how: str, name: str, scenario: Scenario, then: Callable[[Simulation], None] = lambda _: None) -> Scenario:
    """What the CA issues for `name` is what the first server cannot stand."""

    def arrange(run: Simulation) -> None:
        then(run)
        issue = run.ca.issue

        def poisoned(serial: str, domains: tuple[str, ...], at: object) -> object:
            leaf = issue(serial, domains, at)  # type: ignore[arg-type]
            if name in domains:
                getattr(run.web, how).add(leaf.fingerprint)
            return leaf

        run.ca.issue = poisoned  # type: ignore[assignment, method-assign]

    # After a month the old sets have expired, and nobody goes back to an expired set (docs/ARCHITECTURE.md 4b).
    without = frozenset({Interruption.DOWN_MONTH})
    return replace_scenario(scenario, arrange=arrange, stuck=frozenset({name}), without=without)


FIRST = Scenario("first issuance of three")
RENEWAL = Scenario("renewal of three, the responder lags", live_age=DUE, arrange=_lags)
RENEWAL_OF_ONE = Scenario("renewal of one", names=("a",), live_age=DUE, max_wait=timedelta(hours=3))
LAGGING = Scenario(
    "renewal of one, the responder lags", names=("a",), live_age=DUE, arrange=_lags, max_wait=timedelta(hours=3)
)
RENEWAL_INCLUDE = Scenario("renewal of two through Include", names=("a", "b"), live_age=DUE, include=True)
REFUSED = _poison("refuses", "b", Scenario("renewal of three, one is refused", live_age=DUE))
DEADLY = _poison("dies_of", "b", Scenario("renewal of three, the server dies of one", live_age=DUE))
FIRST_DEADLY = _poison("dies_of", "b", Scenario("first issuance of two, the server dies of one", names=("a", "b")))
HARMFUL = _poison(
    "breaks", "b", Scenario("renewal of two, one site does not work with its set", ("a", "b"), live_age=DUE)
)
FIRST_HARMFUL = _poison(
    "breaks", "b", Scenario("first issuance of two, one site does not work with its set", names=("a", "b"))
)
TWO_SERVERS = Scenario(
    "one certificate on two servers", names=("a", "b"), servers=("web", "mail"), shared=frozenset("a"), live_age=DUE
)
DEADLY_SHARED = _poison(
    "dies_of", "a", replace_scenario(TWO_SERVERS, name="one certificate on two servers, the first dies of it")
)
REFUSED_SHARED = _poison(
    "refuses", "a", replace_scenario(TWO_SERVERS, name="one certificate on two servers, the first refuses it")
)
HASTY = Scenario(
    "renewal of two, the responder knows one of them later",
    names=("a", "b"),
    live_age=DUE,
    arrange=_knows_one_later,
    interval=0,
)
STOPPED_REFUSED = _poison(
    "refuses",
    "b",
    Scenario("what was put in place while the server was stopped is refused", names=("a", "b"), live_age=DUE),
    then=_stopped,
)
STOPPED = Scenario("the server is stopped meanwhile", names=("a", "b"), live_age=DUE, arrange=_stopped)
BROKEN = Scenario("the server's configuration is broken", names=("a", "b"), live_age=DUE, arrange=_broken)
SILENT = Scenario("the responder never answers", names=("a", "b"), live_age=DUE, arrange=_silent)
SILENT_ONE = Scenario("renewal of one, the responder never answers", names=("a",), live_age=DUE, arrange=_silent)
REVOKED_STAGED = Scenario("the new certificate is revoked", names=("a",), live_age=DUE, arrange=_revoked_staged)
REVOKED_LIVE = Scenario("the live certificate is revoked", names=("a",), live_age=DUE, arrange=_revoked_live)
NEARLY = Scenario("the live certificate is about to expire", names=("a",), live_age=NEARLY_OVER, arrange=_silent)
INVALID = Scenario(
    "validation fails", names=("a",), live_age=DUE, arrange=_invalid, stuck=frozenset("a"), lasts=timedelta(days=4)
)
SLOW = Scenario("the CA issues after the order is given up", names=("a",), live_age=PRESSING, arrange=_slow)
NO_VHOST = Scenario("no virtual host for one of them", names=("a", "b"), arrange=_no_vhost)

ALL = {name: value for name, value in globals().items() if isinstance(value, Scenario)}
