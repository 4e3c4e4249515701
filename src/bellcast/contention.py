"""Long work beside short work in one process: while short work comes, long work goes in small steps with room between them.

A loop does one thing at a time. A single send takes it up some eight times on its way, and each time waits for what is being
done; twelve large sends that each take a turn of 3 ms in between make that 300 ms. So in company all long work of a process
takes turns among itself, a short step at a time, and the loop is free between two of them. Alone, it takes all there is.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from time import perf_counter

# Company is so many pieces of short work in so long. Upkeep alone makes one or two.
CONTENTION_SENDS = 4
CONTENTION_WINDOW_SECONDS = 1.0
# Items a step, alone and in company: drafts are read and checked in some 12 µs each.
STEP, SMALL_STEP = 250, 40
# From the beginning of one step to that of the next, in company: the loop is free for most of it, and the processor for others.
STEP_INTERVAL_SECONDS = 0.0025
# In company the store rests between two pieces of long work once, or some times, as long as the last one took, but not
# longer than this: where it took so long something else was waited for.
MAX_BACKOFF_SECONDS = 0.05


class ContentionDetector:
    """Whether short work comes."""

    def __init__(self) -> None:
        self._arrivals: deque[float] = deque(maxlen=CONTENTION_SENDS)

    def record(self) -> None:
        """Some came."""
        self._arrivals.append(perf_counter())

    def __bool__(self) -> bool:
        return (
            len(self._arrivals) == CONTENTION_SENDS and perf_counter() - self._arrivals[0] < CONTENTION_WINDOW_SECONDS
        )


class Scheduler:
    """The turns of all long work on one loop."""

    def __init__(self) -> None:
        self.contention = ContentionDetector()
        self._free_at = 0.0

    async def batches(self, number: int) -> AsyncIterator[slice]:
        """So many items, a step at a time."""
        at = 0
        while at < number:
            size = SMALL_STEP if self.contention else STEP
            yield slice(at, at + size)
            at += size
            await self.wait()

    async def wait(self) -> None:
        """Between two steps: return when the next may begin."""
        if not self.contention:
            await asyncio.sleep(0)
            return
        now = perf_counter()
        self._free_at = max(self._free_at, now) + STEP_INTERVAL_SECONDS
        await asyncio.sleep(self._free_at - now)
