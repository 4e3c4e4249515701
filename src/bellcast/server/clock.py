"""System time."""

import asyncio
import time


class SystemClock:
    """Implements ports.Clock with the system time."""

    def now(self) -> int:
        """Return UTC milliseconds."""
        return time.time_ns() // 1_000_000

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
