"""What Socket.IO clients of one namespace hear of events: a plain EVENT each, encoded once for all of them.

Clients that may resume keep the last argument of any event, if it is a text, as the place they have come to. So an
inbox change ends in its position, and other events of such clients end in anything but a text.
"""

from typing import Any
from weakref import WeakValueDictionary

import msgspec
from msgspec import Struct

from bellcast.live import inbox_payloads
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.socketio.protocol import packets
from bellcast.live.socketio.protocol.engineio import Encoding
from bellcast.live.socketio.protocol.packets import Packet
from bellcast.model.events import (
    Event,
    InboxBulkChanged,
    InboxEvent,
    LiveEvent,
    NotificationAdded,
    NotificationDeleted,
    NotificationUpdated,
    PresenceChanged,
    Typing,
)
from bellcast.model.inboxes import InboxState

_encode = msgspec.json.Encoder().encode


class SocketIODialect(Struct, frozen=True, eq=False, weakref=True):
    """One namespace in one form. Compared by identity: made once while somebody speaks it."""

    namespace: str
    encoding: Encoding
    resumable: bool
    protocol: str = "socketio"

    @property
    def transport(self) -> str:
        """The transport, as connection lists name it."""
        return self.encoding.transport

    def encode_frame(self, packet: Packet) -> bytes:
        """The bytes of a packet without attachments."""
        return self.encoding.text(packets.encode(packet)[0])

    def encode(self, event: Event) -> bytes | None:
        """Encode an event; None for events exchanged only between servers."""
        match event:
            case LiveEvent():
                return self.event(event.name, event.data)
            case NotificationAdded() | NotificationUpdated() | NotificationDeleted() | InboxBulkChanged():
                return self.replay(event, event.inbox.position)
            case PresenceChanged():
                fields = {"topic": event.topic, "joined": event.joined, "left": event.left}
                return self.event("presence", fields)
            case Typing():
                return self.event("typing", {"topic": event.topic, "recipient": event.recipient, "on": event.on})
            case _:
                return None

    def event(self, name: str, data: Any) -> bytes:
        """Encode a live event; it does not change the position."""
        args = [name, data, None] if self.resumable and isinstance(data, str) else [name, data]
        return self._text(args)

    def event_with_offset(self, name: str, fields: Any, position: str) -> bytes:
        """Encode an event that ends with the client's new position."""
        return self._text([name, fields, position] if self.resumable else [name, fields])

    def replay(self, event: InboxEvent, position: str) -> bytes:
        """The bytes of an inbox change, with the position it brings the client to."""
        change = inbox_payloads.payload_of(event, position)
        return self.event_with_offset(change.name, change.fields, position)

    def reset(self, state: InboxState) -> bytes:
        """Encode the packet that makes a client fetch its inbox again."""
        change = inbox_payloads.reset_payload(state)
        return self.event_with_offset(change.name, change.fields, state.position)

    def heartbeat(self, now: int) -> bytes:
        """Nothing: the Engine.IO session has its own heartbeat."""
        return b""

    def close_event(self, end: CloseReason) -> CloseReason:
        """Socket.IO has no codes: a client comes back when its transport closes, and stays away when told to leave."""
        return end

    def close(self, end: CloseReason) -> bytes:
        """The packet that puts a client out of the namespace for good."""
        return self.encode_frame(Packet(packets.DISCONNECT, self.namespace))

    def _text(self, args: list[Any]) -> bytes:
        head = b"42" if self.namespace == packets.ROOT else f"42{self.namespace},".encode()
        return self.encoding.text(head + _encode(args))


_dialects: WeakValueDictionary[tuple[str, Encoding, bool], SocketIODialect] = WeakValueDictionary()


def dialect_for(namespace: str, form: Encoding, *, resumable: bool) -> SocketIODialect:
    """The dialect of a namespace: the one already spoken, if any, so that events are encoded once."""
    key = (namespace, form, resumable)
    found = _dialects.get(key)
    if found is None:
        found = _dialects[key] = SocketIODialect(namespace, form, resumable)
    return found
