"""PostgreSQL LISTEN/NOTIFY as the transport between processes, for deployments without Redis.

A process listens on a bounded number of channels instead of one per stream: streams share channels, and events of
streams that this process does not follow are skipped. A notification holds 8,000 bytes of text, so longer messages
are split into parts."""

import asyncio
import base64
import hashlib
import secrets
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import count

import asyncpg

from bellcast.kernel.brokers.remote import PubSubMessage
from bellcast.kernel.db import postgres_connection
from bellcast.kernel.errors import Unavailable
from bellcast.kernel.events import Stream

CHANNELS = 64
# Bytes of text per notification: PostgreSQL's limit is 8,000, less the prefix.
MAX_NOTIFY_BYTES = 7_800
CONNECT_TIMEOUT = 5.0
COMMAND_TIMEOUT = 5.0
NOTIFY = "SELECT count(pg_notify(channel, part)) FROM unnest($1::text[], $2::text[]) notice (channel, part)"

# Fails on a standby, and where transactions are read-only.
PROBE = "DO $$ BEGIN ASSERT current_setting('transaction_read_only') = 'off', 'the database is read-only'; END $$"


class PostgresTransport:
    """A PubSubTransport on two connections: one listens, the other sends."""

    def __init__(self, url: str, project: str) -> None:
        self.url = url
        self._name = "bellcast_" + hashlib.sha256(project.encode()).hexdigest()[:16]
        self._numbers = count(1)
        self._listening: asyncpg.Connection | None = None
        self._sending: asyncpg.Connection | None = None
        self._on_message: Callable[[bytes], None] = lambda _: None
        self._channels: dict[str, set[Stream]] = {}
        self._parts: dict[int, tuple[str, list[str]]] = {}  # by sender: the message's number and its parts so far
        self._lost = asyncio.Event()
        self._fence_channel = f"{self._name}_{secrets.token_hex(8)}"
        self._fences: dict[str, asyncio.Future[None]] = {}
        self._query_lock = asyncio.Lock()  # a connection runs one query at a time
        self._send_lock = asyncio.Lock()
        self.is_full = False  # the last event could not be stored, because the disk was full

    async def connect(self, on_message: Callable[[bytes], None]) -> None:
        self._on_message = on_message
        self._channels.clear()
        self._parts.clear()
        self._lost = asyncio.Event()
        try:
            await postgres_connection.check_pooler(self.url, "BELLCAST_BROKER")
            self._listening = await self._connection()
            self._sending = await self._connection()
        except postgres_connection.POSTGRES_ERRORS as failure:
            raise Unavailable.of("PostgreSQL", failure) from failure
        self._listening.add_termination_listener(lambda _: self._lost.set())
        await self._query(self._listening.add_listener, self._fence_channel, self._on_fence)

    async def _connection(self) -> asyncpg.Connection:
        return await asyncpg.connect(
            self.url,
            timeout=CONNECT_TIMEOUT,
            command_timeout=COMMAND_TIMEOUT,
            server_settings={"application_name": "bellcast"},
        )

    async def follow(self, streams: Sequence[Stream]) -> None:
        for stream in streams:
            channel = self.channel(stream)
            followed = self._channels.setdefault(channel, set())
            is_first = not followed
            followed.add(stream)
            if is_first:
                await self._query(self._open(self._listening).add_listener, channel, self._on_notify)

    async def unfollow(self, streams: Sequence[Stream]) -> None:
        for stream in streams:  # also streams that were unfollowed before they were subscribed
            channel = self.channel(stream)
            followed = self._channels.get(channel, set())
            followed.discard(stream)
            if not followed and self._channels.pop(channel, None) is not None:
                await self._query(self._open(self._listening).remove_listener, channel, self._on_notify)

    async def send(self, messages: Sequence[PubSubMessage]) -> None:
        """Send in one round trip and one transaction."""
        notices = [(self.channel(stream), part) for stream, data in messages for part in self.cut(data)]
        await self._notify([channel for channel, _ in notices], [part for _, part in notices])

    async def _notify(self, channels: Sequence[str], parts: Sequence[str]) -> None:
        def execute() -> Awaitable[str]:  # on the connection that is open when it is this message's turn
            return self._open(self._sending).execute(NOTIFY, channels, parts)

        await self._query(execute, lock=self._send_lock)

    def cut(self, message: bytes) -> Iterator[str]:
        """Split a message into notifications. Sequence numbers keep equal ones distinct, since PostgreSQL drops
        duplicates."""
        text = base64.b64encode(message).decode()
        number, last = next(self._numbers), (len(text) - 1) // MAX_NOTIFY_BYTES
        for at in range(last + 1):
            yield f"{number} {last - at} {text[at * MAX_NOTIFY_BYTES : (at + 1) * MAX_NOTIFY_BYTES]}"

    def _on_notify(self, _: object, sender: int, __: str, notice: object) -> None:
        """Join the parts of a message. PostgreSQL keeps the order per sender; messages of different senders may
        interleave. If the channel is unfollowed between two parts, the rest of the message does not arrive."""
        number, left, text = str(notice).split(" ", 2)
        begun, parts = self._parts.pop(sender, (number, []))
        if begun != number:
            parts = []
        parts.append(text)
        if left == "0":
            self._on_message(base64.b64decode("".join(parts)))
        else:
            self._parts[sender] = (number, parts)

    async def fence(self) -> None:
        """Return once every message before this call has been received: notifications keep the order of commits."""
        number = str(next(self._numbers))
        self._fences[number] = passed = asyncio.get_running_loop().create_future()
        try:
            await self._notify([self._fence_channel], [number])
            await asyncio.wait_for(passed, COMMAND_TIMEOUT)
        except TimeoutError:
            raise Unavailable("PostgreSQL does not respond.") from None
        finally:
            self._fences.pop(number, None)

    def _on_fence(self, _: object, __: int, ___: str, number: object) -> None:
        passed = self._fences.pop(str(number), None)
        if passed is not None and not passed.done():
            passed.set_result(None)

    async def wait_lost(self) -> None:
        """Raise when the listening connection is lost or does not respond."""
        while True:
            try:
                await asyncio.wait_for(self._lost.wait(), COMMAND_TIMEOUT)
            except TimeoutError:
                await self.ping()
            else:
                raise Unavailable("The connection to PostgreSQL was lost.")

    def reconnect(self) -> None:
        """End the connection; `wait_lost` raises."""
        self._lost.set()

    async def ping(self, *, writes: bool = False) -> None:
        """Raise unless PostgreSQL responds on the listening connection and, with `writes`, can be written."""
        await self._query(self._open(self._listening).execute, PROBE if writes else "SELECT 1")
        if writes and self.is_full:
            raise Unavailable("The disk of PostgreSQL is full: live events are not stored. Free space.")

    async def close(self) -> None:
        for passed in self._fences.values():
            if not passed.done():
                passed.set_exception(Unavailable("The connection to PostgreSQL was lost."))
        for connection in (self._listening, self._sending):
            if connection is not None:
                connection.terminate()
        self._listening = self._sending = None

    @property
    def is_open(self) -> bool:
        return self._listening is not None

    async def _query(
        self, method: Callable[..., Awaitable[object]], *args: object, lock: asyncio.Lock | None = None
    ) -> None:
        """Run a query of the listening connection, or of the one with this lock. Raises Unavailable if PostgreSQL is unreachable."""
        try:
            async with lock or self._query_lock:
                await method(*args)
        except postgres_connection.POSTGRES_ERRORS as failure:
            reason = str(failure) or type(failure).__name__
            raise Unavailable(f"The connection to PostgreSQL was lost: {reason}.") from failure

    def _open(self, connection: asyncpg.Connection | None) -> asyncpg.Connection:
        if connection is None or connection.is_closed():
            raise Unavailable("The connection to PostgreSQL was lost.")
        return connection

    def channel(self, stream: Stream) -> str:
        return f"{self._name}_{hashlib.blake2b(stream.encode(), digest_size=1).digest()[0] % CHANNELS}"
