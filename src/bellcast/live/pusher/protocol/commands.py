"""Commands of Pusher clients, with every field validated on decoding."""

from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, Struct, UnsetType

from bellcast.kernel.events import CLIENT_PREFIX
from bellcast.kernel.http.decode_errors import sentence


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
