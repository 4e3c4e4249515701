"""What all engines share of a writer: how commands are cut, merged and split, and their queue, which is fair to tenants.

Only this module divides rows, by its tables of sizes."""

import asyncio
import itertools
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from heapq import heappop, heappush, heapreplace
from itertools import accumulate, groupby
from typing import Any, NamedTuple, TypeAlias, TypeVar

from bellcast.kernel.concurrency import ContentionDetector
from bellcast.kernel.db.script import ListCommand, WriteCommand
from bellcast.kernel.errors import DiskFull, Unavailable

# A command of at most this many rows is small: it runs before bulk work and wakes a writer that is backing off.
SMALL_ROWS = 32
# Rows per queue entry, about 1 ms. Between two entries the queue serves other tenants, so a single send waits for at
# most one entry while another tenant sends thousands.
ENTRY_ROWS = 25


class BatchLimits(NamedTuple):
    """Maximum rows of a batch, which shares one transaction, and of commands merged into one script or statement. The
    contended limits apply while small commands arrive."""

    small: int
    bulk: int
    contended_bulk: int
    merged: int
    contended_merged: int


# bulk: SQLite writes a page once for all rows of a commit that lie in it, so a row of 4,000 costs a third of a row of
# 500; but small commands that arrive during it wait for all of them. merged: 1,000 rows take about 10 ms, and each inbox
# is read and updated once for all its rows.
SQLITE = BatchLimits(small=256, bulk=4_000, contended_bulk=ENTRY_ROWS, merged=1_000, contended_merged=ENTRY_ROWS)
# merged: 300 rows take PostgreSQL 10 ms and this process 2 ms; 25 rows take 1 ms and 0.2 ms. bulk: missing
# recipients are created once for the whole batch.
POSTGRES = BatchLimits(small=256, bulk=1_000, contended_bulk=1_000, merged=300, contended_merged=ENTRY_ROWS)

# How long a batch of small commands accepts further ones: the first waits for the last.
SMALL_BATCH_SECONDS = 0.008

T = TypeVar("T")

ScriptOutcome: TypeAlias = Any  # the return value of the script, or the exception it raised


class BatchFailed(Exception):
    """A script raised after it had written. The transaction is rolled back, and each command runs separately."""


class QueuedCommand(NamedTuple):
    """A command in the queue. `tenant` and `is_small` describe the caller's whole write, so that the pieces of a large
    command stay in order. `previous` is the caller's preceding command."""

    command: WriteCommand[Any]
    result: asyncio.Future[ScriptOutcome]
    tenant: str
    rows: int
    is_small: bool
    previous: "QueuedCommand | None" = None

    @property
    def is_pending(self) -> bool:
        """Whether the command must run. If the database was unavailable for the caller's previous command, it fails in
        the same way, because its rows must not be written before those of that command."""
        before = None if self.previous is None else self.previous.result
        if before is not None and before.done() and not before.cancelled() and is_unavailable(before.result()):
            self.settle(before.result())
        return not self.result.done()

    def settle(self, result: ScriptOutcome) -> None:
        """Pass the result to the caller, unless it was cancelled."""
        if not self.result.done():
            self.result.set_result(result)


def is_unavailable(result: ScriptOutcome) -> bool:
    return isinstance(result, DiskFull | Unavailable)


async def run_in_order(
    commands: Sequence[WriteCommand[Any]], run: Callable[[WriteCommand[Any]], Awaitable[ScriptOutcome]]
) -> list[ScriptOutcome]:
    """Run commands one by one. After one for which the database was unavailable, the others fail in the same way, because
    their rows must not be written before those of that command."""
    results: list[ScriptOutcome] = []
    for command in commands:
        failed = bool(results) and is_unavailable(results[-1])
        results.append(results[-1] if failed else await run(command))
    return results


def cut(command: ListCommand[Any, Any]) -> Iterator[ListCommand[Any, Any]]:
    """Split a command into queue entries of about ENTRY_ROWS rows. Items are never divided."""
    if len(command.items) == 1:
        yield command
        return
    piece: list[Any] = []
    rows = 0
    for item in command.items:
        is_separate = command.is_separate(item)
        if piece and (rows >= ENTRY_ROWS or is_separate):
            yield command.with_items(piece)
            piece, rows = [], 0
        piece.append(item)
        rows += ENTRY_ROWS if is_separate else command.rows_of(item)
    if piece:
        yield command.with_items(piece)


