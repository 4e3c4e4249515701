"""Broker between processes over a pub/sub transport: local events are delivered immediately, remote ones are sent in
batches, and the connection is retried forever.

Publishing never waits for the network, and the outgoing queue is bounded: lost events are found by the reconciler. A
process receives only the streams that its connections follow."""

import asyncio
import contextlib
import random
import secrets
from collections import Counter, deque
from collections.abc import Callable, Collection, Sequence
from typing import Protocol, TypeAlias

import msgspec
import structlog

from bellcast.brokers.delivery import deliver
from bellcast.errors import Unavailable
from bellcast.model.events import ANNOUNCEMENTS, Event, Stream
from bellcast.ports import Clock

log = structlog.get_logger(__name__)

# Maximum of events queued while the broker is unreachable. Beyond it the oldest are left to the reconciler.
MAX_OUTGOING = 10_000
MAX_BATCH_MESSAGES = 500
# Reconnect delay in seconds, randomized so that processes do not reconnect at the same moment.
FIRST_WAIT, LONGEST_WAIT = 0.05, 2.0
# How long a start waits for the first connection before it proceeds without one.
START_TIMEOUT = 5.0
ORIGIN_BYTES = 8

PubSubMessage: TypeAlias = tuple[Stream, bytes]
# Errors for data that MessagePack cannot encode. Senders' data is validated on receipt; handlers may return any value.
UNENCODABLE = (OverflowError, ValueError, TypeError, RecursionError)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Event).decode


class PubSubTransport(Protocol):
    """Pub/sub between processes. Methods raise Unavailable or OSError once the connection is lost."""

    async def connect(self, on_message: Callable[[bytes], None]) -> None:
        """Connect, and pass messages of the followed streams to `on_message`."""
        ...

    async def follow(self, streams: Sequence[Stream]) -> None:
        """Subscribe to these streams. Returns once their messages are received."""
        ...

    async def unfollow(self, streams: Sequence[Stream]) -> None:
        """Unsubscribe from these streams."""
        ...

    async def send(self, messages: Sequence[PubSubMessage]) -> None:
        """Send to every process that follows the streams. Keeps the order within a stream."""
        ...

    async def wait_lost(self) -> None:
        """Return or raise when the connection is lost."""
        ...

    async def ping(self) -> None:
        """Raise unless the broker responds."""
        ...

    async def close(self) -> None:
        """Close the connection. Safe to call twice."""
        ...


class RemoteBroker:
    """A Broker over a PubSubTransport."""

    def __init__(self, transport: PubSubTransport, clock: Clock) -> None:
        self._transport = transport
        self._clock = clock
        self._origin = secrets.token_bytes(ORIGIN_BYTES)
        self._listener: Callable[[Event], None] | None = None
        self._on_gap: Callable[[Collection[Stream]], None] = lambda _: None
        self._interest: Counter[Stream] = Counter({ANNOUNCEMENTS: 1})
        self._changed: set[Stream] = set()
        self._outgoing: deque[PubSubMessage] = deque(maxlen=MAX_OUTGOING)
        self._work = asyncio.Event()
        self._tried = asyncio.Event()
        self._connected = False
        self._task: asyncio.Task[None] | None = None

    # --- Broker port

    async def open(self) -> None:
        """Start connecting. Returns also when the broker does not respond in time."""
        self._tried.clear()
        self._task = asyncio.get_running_loop().create_task(self._keep_connected())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._tried.wait(), START_TIMEOUT)

    def listen(
        self, listener: Callable[[Event], None], unsure: Callable[[Collection[Stream]], None] | None = None
    ) -> None:
        """Deliver every event to `listener` from now on, and call `on_gap` with streams that may have lost events."""
        self._listener = listener
        self._on_gap = unsure or self._on_gap

    def follow(self, stream: Stream) -> None:
        self._interest[stream] += 1
        if self._interest[stream] == 1:
            self._changed.add(stream)
            self._work.set()

    def unfollow(self, stream: Stream) -> None:
        self._interest[stream] -= 1
        if self._interest[stream] <= 0:
            del self._interest[stream]
            self._changed.add(stream)
            self._work.set()

    async def publish(self, *events: Event) -> None:
        """Deliver locally before returning, and to other processes soon after."""
        if self._listener is None and self._task is None:
            return
        for event in events:
            if self._listener is not None:
                deliver(self._listener, event)
            try:
                self._outgoing.append((event.stream, self._origin + _encode(event)))
            except UNENCODABLE:
                log.exception("event_not_encodable", kind=type(event).__name__)
        self._work.set()

    async def ping(self) -> None:
        """Raise Unavailable unless the broker responds."""
        if not self._connected:
            raise Unavailable("The broker is not connected.")
        try:
            await self._transport.ping()
        except OSError as failure:
            raise Unavailable("The broker is not connected.") from failure

    async def close(self) -> None:
        """Send queued events, then stop delivering."""
        self._listener = None
        task, self._task = self._task, None
        if task is None:
            return
        if self._connected:
            with contextlib.suppress(OSError, Unavailable):
                await self._send()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        self._connected = False
        await self._transport.close()

    # --- connection

    async def _keep_connected(self) -> None:
        wait = FIRST_WAIT
        while True:
            try:
                await self._connect()
                wait = FIRST_WAIT
                await self._serve()
            except (OSError, Unavailable) as failure:
                log.warning("broker_disconnected", reason=str(failure), retry_in=wait)
            except Exception:  # without this loop the process would never receive another event
                log.exception("broker_connection_failed")
            self._connected = False
            self._tried.set()
            await self._transport.close()
            await self._clock.sleep(random.uniform(wait / 2, wait))
            wait = min(wait * 2, LONGEST_WAIT)

    async def _connect(self) -> None:
        await self._transport.connect(self._receive)
        self._changed.clear()
        streams = list(self._interest)
        await self._transport.follow(streams)
        self._connected = True
        self._tried.set()
        self._on_gap(streams)

    async def _serve(self) -> None:
        """Send and subscribe until the connection is lost."""
        lost = asyncio.ensure_future(self._transport.wait_lost())
        try:
            while not lost.done():
                work = asyncio.ensure_future(self._work.wait())
                try:
                    await asyncio.wait((work, lost), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    work.cancel()
                self._work.clear()
                await self._follow()
                await self._send()
            await lost
        finally:
            lost.cancel()

    async def _follow(self) -> None:
        changed, self._changed = self._changed, set()
        ended = [stream for stream in changed if stream not in self._interest]
        begun = [stream for stream in changed if stream in self._interest]
        if ended:
            await self._transport.unfollow(ended)
        if begun:
            await self._transport.follow(begun)
            self._on_gap(begun)

    async def _send(self) -> None:
        while self._outgoing:
            batch = [self._outgoing.popleft() for _ in range(min(MAX_BATCH_MESSAGES, len(self._outgoing)))]
            await self._transport.send(batch)

    def _receive(self, message: bytes) -> None:
        """Deliver a message of another process. This process's own were delivered by `publish`."""
        if message[:ORIGIN_BYTES] == self._origin or self._listener is None:
            return
        try:
            event = _decode(memoryview(message)[ORIGIN_BYTES:])
        except (msgspec.DecodeError, ValueError, RecursionError) as failure:
            # A newer version's kind of event, during a rolling update.
            log.warning("event_not_decodable", reason=str(failure))
            return
        if event.stream in self._interest:
            deliver(self._listener, event)
