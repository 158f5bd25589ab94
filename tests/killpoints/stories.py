"""What certd is killed in the middle of: how each story begins, and what must have come of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple

from killpoints.acts import Act
from killpoints.bench import DEMANDING, Bench, Mark
from killpoints.lives import NAME, PREPARED

DAY = timedelta(days=1)
PRUNED_FROM = 7
"""From this version on each renewal removes one."""


class Story(NamedTuple):
    """`begin` is not attacked; `word` is the operator's; `end` looks at what has come of it, and mends the site."""

    name: str
    begin: Callable[[Bench], Mark]
    goal: str
    end: Callable[[Bench, Mark], object]
    word: str = ""


def tell(bench: Bench, story: Story, last: int = 0) -> tuple[list[Act], Act | None]:
    """The story, with a death at act `last` (0: none) and another life after it: all acts, and the last one before."""
    mark = story.begin(bench)
    acts, killed = bench.live(story.goal, last=last, word=story.word, before=mark.serial)
    death = acts[-1] if killed else None
    try:
        if killed:
            bench.at_death(mark)
            more, _ = bench.live(story.goal, word=story.word, before=mark.serial, again=True)
            bench.gate_kept(mark, more)
        bench.gate_kept(mark, acts)
        story.end(bench, mark)
    except AssertionError as error:
        raise AssertionError(f"{story.name}, killed at {death}: {error}") from error
    return acts, death


def _new_machine(bench: Bench) -> Mark:
    bench.forget_everything()
    return bench.mark()


def _prepared(bench: Bench) -> Mark:
    bench.forget_everything()
    bench.live(PREPARED)
    bench.refresh()
    return bench.mark()


def _idle(bench: Bench) -> Mark:
    """A certificate is live and served, and old versions are there to be pruned."""
    if bench.serial() is None:
        _prepared(bench)
        bench.live("renewed")
    while bench.version() < PRUNED_FROM:
        _renew(bench)
    bench.time.pass_by(DAY)
    return bench.mark()


def _renew(bench: Bench) -> None:
    bench.time.pass_by(DAY)
    bench.live("renewed", word="renew", before=bench.serial())


def _staged(bench: Bench) -> Mark:
    """A new set waits for its gate."""
    mark = _idle(bench)
    bench.live("staged", word="renew")
    return mark


def _demanding(bench: Bench) -> Mark:
    """A set waits that will kill the server: its key is of a kind that this virtual host does not take."""
    _idle(bench)
    bench.configure(key="rsa2048")
    mark = _staged(bench)
    bench.apache.extra[NAME] = DEMANDING
    bench.apache.write()
    bench.refresh()
    return mark


def _broken(bench: Bench) -> Mark:
    """A set waits, and somebody has left a mistake in the server's configuration."""
    mark = _staged(bench)
    bench.apache.break_config()
    return mark


def _renewable(bench: Bench) -> Mark:
    """A renewal before, so that there is something to go back to."""
    older = _idle(bench).serial
    _renew(bench)
    bench.time.pass_by(DAY)
    return bench.mark(older)


def _is_prepared(bench: Bench, mark: Mark) -> None:
    bench.at_death(mark)
    assert (bench.state / "live" / NAME).exists()
    bench.refresh()
    assert bench.apache.served(NAME) is not None


def _is_renewed(bench: Bench, mark: Mark) -> None:
    assert bench.serial() not in (None, mark.serial)
    bench.at_end(mark, orders=1)


def _is_taken_back(bench: Bench, mark: Mark) -> None:
    """The old certificate is live and served; once the key is as it was, a new one comes."""
    assert bench.serial() == mark.serial
    bench.at_end(mark, orders=1)
    bench.apache.extra.clear()
    bench.apache.write()
    bench.configure()
    _renew(bench)
    assert bench.serial() != mark.serial
    bench.assert_served()


def _is_owed(bench: Bench, mark: Mark) -> None:
    """The new set is live on the disk, the old one is served, and the reload is done once it can be."""
    assert bench.serial() != mark.serial
    assert bench.apache.served(NAME) == mark.serial
    bench.apache.mend_config()
    bench.live("renewed", before=mark.serial)
    bench.at_end(mark, orders=1)


def _is_rolled_back(bench: Bench, mark: Mark) -> None:
    """The certificate before is live and served, and nothing was ordered."""
    assert bench.serial() == mark.older
    bench.at_end(mark, orders=0)


STORIES = {
    story.name: story
    for story in (
        Story("prepare", _new_machine, PREPARED, _is_prepared),
        Story("first issue", _prepared, "renewed", _is_renewed),
        Story("renewal", _idle, "renewed", _is_renewed, "renew"),
        Story("deployment taken back", _demanding, "rejected", _is_taken_back),
        Story("reload refused", _broken, "refused", _is_owed),
        Story("operator's roll-back", _renewable, "renewed", _is_rolled_back, "rollback"),
    )
}
