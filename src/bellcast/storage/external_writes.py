"""What other programs write to notifications and announcements in a PostgreSQL store: triggers make it a change like any
other (see migrations/postgres/0004_others.sql and 0006_others_announce.sql) and say whose inbox it is, or that it may be
anybody's; whoever looks at that inbox is told from the store."""

import asyncio
import contextlib
import json
import random
from collections.abc import Callable, Collection

import asyncpg
import structlog

from bellcast.model.events import ANNOUNCEMENTS, Stream, inbox_stream
from bellcast.ports import Clock
from bellcast.storage.postgres_connection import COMMAND_TIMEOUT, CONNECT_TIMEOUT

log = structlog.get_logger(__name__)

CHANNEL, EVERYBODY = "bellcast_inboxes", "bellcast_everybody"
# To look at everybody's inbox is 2 ms for 500: a script that announces line by line is looked after this often.
BATCH_WINDOW_SECONDS = 0.1
# A connection that nobody writes to is asked whether it is still there.
KEEPALIVE_SECONDS = 10.0
FIRST_WAIT, LONGEST_WAIT = 0.1, 5.0


class ExternalWrites:
    """Hears of inboxes that others wrote to. What it misses the audit finds."""

    def __init__(self, url: str, clock: Clock, unsure: Callable[[Collection[Stream]], None]) -> None:
        self._url = url
        self._clock = clock
        self._on_gap = unsure
        self._changed_inboxes: set[Stream] = set()
        self._all_changed = False
        self._wait = FIRST_WAIT

    async def run(self) -> None:
        """Keep at it until cancelled."""
        while True:
            try:
                await self._listen()
            except (
                asyncpg.PostgresError,
                asyncpg.InterfaceError,
                asyncpg.InternalClientError,
                OSError,
                TimeoutError,
            ) as why:
                log.warning("what others write is found by the audit until PostgreSQL is back", why=str(why))
            await self._clock.sleep(random.uniform(self._wait / 2, self._wait))
            self._wait = min(self._wait * 2, LONGEST_WAIT)

    async def _listen(self) -> None:
        connection = await asyncpg.connect(
            self._url,
            timeout=CONNECT_TIMEOUT,
            command_timeout=COMMAND_TIMEOUT,
            server_settings={"application_name": "bellcast"},
        )
        try:
            await connection.add_listener(CHANNEL, lambda *notice: self._on_notify(str(notice[-1])))
            await connection.add_listener(EVERYBODY, lambda *_: self._on_truncate())
            self._on_gap((ANNOUNCEMENTS,))  # everybody: who knows what was said before
            gone = asyncio.Event()
            connection.add_termination_listener(lambda _: gone.set())
            while not gone.is_set():
                await connection.execute("SELECT 1")
                self._wait = FIRST_WAIT
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(gone.wait(), KEEPALIVE_SECONDS)
        finally:
            connection.terminate()

    def _on_notify(self, notice: str) -> None:
        """Notices of one commit arrive together: they are one question to the store."""
        tenant, recipient = json.loads(notice)
        if not self._changed_inboxes:
            asyncio.get_running_loop().call_soon(self._publish)
        self._changed_inboxes.add(inbox_stream(tenant, recipient))

    def _publish(self) -> None:
        heard, self._changed_inboxes = self._changed_inboxes, set()
        self._on_gap(heard)

    def _on_truncate(self) -> None:
        if not self._all_changed:
            self._all_changed = True
            asyncio.get_running_loop().call_later(BATCH_WINDOW_SECONDS, self._publish_all)

    def _publish_all(self) -> None:
        self._all_changed = False
        self._on_gap((ANNOUNCEMENTS,))
