"""Talks: what a client says to what it hears until it is ready, in each dialect. Pure: no socket, no clock.

A talk is given the client's number and a frame, and answers with the text to send back, which may be empty, or with None
once the client is ready.
"""

import hashlib
import hmac
from collections.abc import Callable
from typing import Any

import msgspec


class HandshakeRefused(Exception):
    """A server turned a client away, or hung up on it."""


Handshake = Callable[[int, bytes], bytes | None]
Name = Callable[[int], str]

_encode = msgspec.json.Encoder().encode


def until(ready: bytes) -> Handshake:
    """The first frame is a `ready`, known by what is in it; nothing is said."""

    def talk(_number: int, heard: bytes) -> bytes | None:
        if ready not in heard:
            raise _refused(heard)
        return None

    return talk


def socketio(token: Name) -> Handshake:
    """Engine.IO opens; then a CONNECT to the root namespace with a token."""

    def talk(number: int, heard: bytes) -> bytes | None:
        if heard.startswith(b"0"):
            return b"40" + _encode({"token": token(number)})
        if heard.startswith(b"40"):
            return None
        raise _refused(heard)

    return talk


class Pusher:
    """Signs in, where it is somebody, and follows one channel that wants a signature; on a presence channel as the member
    of its number."""

    def __init__(
        self, key: str, secret: str, channel: str, *, user: Name | None = None, member: Name | None = None
    ) -> None:
        self._key = key
        self._secret = secret.encode()
        self._channel = channel
        self._user = user
        self._member = member
        self._sockets: dict[int, str] = {}

    def __call__(self, number: int, heard: bytes) -> bytes | None:
        """The last answer may name thousands of members: it is told by how it begins."""
        if heard.startswith(b'{"event":"pusher_internal:subscription_succeeded"'):
            return None
        said = msgspec.json.decode(heard)
        match said["event"]:
            case "pusher:connection_established":
                return self._connected(number, msgspec.json.decode(said["data"])["socket_id"])
            case "pusher:signin_success":
                return self._subscribe(number, self._sockets.pop(number))
            case "pusher:error" | "pusher:subscription_error":
                raise _refused(heard)
        return b""  # what it missed in its inbox

    def _connected(self, number: int, socket_id: str) -> bytes:
        if self._user is None:
            return self._subscribe(number, socket_id)
        self._sockets[number] = socket_id
        user_data = _encode({"id": self._user(number)}).decode()
        auth = self._signed(f"{socket_id}::user::{user_data}")
        return _encode({"event": "pusher:signin", "data": {"auth": auth, "user_data": user_data}})

    def _subscribe(self, number: int, socket_id: str) -> bytes:
        data: dict[str, Any] = {"channel": self._channel}
        signed = f"{socket_id}:{self._channel}"
        if self._member is not None:
            data["channel_data"] = channel_data(self._member(number))
            signed += f":{data['channel_data']}"
        data["auth"] = self._signed(signed)
        return _encode({"event": "pusher:subscribe", "data": data})

    def _signed(self, text: str) -> str:
        return f"{self._key}:{sign(self._secret, text)}"


def channel_data(member: str) -> str:
    """Who a member of a presence channel is: with a name, as apps send."""
    return _encode({"user_id": member, "user_info": {"name": f"Member {member}"}}).decode()


def sign(secret: bytes, text: str) -> str:
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()


def _refused(heard: bytes) -> HandshakeRefused:
    return HandshakeRefused(heard[:500].decode(errors="replace"))
