"""Broker between processes over a pub/sub transport. Events are delivered immediately in this process and sent to
others in batches. A lost connection is retried forever.

Publishing never waits for the network. The outgoing queue is bounded, and the reconciler repairs lost events. A process
receives only the streams that its connections follow."""

import asyncio
import contextlib
import random
import secrets
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import msgspec
import structlog
from msgspec.structs import replace

from bellcast.kernel.brokers import KEPT_PREFIX, Broker
from bellcast.kernel.clock import Clock
from bellcast.kernel.concurrency import shared
from bellcast.kernel.errors import SettingsError, Unavailable
from bellcast.kernel.events import ANNOUNCEMENTS, UNENCODABLE, Event, LiveEvent, Stream

log = structlog.get_logger(__name__)

# Maximum events queued while the broker is unreachable. Beyond it, the oldest are dropped; the reconciler repairs the
# loss.
MAX_OUTGOING = 10_000
# Queue length at which expendable events are dropped, such as batches of the live feed: they are larger and less important.
MAX_OUTGOING_BEFORE_EXPENDABLE = 1_000
MAX_BATCH_MESSAGES = 500
# Reconnect delay in seconds, randomized so that processes do not reconnect at the same moment.
FIRST_WAIT, LONGEST_WAIT = 0.05, 2.0
# Interval of warnings about one kind of message that cannot be decoded, and how many kinds are distinguished: during a rolling
# update every message of a new kind is one. In characters, how much of a kind is logged.
UNKNOWN_INTERVAL_MS, MAX_UNKNOWN_KINDS, MAX_KIND = 60_000, 20, 40
# How long a start waits for the first connection before it proceeds without one.
START_TIMEOUT = 5.0
ORIGIN_BYTES = 8

PubSubMessage: TypeAlias = tuple[Stream, bytes]
_encode = msgspec.msgpack.Encoder().encode


class PubSubTransport(Protocol):
    """Pub/sub between processes. Methods raise Unavailable or OSError once the connection is lost."""

    async def connect(self, on_message: Callable[[bytes], None]) -> None:
        """Connect, and pass messages of the followed streams to `on_message`."""

    async def follow(self, streams: Sequence[Stream]) -> None:
        """Subscribe to these streams. Returns once their messages are received."""

    async def unfollow(self, streams: Sequence[Stream]) -> None:
        """Unsubscribe from these streams."""

    async def send(self, messages: Sequence[PubSubMessage]) -> None:
        """Send to every process that follows the streams. Preserves the order within a stream."""

    async def fence(self) -> None:
        """Return once every message that was sent before the call has been received. Call it after `follow`."""

    async def wait_lost(self) -> None:
        """Return or raise when the connection is lost."""

    async def ping(self, *, writes: bool) -> None:
        """Raise unless the broker responds and, with `writes`, can be written."""

    async def close(self) -> None:
        """Close the connection. Safe to call twice."""


