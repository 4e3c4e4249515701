"""Scripts that may be run as one: what many callers ask for at one time costs as much as if one had asked for all of it.

Such a script takes a list and returns what became of each of its items, and running it for two lists one after the other
is running it for both together.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple, TypeVar

from bellcast.storage.engine import Script
from bellcast.storage.locks import ScriptCall

W = TypeVar("W")
F = TypeVar("F", bound=Callable[[Any], Script[Any]])


class MergeRule(NamedTuple):
    """What is known of such a script: whether it may join others with these items, and how many rows they are. `outright`
    does the same by one statement, which needs no transaction around it, or says None where `before` must be done first."""

    may: Callable[[Any], bool]
    rows: Callable[[Any], int]
    outright: Callable[[Any], Script[Any]] | None
    before: Callable[[Any], Script[None]] | None


_rules: dict[Callable[..., Script[Any]], MergeRule] = {}


def mergeable(
    *,
    may: Callable[[Any], bool],
    rows: Callable[[Any], int],
    outright: Callable[[Any], Script[Any]] | None = None,
    before: Callable[[Any], Script[None]] | None = None,
) -> Callable[[F], F]:
    """Say of a script that it may be run as one with others of its kind, where `may` is true of its items."""

    def note(script: F) -> F:
        _rules[script] = MergeRule(may, rows, outright, before)
        return script

    return note


def size(start: ScriptCall) -> int:
    """How many rows it is about."""
    known = _rules.get(start.script)
    return 1 if known is None else known.rows(*start.args)


def can_merge_all(starts: Sequence[ScriptCall]) -> bool:
    """Whether they may be run as one."""
    return len({start.script for start in starts}) == 1 and all(map(_can_merge, starts))


def _can_merge(start: ScriptCall) -> bool:
    known = _rules.get(start.script)
    return known is not None and known.may(*start.args)


def runs(starts: Sequence[ScriptCall]) -> Iterator[list[ScriptCall]]:
    """Those that follow one another and may be run as one, in order."""
    for _, run in groupby(enumerate(starts), key=lambda one: one[1].script if _can_merge(one[1]) else one[0]):
        yield [start for _, start in run]


def take_batch(works: Sequence[W], start: Callable[[W], ScriptCall], most: int) -> Sequence[W]:
    """Of works in order those that are done next: all of them, or what one statement does of them, where each may be done by
    one: so many rows, or one work."""
    if single_statement([start(work) for work in works]) is None:
        return works
    sums = itertools.accumulate(size(start(work)) for work in works)
    return works[: max(1, sum(rows <= most for rows in sums))]


def merge(run: Sequence[ScriptCall]) -> ScriptCall:
    """The script that does what all of a run do."""
    if len(run) == 1:
        return run[0]
    return ScriptCall(run[0].script, ([item for start in run for item in start.args[0]],))


def single_statement(starts: Sequence[ScriptCall]) -> ScriptCall | None:
    """What does all of them by one statement, if something does."""
    known = _rules.get(starts[0].script)
    if known is None or known.outright is None or not can_merge_all(starts):
        return None
    return ScriptCall(known.outright, merge(starts).args)


def prerequisite(starts: Sequence[ScriptCall]) -> ScriptCall | None:
    """What must be done before they can be done by one statement, if anything."""
    known = _rules.get(starts[0].script)
    return None if known is None or known.before is None else ScriptCall(known.before, merge(starts).args)


def split_results(run: Sequence[ScriptCall], outcome: Any) -> list[Any]:
    """What became of each of a run, from what became of it as one."""
    if len(run) == 1 or isinstance(outcome, Exception):
        return [outcome] * len(run)
    following = iter(outcome)
    return [[next(following) for _ in start.args[0]] for start in run]
