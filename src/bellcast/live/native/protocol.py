"""Bellcast's own dialect: one JSON object per frame, over both SSE and WebSocket (docs/reference/frames.md).

A frame has a name, fields and, over SSE, an id. The transports differ only in the framing, so each event is encoded
once per transport, never once per socket.
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta, Struct

from bellcast.inbox.types.notifications import Notification, View
from bellcast.inbox.types.positions import InboxState
from bellcast.kernel import times
from bellcast.kernel.errors import BadRequest, BellcastError, Invalid
from bellcast.kernel.events import Event, LiveEvent
from bellcast.kernel.http.decode_errors import field_error
from bellcast.live import inbox_payloads
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.connection.dialect import Dialect, PositionMark
from bellcast.live.framing import sse, websocket
from bellcast.live.topic_access import TopicRefused
from bellcast.live.types.events import (
    InboxBulkChanged,
    InboxEvent,
    Member,
    NotificationAdded,
    NotificationDeleted,
    NotificationUpdated,
    PreferencesChanged,
    PresenceChanged,
    Typing,
)

_encode = msgspec.json.Encoder().encode


class NotificationEncoder:
    """Encodes a notification once for successive events that share it, such as an announcement for all its
    recipients."""

    def __init__(self) -> None:
        self._notification: Notification | None = None
        self._encoded = msgspec.Raw()

    def __call__(self, notification: Notification) -> msgspec.Raw:
        if notification is not self._notification:
            self._notification, self._encoded = notification, msgspec.Raw(_encode(notification))
        return self._encoded


_encode_notification = NotificationEncoder()


class Frame(Struct, frozen=True):
    """A frame sent to a client."""

    name: str
    fields: dict[str, Any]
    position: str = ""  # the id of a server-sent event


class NativeDialect(Struct, frozen=True, eq=False):
    """Frame encoding for one transport. Compared by identity: the four instances are module constants."""

    transport: Literal["sse", "websocket"]
    encode_frame: Callable[[Frame], bytes]
    protocol: str = "native"
    can_resume: bool = True
    mark: PositionMark | None = None

    def encode(self, event: Event) -> bytes | None:
        fields = frame(event)
        return None if fields is None else self.encode_frame(fields)

    def replay(self, event: InboxEvent, position: str) -> bytes:
        return self.encode_frame(inbox_frame(event, position))

    def reset(self, state: InboxState) -> bytes:
        return self.encode_frame(reset(state))

    def heartbeat(self, now: int) -> bytes:
        return self.encode_frame(heartbeat(now))

    def close_event(self, end: CloseReason) -> CloseReason:
        return end

    def close(self, end: CloseReason) -> bytes:
        return self.encode_frame(close(end))


def _sse_event(frame: Frame) -> bytes:
    return sse.event(frame.name, _encode(frame.fields), frame.position)


def _sse_chunk(frame: Frame) -> bytes:
    return sse.chunk(_sse_event(frame))


def _message(frame: Frame) -> bytes:
    return _encode({"type": frame.name, **frame.fields})


def _websocket_frame(frame: Frame) -> bytes:
    return websocket.text_frame(_message(frame))


class IdMark(Struct, frozen=True):
    """The SSE id before an event. `frame` frames a part of the response body."""

    frame: Callable[[bytes], bytes]

    def __call__(self, data: bytes, position: str) -> bytes:
        return self.frame(sse.id_field(position)) + data

    def head(self, position: str) -> bytes:
        return self.frame(b"id: " + position.encode())

    def around(self, data: bytes, event_id: str) -> tuple[None, bytes]:
        return None, self.frame(b"~%b\n" % event_id.encode()) + data


SSE_CHUNKED = NativeDialect("sse", _sse_chunk, mark=IdMark(sse.chunk))  # written directly to an HTTP/1.1 socket
SSE_PLAIN = NativeDialect("sse", _sse_event, mark=IdMark(bytes))  # HTTP/1.0, or through ASGI `send`
WEBSOCKET = NativeDialect("websocket", _websocket_frame)  # written directly to the socket
MESSAGE = NativeDialect("websocket", _message)  # through ASGI `send`


def frame(event: Event) -> Frame | None:
    """Return the frame of an event; None for events exchanged only between servers."""
    match event:
        case LiveEvent():
            return live_event(event)
        case NotificationAdded() | NotificationUpdated() | NotificationDeleted() | InboxBulkChanged():
            return inbox_frame(event, event.inbox.position)
        case PresenceChanged():
            return Frame("presence", {"topic": event.topic, "joined": event.joined, "left": event.left})
        case Typing():
            return Frame("typing", {"topic": event.topic, "recipient": event.recipient, "on": event.on})
        case PreferencesChanged():
            return Frame("preferences", {"preferences": event.preferences})
        case _:
            return None


def live_event(event: LiveEvent, *, is_rewound: bool = False) -> Frame:
    fields = _named_topic(event.topic) | {"name": event.name, "data": event.data}
    if event.id is not None:
        fields["id"] = event.id
    return Frame("event", fields | {"replayed": True} if is_rewound else fields)


def encode_rewound(dialect: Dialect) -> Callable[[LiveEvent], bytes | None]:
    """Return the encoder of past events that a client requested."""
    if not isinstance(dialect, NativeDialect):
        return dialect.encode
    return lambda event: dialect.encode_frame(live_event(event, is_rewound=True))


def _named_topic(topic: str | None) -> dict[str, Any]:
    return {} if topic is None else {"topic": topic}


def inbox_frame(event: InboxEvent, position: str) -> Frame:
    """Return the frame of an inbox change with the client's position after it."""
    change = inbox_payloads.payload_of(event, position)
    if isinstance(event, NotificationAdded):
        change.fields["notification"] = _encode_notification(event.notification)
    return Frame(change.name, change.fields)


