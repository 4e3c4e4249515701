"""The time."""

import asyncio
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Protocol

import structlog

log = structlog.get_logger(__name__)

# Larger steps are no correction by NTP, which slews the clock or steps it by seconds.
MAX_STEP_MS = 60_000
# A step that is still there after this time is the new time. A shorter one has no effect: jobs that were planned in it would
# wait until a wrong time.
CONFIRM_MS = 10_000
# Only the first read of each second is checked for a step: a check doubles the cost.
CHECK_MS = 1_000
# Counts while the machine is suspended; macOS has only the other one.
STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


# When the request that this task serves began (UTC milliseconds).
BEGAN_AT: ContextVar[int | None] = ContextVar("bellcast_began_at", default=None)


class Clock(Protocol):
    """The current time and delays."""

    def now(self) -> int:
        """UTC milliseconds."""

    async def sleep(self, seconds: float) -> None:
        """Wait; cancellable."""
        await asyncio.sleep(seconds)


def request_time(clock: Clock, replaced: object = None) -> int:
    """Return the time of what a request creates: when it began, so that it is refused if its tenant was erased since. What replaces
    something is of the current time."""
    began = BEGAN_AT.get()
    return clock.now() if began is None or replaced is not None else began


def steady_ns() -> int:
    """Return nanoseconds that no correction of the clock changes."""
    return time.clock_gettime_ns(STEADY)


class SystemClock(Clock):
    """A Clock with the system time. A step of more than MAX_STEP_MS is logged, and used if it lasts."""

    def __init__(self, wall: Callable[[], int] = time.time_ns, steady: Callable[[], int] = steady_ns) -> None:
        self._wall = wall
        self._steady = steady
        self._offset = (wall() - steady()) // 1_000_000
        self._stepped_at: int | None = None
        self._checked_second = wall() // 1_000_000 // CHECK_MS

    def now(self) -> int:
        """Return UTC milliseconds."""
        wall = self._wall() // 1_000_000
        if wall // CHECK_MS == self._checked_second:
            return wall
        steady = self._steady() // 1_000_000
        step = wall - steady - self._offset
        if not -MAX_STEP_MS < step < MAX_STEP_MS:
            if self._stepped_at is None:
                self._stepped_at = steady
                log.warning("clock_stepped", seconds=step / 1000, used_in_seconds=CONFIRM_MS / 1000)
            if steady - self._stepped_at < CONFIRM_MS:
                return steady + self._offset
            log.warning("clock_step_used", seconds=step / 1000)
        self._offset += step
        self._stepped_at = None
        self._checked_second = wall // CHECK_MS
        return wall


class SteadyClock(Clock):
    """A Clock that no step of the system time changes: for durations within this process. It starts at the system time."""

    def __init__(self) -> None:
        self._offset = (time.time_ns() - steady_ns()) // 1_000_000

    def now(self) -> int:
        """Return milliseconds."""
        return steady_ns() // 1_000_000 + self._offset


class TestClock(Clock):
    """A Clock with a time that only `set` changes. Sleeps last in real time, so that loops continue."""

    __test__ = False  # pytest must not collect it as a test

    def __init__(self, now: int) -> None:
        self._now = now

    def now(self) -> int:
        """Return UTC milliseconds."""
        return self._now

    def set(self, now: int) -> None:
        """Move to a later time."""
        self._now = max(self._now, now)
