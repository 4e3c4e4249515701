"""Commands of Pusher clients, with every field validated on decoding, and the data in them that the app has signed: members of
presence channels and signed-in users."""

from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from bellcast.kernel import validation
from bellcast.kernel.events import CLIENT_PREFIX
from bellcast.kernel.http.validation_errors import sentence
from bellcast.live.pusher.types import MAX_DEVICE


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


class PusherPing(Struct, frozen=True):
    """A Pusher-level ping."""


class PusherPong(Struct, frozen=True):
    """A Pusher-level pong."""


class ClientEvent(Struct, frozen=True):
    """A client event for the other subscribers of a channel."""

    event: str
    channel: str
    data: Any = None


class InvalidPusherFrame(NamedTuple):
    """A frame that is not a valid command, with the error message."""

    message: str


PusherCommand = PusherSubscribe | PusherUnsubscribe | Signin | PusherPing | PusherPong | ClientEvent
WITH_DATA: dict[str, type[PusherSubscribe | PusherUnsubscribe | Signin]] = {
    "pusher:subscribe": PusherSubscribe,
    "pusher:unsubscribe": PusherUnsubscribe,
    "pusher:signin": Signin,
}
BARE: dict[str, PusherCommand] = {"pusher:ping": PusherPing(), "pusher:pong": PusherPong()}


class _Frame(Struct, frozen=True):
    event: str
    channel: Any = UNSET
    data: Any = UNSET


_frames = msgspec.json.Decoder(_Frame)


def receive(text: str) -> PusherCommand | InvalidPusherFrame:
    """Decode a client's frame into a command, or an InvalidPusherFrame with the error."""
    try:
        frame = _frames.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return InvalidPusherFrame('A frame must be one JSON object with a string as its "event".')
    bare = BARE.get(frame.event)
    if bare is not None:
        return bare
    shape = WITH_DATA.get(frame.event)
    if shape is not None:
        return _decoded(frame, shape)
    if frame.event.startswith(CLIENT_PREFIX):
        if not isinstance(frame.channel, str):
            return InvalidPusherFrame(f"{frame.event[:200]}: the channel must be a string.")
        data = None if isinstance(frame.data, UnsetType) else frame.data
        return ClientEvent(frame.event, frame.channel, data)
    return InvalidPusherFrame(f"{frame.event[:200]!r} is not an event that a client may send.")


def _decoded(
    frame: _Frame, shape: type[PusherSubscribe | PusherUnsubscribe | Signin]
) -> PusherCommand | InvalidPusherFrame:
    """Decode the data, which clients send as an object or as a JSON string."""
    try:
        if isinstance(frame.data, str):
            return msgspec.json.decode(frame.data, type=shape)
        return msgspec.convert({} if frame.data is UNSET else frame.data, shape)
    except msgspec.ValidationError as wrong:
        return InvalidPusherFrame(sentence(wrong, frame.event))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return InvalidPusherFrame(f"{frame.event}: the data is not JSON.")


MAX_USER_ID = 128


class ChannelMember(Struct, frozen=True):
    """A presence channel member. Laravel signs ids as numbers: `10` and `"10"` are the same user."""

    user_id: str
    user_info: Any


class _ChannelData(Struct, frozen=True):
    user_id: str | int
    user_info: Any = None


class _UserAttributes(Struct, frozen=True, kw_only=True):
    user_info: Any = None
    watchlist: list[str] = []
    device: Annotated[str, Meta(max_length=MAX_DEVICE)] | None = None


class User(_UserAttributes, frozen=True, kw_only=True):
    """A user signing in. `device` identifies the device if the app names its devices."""

    id: str


class _UserData(_UserAttributes, frozen=True, kw_only=True):
    id: Annotated[str, Meta(min_length=1, max_length=MAX_USER_ID)] | int  # Laravel signs numbers


_channel_data = msgspec.json.Decoder(_ChannelData)
_user_data = msgspec.json.Decoder(_UserData)


def read_member(channel_data: str) -> ChannelMember | str:
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
    return ChannelMember(user_id, {} if claims.user_info is None else claims.user_info)


def read_user(user_data: str) -> User | str:
    """Decode the user in a `user_data`, or return an error message."""
    try:
        user = _user_data.decode(user_data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as problem:
        return sentence(problem, "user_data")
    return User(id=str(user.id), user_info=user.user_info, watchlist=user.watchlist, device=user.device)
