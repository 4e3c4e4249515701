"""One live client link: who it is, what it follows, where it is in its inbox, and how bytes reach it.

No task, no queue, and until its end no timer of its own: a connection that is told nothing costs its socket and this
object.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from enum import IntEnum
from socket import AF_INET, SOCK_STREAM, SocketType
from typing import Any, Protocol

from bellcast.auth.permissions import Grant
from bellcast.live.connection import close_reasons
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.model.events import Event, InboxEvent, Stream
from bellcast.model.identities import Principal
from bellcast.model.inboxes import InboxState
from bellcast.model.limits import Limits

# While a replay is written, the transport holds at most this much of it: the reader sets the pace.
REPLAY_BUFFER_BYTES = 65_536
# How long a peer may take over its end: to read what was still written, and on a WebSocket to say goodbye too
# (RFC 6455, 7.1.1). Then the socket is cut, or a reader who never reads would hold it for ever.
CLOSE_TIMEOUT = 5


# Called once `ready` has been written.
OnReady = Callable[[], None]


class Phase(IntEnum):
    """Where a connection is in its life."""

    OPENING = 0  # registered, not told anything yet: inbox changes wait in the store
    REPLAYING = 1  # told what changed since its position; newer changes wait in the store
    LIVE = 2
    CLOSED = 3


class OutboundTransport(Protocol):
    """How bytes leave: a uvloop transport, or sends through another ASGI server."""

    clear: bool  # known to hold nothing back; False says only that it has to be asked

    def write(self, data: bytes, /) -> None: ...
    def write_eof(self) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...
    def is_closing(self) -> bool: ...
    def get_write_buffer_size(self) -> int: ...
    def get_extra_info(self, name: str, default: Any = None) -> Any: ...
    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


class Dialect(Protocol):
    """What a connection speaks. Compared by identity: an event is encoded once for each that somebody speaks."""

    @property
    def protocol(self) -> str: ...
    @property
    def transport(self) -> str: ...
    @property
    def encode_frame(self) -> Callable[[Any], bytes]:
        """The bytes of one of the dialect's own frames."""
        ...

    def encode(self, event: Event) -> bytes | None:
        """The bytes of an event; None if this dialect has no word for it."""
        ...

    def replay(self, event: InboxEvent, position: str) -> bytes:
        """The bytes of a change that is told again, with the position it brings the client to."""
        ...

    def reset(self, state: InboxState) -> bytes:
        """The bytes that tell a client to fetch the inbox again."""
        ...

    def heartbeat(self, now: int) -> bytes:
        """The bytes of a sign of life."""
        ...

    def close_event(self, end: CloseReason) -> CloseReason:
        """The same end in the dialect's own codes."""
        ...

    def close(self, end: CloseReason) -> bytes:
        """The bytes told before the server closes, of an end in the dialect's own codes."""
        ...


