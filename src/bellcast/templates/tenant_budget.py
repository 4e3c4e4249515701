"""The CPU time of a tenant's templates and schemas in this process, so that they leave the processor to other tenants."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import lru_cache
from time import monotonic, thread_time
from typing import ParamSpec, TypeVar

from bellcast.kernel.errors import TooMany
from bellcast.kernel.token_bucket import TokenBucket

# CPU time per second of all renderings and checks of data of a tenant. Usual ones take less, because the rest of a fan-out takes longer.
CPU_SHARE = 0.5
# Renderings of a text that take too long in a row, until it is stopped.
MAX_SLOW = 3
# A stopped text is rendered again after this time, because the data may have been the cause.
STOPPED_SECONDS = 60.0
MAX_SLOW_TEXTS = 1_000
# Bodies of a tenant that are compiled or wait: an author sends one at a time. The largest take 5 s each.
MAX_WAITING = 20
WAITING_RETRY_SECONDS = 5
CACHED_TENANTS = 10_000
P = ParamSpec("P")
T = TypeVar("T")


class TenantBudget:
    """A balance of CPU time. A rendering is charged afterwards, so the balance can be negative; the next rendering waits
    until it is not."""

    def __init__(self) -> None:
        self._bucket = TokenBucket(CPU_SHARE, _now())
        self.compiling = asyncio.Lock()
        self.waiting = 0  # texts that are being compiled or wait for it
        self.slow: dict[int, tuple[int, float]] = {}  # by text: renderings that took too long, and the last one's time

    def charge(self, seconds: float) -> None:
        self._bucket.tokens -= seconds  # `wait` filled it just before

    def seconds_to_wait(self) -> float:
        return self._bucket.take(_now(), 0)

    async def wait(self) -> None:
        """Return when the tenant may render."""
        seconds = self.seconds_to_wait()
        while seconds:
            await asyncio.sleep(seconds)
            seconds = self.seconds_to_wait()  # others that waited may have used the time

    @asynccontextmanager
    async def charging(self) -> AsyncIterator[None]:
        """Wait until the tenant may render, and charge the CPU time of the block, which does not wait."""
        await self.wait()
        started = thread_time()
        try:
            yield
        finally:
            self.charge(thread_time() - started)

    def is_stopped(self, text: int) -> bool:
        """True if the text must not be rendered now."""
        count, at = self.slow.get(text, (0, 0.0))
        return count >= MAX_SLOW and monotonic() < at + STOPPED_SECONDS

    def add_slow(self, text: int) -> None:
        """Record a rendering that took too long. It costs a whole second's time, so that other tasks run before the next."""
        self.charge(CPU_SHARE)
        count, _ = self.slow.pop(text, (0, 0.0))
        if len(self.slow) >= MAX_SLOW_TEXTS:
            del self.slow[next(iter(self.slow))]
        self.slow[text] = count + 1, monotonic()


async def in_thread(tenant: str, compile: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Compile or check texts of a tenant in a thread, one at a time, and charge the thread's time. Raises TooMany if many wait."""
    budget = budget_of(tenant)
    if budget.waiting >= MAX_WAITING:
        raise TooMany("Too many templates of this tenant are being compiled.", retry_after=WAITING_RETRY_SECONDS)

    def timed() -> T:
        started = thread_time()
        try:
            return compile(*args, **kwargs)
        finally:
            seconds.append(thread_time() - started)

    seconds: list[float] = []
    budget.waiting += 1
    try:
        async with budget.compiling:
            await budget.wait()
            try:
                return await asyncio.to_thread(timed)
            finally:
                budget.charge(sum(seconds))
    finally:
        budget.waiting -= 1


@lru_cache(CACHED_TENANTS)
def budget_of(tenant: str) -> TenantBudget:
    """Return the budget of a tenant."""
    return TenantBudget()


def _now() -> int:
    return int(monotonic() * 1000)
