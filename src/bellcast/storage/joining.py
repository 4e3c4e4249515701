"""Scripts that may be run as one: what many callers ask for at one time costs as much as if one had asked for all of it.

Such a script takes a list and returns what became of each of its items, and running it for two lists one after the other
is running it for both together.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple, TypeVar

from bellcast.storage.engine import Script
from bellcast.storage.touching import Start

W = TypeVar("W")
F = TypeVar("F", bound=Callable[[Any], Script[Any]])


class Joining(NamedTuple):
    """What is known of such a script: whether it may join others with these items, how many rows they are, and a script
    that does the same by one statement, which needs no transaction around it."""

    may: Callable[[Any], bool]
    rows: Callable[[Any], int]
    outright: Callable[[Any], Script[Any]] | None


class First(NamedTuple):
    """What a script says that cannot do its work by one statement: when this is done, it can."""

    start: Start


_known: dict[Callable[..., Script[Any]], Joining] = {}


def joins(
    *, may: Callable[[Any], bool], rows: Callable[[Any], int], outright: Callable[[Any], Script[Any]] | None = None
) -> Callable[[F], F]:
    """Say of a script that it may be run as one with others of its kind, where `may` is true of its items."""

    def note(script: F) -> F:
        _known[script] = Joining(may, rows, outright)
        return script

    return note


def size(start: Start) -> int:
    """How many rows it is about."""
    known = _known.get(start.script)
    return 1 if known is None else known.rows(*start.args)


def may_join_all(starts: Sequence[Start]) -> bool:
    """Whether they may be run as one."""
    return len({start.script for start in starts}) == 1 and all(map(_may_join, starts))


def _may_join(start: Start) -> bool:
    known = _known.get(start.script)
    return known is not None and known.may(*start.args)


def runs(starts: Sequence[Start]) -> Iterator[list[Start]]:
    """Those that follow one another and may be run as one, in order."""
    for _, run in groupby(enumerate(starts), key=lambda one: one[1].script if _may_join(one[1]) else one[0]):
        yield [start for _, start in run]


def stretches(works: Sequence[W], start: Callable[[W], Start], most: int) -> Iterator[list[W]]:
    """Cut, in order, into what one statement does if all of it may be done by one, of so many rows or of one work; else
    all of it together."""
    if outright([start(work) for work in works]) is None:
        yield list(works)
        return
    stretch: list[W] = []
    rows = 0
    for work in works:
        more = size(start(work))
        if stretch and rows + more > most:
            yield stretch
            stretch, rows = [], 0
        stretch.append(work)
        rows += more
    yield stretch


def one(run: Sequence[Start]) -> Start:
    """The script that does what all of a run do."""
    if len(run) == 1:
        return run[0]
    return Start(run[0].script, ([item for start in run for item in start.args[0]],))


def outright(starts: Sequence[Start]) -> Start | None:
    """What does all of them by one statement, if something does."""
    known = _known.get(starts[0].script)
    if known is None or known.outright is None or not may_join_all(starts):
        return None
    return Start(known.outright, one(starts).args)


def parted(run: Sequence[Start], outcome: Any) -> list[Any]:
    """What became of each of a run, from what became of it as one."""
    if len(run) == 1 or isinstance(outcome, Exception):
        return [outcome] * len(run)
    following = iter(outcome)
    return [[next(following) for _ in start.args[0]] for start in run]
