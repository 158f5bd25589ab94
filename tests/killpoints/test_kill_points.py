"""SIGKILL at every act of certd: an issue, its wait, its deployment, roll-backs. Nothing is lost, nothing is broken.

The suite takes a sample of the moments, another one at each run; `make kill` takes every one and prints how many there
were.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from killpoints import kernel
from killpoints.acts import Act
from killpoints.bench import Bench
from killpoints.stories import STORIES, tell
from parts import require

SHARES = int(os.environ.get("CERTD_KILL_SHARES", "0"))
"""0: a sample in one go. Else every moment, divided into so many tests."""
SAMPLE = 1
SYNCS = ("fsync", "fdatasync")
"""Acts that change nothing which a process could see: the moment after one is the moment before it."""


@pytest.fixture
def make_bench(part_dir: Callable[[str], Path]) -> Iterator[Callable[..., Bench]]:
    """Makes a `Bench`; all are ended with the test."""
    with ExitStack() as benches:

        def make(tracer: Sequence[str] = ()) -> Bench:
            bench = Bench(part_dir("killpoints"), tracer)
            benches.callback(bench.close)
            return bench

        yield make


@pytest.mark.parts
@pytest.mark.timeout(14400 if SHARES else 300)
@pytest.mark.parametrize("share", range(SHARES or 1))
@pytest.mark.parametrize("names", [[name] for name in STORIES] if SHARES else [list(STORIES)], ids=" ".join)
def test_a_kill_costs_nothing(make_bench: Callable[..., Bench], names: Sequence[str], share: int) -> None:
    """Killed at any act and started again: each story ends as it does without."""
    bench, failed = make_bench(), []
    for name in names:
        acts, _ = tell(bench, STORIES[name])
        moments = [act.number for act in acts if act.what not in SYNCS]
        deaths = []
        for moment in _chosen(moments, share):
            try:
                deaths.append(tell(bench, STORIES[name], moment)[1])
            except Exception as error:  # every one is to be seen
                failed.append(f"{name}, {moment}: {error!r}")
                bench.close()
                bench = make_bench()
        _report(name, len(moments), [death for death in deaths if death])
    assert not failed, "\n".join(failed)


@pytest.mark.parts
@pytest.mark.parametrize("name", ["first issue", "renewal", "operator's roll-back"] if SHARES else ["first issue"])
def test_no_act_is_missing(make_bench: Callable[..., Bench], tmp_path: Path, name: str) -> None:
    """What the kernel saw certd change is what was counted, call by call and in the same order."""
    require("strace")
    trace = tmp_path / "trace"
    bench = make_bench(kernel.tracer(trace))
    acts, _ = tell(bench, STORIES[name])
    bench.close()
    counted = [(kernel.in_one_word(act.what), act.where) for act in acts if act.where.startswith(bench.places)]
    seen = list(kernel.changes(trace, bench.pid, bench.places))
    assert [one for one in counted if one[0] != "torn"] == seen
    print(f"{name}: {len(seen)} calls that change the disk, all of them counted")
    assert len(seen) > 50


def _chosen(moments: Sequence[int], share: int) -> Sequence[int]:
    if SHARES:
        return moments[share::SHARES]
    step = len(moments) / SAMPLE
    return [moments[int(step * (part + random.random()))] for part in range(SAMPLE)]


def _report(name: str, moments: int, deaths: Sequence[Act]) -> None:
    """Where it died: by what was done, and by the records' phases at that moment."""
    print(f"{name}: {moments} kill points, killed at {len(deaths)}")
    for label, found in (("act", Counter(one.what for one in deaths)), ("phase", Counter(one.phase for one in deaths))):
        print(f"  by {label}:", ", ".join(f"{what} {count}" for what, count in found.most_common()))
