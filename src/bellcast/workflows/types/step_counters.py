"""State of throttles and digests across runs. Pure: no I/O, no clock."""

import itertools
from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from bellcast.workflows.types.runs import Digest, RunState

MAX_DIGEST_ITEMS = 100
# Maximum bytes of JSON of the items, and of the actors: leaves the run that continues with them room for its own data
# and a result.
MAX_DIGEST_BYTES = 64 * 1024
# Runs in an open digest that are recorded, so that one of them can replace the closing run when it leaves.
MAX_DIGEST_RUNS = 250
# Jobs of runs that close a digest and die, each after several crashes, before the digest is deleted: its content may be
# the cause of the crashes.
MAX_DEAD_RUNS = 3


class StepCounter(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The state of a throttle or a digest for one recipient and key, across runs. `passed` are the times of runs that a
    throttle let through. The other fields belong to a digest: the run that collects, its start and its end. `runs` are
    the first runs in it, including the one that collects; the items are theirs, in this order. `dead_runs` counts those
    that left because their jobs died."""

    passed: tuple[int, ...] = ()
    run: str | None = None
    opened_at: int = 0
    closes_at: int = 0
    digest: Digest | None = None
    runs: tuple[str, ...] = ()
    dead_runs: int = 0


EMPTY = StepCounter()
decode = msgspec.json.Decoder(StepCounter).decode


def own_digest(run: RunState) -> Digest:
    """Create a digest with one run."""
    return Digest(items=(run.data,), actors=() if run.actor is None else (run.actor,))


def with_run(counter: StepCounter, id: str, run: RunState) -> StepCounter:
    """Add a run to an open digest."""
    before, own = counter.digest or Digest(count=0), own_digest(run)
    actors = before.actors + tuple(actor for actor in own.actors if actor not in before.actors)
    # The items are those of the first runs: after the first item that exceeds the limit, none is added.
    is_cut = len(before.items) < before.count
    digest = Digest(
        count=before.count + 1,
        items=before.items if is_cut else within(before.items + own.items, MAX_DIGEST_BYTES),
        actors=within(actors, MAX_DIGEST_BYTES),
    )
    # The list ends before the first run that did not fit.
    is_listed = len(counter.runs) == before.count < MAX_DIGEST_RUNS
    return msgspec.structs.replace(counter, digest=digest, runs=(*counter.runs, id) if is_listed else counter.runs)


def in_order(counter: StepCounter) -> Digest | None:
    """Return the digest with its items in the order in which their runs were triggered: on PostgreSQL, they reach the step
    at the same time."""
    if counter.digest is None or len(counter.runs) < len(counter.digest.items):
        return counter.digest
    by_run = sorted(zip(counter.runs, counter.digest.items, strict=False), key=lambda one: (len(one[0]), one[0]))
    return msgspec.structs.replace(counter.digest, items=tuple(item for _, item in by_run))


def without_runs(
    counter: StepCounter, leaving: Collection[str], stored: Mapping[str, RunState], *, is_dead: bool = False
) -> StepCounter | None:
    """Return an open digest without some of its runs. The first remaining run that is `stored` collects; None if there
    is none. With `is_dead` because the job of one is dead: also None if several died."""
    digest, dead_runs = counter.digest, counter.dead_runs + is_dead
    staying = tuple(id for id in counter.runs if id not in leaving)
    collecting = next((id for id in staying if id in stored), None)
    if digest is None or collecting is None or (is_dead and dead_runs >= MAX_DEAD_RUNS):
        return None
    actors = [stored[id].actor for id in staying if id in stored]
    removed = [stored[id].actor for id in leaving if id in stored and stored[id].actor not in actors]
    changed = Digest(
        count=digest.count - (len(counter.runs) - len(staying)),
        items=tuple(item for id, item in zip(counter.runs, digest.items, strict=False) if id not in leaving),
        actors=tuple(actor for actor in digest.actors if actor not in removed),
    )
    return msgspec.structs.replace(counter, run=collecting, digest=changed, runs=staying, dead_runs=dead_runs)


def within(values: tuple[Any, ...], most: int) -> tuple[Any, ...]:
    """Return as many of the first values as fit into this many bytes."""
    ends = itertools.accumulate(len(msgspec.json.encode(value)) for value in values[:MAX_DIGEST_ITEMS])
    return values[: sum(end <= most for end in ends)]
