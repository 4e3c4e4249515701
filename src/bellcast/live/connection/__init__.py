"""A live client connection: its dialect, its queues and transports, and the reasons for which it is closed. A `Connection` holds the
principal, the followed streams, the inbox position and the transport.

It has no task, no queue and, until it closes, no timer: an idle connection costs its socket and this object.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from enum import IntEnum
from socket import SocketType
from typing import Any, Protocol

from msgspec import Struct, field
from msgspec.structs import replace

from bellcast.auth.permissions import Grant
from bellcast.inbox.types.inboxes import NotificationAdded
from bellcast.kernel.events import Stream
from bellcast.kernel.identities import Principal
from bellcast.kernel.limits import Limits
from bellcast.live.connection import close_reasons
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.connection.dialect import Dialect
from bellcast.live.connection.outbound import NULL_TRANSPORT, OutboundTransport, raw_socket

# Queued messages at which reading from the socket is paused.
MAX_PENDING = 64


class PendingMessages(Struct, eq=False):
    """A queue that is full at MAX_PENDING messages, or above `max_bytes` (0: no limit). Decoded messages may use 20
    times their size."""

    max_bytes: int
    _messages: deque[tuple[Any, int]] = field(default_factory=deque)
    _bytes: int = 0
    _handled_bytes: int = 0

    def __bool__(self) -> bool:
        return bool(self._messages)

    @property
    def is_full(self) -> bool:
        return len(self._messages) >= MAX_PENDING or 0 < self.max_bytes < self._bytes

    @property
    def held_bytes(self) -> int:
        """Return the bytes of the queued messages and of the one that is being handled."""
        return self._bytes + self._handled_bytes

    def append(self, message: Any, size: int) -> None:
        self._messages.append((message, size))
        self._bytes += size

    def begin_next(self) -> Any:
        """Return the first message, which is held until `end_current`."""
        message, size = self._messages.popleft()
        self._bytes -= size
        self._handled_bytes = size
        return message

    def end_current(self) -> None:
        self._handled_bytes = 0

    def clear(self) -> None:
        self._messages.clear()
        self._bytes = 0


# Write buffer limit during a replay: the reader sets the pace.
REPLAY_BUFFER_BYTES = 65_536
# Time for the peer to read the remaining output and, on a WebSocket, to complete the closing handshake
# (RFC 6455, 7.1.1). Then the transport is aborted, since a peer that never reads would hold the socket open.
CLOSE_TIMEOUT = 5


NO_MARK = -1  # no revision

# Called once `ready` has been written.
OnReady = Callable[[], None]


class Phase(IntEnum):
    OPENING = 0  # registered, no events sent yet: inbox changes stay in the store
    REPLAYING = 1  # changes since its position are being sent; newer changes stay in the store
    LIVE = 2
    CLOSED = 3


# A live connection replays to fill a gap, and is opened again when an anonymous client signs in.
LEGAL_MOVES: dict[Phase, frozenset[Phase]] = {
    Phase.OPENING: frozenset((Phase.REPLAYING, Phase.LIVE, Phase.CLOSED)),
    Phase.REPLAYING: frozenset((Phase.LIVE, Phase.CLOSED)),
    Phase.LIVE: frozenset((Phase.OPENING, Phase.REPLAYING, Phase.CLOSED)),
    Phase.CLOSED: frozenset(),
}


class ConnectionOwner(Protocol):
    """Receives the events of a connection: the hub."""

    tick: int

    def newest_event(self, connection: "Connection") -> str | None:
        """Return the id of the newest live event up to which a connection has received everything; None if there is
        none."""

    def on_disconnected(self, connection: "Connection") -> None:
        """Unregister a connection. Idempotent."""

    def on_replayed(self, connection: "Connection") -> None:
        """Handle the end of a replay, complete or not."""

    def on_notification_replayed(self, event: NotificationAdded) -> None:
        """Record that a replay wrote a notification to a connection."""

    def end(self, connection: "Connection", end: CloseReason) -> None:
        """Send the close reason, close and unregister the connection."""

    def on_pong(self, connection: "Connection", data: bytes) -> None: ...


class Listener(Protocol):
    """Handles the messages of WebSocket clients, with limits."""

    limits: Limits

    def receive(self, connection: "Connection", message: str | bytes) -> None:
        """Enqueue one message; messages are processed in order."""


class Connection(asyncio.Protocol):
    """Owner of one socket. `write` is a bound method of the transport, or limits the output during a replay."""

    namespace = "/"  # others in dialects whose sessions carry several connections
    session: Any = None  # that carries this connection, in these dialects
    __slots__ = (
        "address",
        "bytes_during_replay",
        "close_reason",
        "close_timer",
        "connected_at",
        "dialect",
        "epoch",
        "grants",
        "id",
        "inbox",
        "is_stale",
        "last_received_tick",
        "last_sent_tick",
        "mark_head",
        "mark_revision",
        "max_unsent",
        "may_have_sock",
        "origin",
        "owner",
        "pending",
        "phase",
        "ping_tick",
        "place",
        "principal",
        "revision",
        "sock",
        "streams",
        "transport",
        "writable_waiter",
        "write",
    )

    def __init__(
        self,
        id: str,
        dialect: Dialect,
        principal: Principal,
        owner: ConnectionOwner,
        connected_at: int,
        address: str | None,
        origin: str | None = None,
    ) -> None:
        self.id = id
        self.dialect = dialect
        self.principal = principal
        self.owner = owner
        self.connected_at = connected_at
        self.address = address
        self.origin = origin
        self.streams: tuple[Stream, ...] = ()
        self.grants: dict[str, Grant] | None = None  # the followed topics and their grants; None before the first
        self.inbox = 0  # the inbox's number in the store
        self.epoch = 0
        self.revision = 0
        self.place: str | None = None  # the inbox position within a replay; None: `epoch` and `revision`
        # The encoded position of all live events until the revision changes; a new epoch resets it.
        self.mark_head = b""
        self.mark_revision = NO_MARK
        self.phase = Phase.OPENING
        self.is_stale = False  # an inbox change was skipped while the connection was not live
        self.last_sent_tick = self.last_received_tick = owner.tick
        self.ping_tick = 0  # the tick of the last ping
        self.writable_waiter: asyncio.Future[None] | None = None  # not None while a replay waits for the reader
        self.bytes_during_replay = 0  # bytes of other output, written while the replay waits
        self.close_timer: asyncio.TimerHandle | None = None
        self.close_reason: CloseReason | None = None  # in the dialect's codes; None if the socket was lost
        self.pending: PendingMessages | None = None  # frames received while an earlier one is being processed
        self.max_unsent = 0
        self.transport: OutboundTransport = NULL_TRANSPORT
        self.sock: SocketType | None = None  # opened for the first direct write
        self.may_have_sock = False
        self.write: Callable[[bytes], None] = NULL_TRANSPORT.write

    def attach(self, transport: OutboundTransport, unsent: int) -> None:
        """Attach the transport. A reader with more than `unsent` buffered bytes (0: no limit) is too slow."""
        self.max_unsent = unsent
        self.transport = transport
        self.write = transport.write
        self.may_have_sock = True
        self._set_high_water(unsent)

    def write_tracked(self, data: bytes) -> None:
        """Write, and record the tick, from which the next heartbeat is scheduled."""
        self.last_sent_tick = self.owner.tick
        self.write(data)

    def write_directly(self, data: bytes) -> None:
        """Send on the socket, unless it has unsent output. `send` costs a tenth less than the transport's `write`,
        which coalesces. Bytes that the socket does not accept are passed to the transport."""
        sock = self.sock or self.direct_socket
        if sock is None or not (self.transport.clear or not self.transport.get_write_buffer_size()):
            self.write(data)
            return
        try:
            sent = sock.send(data)
        except OSError:  # full or closed: the transport determines which
            sent = 0
        if sent != len(data):
            self.write(data[sent:])

    @property
    def direct_socket(self) -> SocketType | None:
        """The socket for direct writes; None with TLS or another server. It is opened when it is first needed, because that
        takes 3 µs, and in a reconnect storm most connections receive no event."""
        if self.may_have_sock:
            self.sock, self.may_have_sock = self.open_socket(), False
        return self.sock

    def open_socket(self) -> SocketType | None:
        """Open the socket for `direct_socket`."""
        return raw_socket(self.transport)

    def marked(self, data: bytes, event_id: str | None = None) -> bytes:
        """Return a frame with the resume position after it. `event_id` is the id of the last live event, by default the
        newest. Unchanged in dialects whose clients derive the position."""
        mark = self.dialect.mark
        if mark is None:
            return data
        position = self.resume_position(event_id)
        return mark(data, position) if position else data

    def update_mark(self) -> bytes:
        """Encode the inbox position used by live events until the position changes. The connection must be live: during
        a replay its position differs."""
        mark = self.dialect.mark
        if mark is not None:
            self.mark_revision = self.revision
            self.mark_head = mark.head(f"{self.epoch:x}-{self.revision:x}" if self.inbox else "")
        return self.mark_head

    def resume_position(self, event_id: str | None = None) -> str:
        """Return `<inbox position>~<event id>`; empty for an anonymous connection without a history."""
        place = self.place
        if place is None:
            place = f"{self.epoch:x}-{self.revision:x}" if self.inbox else ""
        if event_id is None:
            event_id = self.owner.newest_event(self)
        return place if event_id is None else f"{place}~{event_id}"

    def send_frame(self, frame: Any) -> None:
        """Encode and write a frame of the dialect, unless the connection is closed."""
        if self.phase is not Phase.CLOSED:
            self.write_tracked(self.dialect.encode_frame(frame))

    # --- phase

    def transition(self, to: Phase) -> None:
        """Change the phase, and wake the replay that waits for the reader. Raises RuntimeError for one that LEGAL_MOVES does
        not list."""
        if to not in LEGAL_MOVES[self.phase]:
            raise RuntimeError(f"{self.phase.name} to {to.name}")
        before, self.phase = self.phase, to
        if self.writable_waiter is not None:
            self.resume_writing()
        if to is Phase.REPLAYING:
            self._limit_replay()
        elif before is Phase.REPLAYING:
            if to is Phase.LIVE:
                self.write = self.transport.write
                self._set_high_water(self.max_unsent)
            self.owner.on_replayed(self)

    def go_live(self) -> None:
        """Finish opening or a replay. Has no effect if the connection was closed in the meantime because its reader was
        too slow."""
        if self.phase is Phase.OPENING or self.phase is Phase.REPLAYING:
            self.transition(Phase.LIVE)

    # --- replay

    def _limit_replay(self) -> None:
        """Limit the write buffer, so that the reader sets the pace of the replay. Other output stays limited by
        `max_unsent`."""
        self.write = self._write_during_replay
        self._set_high_water(REPLAY_BUFFER_BYTES)

    async def wait_writable(self) -> None:
        """Wait until the reader has room for more of the replay."""
        while self.writable_waiter is not None:
            await self.writable_waiter

    def write_replay(self, data: bytes) -> None:
        self.last_sent_tick = self.owner.tick
        self.transport.write(data)

    def _write_during_replay(self, data: bytes) -> None:
        self.transport.write(data)
        if self.writable_waiter is not None and self.max_unsent:
            self.bytes_during_replay += len(data)
            if self.bytes_during_replay > self.max_unsent:
                self.owner.end(self, close_reasons.TOO_SLOW)

    def _set_high_water(self, unsent: int) -> None:
        high = unsent or 2**31 - 1
        self.transport.set_write_buffer_limits(high=high, low=high // 4)

    # --- close

    def close(self, end: CloseReason) -> None:
        """Send the close reason, then close. Idempotent."""
        if self.phase is not Phase.CLOSED:
            if self.phase is Phase.OPENING:
                end = replace(end, event_id=None)  # the client has no position of this connection yet
            self.close_reason = translated = self.dialect.close_event(end)
            self.begin_close()
            if self.pending:
                self.pending.clear()  # unprocessed messages
            self.send_close(translated)

    def closing_frame(self, end: CloseReason) -> bytes:
        """Encode the last frame, with the position from which the client resumes if the reason changes it."""
        frame = self.dialect.close(end)
        return frame if end.event_id is None else self.marked(frame, end.event_id)

    def begin_close(self) -> None:
        """Unregister the connection and abort its transport after CLOSE_TIMEOUT."""
        self.transition(Phase.CLOSED)
        self.owner.on_disconnected(self)
        self.close_timer = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, self.transport.abort)

    def send_close(self, end: CloseReason) -> None:
        """Send the close reason and close the transport or start its closing handshake."""
        raise NotImplementedError(type(self))

    @property
    def has_full_queue(self) -> bool:
        """True if the transport must not be read."""
        return self.pending is not None and self.pending.is_full

    def resume_reading(self) -> None:
        """Read from the transport again after a full queue."""
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def ping(self) -> bool:
        """Send a ping; False if the transport has no pings."""
        return False

    def pause_writing(self) -> None:
        if self.phase is Phase.REPLAYING:
            if self.writable_waiter is None:  # a second future would leave the first waiter blocked
                self.writable_waiter = asyncio.get_running_loop().create_future()
        else:
            self.owner.end(self, close_reasons.TOO_SLOW)

    def resume_writing(self) -> None:
        """Wake the replay that waits for the reader."""
        self.last_sent_tick = self.owner.tick  # the client reads its session's output, of this connection or another
        full, self.writable_waiter, self.bytes_during_replay = self.writable_waiter, None, 0
        if full is not None and not full.done():
            full.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.phase is not Phase.CLOSED:
            self.transition(Phase.CLOSED)
        if self.close_timer is not None:
            self.close_timer.cancel()
        self.owner.on_disconnected(self)
        self.may_have_sock = False
        if self.sock is not None:
            self.sock.detach()  # the transport closes it right after this
            self.sock = None
        # Break the reference cycle, so that memory is freed now instead of by the garbage collector.
        self.transport, self.write = NULL_TRANSPORT, NULL_TRANSPORT.write
