"""Encoding of events for the Socket.IO clients of one namespace.

Resumable clients store the last argument of every event, if it is a string, as their offset. So the last argument of
inbox changes and stored live events is the resume position, which `mark` adds for each connection. The last argument of
other events is never a string.
"""

from collections.abc import Mapping
from typing import Any
from weakref import WeakValueDictionary

import msgspec
from msgspec import Struct

from bellcast.inbox.types.positions import InboxState
from bellcast.kernel.events import Event, LiveEvent
from bellcast.live import inbox_payloads
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.connection.dialect import PositionMark
from bellcast.live.socketio.protocol import packets
from bellcast.live.socketio.protocol.engineio import Encoding
from bellcast.live.socketio.protocol.packets import Packet
from bellcast.live.types import (
    InboxBulkChanged,
    InboxEvent,
    NotificationAdded,
    NotificationDeleted,
    NotificationUpdated,
    PreferencesChanged,
    PresenceChanged,
    Typing,
)

_encode = msgspec.json.Encoder().encode

# Begin the offset of a client that must not be recovered, and of one that joined topics. No position begins with them.
UNRECOVERABLE = "!"
HAS_JOINED = "+"


class FrameStarts(dict[int, bytes]):
    """The header and data of an event's frame by the length of the head; few lengths are in use. It is used once per
    delivery, and a dictionary takes half the time of a function."""

    def __init__(self, encoding: "Encoding", data: bytes, end: int) -> None:
        self._encoding, self._data, self._end = encoding, data, end

    def __missing__(self, size: int) -> bytes:
        found = self[size] = self._encoding.text_header(len(self._data) + size + self._end) + self._data
        return found


class LastArgument(Struct, frozen=True):
    """The resume position as the last argument of an event, after a prefix."""

    encoding: Encoding
    prefix: str = ""

    def __call__(self, data: bytes, position: str) -> bytes:
        return self.encoding.text(data + f',"{self.prefix}{position}"]'.encode())

    def head(self, position: str) -> bytes:
        return f',"{self.prefix}{position}'.encode()

    def around(self, data: bytes, event_id: str) -> tuple[Mapping[int, bytes], bytes]:
        end = f'~{event_id}"]'.encode()
        return FrameStarts(self.encoding, data, len(end)), end


class SocketIODialect(Struct, frozen=True, eq=False, weakref=True):
    """A namespace in one encoding. Offsets of its events begin with `offset_prefix`. Compared by identity: `dialect_for`
    returns the instance in use."""

    namespace: str
    encoding: Encoding
    resumable: bool
    offset_prefix: str = ""
    protocol: str = "socketio"
    can_resume: bool = True

    @property
    def transport(self) -> str:
        return self.encoding.transport

    def encode_frame(self, packet: Packet) -> bytes:
        return self.encoding.text(packets.encode(packet)[0])

    def encode(self, event: Event) -> bytes | None:
        match event:
            case LiveEvent():
                return self.event(event.name, event.data) if event.id is None else self.marked(event.name, event.data)
            case NotificationAdded() | NotificationUpdated() | NotificationDeleted() | InboxBulkChanged():
                return self.replay(event, event.inbox.position)
            case PresenceChanged():
                fields = {"topic": event.topic, "joined": event.joined, "left": event.left}
                return self.event("presence", fields)
            case PreferencesChanged():
                return self.event("preferences", {"preferences": event.preferences})
            case Typing():
                return self.event("typing", {"topic": event.topic, "recipient": event.recipient, "on": event.on})
            case _:
                return None

    def event(self, name: str, data: Any) -> bytes:
        """Encode a live event; it does not change the position."""
        args = [name, data, None] if self.resumable and isinstance(data, str) else [name, data]
        return self._text(args)

    def marked(self, name: str, data: Any) -> bytes:
        """Encode an event that ends with the client's resume position. For resumable clients `mark` completes it."""
        args = [name, data]
        return self._head + _encode(args)[:-1] if self.resumable else self._text(args)

    @property
    def mark(self) -> PositionMark | None:
        return LastArgument(self.encoding, self.offset_prefix) if self.resumable else None

    def replay(self, event: InboxEvent, position: str) -> bytes:
        change = inbox_payloads.payload_of(event, position)
        return self.marked(change.name, change.fields)

    def reset(self, state: InboxState) -> bytes:
        change = inbox_payloads.reset_payload(state)
        return self.marked(change.name, change.fields)

    def heartbeat(self, now: int) -> bytes:
        """Return no bytes: Engine.IO sessions have their own heartbeat."""
        return b""

    def close_event(self, end: CloseReason) -> CloseReason:
        return end

    def close(self, end: CloseReason) -> bytes:
        """Encode DISCONNECT, after which clients do not reconnect."""
        return self.encode_frame(Packet(packets.DISCONNECT, self.namespace))

    def _text(self, args: list[Any]) -> bytes:
        return self.encoding.text(self._head + _encode(args))

    @property
    def _head(self) -> bytes:
        return b"42" if self.namespace == packets.ROOT else f"42{self.namespace},".encode()


_dialects: WeakValueDictionary[tuple[str, Encoding, bool, str], SocketIODialect] = WeakValueDictionary()


def dialect_for(namespace: str, encoding: Encoding, *, resumable: bool, offset_prefix: str = "") -> SocketIODialect:
    """Return the dialect in use for a namespace, if any, so that each event is encoded once."""
    key = (namespace, encoding, resumable, offset_prefix)
    known = _dialects.get(key)
    if known is None:
        known = _dialects[key] = SocketIODialect(*key)
    return known
