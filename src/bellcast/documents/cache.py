"""A short cache of what is read often and changed rarely."""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from bellcast.documents.types import CACHE_SECONDS, MAX_CACHED, is_cached
from bellcast.kernel.clock import Clock

K = TypeVar("K")
V = TypeVar("V")


class ShortCache(Generic[K, V]):
    """Results of reads by key, which are used for CACHE_SECONDS: a change takes effect on every node within that time."""

    def __init__(self, clock: Clock, size: int = MAX_CACHED) -> None:
        self._clock = clock
        self._size = size
        self._cached: dict[K, tuple[int, V]] = {}

    async def get(self, key: K, read: Callable[[], Awaitable[V]]) -> V:
        """Return the cached result for a key, else read it."""
        cached = self._cached.get(key)
        if cached is not None and is_cached(cached[0], self._clock.now()):
            return cached[1]
        return await self.read(key, read)

    async def read(self, key: K, read: Callable[[], Awaitable[V]]) -> V:
        """Read the result for a key, and cache it."""
        kept_in, until = self._cached, self._clock.now() + int(CACHE_SECONDS * 1000)
        result = await read()
        if len(kept_in) >= self._size:
            kept_in.clear()
        kept_in[key] = until, result
        return result

    def forget(self) -> None:
        """Drop the results after this process changed an object."""
        self._cached = {}  # a new one: a read that has begun keeps its result in the old one
