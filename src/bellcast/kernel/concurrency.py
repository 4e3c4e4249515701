"""How the work of a process shares its event loop: bulk work leaves room for small work, equal calls run together, calls that block have
threads, and background work goes on after errors.

A single send passes through the event loop about eight times, and each time waits for the running task: twelve bulk
sends with slices of 3 ms add 300 ms. So while small work arrives, all bulk work of a process runs in short slices, one
at a time, with the loop idle in between. At other times, bulk work runs in long slices without pauses.
"""

import asyncio
import contextlib
import contextvars
import os
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from queue import SimpleQueue
from time import perf_counter
from typing import Any, Generic, ParamSpec, TypeAlias, TypeVar
from weakref import WeakKeyDictionary, WeakValueDictionary

import structlog
from msgspec import Struct, field

from bellcast.kernel.errors import Unavailable

log = structlog.get_logger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")

# Small sends within the window that count as contention. Maintenance alone makes one or two.
CONTENTION_SENDS = 4
CONTENTION_WINDOW_SECONDS = 1.0
# Items per slice, without and with contention: a draft takes about 12 µs to decode and check.
STEP, SMALL_STEP = 250, 40
# Interval between the starts of two slices under contention: most of this time the loop is idle, and other processes
# can run.
STEP_INTERVAL_SECONDS = 0.0025
PART_SECONDS, SMALL_PART_SECONDS = 0.003, 0.0005  # as long as slices of 250 and of 40 drafts
# Under contention the store pauses between two bulk batches for a multiple of the last one's duration, up to this limit: a
# batch that took longer was waiting for something else.
MAX_BACKOFF_SECONDS = 0.05


class ContentionDetector:
    """True while small sends arrive."""

    def __init__(self) -> None:
        self._arrivals: deque[float] = deque(maxlen=CONTENTION_SENDS)

    def record(self) -> None:
        """Count a small send."""
        self._arrivals.append(perf_counter())

    def __bool__(self) -> bool:
        return (
            len(self._arrivals) == CONTENTION_SENDS and perf_counter() - self._arrivals[0] < CONTENTION_WINDOW_SECONDS
        )


class Scheduler:
    """Schedules the slices of all bulk work on one event loop."""

    def __init__(self) -> None:
        self.contention = ContentionDetector()
        self._free_at = 0.0

    async def slices(self, items: Sequence[T]) -> AsyncIterator[Sequence[T]]:
        """Yield the items in slices. After each slice, wait until the next may begin."""
        start = 0
        while start < len(items):
            end = start + (SMALL_STEP if self.contention else STEP)
            yield items[start:end]
            start = end
            await self.wait()

    async def each(self, items: Iterable[T]) -> AsyncIterator[T]:
        """Yield the items, with pauses by time."""
        async for part in self.parts(items):
            for item in part:
                yield item

    async def parts(self, items: Iterable[T]) -> AsyncIterator[Iterator[T]]:
        """Yield the items in parts, with pauses in between. A part ends by time, because the cost of items differs: a
        draft for 1,000 recipients takes as long as 300 others. It must be read to its end before the next part."""
        pauses, rest = Pauses(self), iter(items)
        for first in rest:
            yield pauses.part(first, rest)
            await pauses.pause_if_due()

    async def wait(self) -> None:
        """Return when the next slice may begin."""
        if not self.contention:
            await asyncio.sleep(0)
            return
        now = perf_counter()
        self._free_at = max(self._free_at, now) + STEP_INTERVAL_SECONDS
        await asyncio.sleep(self._free_at - now)


class Pauses:
    """Lets other tasks run between the parts of a long task, such as rendering a template for each recipient. With a
    scheduler, the task is bulk work: under contention, its parts are short, with pauses in between."""

    def __init__(self, scheduler: Scheduler | None = None) -> None:
        self._scheduler = scheduler
        self._begin_part()

    def _begin_part(self) -> None:
        self._resumed = perf_counter()
        self._next_check = self._resumed + SMALL_PART_SECONDS  # no pause is due earlier

    def part(self, first: T, rest: Iterator[T]) -> Iterator[T]:
        """Yield items until a pause may be due."""
        yield first
        while perf_counter() < self._next_check:
            try:
                yield next(rest)
            except StopIteration:
                return

    async def pause_if_due(self) -> None:
        """Yield to the event loop if the current part has run long enough."""
        now = perf_counter()
        used = now - self._resumed
        if self._scheduler is not None and used > SMALL_PART_SECONDS and self._scheduler.contention:
            await self._scheduler.wait()
        elif used > PART_SECONDS:
            await asyncio.sleep(0)
        else:
            self._next_check = now + SMALL_PART_SECONDS
            return
        self._begin_part()


# --- calls that run together if they arrive at the same time


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


# --- threads for calls that block and may never return: an executor's threads would delay the end of the process, and a few calls that
# hang would keep them from all others

# Maximum concurrent calls of one function of the app; others wait. They mostly wait for the app's database and other servers.
FUNCTION_THREADS = 64
# Those of one tenant: half, so that its calls that hang leave the others.
TENANT_THREADS = FUNCTION_THREADS // 2

