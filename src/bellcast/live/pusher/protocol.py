"""Pusher Channels, protocol 7, without I/O: decoding of commands, encoding of events, close codes."""

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from bellcast.inbox.types import Notification
from bellcast.inbox.types.inboxes import InboxEvent
from bellcast.kernel import validation
from bellcast.kernel.errors import BadRequest
from bellcast.kernel.events import CLIENT_PREFIX, Event, LiveEvent
from bellcast.kernel.http.validation_errors import sentence
from bellcast.live.connection import close_reasons
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.connection.dialect import InboxReset, Payload, payload_of
from bellcast.live.framing import websocket
from bellcast.live.types import PUSHER_PREFIXES, PresenceChanged
from bellcast.topics.types import Member, is_presence

# Addresses one signed-in recipient instead of a topic. `#` is not allowed in topic names.
TO_RECIPIENT = "#server-to-user-"


def recipient_of(channel: str) -> str | None:
    """Return the recipient that `#server-to-user-…` addresses."""
    return channel.removeprefix(TO_RECIPIENT) or None if channel.startswith(TO_RECIPIENT) else None


# --- close codes. Clients act on the range: 40xx stop, 41xx reconnect after a delay, 42xx immediately

OLDEST, NEWEST = 4, 7

NO_SUCH_APP = CloseReason(
    4001, "There is no app with this key; `bellcast pusher-app list` shows the keys.", reconnect=False
)
DISABLED = CloseReason(4003, "Pusher is switched off on this server.", reconnect=False)
APP_DISABLED = CloseReason(4003, "This app is disabled.", reconnect=False)
APP_UNREADABLE = CloseReason(4100, "This server lacks the encryption key of the app's secret.", reconnect=True)
BAD_VERSION = CloseReason(4006, "The protocol version must be a whole number.", reconnect=False)
UNKNOWN_VERSION = CloseReason(4007, f"This server supports protocol {OLDEST} to {NEWEST}.", reconnect=False)
NO_VERSION = CloseReason(4008, "The parameter `protocol` is missing.", reconnect=False)
BAD_SIGNIN = CloseReason(4009, "The sign-in is invalid.", reconnect=False)
UNAUTHORIZED = CloseReason(4009, "unauthorized", reconnect=False)

# The WebSocket code for an oversized frame; Pusher has no code for it.
TOO_LARGE = 1009

# Clients must reconnect later: an immediate attempt would be closed again.
TRY_LATER = (close_reasons.TOO_MANY, close_reasons.TOO_FAST, close_reasons.TOO_SLOW, close_reasons.UNAVAILABLE)
CODES: Mapping[str, int] = {
    close_reasons.NO_PONG.reason: 4201,
    close_reasons.RESTARTING.reason: 4200,
    close_reasons.EXPIRED.reason: 4200,
    close_reasons.RECONNECT.reason: 4200,
    close_reasons.CLOSED.reason: 4009,
    close_reasons.TOO_LARGE.reason: TOO_LARGE,
    **{end.reason: 4100 for end in TRY_LATER},
}


def unsupported_version(version: str | None) -> CloseReason | None:
    """Return the close reason for an unsupported protocol version; None if it is supported."""
    if version is None:
        return NO_VERSION
    if not version.isascii() or not version.isdigit():
        return BAD_VERSION
    return None if OLDEST <= int(version[:9]) <= NEWEST and len(version) < 9 else UNKNOWN_VERSION


# --- what clients send: commands, and the data in them that the app has signed, validated on decoding


class PusherSubscribe(Struct, frozen=True):
    """Subscribe to a channel; `auth` is `key:signature`, None for public channels."""

    channel: str
    auth: str | None = None
    channel_data: str | None = None


class PusherUnsubscribe(Struct, frozen=True):
    channel: str


class Signin(Struct, frozen=True):
    """Sign in. `user_data` is the JSON string that was signed."""

    auth: str
    user_data: str


class ClientEvent(Struct, frozen=True):
    """A client event for the other subscribers of a channel."""

    event: str
    channel: str
    data: Any = None


PING_EVENT, PONG_EVENT = "pusher:ping", "pusher:pong"  # commands without data
PusherCommand = PusherSubscribe | PusherUnsubscribe | Signin | ClientEvent | str
WITH_DATA: dict[str, type[PusherSubscribe | PusherUnsubscribe | Signin]] = {
    "pusher:subscribe": PusherSubscribe,
    "pusher:unsubscribe": PusherUnsubscribe,
    "pusher:signin": Signin,
}


class _Frame(Struct, frozen=True):
    event: str
    channel: Any = UNSET
    data: Any = UNSET


_frames = msgspec.json.Decoder(_Frame)


