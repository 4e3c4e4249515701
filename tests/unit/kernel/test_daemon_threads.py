"""Functions of the app run in threads of their own, with the caller's context."""

import asyncio
import contextvars
import threading
from typing import Any

import pytest

from bellcast.kernel import daemon_threads

NAME = contextvars.ContextVar("NAME", default="none")


async def test_function_runs_apart_from_the_threads_of_asyncio() -> None:
    NAME.set("alice")

    def function(argument: Any) -> tuple[str, bool, str, Any]:
        thread = threading.current_thread()
        return thread.name, thread.daemon, NAME.get(), argument

    called = await daemon_threads.call_function(function, 7)
    assert called == ("bellcast-function", True, "alice", 7)


@pytest.mark.parametrize("ending", [StopIteration, SystemExit])
async def test_function_that_raises_what_a_future_refuses_has_an_error(ending: type[BaseException]) -> None:
    def function(_: Any) -> None:
        raise ending

    with pytest.raises(RuntimeError):
        await daemon_threads.call_function(function, None)


async def test_function_keeps_its_thread_until_it_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon_threads, "FUNCTION_THREADS", 1)
    end = threading.Event()
    cancelled = asyncio.ensure_future(daemon_threads.call_function(lambda _: end.wait(), None))
    await asyncio.sleep(0)
    cancelled.cancel()
    waiting = asyncio.ensure_future(daemon_threads.call_function(str, 7))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not waiting.done()
    end.set()
    assert await waiting == "7"
