"""User data signed by the app: presence channel members and signed-in users."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from bellcast.kernel import validation
from bellcast.kernel.http.decode_errors import sentence
from bellcast.live.pusher.types import MAX_DEVICE

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