class NullTransport:
    """The outlet of a connection whose socket is not its own yet: what it says is heard by nobody."""

    clear = False

    def write(self, data: bytes, /) -> None: ...
    def write_eof(self) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...
    def is_closing(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


NULL_TRANSPORT = NullTransport()


class ConnectionOwner(Protocol):
    """What a connection tells of itself: the hub."""

    tick: int

    def on_disconnected(self, connection: "Connection") -> None:
        """Its socket is gone."""
        ...

    def end(self, connection: "Connection", end: CloseReason) -> None:
        """It must end: tell it why, close it, forget it."""
        ...

    def on_pong(self, connection: "Connection", data: bytes) -> None:
        """Its peer answered a ping that carried these data."""
        ...


class Listener(Protocol):
    """Whoever takes in what clients say on a WebSocket, within its limits."""

    @property
    def limits(self) -> Limits: ...

    def receive(self, connection: "Connection", message: str | bytes) -> None:
        """Take one message in; it is done after the ones before it."""
        ...


class Connection(asyncio.Protocol):
    """The owner of one socket. Everything that writes goes through `write`, the outlet's own bound method."""

    namespace = "/"  # the one there is, but for Socket.IO
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
        "max_unsent",
        "owner",
        "pending",
        "phase",
        "ping_tick",
        "principal",
        "revision",
        "sock",
        "streams",
        "transport",
        "writable_waiter",
        "write",
    )

    def __init__(
        self, id: str, dialect: Dialect, principal: Principal, keeper: ConnectionOwner, since: int, address: str | None
    ) -> None:
        self.id = id
        self.dialect = dialect
        self.principal = principal
        self.owner = keeper
        self.connected_at = since
        self.address = address
        self.streams: tuple[Stream, ...] = ()
        self.grants: dict[str, Grant] | None = None  # the followed topics and why; None before the first
        self.inbox = 0  # the inbox's number in the store
        self.epoch = 0
        self.revision = 0
        self.phase = Phase.OPENING
        self.is_stale = False  # an inbox change went by while it was not live
        self.last_sent_tick = keeper.tick
        self.last_received_tick = keeper.tick
        self.ping_tick = 0  # the tick of the last ping
        self.writable_waiter: asyncio.Future[None] | None = None  # not None while a replay waits for the reader
        self.bytes_during_replay = 0  # bytes written beside the replay while it waits
        self.close_timer: asyncio.TimerHandle | None = None
        self.close_reason: CloseReason | None = None  # in the dialect's own codes; None at the end: the socket was lost
        self.pending: deque[Any] | None = None  # frames heard while an earlier one is still being done
        self.max_unsent = 0
        self.transport: OutboundTransport = NULL_TRANSPORT
        self.sock: SocketType | None = None
        self.write: Callable[[bytes], None] = NULL_TRANSPORT.write

    def attach(self, outlet: OutboundTransport, unsent: int) -> None:
        """Take the outlet over; past `unsent` waiting bytes (0: no bound) the reader counts as too slow."""
        self.max_unsent = unsent
        self.transport = outlet
        self.write = outlet.write
        self.sock = raw_socket(outlet)
        self._set_high_water(unsent)

    def write_tracked(self, data: bytes) -> None:
        """Write, and remember when."""
        self.last_sent_tick = self.owner.tick
        self.write(data)

    # --- a replay

    def begin_replay(self) -> None:
        """From here on the reader sets the pace; what others write beside the replay is bounded as ever."""
        self.phase = Phase.REPLAYING
        self.write = self._write_during_replay
        self._set_high_water(REPLAY_BUFFER_BYTES)

    async def wait_writable(self) -> None:
        """Wait until the reader has room for more of the replay."""
        while self.writable_waiter is not None:
            await self.writable_waiter

    def write_replay(self, data: bytes) -> None:
        """Write a piece of the replay."""
        self.last_sent_tick = self.owner.tick
        self.transport.write(data)

    def end_replay(self) -> None:
        """Live, unless it ended meanwhile."""
        if self.phase is Phase.REPLAYING:
            self.phase = Phase.LIVE
            self.write = self.transport.write
            self._set_high_water(self.max_unsent)

    def _write_during_replay(self, data: bytes) -> None:
        self.transport.write(data)
        if self.writable_waiter is not None and self.max_unsent:
            self.bytes_during_replay += len(data)
            if self.bytes_during_replay > self.max_unsent:
                self.owner.end(self, close_reasons.TOO_SLOW)

    def _set_high_water(self, unsent: int) -> None:
        high = unsent or 2**31 - 1
        self.transport.set_write_buffer_limits(high=high, low=high // 4)

    # --- its end

    def close(self, end: CloseReason) -> None:
        """Say why, then close. Safe to call twice."""
        if self.phase is not Phase.CLOSED:
            self.close_reason = told = self.dialect.close_event(end)
            self.begin_close()
            if self.pending:
                self.pending.clear()  # what was still to be done for it
            self.send_close(told)

    def begin_close(self) -> None:
        """Nothing more is done for this connection; its socket is cut unless it closes in time."""
        self.phase = Phase.CLOSED
        self._wake_waiter()
        self.owner.on_disconnected(self)
        self.close_timer = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, self.transport.abort)

    def send_close(self, end: CloseReason) -> None:
        """How this way of travel ends."""
        raise NotImplementedError(type(self))

    def ping(self) -> bool:
        """Ask the peer for a sign of life; False where the way of travel has no answer to give."""
        return False

    def pause_writing(self) -> None:
        if self.phase is Phase.REPLAYING:
            if self.writable_waiter is None:  # another future would never wake whoever waits for the first
                self.writable_waiter = asyncio.get_running_loop().create_future()
        else:
            self.owner.end(self, close_reasons.TOO_SLOW)

    def resume_writing(self) -> None:
        self._wake_waiter()

    def connection_lost(self, exc: Exception | None) -> None:
        self.phase = Phase.CLOSED
        self._wake_waiter()
        if self.close_timer is not None:
            self.close_timer.cancel()
        self.owner.on_disconnected(self)
        if self.sock is not None:
            self.sock.detach()  # the transport closes it right after this
            self.sock = None
        # Nothing goes round in a circle: what is gone is freed now, and not when garbage is next looked for.
        self.transport, self.write = NULL_TRANSPORT, NULL_TRANSPORT.write

    def _wake_waiter(self) -> None:
        full, self.writable_waiter, self.bytes_during_replay = self.writable_waiter, None, 0
        if full is not None and not full.done():
            full.set_result(None)


def raw_socket(outlet: OutboundTransport) -> SocketType | None:
    """The socket of a plain transport, to be sent on directly; None where bytes pass through TLS or another server.

    It shares the transport's descriptor, which stays open until `connection_lost` has been called."""
    lent = outlet.get_extra_info("socket")
    if lent is None or outlet.get_extra_info("ssl_object") is not None:
        return None
    # Of what family it is, matters to addresses only, and whoever is connected is asked for none.
    return SocketType(AF_INET, SOCK_STREAM, 0, lent.fileno())
