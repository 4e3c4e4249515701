"""Background tasks: failures are logged, and running tasks are cancelled at shutdown. One polls the database for changes
whose event was lost."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, TypeAlias

import structlog
from msgspec import Struct, field

from bellcast.kernel.clock import Clock
from bellcast.kernel.errors import BellcastError

log = structlog.get_logger(__name__)

Loop: TypeAlias = Callable[[], Coroutine[Any, Any, None]]

# Delay before a failed loop is restarted: long enough that a persistent failure does not fill the log.
RESTART_DELAY_SECONDS = 5.0
# Maximum delay until a node that missed the event applies a change.
POLL_SECONDS = 10.0


class Tasks(Struct, eq=False):
    """A set of running tasks. Unlike in a TaskGroup, a failing task does not cancel the others."""

    _running: set[asyncio.Task[None]] = field(default_factory=set)

    def spawn(self, work: Coroutine[Any, Any, None]) -> object:
        task = asyncio.get_running_loop().create_task(_logged(work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        # a task that is cancelled before its first step never awaits its coroutine
        task.add_done_callback(lambda _: work.close())
        return task

    def spawn_loop(self, name: str, run: Loop) -> object:
        """Run a loop until `close`. An exception is logged, and the loop is restarted after RESTART_DELAY_SECONDS."""
        return self.spawn(_restarted(name, run))

    async def close(self) -> None:
        """Cancel all tasks, including any that they start while ending, and wait for their end."""
        while self._running:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)


async def _logged(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception:
        log.exception("background_task_failed")


async def _restarted(name: str, run: Loop) -> None:
    while True:
        try:
            return await run()
        except Exception:
            log.exception("background_loop_failed", loop=name, restart_in=RESTART_DELAY_SECONDS)
        await asyncio.sleep(RESTART_DELAY_SECONDS)


async def poll(clock: Clock, reload: Mapping[str, Callable[[], Awaitable[None]]]) -> None:
    """Reload all parts periodically. `parts` are named as in the log."""
    while True:
        await clock.sleep(POLL_SECONDS)
        for name, read in reload.items():
            try:
                await read()
            except BellcastError as error:
                log.warning("database_not_read", part=name, reason=error.detail)
