"""The part of a writer that all engines share: the queue of commands."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from bellcast.kernel.contention import ContentionDetector
from bellcast.kernel.db.commit.batch import QueuedCommand
from bellcast.kernel.db.commit.batch_sizes import SMALL_ROWS
from bellcast.kernel.db.commit.command import WriteCommand
from bellcast.kernel.db.commit.fair_queue import FairQueue


class Writer(ABC):
    """Runs queued commands in shared transactions. It has a task only while there is work. Commands of a cancelled
    caller may still be committed; each is atomic."""

    def __init__(self) -> None:
        self._queue = FairQueue()
        self._contention = ContentionDetector()

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