def ready(
    *,
    connection: str,
    recipient: str | None,
    state: InboxState | None,
    position: str | None,
    heartbeat: float,
    resumed: bool,
    event_id: str | None,
    recovered: bool,
    topics: tuple[str, ...],
    refused: tuple[TopicRefused, ...],
    presence: dict[str, list[Member]],
) -> Frame:
    fields: dict[str, Any] = {
        "connection": connection,
        "recipient": recipient,
        "position": position,
        "unread": state.unread if state else 0,
        "unseen": state.unseen if state else 0,
        "heartbeat": heartbeat,
        "resumed": resumed,
        "id": event_id,
        "recovered": recovered,
        "topics": topics,
        "refused": refused,
    }
    if presence:
        fields["presence"] = presence
    return Frame("ready", fields)


def reset(state: InboxState) -> Frame:
    change = inbox_payloads.reset_payload(state)
    return Frame(change.name, change.fields)


def heartbeat(now: int) -> Frame:
    return Frame("heartbeat", {"time": times.to_rfc3339(now)})


def close(end: CloseReason) -> Frame:
    more = {"after": end.after, "message": end.message}
    fields = {name: value for name, value in more.items() if value is not None}
    return Frame("close", {"code": end.code, "reason": end.reason, "reconnect": end.reconnect, **fields})


def ack(ref: Any, **fields: Any) -> Frame:
    return Frame("ack", _ref(ref) | fields)


def pong(ref: Any) -> Frame:
    return Frame("pong", _ref(ref))


def error(ref: Any, failure: BellcastError) -> Frame:
    """Return the error response to a client's frame. `code` is the REST error code."""
    data = {} if failure.data is None else {"data": failure.data}
    return Frame("error", _ref(ref) | {"code": failure.code, "message": failure.detail} | data)


def _ref(ref: Any) -> dict[str, Any]:
    return {} if ref is None else {"ref": ref}


# --- what clients send ------------------------------------------------------------------------------------------


class ClientCommand(Struct, frozen=True, kw_only=True, tag_field="type", forbid_unknown_fields=True):
    """A frame from a client. The response repeats its `ref`."""

    ref: str | int | float | None = None


class SubscribeCommand(ClientCommand, frozen=True, kw_only=True, tag="subscribe"):
    """`position`: a resume position or event id, after which the topics are replayed. `rewind`: the number of newest events
    to send of each topic."""

    topics: list[str]
    position: str | None = None
    rewind: Annotated[int, Meta(ge=0)] = 0


class UnsubscribeCommand(ClientCommand, frozen=True, kw_only=True, tag="unsubscribe"):
    topics: list[str]


class PublishCommand(ClientCommand, frozen=True, kw_only=True, tag="publish"):
    topic: str
    name: str
    data: Any = None
    keep: bool = True


class Filter(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Restricts `all`. It must not be empty, because a filter lost in transit would select the whole inbox."""

    type: str | None = None
    view: View | None = None
    tag: str | None = None


class MarkCommand(ClientCommand, frozen=True, kw_only=True):
    """An action on several notifications, selected by `ids` or `all`."""

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


class TypingCommand(ClientCommand, frozen=True, kw_only=True, tag="typing"):
    topic: str
    on: bool


class CallCommand(ClientCommand, frozen=True, kw_only=True, tag="call"):
    name: str
    data: Any = None


class AuthCommand(ClientCommand, frozen=True, kw_only=True, tag="auth"):
    token: str


class PingCommand(ClientCommand, frozen=True, kw_only=True, tag="ping"):
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
    """Decode a client's frame into a command, or an InvalidFrame with the error."""
    try:
        return _commands.decode(text)
    except msgspec.ValidationError as problem:
        return InvalidFrame(_salvaged_ref(text), Invalid.fields([field_error(problem)]))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return InvalidFrame(None, BadRequest("A frame must be one JSON object with a `type`."))


class InvalidFrame(NamedTuple):
    """A frame that could not be decoded, with the error to send."""

    ref: Any
    error: BellcastError


def _salvaged_ref(text: str) -> Any:
    """Return the `ref` of an invalid frame so that the client can match the error to it."""
    try:
        ref = msgspec.json.decode(text).get("ref")
    except (msgspec.DecodeError, AttributeError, RecursionError):
        return None
    return ref if isinstance(ref, str | int | float) else None
