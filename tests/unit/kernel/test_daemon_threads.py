"""Functions of the app run in threads of their own, with the caller's context."""

import asyncio
import contextvars
import gc
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from bellcast.kernel import concurrency

NAME = contextvars.ContextVar("NAME", default="none")


async def test_function_runs_apart_from_the_threads_of_asyncio() -> None:
    NAME.set("alice")

    def function(argument: Any) -> tuple[str, bool, str, Any]:
        thread = threading.current_thread()
        return thread.name, thread.daemon, NAME.get(), argument

    called = await concurrency.call_in_thread(function, 7)
    assert called == ("bellcast-function", True, "alice", 7)


@pytest.mark.parametrize("ending", [StopIteration, SystemExit])
async def test_function_that_raises_what_a_future_refuses_has_an_error(ending: type[BaseException]) -> None:
    def function(_: Any) -> None:
        raise ending

    with pytest.raises(RuntimeError):
        await concurrency.call_in_thread(function, None)


def hang(end: threading.Event) -> None:
    end.wait()


async def has_waited(call: "asyncio.Future[Any]") -> bool:
    for _ in range(10):
        await asyncio.sleep(0)
    return not call.done()


@pytest.fixture
def end() -> Iterator[threading.Event]:
    """Return the end of calls of `hang`."""
    event = threading.Event()
    yield event
    event.set()


async def test_function_keeps_its_thread_until_it_returns(
    monkeypatch: pytest.MonkeyPatch, end: threading.Event
) -> None:
    monkeypatch.setattr(concurrency, "FUNCTION_THREADS", 1)
    cancelled = asyncio.ensure_future(concurrency.call_in_thread(hang, end))
    await asyncio.sleep(0)
    cancelled.cancel()
    waiting = asyncio.ensure_future(concurrency.call_in_thread(hang, end, "acme"))
    assert await has_waited(waiting)
    end.set()
    await waiting


async def test_calls_that_hang_delay_no_other_tenant_and_no_other_function(
    monkeypatch: pytest.MonkeyPatch, end: threading.Event
) -> None:
    monkeypatch.setattr(concurrency, "TENANT_THREADS", 2)
    hanging = [asyncio.ensure_future(concurrency.call_in_thread(hang, end, "acme")) for _ in range(3)]
    for call in hanging[:2]:
        await has_waited(call)
        call.cancel()
    assert await has_waited(hanging[2])
    returned = threading.Event()
    returned.set()
    await concurrency.call_in_thread(hang, returned, "globex")
    assert await concurrency.call_in_thread(str, 7, "acme") == "7"
    end.set()
    await hanging[2]
    del hanging, call
    async with asyncio.timeout(60):
        while len(concurrency._free_threads[asyncio.get_running_loop()]) > 0:
            await asyncio.sleep(0.01)
            gc.collect()


async def test_objects_of_a_tenant_are_checked_one_at_a_time() -> None:
    """Otherwise a tenant with several pushes at once would hold all threads."""
    may_end, both_run, running = threading.Event(), threading.Barrier(3), list[str]()

    def check(tenant: str) -> str:
        running.append(tenant)
        if len(running) < 3:
            both_run.wait(60)
            may_end.wait(60)
        return tenant

    pushes = ("busy", "busy", "other")
    tasks = [asyncio.create_task(concurrency.in_turn(one, check, one)) for one in pushes]
    await asyncio.to_thread(both_run.wait, 60)
    assert sorted(running) == ["busy", "other"]
    may_end.set()
    assert await asyncio.gather(*tasks) == [*pushes]
