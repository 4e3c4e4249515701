"""Background tasks: failed loops are restarted, and `close` leaves nothing running."""

import asyncio

import pytest
from structlog.testing import capture_logs

from bellcast.kernel import concurrency
from bellcast.kernel.concurrency import BackgroundTasks

LIMIT_SECONDS = 60


async def test_loop_that_raises_is_logged_and_restarted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concurrency, "RESTART_DELAY_SECONDS", 0)
    starts, running = 0, asyncio.Event()

    async def loop() -> None:
        nonlocal starts
        starts += 1
        if starts < 3:
            raise RuntimeError("unforeseen")
        running.set()
        await asyncio.Event().wait()

    background = BackgroundTasks()
    with capture_logs() as logged:
        background.spawn_loop("test", loop)
        await asyncio.wait_for(running.wait(), LIMIT_SECONDS)
    await background.close()
    assert starts == 3
    assert [entry["event"] for entry in logged] == ["background_loop_failed"] * 2


async def test_close_ends_tasks_that_start_while_others_end() -> None:
    background, ended = BackgroundTasks(), list[str]()

    async def second() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("second")

    async def first() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            background.spawn(second())
            await asyncio.sleep(0)
            ended.append("first")

    background.spawn(first())
    await asyncio.sleep(0)
    await background.close()
    assert sorted(ended) == ["first", "second"]


async def test_task_that_is_closed_before_it_starts_leaves_no_warning() -> None:
    background = BackgroundTasks()
    background.spawn(asyncio.sleep(3600))
    await background.close()
