"""Small mistakes that the exploration must find: if it does not, it proves nothing."""

from __future__ import annotations

import importlib
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from exploration import scenarios as of
from exploration.interruptions import Interruption
from exploration.scenario import Scenario

NONE: frozenset[Interruption] = frozenset()
AFTER = frozenset({Interruption.CRASH_AFTER})
FOREIGN = frozenset({Interruption.FOREIGN_RELOAD, Interruption.FOREIGN_EARLIER})

GATE = "certd.plan.gate"
CERTIFICATE, CERTIFICATE_EVENTS = "certd.plan.certificate", "certd.plan.certificate_events"
CERTIFICATE_FAILURES = "certd.plan.certificate_failures"
SERVER, SERVER_EVENTS = "certd.plan.server", "certd.plan.server_events"
SERVERS, SHARED, CERTIFICATES = "certd.engine.servers", "certd.engine.shared", "certd.engine.certificates"


@dataclass(frozen=True)
class Mutant:
    """`module`'s source with `old` replaced by `new`; a run of the scenario without or with `kinds` must notice."""

    name: str
    module: str
    old: str
    new: str
    scenario: Scenario
    kinds: frozenset[Interruption] = NONE


MUTANTS = (
    Mutant("the gate ignores activate_at", GATE, "lately.asked_at >= activate_at", "True", of.RENEWAL_OF_ONE),
    Mutant(
        "the gate needs no answer",
        GATE,
        "return Closed(deadline, _unconfirmed(check))",
        "return Open()",
        of.LAGGING,
    ),
    Mutant(
        "an answer is good forever",
        GATE,
        "timedelta(0) <= now - check.asked_at < FRESH",
        "timedelta(0) <= now - check.asked_at",
        of.LAGGING,
        frozenset({Interruption.DOWN_HOUR}),
    ),
    Mutant("the deadline opens nothing", GATE, "if now >= deadline:", "if False:", of.SILENT_ONE),
    Mutant(
        "a revoked set stays staged",
        CERTIFICATE,
        "if record.check is not None and record.check.word is OcspWord.REVOKED:",
        "if False:",
        of.REVOKED_STAGED,
    ),
    Mutant(
        "attempts are not counted",
        CERTIFICATE,
        "attempts = ledger.attempts + 1 if ledger.goal == wanted else 1",
        "attempts = 1",
        of.INVALID,
    ),
    Mutant(
        "attempts are cleared at Issued",
        CERTIFICATE_EVENTS,
        "ledger=replace(ledger, failure=None, clean_up=None, rejected=",
        "ledger=replace(ledger, failure=None, clean_up=None, attempts=0, retry=None, rejected=",
        of.REVOKED_STAGED,
    ),
    Mutant(
        "a failure has no back-off",
        CERTIFICATE_FAILURES,
        "retry=timers.after(at.now, _order_delay(event, ledger.attempts, at)),",
        "retry=None,",
        of.RENEWAL_OF_ONE,
        AFTER,
    ),
    Mutant(
        "the orders of the day are forgotten",
        CERTIFICATE,
        "orders=(*(at for at in ledger.orders if at > now - DAY), now),",
        "orders=(now,),",
        of.INVALID,
    ),
    Mutant(
        "a finalized order is dropped for other names",
        CERTIFICATE,
        "    if record.finalized_at is not None:\n        return None\n",
        "",
        of.RENEWAL_OF_ONE,
        frozenset({Interruption.ADD_NAME}),
    ),
    Mutant(
        "giving up drops the order",
        CERTIFICATE_FAILURES,
        "return Idle(ledger=replace(ledger, parked=(*ledger.parked, parked)))",
        "return Idle(ledger=ledger)",
        of.SLOW,
    ),
    Mutant(
        "the key of a parked order is swept away",
        SHARED,
        "self.store.sweep_keys(spec.name, parked)",
        "self.store.sweep_keys(spec.name, set())",
        of.SLOW,
    ),
    Mutant(
        "Installed is confirmed without its server",
        CERTIFICATE,
        "confirmed[owed.server] >= owed.generation",
        "True",
        of.REFUSED,
    ),
    Mutant(
        "a set that was given back stays Installed",
        CERTIFICATE,
        "if facts.link != record.staged.version:",
        "if False:",
        of.REFUSED,
    ),
    Mutant(
        "the presentation is not written ahead",
        CERTIFICATE,
        "replace(record.ledger, presented=kept + action.places)",
        "record.ledger",
        of.RENEWAL_OF_ONE,
    ),
    Mutant(
        "what could not be cleaned up is forgotten",
        CERTIFICATE_EVENTS,
        "left = tuple(p for p in record.ledger.presented if p.token not in event.tokens)",
        "left = ()",
        of.RENEWAL_OF_ONE,
        frozenset({Interruption.FAIL}),
    ),
    Mutant(
        "a hold holds nothing",
        CERTIFICATE,
        "if ledger.hold is not None and not timers.due(ledger.hold.timer, now):",
        "if False:",
        of.RENEWAL_OF_ONE,
        frozenset({Interruption.ROLLBACK}),
    ),
    Mutant(
        "renew is forgotten",
        CERTIFICATE_EVENTS,
        "_with(record, requested=request, hold=None, retry=None)",
        "_with(record, hold=None, retry=None)",
        of.RENEWAL_OF_ONE,
        frozenset({Interruption.RENEW}),
    ),
    Mutant(
        "a swap begins while somebody's reload runs",
        SERVER,
        "(spec.reload is not None and facts.activity is Activity.RELOADING)",
        "False",
        of.RENEWAL_OF_ONE,
        FOREIGN,
    ),
    Mutant(
        "links go back while a reload loads",
        SERVER,
        "if not timers.due(record.wait, now) or facts.shared_loading or facts.activity is Activity.RELOADING:",
        "if False:",
        of.RENEWAL_OF_ONE,
        frozenset({Interruption.ANSWER_LOST}),
    ),
    Mutant(
        "a reload is believed before it can have begun",
        SERVER,
        "loaded = record.wait.set_at + SETTLE",
        "loaded = now",
        of.HASTY,
        frozenset({Interruption.DOWN_HOUR}),
    ),
    Mutant(
        "nothing is looked at",
        SERVER,
        "        return do.Look(record.batch)\n",
        "        return do.Confirm()\n",
        of.DEADLY,
    ),
    Mutant(
        "a server that was stopped is started",
        SERVER,
        "    if activity is not Activity.INACTIVE:\n        return False\n",
        "    return False\n",
        of.STOPPED,
        frozenset({Interruption.STOP}),
    ),
    Mutant(
        "links do not go back",
        SERVER,
        "return do.RestoreLinks(verdict.going_back(record.batch, record.blame))",
        "return do.RestoreLinks(())",
        of.DEADLY,
    ),
    Mutant(
        "the section is not written ahead",
        SERVERS,
        "self._of.book.put_server(spec.id, begun)",
        "self._of.book._servers[spec.id] = begun",
        of.RENEWAL_INCLUDE,
        AFTER,
    ),
    Mutant(
        "a swap counts as a reload",
        SERVER_EVENTS,
        "    if at.spec.reload is None:\n",
        "    if True:\n",
        of.RENEWAL_OF_ONE,
    ),
    Mutant(
        "suspects are not tried apart",
        SERVER_EVENTS,
        '"suspects": (names[:middle], names[middle:], *rest),',
        '"suspects": rest,',
        of.REFUSED,
    ),
    Mutant(
        "a rejection is dropped",
        SERVER_EVENTS,
        '"rejections": (*others, rejection),',
        '"rejections": others,',
        of.REFUSED,
    ),
    Mutant(
        "other servers are not told of a swap",
        SERVERS,
        "for other in sorted(others - {spec.id}):\n            self.owe(other)",
        "for other in ():\n            self.owe(other)",
        of.TWO_SERVERS,
        AFTER,
    ),
    Mutant(
        "a roll-back comes between a decision and its swap",
        SERVERS,
        "if isinstance(action, do.SwapLinks | do.RestoreLinks):",
        "if False:",
        of.RENEWAL_OF_ONE,
        frozenset({Interruption.ROLLBACK}),
    ),
    Mutant(
        "two servers deploy one set at a time",
        SERVER,
        "if facts.shared_busy or facts.shared_loading:",
        "if False:",
        of.DEADLY_SHARED,
        frozenset(Interruption),
    ),
    Mutant(
        "a reload of another server is not noticed",
        SERVERS,
        "return any(self._activity(other) is Activity.RELOADING for other in found)",
        "return False",
        of.TWO_SERVERS,
        FOREIGN,
    ),
)


@contextmanager
def applied(mutant: Mutant) -> Iterator[None]:
    """While the context lasts, the functions of the module have the code of its mutated source."""
    module = importlib.import_module(mutant.module)
    assert module.__file__ is not None
    source = Path(module.__file__).read_text()
    assert source.count(mutant.old) == 1, f"{mutant.name}: its place is gone or no longer unique"
    mutated = types.ModuleType(mutant.module)
    exec(compile(source.replace(mutant.old, mutant.new), module.__file__, "exec"), mutated.__dict__)
    originals = [(function, function.__code__) for function in _functions(module).values()]
    replacements = _functions(mutated)
    try:
        for name, function in _functions(module).items():
            function.__code__ = replacements[name].__code__
        yield
    finally:
        for function, code in originals:
            function.__code__ = code


def _functions(module: types.ModuleType) -> dict[str, types.FunctionType]:
    """The functions and methods that the module defines, by qualified name."""
    found = {}
    for value in vars(module).values():
        members = [value, *vars(value).values()] if isinstance(value, type) else [value]
        for member in members:
            if isinstance(member, types.FunctionType) and member.__module__ == module.__name__:
                found[member.__qualname__] = member
    return found
