"""A clock that tests control, and that runs all work that becomes due when they advance it."""

import asyncio
from collections.abc import Awaitable, Callable

from msgspec import Struct

from bellcast.kernel.jobs.runner import JobRunner


class TestClock:
    """A Clock with a time that only `set` changes. Sleeps last in real time, so that loops continue."""

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


class TimeTravel(Struct, eq=False):
    """Advances a server with a test clock. `expire` removes expired rows."""

    clock: TestClock
    jobs: JobRunner
    expire: Callable[[], Awaitable[None]]

    def now(self) -> int:
        """Return UTC milliseconds."""
        return self.clock.now()

    async def advance(self, milliseconds: int) -> int:
        """Move from one due job to the next, waiting until each has ended; return the new time."""
        end = self.clock.now() + milliseconds
        await self.jobs.settle()
        while (due := await self.jobs.next_due()) is not None and due <= end:
            self.clock.set(due)
            await self.expire()
            await self.jobs.settle()
        self.clock.set(end)
        await self.expire()
        await self.jobs.settle()
        return self.clock.now()
