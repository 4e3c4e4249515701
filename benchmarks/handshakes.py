"""Handshakes of live clients in each dialect. Pure: no socket, no clock.

A handshake takes the client's number and a received frame, and returns the text to send, which may be empty, or None
once
the client is ready.
"""

import hashlib
import hmac
from collections.abc import Callable
from typing import Any

import msgspec


class HandshakeRefused(Exception):
    """A server rejected a request or connection, closed it, or returned something unexpected."""


ReadHandshake = Callable[[int, bytes], bytes | None]
MakeName = Callable[[int], str]

_encode = msgspec.json.Encoder().encode


def until(ready: bytes) -> ReadHandshake:
    """Expect `ready` within the first frame and send nothing."""

    def handshake(_number: int, received: bytes) -> bytes | None:
        if ready not in received:
            raise _refused(received)
        return None

    return handshake


def socketio(token: MakeName) -> ReadHandshake:
    """After Engine.IO's open packet, send CONNECT to the root namespace with a token."""

    def handshake(number: int, received: bytes) -> bytes | None:
        if received.startswith(b"0"):
            return b"40" + _encode({"token": token(number)})
        if received.startswith(b"40"):
            return None
        raise _refused(received)

    return handshake


class Pusher:
    """Signs in if `user` is set, and subscribes to one channel with a signature; on a presence channel as `member`."""

    def __init__(
        self, key: str, secret: str, channel: str, *, user: MakeName | None = None, member: MakeName | None = None
    ) -> None:
        self._key = key
        self._secret = secret.encode()
        self._channel = channel
        self._user = user
        self._member = member
        self._sockets: dict[int, str] = {}

    def __call__(self, number: int, received: bytes) -> bytes | None:
        """The subscription's confirmation may list thousands of members, so it is recognized by its prefix,
        undecoded."""
        if received.startswith(b'{"event":"pusher_internal:subscription_succeeded"'):
            return None
        message = msgspec.json.decode(received)
        match message["event"]:
            case "pusher:connection_established":
                socket_id = msgspec.json.decode(message["data"])["socket_id"]
                if self._user is None:
                    return self._subscribe(number, socket_id)
                self._sockets[number] = socket_id
                user_data = _encode({"id": self._user(number)}).decode()
                auth = self._signature(f"{socket_id}::user::{user_data}")
                return _encode({"event": "pusher:signin", "data": {"auth": auth, "user_data": user_data}})
            case "pusher:signin_success":
                return self._subscribe(number, self._sockets.pop(number))
            case "pusher:error" | "pusher:subscription_error":
                raise _refused(received)
        return b""  # inbox changes replayed after sign-in

    def _subscribe(self, number: int, socket_id: str) -> bytes:
        data: dict[str, Any] = {"channel": self._channel}
        text = f"{socket_id}:{self._channel}"
        if self._member is not None:
            data["channel_data"] = channel_data(self._member(number))
            text += f":{data['channel_data']}"
        data["auth"] = self._signature(text)
        return _encode({"event": "pusher:subscribe", "data": data})

    def _signature(self, text: str) -> str:
        return f"{self._key}:{sign(self._secret, text)}"


def channel_data(member: str) -> str:
    """Return the channel data of a presence member, with a name as apps send it."""
    return _encode({"user_id": member, "user_info": {"name": f"Member {member}"}}).decode()


def sign(secret: bytes, text: str) -> str:
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()


def _refused(received: bytes) -> HandshakeRefused:
    return HandshakeRefused(received[:500].decode(errors="replace"))
