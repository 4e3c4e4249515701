"""A clock that only tests advance."""

import asyncio


class FakeClock:
    """A Clock for tests. Time passes only in `advance`, which wakes the sleepers that are due."""

    def __init__(self, now: int = 1_750_000_000_000) -> None:
        self._now = now
        self._sleepers: list[tuple[int, asyncio.Future[None]]] = []

    def now(self) -> int:
        """UTC milliseconds."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock has advanced by that much; 0 yields to the loop once."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        sleeper = (self._now + round(seconds * 1000), woken)
        self._sleepers.append(sleeper)
        try:
            await woken
        finally:
            if sleeper in self._sleepers:
                self._sleepers.remove(sleeper)

    @property
    def sleeping(self) -> int:
        """The number of tasks waiting in `sleep`."""
        return len(self._sleepers)

    def advance(self, seconds: float) -> None:
        """Advance time; due sleepers run in the loop's next turn, the earliest first."""
        self._now += round(seconds * 1000)
        due = sorted((sleeper for sleeper in self._sleepers if sleeper[0] <= self._now), key=lambda sleeper: sleeper[0])
        for sleeper in due:
            self._sleepers.remove(sleeper)
            if not sleeper[1].done():
                sleeper[1].set_result(None)