# By function, and by function and tenant, while calls use them.
FreeThreads = WeakValueDictionary[tuple[Any, ...], asyncio.Semaphore]
_free_threads = WeakKeyDictionary[asyncio.AbstractEventLoop, FreeThreads]()


def start_thread(name: str, function: Callable[..., T], *args: Any) -> asyncio.Future[T]:
    """Call a function in a daemon thread of its own. The call continues if the future is cancelled."""
    returned: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    threading.Thread(target=call_for, args=(returned, function, *args), name=name, daemon=True).start()
    return returned


def call_for(returned: asyncio.Future[T], function: Callable[..., T], *args: Any) -> None:
    """Call a function in another thread than that of the event loop, which waits for the future, unless it is cancelled."""

    def finish(result: T | None, error: Exception | None) -> None:
        if returned.cancelled():
            return
        if error is not None:
            returned.set_exception(error)
        else:
            returned.set_result(result)  # type: ignore[arg-type]  # None only if T includes it

    if returned.cancelled():
        return
    result, error = None, None
    try:
        result = function(*args)
    except Exception as raised:  # noqa: BLE001  the waiting call raises it
        error = raised
    except SystemExit:
        error = RuntimeError("The function called sys.exit().")
    if isinstance(error, StopIteration):
        error = RuntimeError("The function raised StopIteration.")  # a future refuses it
    with contextlib.suppress(RuntimeError):  # the loop has been closed
        returned.get_loop().call_soon_threadsafe(finish, result, error)


def execute_calls(calls: SimpleQueue[Callable[[], None] | None]) -> None:
    """Execute the calls of a queue in a thread, until None. End the process if the thread cannot go on, such as without
    memory to return a result: further calls would wait forever, while a supervisor starts the process again."""
    is_closed = False
    try:
        while (call := calls.get()) is not None:
            call()
            del call  # otherwise its result stays until the next one
        is_closed = True
    except BaseException:
        log.exception("thread_failed", thread=threading.current_thread().name, effect="the process ends")
    finally:
        if not is_closed:
            os._exit(1)


# By event loop and tenant, as long as a call has or awaits its turn.
_turns: WeakValueDictionary[tuple[int, str], asyncio.Lock] = WeakValueDictionary()


async def in_turn(tenant: str, check: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Check and compile an object that is written for a tenant in a thread, one at a time: with several pushes at once, a tenant would
    hold all threads, which compete with the event loop."""
    turn = _turns.setdefault((id(asyncio.get_running_loop()), tenant), asyncio.Lock())
    async with turn:
        return await asyncio.to_thread(check, *args, **kwargs)


async def call_in_thread(function: Callable[..., Any], argument: Any, tenant: str | None = None) -> Any:
    """Call a function of the app for a tenant, with the context variables of the caller. Calls of a function that hangs delay no
    other function, and those of one tenant no other tenant: a call that is cancelled keeps its thread until the function returns."""
    known = _free_threads.setdefault(asyncio.get_running_loop(), FreeThreads())
    of_tenant = known.setdefault((function, tenant), asyncio.Semaphore(TENANT_THREADS))
    of_all = known.setdefault((function,), asyncio.Semaphore(FUNCTION_THREADS))
    await of_tenant.acquire()
    try:
        await of_all.acquire()
    except asyncio.CancelledError:
        of_tenant.release()
        raise
    call = start_thread("bellcast-function", contextvars.copy_context().run, function, argument)

    def finish(ended: asyncio.Future[Any]) -> None:
        of_tenant.release()
        of_all.release()
        ended.exception()  # avoids a warning after a timeout, when nothing reads the result

    call.add_done_callback(finish)
    return await asyncio.shield(call)


# --- background work

Loop: TypeAlias = Callable[[], Coroutine[Any, Any, None]]
# Delay before a failed loop is restarted: long enough that a persistent failure does not fill the log.
RESTART_DELAY_SECONDS = 5.0


class BackgroundTasks(Struct, eq=False):
    """A set of running tasks. Unlike in a TaskGroup, a failing task does not cancel the others."""

    _running: set[asyncio.Task[None]] = field(default_factory=set)

    def spawn(self, work: Coroutine[Any, Any, None]) -> object:
        async def logged() -> None:
            try:
                await work
            except Exception:
                log.exception("background_task_failed")

        task = asyncio.get_running_loop().create_task(logged())
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        # a task that is cancelled before its first step never awaits its coroutine
        task.add_done_callback(lambda _: work.close())
        return task

    def spawn_loop(self, name: str, run: Loop) -> object:
        """Run a loop until `close`. An exception is logged, and the loop is restarted after RESTART_DELAY_SECONDS."""

        async def restarted() -> None:
            while True:
                try:
                    return await run()
                except Exception:
                    log.exception("background_loop_failed", loop=name, restart_in=RESTART_DELAY_SECONDS)
                await asyncio.sleep(RESTART_DELAY_SECONDS)

        return self.spawn(restarted())

    async def close(self) -> None:
        """Cancel all tasks, including any that they start while ending, and wait for their end."""
        while self._running:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)
