"""Scheduling of bulk work so that it leaves room for small work in the same process.

A single send passes through the event loop about eight times, and each time waits for the running task: twelve bulk
sends with slices of 3 ms add 300 ms. So while small work arrives, all bulk work of a process runs in short slices, one
at a time, with the loop idle in between. At other times, bulk work runs in long slices without pauses.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from time import perf_counter
from typing import TypeVar

T = TypeVar("T")

# Small sends within the window that count as contention. Maintenance alone makes one or two.
CONTENTION_SENDS = 4
CONTENTION_WINDOW_SECONDS = 1.0
# Items per slice, without and with contention: a draft takes about 12 µs to decode and check.
STEP, SMALL_STEP = 250, 40
# Interval between the starts of two slices under contention: most of this time the loop is idle, and other processes
# can run.
STEP_INTERVAL_SECONDS = 0.0025
PART_SECONDS, SMALL_PART_SECONDS = 0.003, 0.0005  # as long as slices of 250 and of 40 drafts
# Under contention the store pauses between two bulk batches for a multiple of the last one's duration, up to this limit: a
# batch that took longer was waiting for something else.
MAX_BACKOFF_SECONDS = 0.05


class ContentionDetector:
    """True while small sends arrive."""

    def __init__(self) -> None:
        self._arrivals: deque[float] = deque(maxlen=CONTENTION_SENDS)

    def record(self) -> None:
        """Count a small send."""
        self._arrivals.append(perf_counter())

    def __bool__(self) -> bool:
        return (
            len(self._arrivals) == CONTENTION_SENDS and perf_counter() - self._arrivals[0] < CONTENTION_WINDOW_SECONDS
        )


class Scheduler:
    """Schedules the slices of all bulk work on one event loop."""

    def __init__(self) -> None:
        self.contention = ContentionDetector()
        self._free_at = 0.0

    async def slices(self, items: Sequence[T]) -> AsyncIterator[Sequence[T]]:
        """Yield the items in slices. After each slice, wait until the next may begin."""
        start = 0
        while start < len(items):
            end = start + (SMALL_STEP if self.contention else STEP)
            yield items[start:end]
            start = end
            await self.wait()

    async def each(self, items: Iterable[T]) -> AsyncIterator[T]:
        """Yield the items, with pauses by time."""
        async for part in self.parts(items):
            for item in part:
                yield item

    async def parts(self, items: Iterable[T]) -> AsyncIterator[Iterator[T]]:
        """Yield the items in parts, with pauses in between. A part ends by time, because the cost of items differs: a
        draft for 1,000 recipients takes as long as 300 others. It must be read to its end before the next part."""
        pauses, rest = Pauses(self), iter(items)
        for first in rest:
            yield pauses.part(first, rest)
            await pauses.pause_if_due()

    async def wait(self) -> None:
        """Return when the next slice may begin."""
        if not self.contention:
            await asyncio.sleep(0)
            return
        now = perf_counter()
        self._free_at = max(self._free_at, now) + STEP_INTERVAL_SECONDS
        await asyncio.sleep(self._free_at - now)


class Pauses:
    """Lets other tasks run between the parts of a long task, such as rendering a template for each recipient. With a
    scheduler, the task is bulk work: under contention, its parts are short, with pauses in between."""

    def __init__(self, scheduler: Scheduler | None = None) -> None:
        self._scheduler = scheduler
        self._begin_part()

    def _begin_part(self) -> None:
        self._resumed = perf_counter()
        self._next_check = self._resumed + SMALL_PART_SECONDS  # no pause is due earlier

    def part(self, first: T, rest: Iterator[T]) -> Iterator[T]:
        """Yield items until a pause may be due."""
        yield first
        while perf_counter() < self._next_check:
            try:
                yield next(rest)
            except StopIteration:
                return

    async def pause_if_due(self) -> None:
        """Yield to the event loop if the current part has run long enough."""
        now = perf_counter()
        used = now - self._resumed
        if self._scheduler is not None and used > SMALL_PART_SECONDS and self._scheduler.contention:
            await self._scheduler.wait()
        elif used > PART_SECONDS:
            await asyncio.sleep(0)
        else:
            self._next_check = now + SMALL_PART_SECONDS
            return
        self._begin_part()
