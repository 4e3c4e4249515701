"""Pusher Channels, protocol 7, without I/O: decoding of commands, encoding of events."""

from bellcast.live.pusher.protocol import frames
from bellcast.live.pusher.protocol.close_codes import (
    BAD_VERSION,
    NO_SUCH_APP,
    NO_VERSION,
    UNKNOWN_VERSION,
    unsupported_version,
)
from bellcast.live.pusher.protocol.commands import (
    ChannelMember,
    ClientEvent,
    InvalidPusherFrame,
    PusherCommand,
    PusherPing,
    PusherPong,
    PusherSubscribe,
    PusherUnsubscribe,
    Signin,
    User,
    read_member,
    read_user,
    receive,
)
from bellcast.live.pusher.protocol.dialect import MESSAGE, WEBSOCKET, PusherDialect

__all__ = [
    "BAD_VERSION",
    "MESSAGE",
    "NO_SUCH_APP",
    "NO_VERSION",
    "UNKNOWN_VERSION",
    "WEBSOCKET",
    "ChannelMember",
    "ClientEvent",
    "InvalidPusherFrame",
    "PusherCommand",
    "PusherDialect",
    "PusherPing",
    "PusherPong",
    "PusherSubscribe",
    "PusherUnsubscribe",
    "Signin",
    "User",
    "frames",
    "read_member",
    "read_user",
    "receive",
    "unsupported_version",
]
