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
from msgspec import Struct, field

from bellcast.kernel.clock import Clock
from bellcast.kernel.db.postgres_connection import COMMAND_TIMEOUT, CONNECT_TIMEOUT
from bellcast.kernel.events import ANNOUNCEMENTS, Stream, inbox_stream

log = structlog.get_logger(__name__)

CHANNEL, EVERYBODY = "bellcast_inboxes", "bellcast_everybody"
# A check of all inboxes takes 2 ms per 500, so announcements within this window cause only one check.
BATCH_WINDOW_SECONDS = 0.1
# An idle connection is probed this often.
KEEPALIVE_SECONDS = 10.0
RETRY_DELAY, MAX_RETRY_DELAY = 0.1, 5.0


class ExternalWrites(Struct, eq=False):
    """Listens for inboxes that other programs wrote to. The reconciler repairs missed notifications."""

    url: str
    clock: Clock
    on_gap: Callable[[Collection[Stream]], None]
    _changed_inboxes: set[Stream] = field(default_factory=set)
    _all_changed: bool = False
    _wait: float = RETRY_DELAY

    async def run(self) -> None:
        """Listen until cancelled; reconnect after errors."""
        while True:
            try:
                await self._listen()
            except (
                asyncpg.PostgresError,
                asyncpg.InterfaceError,
                asyncpg.InternalClientError,
                OSError,
                TimeoutError,
            ) as error:
                log.warning(
                    "external_writes_disconnected", reason=str(error), effect="the reconciler repairs missed changes"
                )
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
            await connection.add_listener(CHANNEL, lambda *notice: self._on_notify(str(notice[-1])))
            await connection.add_listener(EVERYBODY, lambda *_: self._on_truncate())
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

    def _on_notify(self, notice: str) -> None:
        """Collect the notifications of one commit, which arrive together, for a single read of the store."""
        tenant, recipient = json.loads(notice)
        if not self._changed_inboxes:
            asyncio.get_running_loop().call_soon(self._publish)
        self._changed_inboxes.add(inbox_stream(tenant, recipient))

    def _publish(self) -> None:
        changed, self._changed_inboxes = self._changed_inboxes, set()
        self.on_gap(changed)

    def _on_truncate(self) -> None:
        if not self._all_changed:
            self._all_changed = True
            asyncio.get_running_loop().call_later(BATCH_WINDOW_SECONDS, self._publish_all)

    def _publish_all(self) -> None:
        self._all_changed = False
        self.on_gap((ANNOUNCEMENTS,))
