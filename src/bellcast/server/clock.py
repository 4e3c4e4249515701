"""The system clock, and a clock that tests control."""

import asyncio
import time


class SystemClock:
    """Implements ports.Clock with the system time."""

    def now(self) -> int:
        """Return UTC milliseconds."""
        return time.time_ns() // 1_000_000

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class TestClock:
    """Implements ports.Clock with a time that only `set` changes. Sleeps last in real time, so that loops continue."""

    __test__ = False  # pytest must not collect it as a test

    def __init__(self, now: int) -> None:
        self._now = now

    def now(self) -> int:
        """Return UTC milliseconds."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def set(self, now: int) -> None:
        """Move to a later time."""
        self._now = max(self._now, now)