class RemoteBroker(Broker):
    """A Broker over a PubSubTransport."""

    def __init__(
        self, transport: PubSubTransport, clock: Clock, event_type: Any, expendable: tuple[type[Event], ...] = ()
    ) -> None:
        """`event_type` is the union of the events that other processes send; of `expendable` ones, the queue holds fewer."""
        super().__init__()
        self._decode: Callable[[memoryview], Event] = msgspec.msgpack.Decoder(event_type).decode
        self._expendable = expendable
        self.transport = transport
        self._clock = clock
        self._origin = secrets.token_bytes(ORIGIN_BYTES)
        self._interest: Counter[Stream] = Counter({ANNOUNCEMENTS: 1})
        self._changed: set[Stream] = set()
        self._subscribing: set[Stream] = set()
        self._subscribed: asyncio.Event | None = None  # set after the next round of subscriptions
        self._must_reconnect = False
        self._fence: asyncio.Task[None] | None = None
        self._on_stored: Callable[[LiveEvent], None] | None = None
        self._on_interrupted: Callable[[], None] = lambda: None
        self._on_reconnected: Callable[[], None] = lambda: None
        self._on_closed: Callable[[], Awaitable[None]] | None = None
        self._outgoing: deque[PubSubMessage] = deque(maxlen=MAX_OUTGOING)
        self._work = asyncio.Event()
        self._tried = asyncio.Event()
        self._connected = False
        self._messages: Counter[tuple[str, str]] = Counter()  # by direction and kind of event
        self._unknown: dict[str, int] = {}  # times of the last warnings by kind
        self._connections = 0
        self._lost_at: int | None = None  # since when the broker has been away
        self._task: asyncio.Task[None] | None = None

    # --- Broker port

    async def open(self) -> None:
        """Start connecting. Returns even if the broker does not respond in time. Raises SettingsError."""
        self._tried.clear()
        self._task = asyncio.get_running_loop().create_task(self._keep_connected())
        tried = asyncio.ensure_future(self._tried.wait())
        await asyncio.wait((self._task, tried), timeout=START_TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
        tried.cancel()
        if self._task.done():
            await self._task  # raises the SettingsError

    def read_log_with(
        self,
        on_stored: Callable[[LiveEvent], None],
        on_interrupted: Callable[[], None],
        on_reconnected: Callable[[], None],
        on_closed: Callable[[], Awaitable[None]],
    ) -> None:
        """Pass stored events of other processes to `on_stored` from now on, in log order; the caller has those that were published
        here. It raises ValueError for an invalid id.

        `on_interrupted` is called when the subscriptions are lost: events may be missing before the next one received;
        `on_reconnected` when all followed streams are subscribed again."""
        self._on_stored, self._on_closed = on_stored, on_closed
        self._on_interrupted, self._on_reconnected = on_interrupted, on_reconnected

    @property
    def followed(self) -> Collection[Stream]:
        return self._interest.keys()

    async def wait_followed(self, streams: Collection[Stream]) -> None:
        """Wait until followed streams are subscribed. Raises Unavailable without a connection."""
        while True:
            if not self._connected:
                raise Unavailable("The broker is not connected.")
            if self._changed.isdisjoint(streams) and self._subscribing.isdisjoint(streams):
                return
            if self._subscribed is None:
                self._subscribed = asyncio.Event()
            await self._subscribed.wait()

    async def fence(self) -> None:
        """Return once everything that was published before the call has been delivered. Raises Unavailable."""

        async def pass_fence() -> None:
            self._fence = None  # concurrent calls share this fence
            try:
                await self.transport.fence()
            except OSError as failure:
                raise Unavailable("The broker is not connected.") from failure

        if self._fence is None:
            self._fence = shared(pass_fence())
        await asyncio.shield(self._fence)

    def reconnect(self) -> None:
        self._must_reconnect = True
        self._work.set()

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
            if isinstance(event, LiveEvent) and event.id is not None:
                continue  # the log has published it
            if self._listener is not None:
                self._listener(event)
            if len(self._outgoing) >= MAX_OUTGOING_BEFORE_EXPENDABLE and isinstance(event, self._expendable):
                continue
            try:
                self._outgoing.append((event.stream, self._origin + _encode(event)))
                self._messages["sent", kind_of(event)] += 1
            except UNENCODABLE:
                log.exception("event_not_encodable", kind=type(event).__name__)
        self._work.set()

    async def ping(self, *, writes: bool = False) -> None:
        """Raise Unavailable unless the broker responds and, with `writes`, can be written."""
        if not self._connected:
            raise Unavailable("The broker is not connected.")
        try:
            await self.transport.ping(writes=writes)
        except OSError as failure:
            raise Unavailable("The broker is not connected.") from failure

    def counts(self) -> Mapping[str, Mapping[Any, float]]:
        """Return the counters of this process, by name and labels."""
        reconnects = {(): max(0, self._connections - 1)}
        return {"broker_messages": self._messages, "broker_reconnects": reconnects}

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
        self._on_lost()
        if self._on_closed is not None:
            await self._on_closed()
        await self.transport.close()

    # --- connection

    async def _keep_connected(self) -> None:
        wait = FIRST_WAIT
        while True:
            try:
                await self.transport.connect(self._receive)
                self._changed.clear()
                streams = list(self._interest)
                await self.transport.follow(streams)
                self._connected = True
                self._connections += 1
                self._tried.set()
                if self._lost_at is not None:
                    log.info("broker_connected", outage_ms=self._clock.now() - self._lost_at)
                    self._lost_at = None
                self._on_gap(streams)
                self._on_reconnected()
                connected_at = self._clock.now()
                try:
                    await self._serve()
                finally:
                    # A connection that fails immediately must not be reopened without a delay.
                    if not self._must_reconnect and self._clock.now() - connected_at > 1000 * LONGEST_WAIT:
                        wait = FIRST_WAIT
            except (OSError, Unavailable, SettingsError) as failure:
                if isinstance(failure, SettingsError) and not self._tried.is_set():
                    raise
                log.warning("broker_disconnected", setting="BELLCAST_BROKER", reason=str(failure), retry_in=wait)
            except Exception:  # without this loop the process would never receive another event
                log.exception("broker_connection_failed")
            self._lost_at = self._lost_at or self._clock.now()
            self._on_lost()
            self._tried.set()
            try:
                await self.transport.close()
            except Exception:
                log.exception("broker_close_failed")
            await self._clock.sleep(random.uniform(wait / 2, wait))
            wait = min(wait * 2, LONGEST_WAIT)

    def _on_lost(self) -> None:
        self._connected = self._must_reconnect = False
        self._subscribing.clear()
        self._end_round()
        self._on_interrupted()

    def _end_round(self) -> None:
        subscribed, self._subscribed = self._subscribed, None
        if subscribed is not None:
            subscribed.set()

    async def _serve(self) -> None:
        """Send and subscribe until the connection is lost."""
        lost = asyncio.ensure_future(self.transport.wait_lost())
        try:
            while not lost.done():
                work = asyncio.ensure_future(self._work.wait())
                try:
                    await asyncio.wait((work, lost), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    work.cancel()
                self._work.clear()
                if self._must_reconnect:
                    raise Unavailable("The log of live events cannot be read.")
                changed, self._changed = self._changed, set()
                self._subscribing = changed
                ended = [stream for stream in changed if stream not in self._interest]
                begun = [stream for stream in changed if stream in self._interest]
                if ended:
                    await self.transport.unfollow(ended)
                if begun:
                    await self.transport.follow(begun)
                    self._on_gap(begun)
                self._subscribing = set()
                self._end_round()
                await self._send()
            await lost
        finally:
            lost.cancel()
            await asyncio.gather(lost, return_exceptions=True)  # it may end with the loss that a send has noticed

    async def _send(self) -> None:
        while self._outgoing:
            batch = [self._outgoing.popleft() for _ in range(min(MAX_BATCH_MESSAGES, len(self._outgoing)))]
            await self.transport.send(batch)

    def _receive(self, message: bytes) -> None:
        """Deliver a message of another process. `publish` has delivered this process's own messages."""
        if message[:ORIGIN_BYTES] == self._origin or self._listener is None:
            return
        id, start = "", ORIGIN_BYTES
        try:
            if message.startswith(KEPT_PREFIX):
                end = message.index(b"\0", ORIGIN_BYTES)
                id, start = message[ORIGIN_BYTES:end].decode(), end + 1
            event = self._decode(memoryview(message)[start:])
            if event.stream not in self._interest:
                return
            self._messages["received", kind_of(event)] += 1
            if id and isinstance(event, LiveEvent) and self._on_stored is not None:
                self._on_stored(replace(event, id=id))
            else:
                self._listener(event)
        except (msgspec.DecodeError, ValueError, RecursionError) as failure:
            # A message of an older or newer version, during a rolling update, or of another program
            kind = "malformed"
            with contextlib.suppress(msgspec.DecodeError, ValueError, RecursionError, TypeError, KeyError):
                kind = str(msgspec.msgpack.decode(memoryview(message)[start:])["kind"])[:MAX_KIND]
            if kind not in self._unknown and len(self._unknown) >= MAX_UNKNOWN_KINDS:
                kind = "other"
            now = self._clock.now()
            if not 0 <= now - self._unknown.get(kind, -UNKNOWN_INTERVAL_MS) < UNKNOWN_INTERVAL_MS:
                self._unknown[kind] = now
                log.warning("event_not_decodable", kind=kind, reason=str(failure))


def kind_of(event: Event) -> str:
    """Return the name of an event's type in messages."""
    tag: str = type(event).__struct_config__.tag  # type: ignore[attr-defined]  # every event is a Struct
    return tag
