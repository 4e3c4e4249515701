"""Bellcast's own dialect: one JSON object a frame, over SSE and WebSocket alike (CONTRACT, "Live, native dialect").

A frame is a name, its fields, and over SSE an id. How it is wrapped is the only thing the ways of travel differ in,
so an event is encoded once for each of them, never for a socket.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import Struct

from bellcast.errors import BadRequest, BellcastError, Invalid
from bellcast.live import inbox_payloads
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.framing import sse, websocket
from bellcast.live.topic_access import TopicRefused
from bellcast.model import times
from bellcast.model.decode_errors import field_error
from bellcast.model.events import (
    Event,
    InboxBulkChanged,
    InboxEvent,
    LiveEvent,
    Member,
    NotificationAdded,
    NotificationDeleted,
    NotificationUpdated,
    PresenceChanged,
    Typing,
)
from bellcast.model.inboxes import InboxState

_encode = msgspec.json.Encoder().encode


class Frame(Struct, frozen=True):
    """One thing told to a client. `id` is the position it brings the client to."""

    name: str
    fields: dict[str, Any]
    id: str | None = None


class NativeDialect(Struct, frozen=True, eq=False):
    """One way the frames travel. Compared by identity: there are four, made once."""

    transport: Literal["sse", "websocket"]
    encode_frame: Callable[[Frame], bytes]
    protocol: str = "native"

    def encode(self, event: Event) -> bytes | None:
        """The bytes of an event; None if this dialect has no word for it."""
        told = frame(event)
        return None if told is None else self.encode_frame(told)

    def replay(self, event: InboxEvent, position: str) -> bytes:
        """The bytes of a change that is told again, with the position it brings the client to."""
        return self.encode_frame(inbox_frame(event, position))

    def reset(self, state: InboxState) -> bytes:
        """The bytes that tell a client to fetch the inbox again."""
        return self.encode_frame(reset(state))

    def heartbeat(self, now: int) -> bytes:
        """The bytes of a sign of life."""
        return self.encode_frame(heartbeat(now))

    def close_event(self, end: CloseReason) -> CloseReason:
        """Reasons are written in this dialect's codes."""
        return end

    def close(self, end: CloseReason) -> bytes:
        """The bytes told before the server closes."""
        return self.encode_frame(close(end))


def _sse_event(frame: Frame) -> bytes:
    return sse.event(frame.name, _encode(frame.fields), frame.id)


def _sse_chunk(frame: Frame) -> bytes:
    return sse.chunk(_sse_event(frame))


def _message(frame: Frame) -> bytes:
    return _encode({"type": frame.name, **frame.fields})


def _websocket_frame(frame: Frame) -> bytes:
    return websocket.text_frame(_message(frame))


SSE_CHUNKED = NativeDialect("sse", _sse_chunk)  # straight to an HTTP/1.1 socket
SSE_PLAIN = NativeDialect("sse", _sse_event)  # HTTP/1.0, or through another server's sends
WEBSOCKET = NativeDialect("websocket", _websocket_frame)  # straight to the socket
MESSAGE = NativeDialect("websocket", _message)  # through another server's sends


def frame(event: Event) -> Frame | None:
    """The frame of an event, None for those between servers only."""
    match event:
        case NotificationAdded() | NotificationUpdated() | NotificationDeleted() | InboxBulkChanged():
            return inbox_frame(event, event.inbox.position)
        case LiveEvent():
            return Frame("event", _named_topic(event.topic) | {"name": event.name, "data": event.data})
        case PresenceChanged():
            return Frame("presence", {"topic": event.topic, "joined": event.joined, "left": event.left})
        case Typing():
            return Frame("typing", {"topic": event.topic, "recipient": event.recipient, "on": event.on})
        case _:
            return None


def _named_topic(topic: str | None) -> dict[str, Any]:
    return {} if topic is None else {"topic": topic}


def inbox_frame(event: InboxEvent, position: str) -> Frame:
    """The frame of an inbox change, with the position it brings the client to."""
    change = inbox_payloads.payload_of(event, position)
    return Frame(change.name, change.fields, position)


class Ready(Struct, frozen=True):
    """What `ready` says of a new connection."""

    connection: str
    recipient: str | None
    state: InboxState | None
    position: str | None
    heartbeat: float
    resumed: bool
    topics: tuple[str, ...]
    refused: tuple[TopicRefused, ...]
    presence: dict[str, list[Member]]


def ready(greeting: Ready) -> Frame:
    """The first frame. Its id stands only when nothing is to be replayed, so a cut in the replay loses nothing."""
    state = greeting.state
    heartbeat = greeting.heartbeat
    fields: dict[str, Any] = {
        "connection": greeting.connection,
        "recipient": greeting.recipient,
        "position": greeting.position,
        "unread": state.unread if state else 0,
        "unseen": state.unseen if state else 0,
        "heartbeat": int(heartbeat) if heartbeat == int(heartbeat) else heartbeat,
        "resumed": greeting.resumed,
        "topics": greeting.topics,
        "refused": greeting.refused,
    }
    if greeting.presence:
        fields["presence"] = greeting.presence
    return Frame("ready", fields, None if greeting.resumed else greeting.position)


