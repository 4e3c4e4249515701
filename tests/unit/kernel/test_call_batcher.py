"""Calls that arrive at the same time run together."""

import asyncio
import gc
from collections.abc import Sequence

import pytest

from bellcast.kernel.concurrency import CallBatcher, shared
from bellcast.kernel.errors import NotFound, Unavailable


class Doubler:
    """Doubles the first two numbers of each run, and refuses 0. A run that begins with -1 raises Unavailable."""

    def __init__(self) -> None:
        self.runs: list[list[int]] = []
        self.batcher = CallBatcher(self.run, 3)

    async def run(self, key: str, items: Sequence[int]) -> list[int | Exception]:
        self.runs.append(list(items))
        await asyncio.sleep(0)
        if items[0] == -1:
            raise Unavailable
        return [NotFound() if item == 0 else 2 * item for item in items[:2]]


async def test_items_without_a_result_run_again_before_later_ones() -> None:
    doubler = Doubler()
    results = await asyncio.gather(*(doubler.batcher.call("", item) for item in range(1, 6)))
    assert results == [2, 4, 6, 8, 10]
    assert doubler.runs == [[1, 2, 3], [3, 4, 5], [5]]


async def test_exception_of_an_item_fails_no_other() -> None:
    doubler = Doubler()
    refused, doubled = await asyncio.gather(
        *(doubler.batcher.call("", item) for item in (0, 1)), return_exceptions=True
    )
    assert isinstance(refused, NotFound)
    assert doubled == 2


async def test_calls_that_arrive_during_a_run_that_is_unavailable_fail_with_it() -> None:
    doubler = Doubler()
    calls = [doubler.batcher.call("", -1)]
    await asyncio.sleep(0)
    calls += [doubler.batcher.call("", item) for item in range(1, 6)]
    failures = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(one) for one in failures} == {Unavailable}
    assert doubler.runs == [[-1]]
    assert await doubler.batcher.call("", 1) == 2


async def test_cancelled_call_does_not_run() -> None:
    doubler = Doubler()
    first, second = doubler.batcher.call("", 1), doubler.batcher.call("", 2)
    first.cancel()
    assert await second == 4
    with pytest.raises(asyncio.CancelledError):
        await first
    assert doubler.runs == [[2]]


async def test_shared_work_that_fails_after_its_last_caller_has_left_is_not_logged() -> None:
    logged: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: logged.append(context))
    is_failing = asyncio.Event()

    async def fail() -> None:
        await is_failing.wait()
        raise Unavailable

    work = shared(fail())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(work), 0)
    is_failing.set()
    await asyncio.wait((work,))
    del work
    gc.collect()
    assert logged == []
