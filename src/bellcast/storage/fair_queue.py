"""Whose work comes next: tenants take turns, each by its weight, so that one's thousands hold up nobody else's one.

Work is measured in rows. A tenant's clock runs on by what it was given, divided by its weight; the tenant whose clock is
furthest behind is next. One that was idle begins no earlier than the last one served: idleness saves up nothing.
"""

from collections import deque
from collections.abc import Collection, Iterator, Mapping
from itertools import chain
from typing import Generic, Protocol, TypeVar


class QueuedWork(Protocol):
    """What waits. `tenant` is whose it is; `size` how many rows it is about; `light` whether it goes before what is not."""

    @property
    def tenant(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def is_small(self) -> bool: ...


# So many clocks are kept before those that everybody has caught up with are forgotten.
CLOCKS = 1_000

# Work of more rows than this is heavy.
SMALL_ROWS = 32

W = TypeVar("W", bound=QueuedWork)


def may_share_transaction(one: QueuedWork, other: QueuedWork) -> bool:
    """Whether two may share a transaction: what is heavy, with nothing of another tenant, which would wait for all of it."""
    return one.tenant == other.tenant or (one.is_small and other.is_small)


class TenantQueue(Generic[W]):
    """What waits of one tenant's: a row or a few go before thousands."""

    def __init__(self) -> None:
        self._light: deque[W] = deque()
        self._heavy: deque[W] = deque()

    def __bool__(self) -> bool:
        return bool(self._light or self._heavy)

    def __iter__(self) -> Iterator[W]:
        return chain(self._light, self._heavy)

    def add(self, work: W) -> None:
        """Behind its like."""
        (self._light if work.is_small else self._heavy).append(work)

    def first(self, *, light: bool = True, heavy: bool = True) -> W | None:
        """What is next, of light work or heavy or both."""
        if light and self._light:
            return self._light[0]
        return self._heavy[0] if heavy and self._heavy else None

    def remove(self, work: W) -> None:
        """It is begun; it was the first, or would be were there nothing lighter."""
        (self._light if work.is_small else self._heavy).popleft()


class FairQueue(Generic[W]):
    """Work that waits, by tenant."""

    def __init__(self) -> None:
        self.weights: Mapping[str, float] = {}  # 1 for who is not named
        self._waiting: dict[str, TenantQueue[W]] = {}
        self._clocks: dict[str, float] = {}
        self._now = 0.0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, work: W) -> None:
        """Behind the work of the same tenant."""
        waiting = self._waiting.get(work.tenant)
        if waiting is None:
            waiting = self._waiting[work.tenant] = TenantQueue()
            self._clocks[work.tenant] = max(self._now, self._clocks.get(work.tenant, 0.0))
        waiting.add(work)

    def next(self, but: Collection[str] = (), *, heavy: bool = True) -> W | None:
        """Whose turn it is: with light work those who are not in `but`, with heavy work those who wait if there may be any
        now. It stays until `take`."""
        firsts = [line.first(light=tenant not in but, heavy=heavy) for tenant, line in self._waiting.items()]
        return min(
            (work for work in firsts if work is not None), key=lambda work: self._clocks[work.tenant], default=None
        )

    def dequeue(self, work: W) -> None:
        """It is begun."""
        waiting = self._waiting[work.tenant]
        waiting.remove(work)
        self._now = self._clocks[work.tenant]
        self._clocks[work.tenant] = self._now + work.size / self.weights.get(work.tenant, 1.0)
        if not waiting:
            del self._waiting[work.tenant]
        if len(self._clocks) > CLOCKS:
            self._clocks = {one: at for one, at in self._clocks.items() if at > self._now or one in self._waiting}

    def clear(self) -> list[W]:
        """Everything that waited; nothing does any more."""
        found = [work for waiting in self._waiting.values() for work in waiting]
        self._waiting.clear()
        return found
