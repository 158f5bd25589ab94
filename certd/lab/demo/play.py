"""The play: set up, a first issue, a renewal during which the old certificates are served, and the proof of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import TextIO

from certd.errors import CertdError
from certd.lab.demo import configuration, proofs
from certd.lab.demo.signals import Interrupted, Signals
from certd.lab.demo.stage import NAMES, PROCESSING, Stage
from certd.lab.demo.story import Happening, Line
from certd.lab.demo.timeline import Mark, Timeline
from certd.lab.options import wall_clock
from certd.status import Snapshot

DONE, FAILED = 0, 1
ACT_WITHIN = 60.0
"""Seconds for one act; it takes about fifteen."""
PAUSE = 0.25
"""Seconds between looks."""
TAIL = 20
"""Lines of certd's log that explain a failure."""

_TOLD = {
    Happening.REGISTERED: (Mark.EVENT, "registered with EAB kid {kid}"),
    Happening.ORDERED: (Mark.EVENT, "{name}: order placed ({because})"),
    Happening.ISSUED: (Mark.EVENT, "{name}: issued, serial {serial}"),
    Happening.UNKNOWN: (Mark.WAIT, "{name}: OCSP unknown; the gate is closed, {old_is} stays"),
    Happening.GOOD: (Mark.EVENT, "{name}: OCSP good; the gate is open"),
    Happening.SWAPPED: (Mark.EVENT, "{name}: swapped, all its files in one step"),
    Happening.RELOADING: (Mark.EVENT, "reloading the web server"),
    Happening.RELOADED: (Mark.EVENT, "reloaded, and certd's own handshakes show the new certificates"),
}
"""How certd's words appear in the timeline; `CONFIRMED` is told by what we see ourselves."""


def run(*, keep: bool = False, apache: bool = True, out: TextIO | None = None) -> int:
    """Set everything up, run it, take it down again; the exit code.

    `keep` leaves the files for a look, the processes end all the same. Without `apache` the small TLS server is used
    even where there is an httpd. The timeline goes to `out`, by default standard output.
    """
    timeline = Timeline(out if out is not None else sys.stdout)
    with Signals() as signals:
        try:
            with Stage(apache=apache, keep=keep) as stage:
                code = _perform(Play(stage, timeline, signals))
        except Interrupted as interrupted:
            timeline.tell(Mark.WRONG, f"interrupted by {interrupted}; all of it is ended")
            code = interrupted.code
        except CertdError as error:
            timeline.tell(Mark.WRONG, f"the demo cannot be set up or taken down: {error}")
            return FAILED
    _conclude(timeline, stage, code=code, keep=keep)
    return code