def receive(text: str) -> PusherCommand:
    """Decode a client's frame into a command. Raises BadRequest."""
    try:
        frame = _frames.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise BadRequest('A frame must be one JSON object with a string as its "event".') from None
    if frame.event in (PING_EVENT, PONG_EVENT):
        return frame.event
    shape = WITH_DATA.get(frame.event)
    if shape is not None:
        # Clients send the data as an object or as a JSON string
        try:
            if isinstance(frame.data, str):
                return msgspec.json.decode(frame.data, type=shape)
            return msgspec.convert({} if frame.data is UNSET else frame.data, shape)
        except msgspec.ValidationError as wrong:
            raise BadRequest(sentence(wrong, frame.event)) from None
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            raise BadRequest(f"{frame.event}: the data is not JSON.") from None
    if frame.event.startswith(CLIENT_PREFIX):
        if not isinstance(frame.channel, str):
            raise BadRequest(f"{frame.event[:200]}: the channel must be a string.")
        data = None if isinstance(frame.data, UnsetType) else frame.data
        return ClientEvent(frame.event, frame.channel, data)
    raise BadRequest(f"{frame.event[:200]!r} is not an event that a client may send.")


MAX_USER_ID = 128
# Maximum characters of the device in a signature.
MAX_DEVICE = 64


class _ChannelData(Struct, frozen=True):
    user_id: str | int  # Laravel signs numbers: `10` and `"10"` are the same user
    user_info: Any = None


class User(Struct, frozen=True, kw_only=True):
    """A user signing in. `device` identifies the device if the app names its devices."""

    id: Annotated[str, Meta(min_length=1, max_length=MAX_USER_ID)] | int
    user_info: Any = None
    watchlist: list[str] = []
    device: Annotated[str, Meta(max_length=MAX_DEVICE)] | None = None

    @property
    def key(self) -> str:
        """The key of the recipient."""
        return str(self.id)


_channel_data = msgspec.json.Decoder(_ChannelData)
_user_data = msgspec.json.Decoder(User)


