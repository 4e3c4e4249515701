"""Long work takes turns among itself and leaves room for short work, where there is some."""

import asyncio
from time import perf_counter

import pytest

from bellcast import contention
from bellcast.contention import CONTENTION_SENDS, SMALL_STEP, STEP, STEP_INTERVAL_SECONDS, Scheduler


@pytest.fixture
def in_company(monkeypatch: pytest.MonkeyPatch) -> Scheduler:
    monkeypatch.setattr(contention, "CONTENTION_WINDOW_SECONDS", 60)  # however slow this machine is
    pace = Scheduler()
    for _ in range(CONTENTION_SENDS):
        pace.contention.record()
    return pace


async def sizes(pace: Scheduler, number: int) -> list[int]:
    items = range(number)
    return [len(items[step]) async for step in pace.batches(number)]


async def test_alone_the_steps_are_large() -> None:
    assert await sizes(Scheduler(), 2 * STEP + 7) == [STEP, STEP, 7]


async def test_in_company_the_steps_are_small_and_nothing_is_left_out(in_company: Scheduler) -> None:
    assert await sizes(in_company, 2 * SMALL_STEP + 7) == [SMALL_STEP, SMALL_STEP, 7]


async def test_nothing_takes_no_step() -> None:
    assert await sizes(Scheduler(), 0) == []


def test_a_few_are_no_company() -> None:
    pace = Scheduler()
    for _ in range(CONTENTION_SENDS - 1):
        pace.contention.record()
    assert not pace.contention
    pace.contention.record()
    assert pace.contention


def test_company_that_was_here_long_ago_is_gone(in_company: Scheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contention, "CONTENTION_WINDOW_SECONDS", 0)
    assert not in_company.contention


async def test_in_company_many_long_works_are_as_far_apart_as_the_steps_of_one(in_company: Scheduler) -> None:
    began = perf_counter()
    await asyncio.gather(*(sizes(in_company, 3 * SMALL_STEP) for _ in range(5)))
    assert perf_counter() - began >= 14 * STEP_INTERVAL_SECONDS


async def test_in_company_short_work_goes_all_its_way_between_two_steps(in_company: Scheduler) -> None:
    done: list[str] = []

    async def long() -> None:
        async for _ in in_company.batches(2 * SMALL_STEP):
            done.append("step")

    async def short() -> None:
        for _ in range(8):
            await asyncio.sleep(0)
        done.append("short")

    await asyncio.gather(*(long() for _ in range(3)), short())
    # The three begin at once; from then on they keep apart.
    assert done.index("short") == 3
