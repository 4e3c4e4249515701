"""Bellcast's own dialect: one JSON object per frame, over both SSE and WebSocket (docs/reference/frames.md).

A frame has a name, fields and, over SSE, an id. The transports differ only in the framing, so each event is encoded
once per transport, never once per socket.
"""

import contextlib
import functools
import operator
from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from bellcast.inbox.types.inboxes import Action, InboxEvent, SelectionFilter
from bellcast.kernel import times
from bellcast.kernel.errors import BadRequest, BellcastError, Invalid
from bellcast.kernel.events import Event, LiveEvent
from bellcast.kernel.http.validation_errors import field_error
from bellcast.live import framing
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.connection.dialect import Dialect, InboxReset, Payload, PositionMark, payload_of, topic_payload
from bellcast.live.framing import websocket

_encode = msgspec.json.Encoder().encode


class NativeDialect(Struct, frozen=True, eq=False):
    """Frame encoding for one transport. Compared by identity: the three instances are module constants."""

    transport: Literal["sse", "websocket"]
    encode_frame: Callable[[Payload], bytes]
    protocol: str = "native"
    can_resume: bool = True
    mark: PositionMark | None = None

    def encode(self, event: Event) -> bytes | None:
        if isinstance(event, InboxEvent):
            return self.replay(event, event.inbox.position)
        frame = live_event(event) if isinstance(event, LiveEvent) else topic_payload(event)
        return None if frame is None else self.encode_frame(frame)

    def replay(self, event: InboxEvent | InboxReset, position: str) -> bytes:
        return self.encode_frame(payload_of(event, position))

    def heartbeat(self, now: int) -> bytes:
        return self.encode_frame(Payload("heartbeat", {"time": times.to_rfc3339(now)}))

    def close_event(self, end: CloseReason) -> CloseReason:
        return end

    def close(self, end: CloseReason) -> bytes:
        more = {"after": end.after, "message": end.message, "id": end.event_id}
        fields = {name: value for name, value in more.items() if value is not None}
        frame = Payload("close", {"code": end.code, "reason": end.reason, "reconnect": end.reconnect, **fields})
        return self.encode_frame(frame)


class IdMark(Struct, frozen=True):
    """The SSE id before an event. `frame` frames a part of the response body."""

    frame: Callable[[bytes], bytes]

    def __call__(self, data: bytes, position: str) -> bytes:
        return self.frame(framing.sse_field("id", position)) + data

    def head(self, position: str) -> bytes:
        return self.frame(b"id: " + position.encode())

    def around(self, data: bytes, event_id: str) -> tuple[None, bytes]:
        return None, self.frame(b"~%b\n" % event_id.encode()) + data


SSE_CHUNKED = NativeDialect(
    "sse",
    lambda frame: framing.chunk(framing.sse_event(frame.name, _encode(frame.fields))),
    mark=IdMark(framing.chunk),
)
# HTTP/1.0, or another ASGI server
SSE_PLAIN = NativeDialect("sse", lambda frame: framing.sse_event(frame.name, _encode(frame.fields)), mark=IdMark(bytes))
WEBSOCKET = NativeDialect(
    "websocket", lambda frame: websocket.text_frame(_encode({"type": frame.name, **frame.fields}))
)


def live_event(event: LiveEvent, *, is_rewound: bool = False) -> Payload:
    fields = ({} if event.topic is None else {"topic": event.topic}) | {"name": event.name, "data": event.data}
    if event.id is not None:
        fields["id"] = event.id
    return Payload("event", fields | {"replayed": True} if is_rewound else fields)


def encode_rewound(dialect: Dialect) -> Callable[[LiveEvent], bytes | None]:
    """Return the encoder of past events that a client requested."""
    if not isinstance(dialect, NativeDialect):
        return dialect.encode
    return lambda event: dialect.encode_frame(live_event(event, is_rewound=True))


def ack(ref: Any, **fields: Any) -> Payload:
    return Payload("ack", _ref(ref) | fields)


def pong(ref: Any) -> Payload:
    return Payload("pong", _ref(ref))


def error(ref: Any, failure: BellcastError) -> Payload:
    """Return the error response to a client's frame. `code` is the REST error code."""
    data = {} if failure.data is None else {"data": failure.data}
    return Payload("error", _ref(ref) | {"code": failure.code, "message": failure.detail} | data)


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


class MarkCommand(ClientCommand, frozen=True, kw_only=True):
    """An action on several notifications, selected by `ids` or `all`."""

    ids: list[str] | None = None
    all: bool = False
    of: SelectionFilter | None = None


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


# The commands that differ by their action only.
ACTIONS: tuple[Action, ...] = ("seen", "read", "unread", "archive", "unarchive", "delete")
MARKS: dict[type[Struct], Action] = {
    msgspec.defstruct(
        f"{action.title()}Command", [], bases=(MarkCommand,), tag=action, frozen=True, kw_only=True
    ): action
    for action in ACTIONS
}
COMMANDS: tuple[type[Struct], ...] = (
    SubscribeCommand,
    UnsubscribeCommand,
    PublishCommand,
    *MARKS,
    TypingCommand,
    CallCommand,
    AuthCommand,
    PingCommand,
)
ANY_COMMAND: Any = functools.reduce(operator.or_, COMMANDS)
_commands: msgspec.json.Decoder[ClientCommand] = msgspec.json.Decoder(ANY_COMMAND)


def receive(text: str) -> ClientCommand | Payload:
    """Decode a client's frame into a command; return the error response if it cannot be decoded."""
    try:
        return _commands.decode(text)
    except msgspec.ValidationError as problem:
        ref = None  # lets the client match the error to its frame
        with contextlib.suppress(msgspec.DecodeError, AttributeError, RecursionError):
            ref = msgspec.json.decode(text).get("ref")
        return error(ref if isinstance(ref, str | int | float) else None, Invalid.fields([field_error(problem)]))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return error(None, BadRequest("A frame must be one JSON object with a `type`."))
