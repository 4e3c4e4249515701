"""Pusher Channels, protocol 7, without I/O: frames to commands, events to frames."""

from bellcast.live.protocols.pusher import frames
from bellcast.live.protocols.pusher.commands import (
    ClientEvent,
    Command,
    Ping,
    Pong,
    Rejected,
    Signin,
    Subscribe,
    Unsubscribe,
    receive,
)
from bellcast.live.protocols.pusher.dialect import MESSAGE, WEBSOCKET, Dialect
from bellcast.live.protocols.pusher.endings import (
    BAD_VERSION,
    NO_SUCH_APP,
    NO_VERSION,
    UNKNOWN_VERSION,
    refused_version,
)
from bellcast.live.protocols.pusher.people import Member, User, read_member, read_user

__all__ = [
    "BAD_VERSION",
    "MESSAGE",
    "NO_SUCH_APP",
    "NO_VERSION",
    "UNKNOWN_VERSION",
    "WEBSOCKET",
    "ClientEvent",
    "Command",
    "Dialect",
    "Member",
    "Ping",
    "Pong",
    "Rejected",
    "Signin",
    "Subscribe",
    "Unsubscribe",
    "User",
    "frames",
    "read_member",
    "read_user",
    "receive",
    "refused_version",
]
