"""Writes of other programs to notifications and announcements in a PostgreSQL store.

Triggers turn them into ordinary changes (migrations/postgres/0033_tables.sql) and notify
the name of the changed inbox, or that any inbox may have changed; live connections to it are updated from the store."""

import asyncio
import contextlib
import json
import random
from collections.abc import Callable, Collection

import asyncpg
import structlog

from bellcast.kernel.clock import Clock
from bellcast.kernel.db.postgres_connection import COMMAND_TIMEOUT, CONNECT_TIMEOUT, POSTGRES_ERRORS
from bellcast.kernel.events import ANNOUNCEMENTS, Stream, inbox_stream

log = structlog.get_logger(__name__)

CHANNEL, ANNOUNCED = "bellcast_inboxes", "bellcast_everybody"
# A check of all inboxes takes 2 ms per 500, so announcements within this window cause only one check.
BATCH_WINDOW_SECONDS = 0.1
# An idle connection is probed this often.
KEEPALIVE_SECONDS = 10.0
RETRY_DELAY, MAX_RETRY_DELAY = 0.1, 5.0


class ExternalWrites:
    """Listens for inboxes that other programs wrote to. The reconciler repairs missed notifications."""

    # Not a struct, which would show the URL with its password in a traceback.
    def __init__(self, url: str, clock: Clock, on_gap: Callable[[Collection[Stream]], None]) -> None:
        self.url, self.clock, self.on_gap = url, clock, on_gap
        self._waiting: dict[float, set[Stream]] = {}  # by their delay in seconds
        self._wait = RETRY_DELAY

    async def run(self) -> None:
        """Listen until cancelled; reconnect after errors."""
        while True:
            try:
                await self._listen()
            except POSTGRES_ERRORS as error:
                effect = "the reconciler repairs missed changes"
                log.warning("external_writes_disconnected", setting="BELLCAST_STORE", reason=str(error), effect=effect)
            await self.clock.sleep(random.uniform(self._wait / 2, self._wait))
            self._wait = min(self._wait * 2, MAX_RETRY_DELAY)

    async def _listen(self) -> None:
        connection = await asyncpg.connect(
            self.url,
            timeout=CONNECT_TIMEOUT,
            command_timeout=COMMAND_TIMEOUT,
            server_settings={"application_name": "bellcast"},
        )
        try:
            await connection.add_listener(
                CHANNEL, lambda *notice: self._mark(0, inbox_stream(*json.loads(str(notice[-1]))))
            )
            await connection.add_listener(ANNOUNCED, lambda *_: self._mark(BATCH_WINDOW_SECONDS, ANNOUNCEMENTS))
            self.on_gap((ANNOUNCEMENTS,))  # earlier notifications of changes were lost
            closed = asyncio.Event()
            connection.add_termination_listener(lambda _: closed.set())
            while not closed.is_set():
                await connection.execute("SELECT 1")
                self._wait = RETRY_DELAY
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(closed.wait(), KEEPALIVE_SECONDS)
        finally:
            connection.terminate()

    def _mark(self, delay: float, stream: Stream) -> None:
        """Report the streams of one delay together: the notifications of one commit arrive at once, for a single read of the
        store."""
        waiting = self._waiting.setdefault(delay, set())
        if not waiting:
            asyncio.get_running_loop().call_later(delay, lambda: self.on_gap(self._waiting.pop(delay)))
        waiting.add(stream)
