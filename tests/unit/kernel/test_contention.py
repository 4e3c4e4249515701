"""Bulk work is split into batches that leave time for short work under contention."""

import asyncio
from time import perf_counter

import pytest

from bellcast.kernel import concurrency
from bellcast.kernel.concurrency import CONTENTION_SENDS, SMALL_STEP, STEP, STEP_INTERVAL_SECONDS, Scheduler


@pytest.fixture
def contended(monkeypatch: pytest.MonkeyPatch) -> Scheduler:
    monkeypatch.setattr(concurrency, "CONTENTION_WINDOW_SECONDS", 60)  # however slow this machine is
    scheduler = Scheduler()
    for _ in range(CONTENTION_SENDS):
        scheduler.contention.record()
    return scheduler


async def batch_sizes(scheduler: Scheduler, number: int) -> list[int]:
    return [len(some) async for some in scheduler.slices(range(number))]


async def test_batches_are_large_without_contention() -> None:
    assert await batch_sizes(Scheduler(), 2 * STEP + 7) == [STEP, STEP, 7]


async def test_batches_are_small_and_complete_under_contention(contended: Scheduler) -> None:
    assert await batch_sizes(contended, 2 * SMALL_STEP + 7) == [SMALL_STEP, SMALL_STEP, 7]


async def test_zero_rows_make_no_batch() -> None:
    assert await batch_sizes(Scheduler(), 0) == []


def test_contention_starts_at_its_threshold() -> None:
    scheduler = Scheduler()
    for _ in range(CONTENTION_SENDS - 1):
        scheduler.contention.record()
    assert not scheduler.contention
    scheduler.contention.record()
    assert scheduler.contention


def test_contention_ends_after_its_window(contended: Scheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concurrency, "CONTENTION_WINDOW_SECONDS", 0)
    assert not contended.contention


async def test_batches_of_many_bulk_jobs_are_spaced_like_those_of_one(contended: Scheduler) -> None:
    started = perf_counter()
    await asyncio.gather(*(batch_sizes(contended, 3 * SMALL_STEP) for _ in range(5)))
    assert perf_counter() - started >= 14 * STEP_INTERVAL_SECONDS


async def test_short_work_completes_between_two_batches(contended: Scheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concurrency, "STEP_INTERVAL_SECONDS", 0.2)  # longer than any pause of a loaded machine
    done: list[str] = []

    async def bulk() -> None:
        async for _ in contended.slices(range(2 * SMALL_STEP)):
            done.append("step")

    async def short() -> None:
        for _ in range(8):
            await asyncio.sleep(0)
        done.append("short")

    await asyncio.gather(*(bulk() for _ in range(3)), short())
    # The three bulk jobs start together; their later batches are spaced.
    assert done.index("short") == 3


async def test_pauses_let_other_tasks_run_only_when_due(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("bellcast.kernel.concurrency.perf_counter", lambda: now)
    pauses, others = concurrency.Pauses(), list[str]()
    asyncio.get_running_loop().call_soon(others.append, "other")
    await pauses.pause_if_due()
    assert others == []
    now = concurrency.PART_SECONDS * 2
    await pauses.pause_if_due()
    assert others == ["other"]


async def test_pauses_of_bulk_work_are_longer_and_sooner_under_contention(
    contended: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[Scheduler] = []

    async def wait(scheduler: Scheduler) -> None:
        waits.append(scheduler)

    monkeypatch.setattr(Scheduler, "wait", wait)
    for scheduler in (contended, Scheduler()):
        now = perf_counter()
        monkeypatch.setattr("bellcast.kernel.concurrency.perf_counter", lambda now=now: now)
        pauses = concurrency.Pauses(scheduler)
        await pauses.pause_if_due()
        later = now + concurrency.SMALL_PART_SECONDS * 2
        monkeypatch.setattr("bellcast.kernel.concurrency.perf_counter", lambda later=later: later)
        await pauses.pause_if_due()
    assert waits == [contended]