def _perform(play: Play) -> int:
    try:
        play.perform()
    except (CertdError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            raise  # nobody reads any more
        play.explain(error)
        return FAILED
    return DONE


def _conclude(timeline: Timeline, stage: Stage, *, code: int, keep: bool) -> None:
    root = stage.place.root
    if keep:
        timeline.plain(f"\nThe files are kept in {root}; no process is left. Remove them with: rm -r {root}")
    elif root.exists():
        timeline.plain(f"\nNot all files could be removed; see {root}")
    else:
        timeline.plain("\nNothing is left behind: no process, no file.")
    if code != DONE:
        return
    timeline.plain(
        f"Done in {timeline.elapsed:.0f} s: {len(NAMES)} certificates issued and renewed, "
        f"{stage.witness.count()} handshakes watched it, no visitor noticed.\n\n"
        "Next: write /etc/certd/config.yaml (config.example.yaml shows every key), try it with `certd check`,\n"
        "and start the service: systemctl enable --now certd. README.md has the whole way, docs/ the details."
    )


class Play:
    """One performance on a stage."""

    def __init__(self, stage: Stage, timeline: Timeline, signals: Signals) -> None:
        self._stage = stage
        self._timeline = timeline
        self._signals = signals
        self._step = "the beginning"
        self._old_is = "the placeholder"
        self._since = wall_clock()
        self._held: list[Line] = []

    def perform(self) -> None:
        """All of it. Raises CertdError or OSError where something fails, `Interrupted` when asked to end."""
        self._set_up()
        self._act("the first certificates", self._begin)
        self._old_is = "the old certificate"
        self._act("a renewal", self._renew)
        self._finish()

    def explain(self, error: Exception) -> None:
        """Which step failed, and what certd had to say."""
        self._timeline.tell(Mark.WRONG, f"failed at {self._step}: {error}")
        tail = self._stage.daemon.tail(TAIL)
        if tail:
            self._timeline.plain("\nThe end of certd's log:\n" + "\n".join(f"  {line}" for line in tail))

    def _set_up(self) -> None:
        stage, tell = self._stage, self._timeline.tell
        self._timeline.plain(f"certd demo: a CA, a web server and certd on this machine, in {stage.place.root}")
        self._timeline.title("0. Set up")
        self._enter("the lab CA")
        stage.start_ca()
        tell(
            Mark.EVENT,
            f"lab CA at {stage.ca.directory_url}: EAB required, `processing` {PROCESSING} times, "
            f"OCSP knows a certificate {configuration.OCSP_LAG} s late",
        )
        self._enter("certd prepare")
        tell(Mark.COMMAND, "certd prepare")
        stage.daemon.command("prepare")
        self._enter("the web server")
        if stage.no_apache:
            tell(Mark.WAIT, f"no Apache: {stage.no_apache}")
        stage.start_site()
        stage.witness.look()
        ports = f"ports {stage.site.http_port} (http) and {stage.site.tls_port} (https)"
        tell(Mark.EVENT, f"{stage.site.description} on {ports}, with self-signed placeholders")

    def _begin(self) -> None:
        self._timeline.tell(
            Mark.COMMAND, f"certd run    (propagation_delay {configuration.DELAY} s; the default is 10 minutes)"
        )
        self._stage.start_daemon()

    def _renew(self) -> None:
        self._timeline.tell(Mark.COMMAND, f"certd renew {' '.join(NAMES)}")
        self._stage.daemon.command("renew", *NAMES)

    def _act(self, title: str, begin: Callable[[], None]) -> None:
        """From what begins it to certificates that are served, and the proofs."""
        stage = self._stage
        self._timeline.title(f"{'1. ' if begin == self._begin else '2. '}{title.capitalize()}")
        self._enter(title)
        self._since, reloads, orders = wall_clock(), stage.site.reloads(), len(stage.ca.orders)
        stage.witness.look()
        before = self._served()
        begin()
        self._watch(lambda: self._all(Happening.CONFIRMED), f"{len(NAMES)} certificates to be live and confirmed")
        self._enter(f"the proofs of {title}")
        self._prove(before, reloads, orders + len(NAMES))

    def _watch(self, reached: Callable[[], bool], what: str) -> None:
        """Look at everything until it is so. Raises `NotProven` when that takes too long or certd is gone."""
        deadline = time.monotonic() + ACT_WITHIN
        stage = self._stage
        while True:
            snapshot = stage.snapshot()
            stage.witness.look()
            for line in stage.story.hear(stage.daemon.new_lines()):
                self._hear(line)
            if reached():
                return
            if (code := stage.daemon.ended()) is not None:
                raise proofs.NotProven(f"certd ended by itself, with {code}")
            if time.monotonic() > deadline:
                raise proofs.NotProven(f"waited {ACT_WITHIN:.0f} s in vain for {what}")
            self._timeline.waiting(_progress(snapshot, stage.serials(), self._old_is))
            self._signals.pause(PAUSE)

    def _hear(self, line: Line) -> None:
        """Tell a line. certd logs a swap when the certificate's own life notes it, maybe after the server's reload."""
        if line.happening in (Happening.RELOADING, Happening.RELOADED) and not self._all(Happening.SWAPPED):
            self._held.append(line)
            return
        self._tell(line)
        if self._all(Happening.SWAPPED):
            held, self._held = self._held, []
            for one in held:
                self._tell(one)

    def _tell(self, line: Line) -> None:
        if line.is_complaint:
            details = " ".join(f"{key}={value}" for key, value in line.fields.items())
            self._timeline.tell(Mark.WRONG, f"certd warns: {line.sentence} {details}")
        elif line.happening in _TOLD:
            mark, text = _TOLD[line.happening]
            fields = {"name": line.certificate or "", "kid": self._stage.kid, "old_is": self._old_is} | line.fields
            if "serial" in fields:
                fields["serial"] = proofs.short(fields["serial"])
            self._timeline.tell(mark, text.format_map(fields))

    def _all(self, happening: Happening) -> bool:
        """It happened to every certificate in this act."""
        return all(self._stage.story.find(happening, self._since, name) for name in NAMES)

    def _prove(self, before: Mapping[str, str], reloads: int, orders: int) -> None:
        stage, since = self._stage, self._since
        if distrust := stage.distrust():
            raise proofs.NotProven(f"a client that trusts the CA's root alone does not like {'; '.join(distrust)}")
        domains = ", ".join(domain for its in NAMES.values() for domain in its)
        stage.witness.look()
        self._proven(f"served and verified: {domains}, by a client that trusts the lab's root alone")
        for name in NAMES:
            issued = stage.story.find(Happening.ISSUED, since, name)
            serial = issued[-1].fields.get("serial", "") if issued else ""
            wait = proofs.wait_of(
                stage.story,
                name,
                old=before[name],
                old_is=self._old_is,
                activate_at=stage.activate_at.get(serial),
                since=since,
            )
            self._proven(proofs.prove_gate(wait))
            self._proven(proofs.prove_service(wait, stage.witness.seen(name, since)))
        self._proven(proofs.prove_reload(stage.site.reloads(), reloads, stage.story, since, len(NAMES)))
        ca = stage.ca
        self._proven(proofs.prove_books(ca.accounts, ca.orders, ca.log, kid=stage.kid, expected=orders))

    def _finish(self) -> None:
        self._enter("certd health")
        self._timeline.tell(Mark.COMMAND, "certd health")
        self._proven(self._stage.daemon.command("health"))

    def _served(self) -> dict[str, str]:
        served = {name: serial for name, serial in self._stage.serials().items() if serial is not None}
        if missing := set(NAMES) - set(served):
            raise proofs.NotProven(f"the web server does not serve {', '.join(sorted(missing))}")
        return served

    def _proven(self, text: str) -> None:
        self._timeline.tell(Mark.PROVEN, text)

    def _enter(self, step: str) -> None:
        self._step = step
        self._signals.look()


def _progress(snapshot: Snapshot | None, serials: Mapping[str, str | None], old_is: str) -> str:
    """What is being waited for, in a few words."""
    if snapshot is None:
        return "certd starts"
    if any(one.phase == "ordering" for one in snapshot.certificates):
        waiting = sorted({one.waiting.code for one in snapshot.certificates if one.waiting is not None})
        return f"the CA is at work ({', '.join(waiting)})" if waiting else "the CA is at work"
    staged = [(one.name, one.staged) for one in snapshot.certificates if one.staged is not None]
    if not staged:
        return "the web server loads the new certificates"
    new = sum(1 for name, one in staged if serials.get(name) == one.serial)
    served = f"{old_is} is served" if new == 0 else f"{new} new certificates are served"
    left = max((one.activate_at - snapshot.daemon.now).total_seconds() for _, one in staged)
    gate = f"the gate opens in {left:.0f} s" if left > 0 else "the gate opens with the next good answer"
    return f"{gate}, OCSP {' and '.join(sorted({one.ocsp for _, one in staged}))}, {served}"
