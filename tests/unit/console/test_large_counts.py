"""Counts of the rows of all tenants."""

from collections.abc import Iterator

from bellcast.console.http.monitoring import LARGE_COUNT_SECONDS, LargeCounts, count_all
from bellcast.inbox.store.maintenance import LARGE_COUNT, RowCounts
from tests.clock import FakeClock


async def test_only_millions_of_rows_are_counted_once_a_minute() -> None:
    clock = FakeClock()
    counts = LargeCounts(clock, 1, LARGE_COUNT_SECONDS)
    numbers: Iterator[int] = iter([3, 4, LARGE_COUNT, LARGE_COUNT + 1])

    async def count() -> RowCounts:
        return RowCounts({"notifications": next(numbers)})

    async def shown() -> int:
        return (await count_all(counts, count)).by_kind["notifications"]

    assert [await shown() for _ in range(4)] == [3, 4, LARGE_COUNT, LARGE_COUNT]
    clock.advance(LARGE_COUNT_SECONDS)
    assert await shown() == LARGE_COUNT + 1
