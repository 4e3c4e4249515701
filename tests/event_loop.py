"""The time for which a test's event loop is occupied."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class LongestTurn:
    """The longest turn of the loop, in seconds of its thread's CPU time, which other processes do not affect."""

    seconds = 0.0


@asynccontextmanager
async def longest_turn() -> AsyncIterator[LongestTurn]:
    """Measure the turns of the event loop."""
    longest = LongestTurn()

    async def measure() -> None:
        before = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            longest.seconds, before = max(longest.seconds, now - before), now

    measuring = asyncio.create_task(measure())
    try:
        yield longest
    finally:
        measuring.cancel()
