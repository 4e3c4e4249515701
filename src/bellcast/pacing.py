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
COMPANY = 4
COMPANY_SECONDS = 1.0
# Items a step, alone and in company: drafts are read and checked in some 12 µs each.
STEP, SMALL_STEP = 250, 40
# From the beginning of one step to that of the next, in company: the loop is free for most of it, and the processor for others.
APART_SECONDS = 0.0025
# In company the store rests between two pieces of long work once, or some times, as long as the last one took, but not
# longer than this: where it took so long something else was waited for.
REST_SECONDS = 0.05


class Company:
    """Whether short work comes."""

    def __init__(self) -> None:
        self._came: deque[float] = deque(maxlen=COMPANY)

    def note(self) -> None:
        """Some came."""
        self._came.append(perf_counter())

    def __bool__(self) -> bool:
        return len(self._came) == COMPANY and perf_counter() - self._came[0] < COMPANY_SECONDS


class Pace:
    """The turns of all long work on one loop."""

    def __init__(self) -> None:
        self.company = Company()
        self._free_at = 0.0

    async def steps(self, number: int) -> AsyncIterator[slice]:
        """So many items, a step at a time."""
        at = 0
        while at < number:
            size = SMALL_STEP if self.company else STEP
            yield slice(at, at + size)
            at += size
            await self.turn()

    async def turn(self) -> None:
        """Between two steps: return when the next may begin."""
        if not self.company:
            await asyncio.sleep(0)
            return
        now = perf_counter()
        self._free_at = max(self._free_at, now) + APART_SECONDS
        await asyncio.sleep(self._free_at - now)
