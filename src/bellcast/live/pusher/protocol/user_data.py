"""Who somebody is, as the app signed it: members of presence channels, and signed-in users."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from bellcast.model import validation
from bellcast.model.decode_errors import sentence

MAX_USER_ID = 128
# Longer lists are cut, and the client is told (4302).
MAX_WATCHLIST = 100
MAX_DEVICE = 64


class ChannelMember(Struct, frozen=True):
    """One on a presence channel. Laravel signs ids as numbers: `10` and `"10"` are one person."""

    user_id: str
    user_info: Any


class _ChannelData(Struct, frozen=True):
    user_id: str | int
    user_info: Any = None


class User(Struct, frozen=True, kw_only=True):
    """Somebody who signs in. `device` tells the app's devices apart, where it has a name for them."""

    id: Annotated[str, Meta(min_length=1, max_length=MAX_USER_ID)]
    user_info: Any = None
    watchlist: list[str] = []
    device: Annotated[str, Meta(max_length=MAX_DEVICE)] | None = None


_channel_data = msgspec.json.Decoder(_ChannelData)
_user_data = msgspec.json.Decoder(User)


def read_member(channel_data: str) -> ChannelMember | str:
    """The member of a `channel_data`, or what is wrong with it."""
    try:
        said = _channel_data.decode(channel_data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as wrong:
        return sentence(wrong, "channel_data")
    user_id = str(said.user_id)
    if not 1 <= len(user_id) <= MAX_USER_ID:
        return f"channel_data: user_id must have 1 to {MAX_USER_ID} characters."
    for error in validation.data("user_info", said.user_info, 0):
        return f"channel_data: {error.field} {error.message}."
    return ChannelMember(user_id, {} if said.user_info is None else said.user_info)


def read_user(user_data: str) -> User | str:
    """The user of a `user_data`, or what is wrong with it."""
    try:
        return _user_data.decode(user_data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as wrong:
        return sentence(wrong, "user_data")
