"""What there was in the last 24 hours: lists count it for each object."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from msgspec import Struct

from bellcast.documents.store import ShortCache
from bellcast.documents.types import PROJECT
from bellcast.kernel import times
from bellcast.kernel.clock import Clock
from bellcast.kernel.db.lists import NONE_RECENT, RecentCount, RecentCounts
from bellcast.rest.context import ApiContext

T = TypeVar("T")
# Counts are repeated after this time: the lists of many operators read the store once.
CACHE_SECONDS, MAX_CACHED = 5.0, 20


class Recent(Struct, frozen=True):
    """How many there were in the last 24 hours, a lower bound if it is not `exact`, and the time of the last one. Lists repeat
    counts after five seconds, except those of event sources. The newest 20,000 sends of all tenants are counted. The events of a
    source are counted by the hour, without those of the hour in which the 24 hours began. Each process stores its own every five
    seconds, and loses those that it has not stored if it is killed. It counts the events of 1,000 sources between two writes;
    after more, no count of a day is `exact`. The project's sources count the events of all tenants, and only lists that include
    the project have the field."""

    value: int
    exact: bool
    last_at: datetime | None


class RecentCache(ShortCache[tuple[str, tuple[str, ...] | None], Any]):
    """What there was in the last 24 hours, by its name and by the tenants of which it was read, None for all."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, MAX_CACHED, CACHE_SECONDS)


async def read(
    ctx: ApiContext,
    name: str,
    tenants: Sequence[str] | None,
    read: Callable[[int, Sequence[str] | None], Awaitable[T]],
) -> T:
    """Read what these tenants, or all, had since a time, unless it was read before."""
    of, since = None if tenants is None else tuple(tenants), ctx.engines.clock.now() - times.DAY_MS
    found: T = await ctx[RecentCache].get((name, of), lambda: read(since, of))
    return found


def of_object(counts: RecentCounts, tenants: Sequence[str] | None, owner: str, key: str) -> RecentCount:
    """Return the count of an object. One of the project has that of all tenants, of those that the list is of."""
    of = (owner,) if owner != PROJECT else (None,) if tenants is None else tenants
    total = NONE_RECENT
    for tenant in of:
        total = total.plus(counts.get((tenant, key), NONE_RECENT))
    return total
