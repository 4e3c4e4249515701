"""The part of a writer that all engines share: commands enter the queue, and callers wait for their results."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, TypeVar

from bellcast.kernel.contention import ContentionDetector
from bellcast.kernel.db.commit import batch
from bellcast.kernel.db.commit.batch import QueuedCommand, ScriptOutcome
from bellcast.kernel.db.commit.batch_sizes import SMALL_ROWS
from bellcast.kernel.db.commit.command import ListCommand, WriteCommand
from bellcast.kernel.db.commit.fair_queue import FairQueue
from bellcast.kernel.errors import BellcastError

T = TypeVar("T")


class Writer(ABC):
    """Runs queued commands in shared transactions. It has a task only while there is work. Commands of a cancelled
    caller may still be committed; each is atomic."""

    def __init__(self) -> None:
        self._queue = FairQueue[QueuedCommand]()
        self._contention = ContentionDetector()

    async def write(self, command: WriteCommand[T]) -> T:
        """Return the result after the commit. Raises the script's exception."""
        (entry,) = self._enqueue([command], command.tenant)
        result = await entry.result
        if isinstance(result, Exception):
            raise result
        written: T = result
        return written

    def write_without_waiting(self, command: WriteCommand[Any]) -> None:
        """Queue a command. If it fails, its error is dropped."""
        self._enqueue([command], command.tenant)

    async def write_items(self, command: ListCommand[Any, T]) -> AsyncIterator[list[T | Exception]]:
        """Yield the results of the items in order, as they are committed."""
        if not command.items:
            return
        ready: list[T | Exception] = []
        for entry in self._enqueue(list(batch.cut(command)), command.tenant):
            if ready and not entry.result.done():
                yield ready
                ready = []
            ready += await self._results_of(entry)
        yield ready

    async def _results_of(self, entry: QueuedCommand) -> list[ScriptOutcome]:
        result, command = await entry.result, entry.command
        if not isinstance(result, Exception):
            return list(result)
        if not isinstance(command, ListCommand):
            return [result]
        # A BellcastError means that the database is unavailable or full, for all items. Any other error is caused by
        # one item.
        if len(command.items) == 1 or isinstance(result, BellcastError):
            return [result] * len(command.items)
        alone = self._enqueue([command.with_items([item]) for item in command.items], entry.tenant)
        return [one for each in alone for one in await self._results_of(each)]

    def _enqueue(self, commands: Sequence[WriteCommand[Any]], tenant: str) -> list[QueuedCommand]:
        """Queue the commands of one caller."""
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