def can_merge(commands: Sequence[WriteCommand[Any]]) -> bool:
    """Return whether the commands can run as one."""
    kind = type(commands[0])
    return all(type(command) is kind and command.is_mergeable for command in commands)


def runs(commands: Sequence[WriteCommand[Any]]) -> Iterator[list[WriteCommand[Any]]]:
    """Group adjacent commands that can run as one, in order."""
    numbered = enumerate(commands)
    for _, run in groupby(numbered, key=lambda one: type(one[1]) if one[1].is_mergeable else one[0]):
        yield [command for _, command in run]


def merge(run: Sequence[WriteCommand[Any]]) -> WriteCommand[Any]:
    """Join commands that can run as one."""
    first = run[0]
    if len(run) == 1 or not isinstance(first, ListCommand):
        return first
    return first.with_items([item for command in run for item in command.items])


def split_results(run: Sequence[WriteCommand[Any]], result: ScriptOutcome) -> list[ScriptOutcome]:
    """Divide the result of a merged command among the commands of the run."""
    if len(run) == 1 or isinstance(result, Exception):
        return [result] * len(run)
    following = iter(result)
    return [[next(following) for _ in command.items] for command in run]


def next_statement(entries: Sequence[QueuedCommand], rows: int) -> Sequence[QueuedCommand]:
    """Dequeue the entries that run next. If one statement can write all entries, take the rows of one statement, at
    least one entry; else take all entries, for one transaction."""
    whole = joined([entry.command for entry in entries])
    if whole is None or whole.single_statement() is None:
        return entries
    totals = accumulate(entry.rows for entry in entries)
    return entries[: max(1, sum(total <= rows for total in totals))]


def joined(commands: Sequence[WriteCommand[Any]]) -> ListCommand[Any, Any] | None:
    """Return one command that is equivalent to all, if there is one."""
    merged = merge(commands) if can_merge(commands) else None
    return merged if isinstance(merged, ListCommand) else None


# --- queue

# Virtual times of idle tenants are dropped when there are this many, and again when the rest has doubled.
MAX_IDLE_TENANTS = 1_000


def may_share_transaction(one: QueuedCommand, other: QueuedCommand) -> bool:
    """Return whether two pieces of work may share a transaction. Bulk work must not share one with small work or
    another tenant, which would wait for all its rows."""
    return one.is_small == other.is_small and (one.is_small or one.tenant == other.tenant)


class TenantQueue:
    """The waiting work of one tenant, and its virtual time. `order`, which no other has, breaks ties in favour of the longest
    wait."""

    __slots__ = ("order", "tenant", "time", "works")

    def __init__(self, tenant: str, time: float, order: int) -> None:
        self.tenant = tenant
        self.time = time
        self.order = order
        # Bulk work, and small work: by `is_small`.
        self.works: tuple[deque[QueuedCommand], deque[QueuedCommand]] = (deque(), deque())


# A heap entry: a tenant's virtual time when the entry was created, and its queue after the queue's order.
Turn: TypeAlias = tuple[float, int, TenantQueue]


class TurnHeap:
    """The tenants with work of one kind, by virtual time. Virtual time only grows, so an outdated entry is too early;
    it is corrected when it reaches the top."""

    def __init__(self, *, small: bool) -> None:
        self._small = small
        self._turns: list[Turn] = []
        self._queues: set[TenantQueue] = set()

    def add(self, queue: TenantQueue) -> None:
        """Add an entry for the tenant, unless it has one."""
        if queue not in self._queues:
            self._queues.add(queue)
            heappush(self._turns, (queue.time, queue.order, queue))

    def first(self, excluded: Collection[str] = ()) -> Turn | None:
        """Return the earliest entry of a tenant that is not excluded."""
        first: Turn | None = None
        skipped: list[Turn] = []
        while self._turns and first is None:
            turn = self._turns[0]
            time, order, queue = turn
            if not queue.works[self._small]:
                heappop(self._turns)
                self._queues.discard(queue)
            elif time != queue.time:
                heapreplace(self._turns, (queue.time, order, queue))
            elif queue.tenant in excluded:
                skipped.append(heappop(self._turns))
            else:
                first = turn
        for one in skipped:
            heappush(self._turns, one)
        return first