def read_member(channel_data: str) -> Member | str:
    """Decode the member in a `channel_data`, or return an error message."""
    try:
        claims = _channel_data.decode(channel_data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as problem:
        return sentence(problem, "channel_data")
    user_id = str(claims.user_id)
    if not 1 <= len(user_id) <= MAX_USER_ID:
        return f"channel_data: user_id must have 1 to {MAX_USER_ID} characters."
    for error in validation.data("user_info", claims.user_info, 0):
        return f"channel_data: {error.field} {error.message}."
    return Member(recipient=user_id, info={} if claims.user_info is None else claims.user_info)


def read_user(user_data: str) -> User | str:
    """Decode the user in a `user_data`, or return an error message."""
    try:
        return _user_data.decode(user_data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as problem:
        return sentence(problem, "user_data")


# --- frames to clients. `data` is always a string, with objects encoded as JSON again. Only `pusher:error` has an object, as the
# Swift client expects

EMPTY = "{}"
ERROR_EVENT = "pusher:error"
# Event name of Laravel Echo's `.notification(…)`.
LARAVEL = "Illuminate\\Notifications\\Events\\BroadcastNotificationCreated"

_encode = msgspec.json.Encoder().encode


def text(data: Any) -> str:
    """Encode data as the string in a frame; strings stay unchanged."""
    return data if isinstance(data, str) else _encode(data).decode()


def event_frame(name: str, channel: str | None, data: str, user_id: str | None = None) -> bytes:
    """Encode an event; `user_id` identifies the sender on presence channels."""
    frame: dict[str, Any] = {"event": name}
    if channel is not None:
        frame["channel"] = channel
    frame["data"] = data
    if user_id is not None:
        frame["user_id"] = user_id
    return _encode(frame)


def established(socket_id: str, activity_timeout: float) -> bytes:
    seconds = max(1, round(activity_timeout))
    return event_frame(
        "pusher:connection_established", None, text({"socket_id": socket_id, "activity_timeout": seconds})
    )


def error(message: str, code: int | None = None) -> bytes:
    """Encode an error that does not close the connection."""
    return _encode({"event": ERROR_EVENT, "data": {"code": code, "message": message}})


def subscribed(channel: str, data: str = EMPTY) -> bytes:
    return event_frame("pusher_internal:subscription_succeeded", channel, data)


def presence_snapshot(ids: Iterable[str], entries: Iterable[str], count: int) -> str:
    """Encode the members of a presence channel for `subscribed`, from fragments of `presence_entry`."""
    return f'{{"presence":{{"ids":[{",".join(ids)}],"hash":{{{",".join(entries)}}},"count":{count}}}}}'


def presence_entry(member: Member) -> tuple[str, str]:
    """Encode the fragments of a member, cached because every new subscriber receives all members."""
    id = _encode(member.recipient).decode()
    return id, f"{id}:{_encode(info(member)).decode()}"


def info(member: Member) -> Any:
    """Return a member's info as signed by the app, or the name for connections of other dialects."""
    if member.info is not None:
        return member.info
    return {} if member.name is None else {"name": member.name}


def member_added(channel: str, member: Member) -> bytes:
    fields = {"user_id": member.recipient, "user_info": info(member)}
    return event_frame("pusher_internal:member_added", channel, text(fields))


def member_removed(channel: str, member: Member) -> bytes:
    return event_frame("pusher_internal:member_removed", channel, text({"user_id": member.recipient}))


def subscription_error(channel: str, kind: str, message: str, status: int) -> bytes:
    return event_frame("pusher:subscription_error", channel, text({"type": kind, "error": message, "status": status}))


def subscription_count(channel: str, count: int) -> bytes:
    return event_frame("pusher_internal:subscription_count", channel, text({"subscription_count": count}))


def cache_miss(channel: str) -> bytes:
    return event_frame("pusher:cache_miss", channel, EMPTY)


def signed_in(user_data: str) -> bytes:
    return event_frame("pusher:signin_success", None, text({"user_data": user_data}))


def watchlist_event(online: list[str], offline: list[str]) -> bytes:
    """Encode the users of a watchlist that are newly online or offline."""
    lists = (("online", online), ("offline", offline))
    events = [{"name": name, "user_ids": ids} for name, ids in lists if ids]
    return event_frame("pusher_internal:watchlist_events", None, text({"events": events}))


def inbox_change(channel: str, change: Payload) -> bytes:
    return event_frame(change.name, channel, text(change.fields))


def laravel(channel: str, notification: Notification) -> bytes:
    """Encode a notification like Laravel's broadcasts: the app's data, id and type in one object."""
    fields = {name: value for name, value in (("title", notification.title), ("body", notification.body)) if value}
    if notification.action_url is not None:
        fields["action_url"] = notification.action_url
    return event_frame(
        LARAVEL, channel, text({**fields, **notification.data, "id": notification.id, "type": notification.type})
    )


PONG = event_frame(PONG_EVENT, None, EMPTY)
PING = event_frame(PING_EVENT, None, EMPTY)


# --- events as frames

# Closes from this code on are sent without an error event, which would alarm the app about a mere restart.
QUIET_CODES = 4200


class PusherDialect(Struct, frozen=True, eq=False):
    """Frame encoding. Compared by identity: the two instances are module constants.

    The pong to a `ping_with_position` confirms delivery up to its revision."""

    sign_of_life: bytes
    ping_with_position: Callable[[int], bytes]
    numbers_pings: bool  # a pong repeats the revision of its ping
    transport: Literal["websocket"] = "websocket"
    protocol: str = "pusher"
    can_resume: bool = False
    mark: None = None
    encode_frame: Callable[[bytes], bytes] = websocket.text_frame

    def encode(self, event: Event) -> bytes | None:
        match event:
            case LiveEvent() if event.name.startswith(PUSHER_PREFIXES):
                return None
            case LiveEvent():
                channel = TO_RECIPIENT + (event.recipient or "") if event.topic is None else event.topic
                data = text(event.data) if event.text is None else event.text
                return self.encode_frame(event_frame(event.name, channel, data, event.member))
            case PresenceChanged() if is_presence(event.topic):
                joined = [self.encode_frame(member_added(event.topic, member)) for member in event.joined]
                left = [self.encode_frame(member_removed(event.topic, member)) for member in event.left]
                return b"".join(joined + left) or None
            case _ if isinstance(event, InboxEvent):
                return self.replay(event, event.inbox.position)
            case _:
                return None

    def replay(self, event: InboxEvent | InboxReset, position: str) -> bytes:
        """Encode a replayed inbox change on the recipient's own channel."""
        channel = TO_RECIPIENT + event.inbox.recipient
        return self.encode_frame(inbox_change(channel, payload_of(event, position)))

    def heartbeat(self, now: int) -> bytes:
        """Return a control frame if the transport has them, because not every client knows `pusher:ping`."""
        return self.sign_of_life

    def close_event(self, end: CloseReason) -> CloseReason:
        """Translate a close reason to Pusher's codes; WebSocket's and Pusher's own codes stay unchanged."""
        if (end.code < 4000 and end.reason not in CODES) or 4000 <= end.code < 4400:
            return end
        code = CODES.get(end.reason, 4200 if end.reconnect else 4009)
        return CloseReason(code, end.reason, end.reconnect, end.after, end.message)

    def close(self, end: CloseReason) -> bytes:
        """Encode an error event before the close, because clients below protocol 6 do not know close codes."""
        is_quiet = not 4000 <= end.code < QUIET_CODES
        return b"" if is_quiet else self.encode_frame(error(end.message or end.reason, end.code))


# The pong to a ping repeats its payload, and confirms that everything sent before has arrived.
WEBSOCKET = PusherDialect(
    websocket.PING,
    lambda revision: websocket.control_frame(websocket.PING_OPCODE, b"%d" % revision),
    numbers_pings=True,
)
# For a WebSocket of another ASGI server, which sends pings itself.
WITHOUT_PINGS = PusherDialect(websocket.text_frame(PONG), lambda _: websocket.text_frame(PING), numbers_pings=False)
