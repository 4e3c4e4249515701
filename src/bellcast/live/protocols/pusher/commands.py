"""What Pusher's clients say: every field typed before it is used."""

from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, Struct, UnsetType

from bellcast.model.wording import sentence

CLIENT = "client-"


class Subscribe(Struct, frozen=True):
    """Follow a channel; `auth` is `key:signature`, or nothing where nothing is needed."""

    channel: str
    auth: str | None = None
    channel_data: str | None = None


class Unsubscribe(Struct, frozen=True):
    """Follow it no more."""

    channel: str


class Signin(Struct, frozen=True):
    """Say who is here; `user_data` is JSON in a string, as it was signed."""

    auth: str
    user_data: str


class Ping(Struct, frozen=True):
    """Is somebody there?"""


class Pong(Struct, frozen=True):
    """Somebody is here."""


class ClientEvent(Struct, frozen=True):
    """Tell the others of a channel."""

    event: str
    channel: str
    data: Any = None


class Rejected(NamedTuple):
    """What is no command, and why."""

    message: str


Command = Subscribe | Unsubscribe | Signin | Ping | Pong | ClientEvent
WITH_DATA: dict[str, type[Subscribe | Unsubscribe | Signin]] = {
    "pusher:subscribe": Subscribe,
    "pusher:unsubscribe": Unsubscribe,
    "pusher:signin": Signin,
}
BARE: dict[str, Command] = {"pusher:ping": Ping(), "pusher:pong": Pong()}


class _Frame(Struct, frozen=True):
    event: str
    channel: Any = UNSET
    data: Any = UNSET


_frames = msgspec.json.Decoder(_Frame)


def receive(text: str) -> Command | Rejected:
    """The command in a client's frame, or why there is none."""
    try:
        frame = _frames.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return Rejected('A frame must be one JSON object with a text as its "event".')
    bare = BARE.get(frame.event)
    if bare is not None:
        return bare
    shape = WITH_DATA.get(frame.event)
    if shape is not None:
        return _typed(frame, shape)
    if frame.event.startswith(CLIENT):
        return _client_event(frame)
    return Rejected(f"{frame.event[:200]!r} is no event a client may send.")


def _typed(frame: _Frame, shape: type[Subscribe | Unsubscribe | Signin]) -> Command | Rejected:
    """Clients write the data as an object or as JSON in a string."""
    try:
        if isinstance(frame.data, str):
            return msgspec.json.decode(frame.data, type=shape)
        return msgspec.convert({} if frame.data is UNSET else frame.data, shape)
    except msgspec.ValidationError as wrong:
        return Rejected(sentence(wrong, frame.event))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return Rejected(f"{frame.event}: the data is not JSON.")


def _client_event(frame: _Frame) -> ClientEvent | Rejected:
    if not isinstance(frame.channel, str):
        return Rejected(f"{frame.event[:200]}: the channel must be a text.")
    data = None if isinstance(frame.data, UnsetType) else frame.data
    return ClientEvent(frame.event, frame.channel, data)