class FairQueue:
    """Waiting work of all tenants: a large send of one tenant does not delay single sends of others.

    Work is measured in rows. Serving a tenant advances its virtual time by rows divided by weight, and the tenant with the lowest
    virtual time is next. A tenant that was idle starts at the time of the last one served, so idle time earns no credit. Each
    step is O(log n) in waiting tenants: one heap orders the tenants with small work, another those with bulk work."""

    def __init__(self) -> None:
        self.weights: Mapping[str, float] = {}  # 1 for tenants without an entry
        self._waiting: dict[str, TenantQueue] = {}
        self._idle_times: dict[str, float] = {}
        self._small = TurnHeap(small=True)
        self._bulk = TurnHeap(small=False)
        self._orders = itertools.count()
        self._now = 0.0
        self._max_idle = MAX_IDLE_TENANTS

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, work: QueuedCommand) -> None:
        """Append work to the queue of its tenant."""
        queue = self._waiting.get(work.tenant)
        if queue is None:
            time = max(self._now, self._idle_times.pop(work.tenant, 0.0))
            queue = self._waiting[work.tenant] = TenantQueue(work.tenant, time, next(self._orders))
        queue.works[work.is_small].append(work)
        (self._small if work.is_small else self._bulk).add(queue)

    def next(self, excluded: Collection[str] = (), *, bulk: bool = True) -> QueuedCommand | None:
        """Return the next work without removing it: small work of tenants that are not excluded, and bulk work of any
        tenant if `bulk` is set."""
        small_turn = self._small.first(excluded)
        bulk_turn = self._bulk.first() if bulk else None
        if small_turn is not None and (bulk_turn is None or not bulk_turn < small_turn):
            return small_turn[2].works[True][0]
        return None if bulk_turn is None else bulk_turn[2].works[False][0]

    def dequeue(self, work: QueuedCommand) -> None:
        """Remove the work that `next` returned, and charge it to its tenant."""
        queue = self._waiting[work.tenant]
        queue.works[work.is_small].popleft()
        self._now = queue.time
        queue.time += work.rows / self.weights.get(work.tenant, 1.0)
        if not any(queue.works):
            del self._waiting[work.tenant]
            self._idle_times[work.tenant] = queue.time
            if len(self._idle_times) > self._max_idle:
                # Drop virtual times that have passed, since tenants without one start at the current time anyway
                self._idle_times = {tenant: time for tenant, time in self._idle_times.items() if time > self._now}
                self._max_idle = max(MAX_IDLE_TENANTS, 2 * len(self._idle_times))

    def clear(self) -> list[QueuedCommand]:
        """Remove and return all work."""
        found = [work for queue in self._waiting.values() for work in (*queue.works[True], *queue.works[False])]
        self._waiting.clear()
        self._small, self._bulk = TurnHeap(small=True), TurnHeap(small=False)
        return found


class Writer(ABC):
    """Runs queued commands in shared transactions. It has a task only while there is work. Commands of a cancelled
    caller may still be committed; each is atomic."""

    def __init__(self) -> None:
        self._queue = FairQueue()
        self._contention = ContentionDetector()
        self.is_full = False  # PostgreSQL's: a write failed on a full disk, and none has been known to work since

    def enqueue(self, commands: Sequence[WriteCommand[Any]], tenant: str) -> list[QueuedCommand]:
        """Queue the commands of one caller. Their entries have the results after the commit."""
        loop = asyncio.get_running_loop()
        sizes = [command.rows for command in commands]
        is_small = sum(sizes) <= SMALL_ROWS and not commands[0].is_bulk
        entries: list[QueuedCommand] = []
        for command, rows in zip(commands, sizes, strict=True):
            previous = entries[-1] if entries else None
            entries.append(QueuedCommand(command, loop.create_future(), tenant, rows, is_small, previous))
            self._queue.add(entries[-1])
        if is_small and not commands[0].is_housekeeping:
            self._contention.record()
        self._start(small=is_small)
        return entries

    @abstractmethod
    def _start(self, *, small: bool) -> None:
        """Make sure that a task processes the queue."""

    @abstractmethod
    async def close(self) -> None:
        """Commit all queued commands."""

    def set_weights(self, weights: Mapping[str, float]) -> None:
        """Set the shares of tenants that compete."""
        self._queue.weights = weights
