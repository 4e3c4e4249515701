"""Calls that run together, if they arrive at the same time."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Generic, TypeVar

from bellcast.kernel.errors import Unavailable

T = TypeVar("T")
R = TypeVar("R")


def shared(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Start work for which several callers wait, each with `asyncio.shield`. Its failure is not logged if none waits for it any more."""
    task = asyncio.get_running_loop().create_task(work)
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    return task


class CallBatcher(Generic[T, R]):
    """Runs the calls of a key together, at most `most`: all of one iteration of the event loop, and then those that arrived during
    the last run. At most `concurrency` keys run at a time.

    `run` returns a result or an exception for each item, or for the first ones: the others run again. If it raises, all of them
    fail, and after Unavailable also those that arrived meanwhile: each would wait for the same timeout after this one."""

    def __init__(
        self,
        run: Callable[[str, Sequence[T]], Awaitable[Sequence[R | Exception]]],
        most: int,
        concurrency: int = 10_000,
    ) -> None:
        self._run = run
        self._most = most
        self._slots = asyncio.Semaphore(concurrency)
        self._waiting: dict[str, list[tuple[T, asyncio.Future[R]]]] = {}  # of each key that has a task
        self._tasks: set[asyncio.Task[None]] = set()

    def call(self, key: str, item: T) -> asyncio.Future[R]:
        """Add a call; return its future result. A call that is cancelled need not run."""
        loop = asyncio.get_running_loop()
        result: asyncio.Future[R] = loop.create_future()
        if key in self._waiting:
            self._waiting[key].append((item, result))
        else:
            self._waiting[key] = [(item, result)]
            task = loop.create_task(self._run_waiting(key))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return result

    async def _run_waiting(self, key: str) -> None:
        """Run calls until none is waiting. The task starts in the event loop's next iteration, with all calls of this one."""
        waiting = self._waiting[key]
        try:
            while waiting:
                async with self._slots:
                    calls = [call for call in waiting[: self._most] if not call[1].done()]
                    del waiting[: self._most]
                    results: Sequence[R | Exception] = ()
                    try:
                        if calls:
                            results = await self._run(key, [item for item, _ in calls])
                    except Exception as failure:  # noqa: BLE001  every caller gets the error
                        if isinstance(failure, Unavailable):
                            calls += waiting
                            waiting.clear()
                        results = [failure] * len(calls)
                waiting[:0] = calls[len(results) :]
                for (_, future), result in zip(calls, results, strict=False):
                    if future.done():  # the caller was cancelled
                        continue
                    if isinstance(result, Exception):
                        future.set_exception(result)
                    else:
                        future.set_result(result)
        finally:
            del self._waiting[key]
