"""Cut, merge and split commands. Only this module divides rows, by its tables of sizes."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import accumulate, groupby
from typing import Any, NamedTuple, TypeAlias, TypeVar

from bellcast.kernel.db.commit.command import ListCommand, WriteCommand
from bellcast.kernel.errors import DiskFull, Unavailable

# A command of at most this many rows is small: it runs before bulk work and wakes a writer that is backing off.
SMALL_ROWS = 32
# Rows per queue entry, about 1 ms. Between two entries the queue serves other tenants, so a single send waits for at
# most one entry while another tenant sends thousands.
ENTRY_ROWS = 25
# Rows per executemany or lookup by name, about 1 ms on the event loop (SQLite) or of PostgreSQL's time.
STATEMENT_ROWS = 100
# Inboxes per transaction that materializes announcements: 5 to 8 ms, so that sends run in between.
MATERIALIZE_INBOXES = 500


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


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Split a list into slices of at most `size` items."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


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