def reset(state: InboxState) -> Frame:
    """The position is too old or unknown: fetch the inbox again."""
    change = inbox_payloads.reset_payload(state)
    return Frame(change.name, change.fields, state.position)


def heartbeat(now: int) -> Frame:
    """Still here. Never carries an id."""
    return Frame("heartbeat", {"time": times.to_rfc3339(now)})


def close(end: CloseReason) -> Frame:
    """Told before the server closes."""
    more = {"after": end.after, "message": end.message}
    told = {name: value for name, value in more.items() if value is not None}
    return Frame("close", {"code": end.code, "reason": end.reason, "reconnect": end.reconnect, **told})


def ack(ref: Any, **fields: Any) -> Frame:
    """What a client's frame came to."""
    return Frame("ack", _ref(ref) | fields)


def pong(ref: Any) -> Frame:
    """The answer to `ping`."""
    return Frame("pong", _ref(ref))


def error(ref: Any, refusal: BellcastError) -> Frame:
    """Why a client's frame came to nothing; `code` is the word REST uses."""
    data = {} if refusal.data is None else {"data": refusal.data}
    return Frame("error", _ref(ref) | {"code": refusal.code, "message": refusal.detail} | data)


def _ref(ref: Any) -> dict[str, Any]:
    return {} if ref is None else {"ref": ref}


# --- what clients send ------------------------------------------------------------------------------------------


class Command(Struct, frozen=True, kw_only=True, tag_field="type", forbid_unknown_fields=True):
    """One frame from a client; `ref` comes back with its answer."""

    ref: str | int | float | None = None


class SubscribeCommand(Command, frozen=True, kw_only=True, tag="subscribe"):
    topics: list[str]


class UnsubscribeCommand(Command, frozen=True, kw_only=True, tag="unsubscribe"):
    topics: list[str]


class PublishCommand(Command, frozen=True, kw_only=True, tag="publish"):
    topic: str
    name: str
    data: Any = None


class Filter(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `all` is narrowed by. Never empty: a filter that got lost on the way must not become everything."""

    type: str


class MarkCommand(Command, frozen=True, kw_only=True):
    """An action on many: ids, or all."""

    ids: list[str] | None = None
    all: bool = False
    of: Filter | None = None


class SeenCommand(MarkCommand, frozen=True, kw_only=True, tag="seen"):
    pass


class ReadCommand(MarkCommand, frozen=True, kw_only=True, tag="read"):
    pass


class UnreadCommand(MarkCommand, frozen=True, kw_only=True, tag="unread"):
    pass


class ArchiveCommand(MarkCommand, frozen=True, kw_only=True, tag="archive"):
    pass


class UnarchiveCommand(MarkCommand, frozen=True, kw_only=True, tag="unarchive"):
    pass


class DeleteCommand(MarkCommand, frozen=True, kw_only=True, tag="delete"):
    pass


class TypingCommand(Command, frozen=True, kw_only=True, tag="typing"):
    topic: str
    on: bool


class CallCommand(Command, frozen=True, kw_only=True, tag="call"):
    name: str
    data: Any = None


class AuthCommand(Command, frozen=True, kw_only=True, tag="auth"):
    token: str


class PingCommand(Command, frozen=True, kw_only=True, tag="ping"):
    pass


AnyCommand = (
    SubscribeCommand
    | UnsubscribeCommand
    | PublishCommand
    | SeenCommand
    | ReadCommand
    | UnreadCommand
    | ArchiveCommand
    | UnarchiveCommand
    | DeleteCommand
    | TypingCommand
    | CallCommand
    | AuthCommand
    | PingCommand
)
_commands: msgspec.json.Decoder[AnyCommand] = msgspec.json.Decoder(AnyCommand)


def receive(text: str) -> "AnyCommand | InvalidFrame":
    """The command in a client's frame, or why there is none."""
    try:
        return _commands.decode(text)
    except msgspec.ValidationError as problem:
        return InvalidFrame(_salvaged_ref(text), Invalid.fields([field_error(problem)]))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return InvalidFrame(None, BadRequest("A frame must be one JSON object with a `type`."))


class InvalidFrame(NamedTuple):
    """A frame that is no command."""

    ref: Any
    error: BellcastError


def _salvaged_ref(text: str) -> Any:
    """The `ref` of a frame that is otherwise wrong, so that its sender can tell which."""
    try:
        ref = msgspec.json.decode(text).get("ref")
    except (msgspec.DecodeError, AttributeError, RecursionError):
        return None
    return ref if isinstance(ref, str | int | float) else None
