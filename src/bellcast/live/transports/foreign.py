"""The same connections through another ASGI server's sends: mounted into somebody's app, everything but the socket is ours."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from bellcast.live import reasons
from bellcast.live.commands import Commands
from bellcast.live.connection import Connection
from bellcast.live.reasons import Close

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Pack = Callable[[bytes], Message]


class SendOutlet:
    """What a connection writes waits here until the server's `send` takes it."""

    def __init__(self, connection: Connection, pack: Pack) -> None:
        self._connection = connection
        self._pack = pack
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._high, self._low = 2**31, 2**29
        self._full = False
        self._stirred = asyncio.Event()
        self._closing = False

    async def run(self, send: Send, last: Callable[[], Message]) -> None:
        """Send what is written until the outlet is closed, then the server's own last message."""
        while self._waiting or not self._closing:
            while self._waiting:
                data = self._waiting.popleft()
                await send(self._pack(data))
                self._shrink(len(data))
            if not self._closing:
                self._stirred.clear()
                await self._stirred.wait()
        await send(last())

    def write(self, data: bytes, /) -> None:
        if self._closing:
            return
        self._waiting.append(data)
        self._size += len(data)
        self._stirred.set()
        if self._size > self._high and not self._full:
            self._full = True
            self._connection.pause_writing()

    def _shrink(self, size: int) -> None:
        self._size -= size
        if self._full and self._size <= self._low:
            self._full = False
            self._connection.resume_writing()

    def close(self) -> None:
        self._closing = True
        self._stirred.set()

    def abort(self) -> None:
        self._waiting.clear()
        self.close()

    def is_closing(self) -> bool:
        return self._closing

    def get_write_buffer_size(self) -> int:
        return self._size

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high, self._low = high or 2**31, low or 0

    def pause_reading(self) -> None:
        """Reading is the server's business; frames wait in its queue."""

    def resume_reading(self) -> None:
        """As `pause_reading`."""


class ForeignConnection(Connection):
    """Ends by closing its outlet; the code goes out with the server's own close."""

    __slots__ = ("_end",)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._end = Close(1000, "", reconnect=True)

    def say_goodbye(self, end: Close) -> None:
        self._end = end
        self.write(self.dialect.close(end))
        self.outlet.close()

    def closing(self) -> Message:
        """The server's last message of a WebSocket."""
        return {"type": "websocket.close", "code": self._end.code, "reason": self._end.reason}


def websocket_message(data: bytes) -> Message:
    """One frame."""
    return {"type": "websocket.send", "text": data.decode()}


def body_message(data: bytes) -> Message:
    """One piece of an event stream."""
    return {"type": "http.response.body", "body": data, "more_body": True}


def end_of_body() -> Message:
    """The end of an event stream."""
    return {"type": "http.response.body", "body": b"", "more_body": False}


async def hear_websocket(connection: Connection, receive: Receive, commands: Commands) -> None:
    """Hand on what the client says until it goes."""
    while (message := await receive())["type"] != "websocket.disconnect":
        connection.heard_at = connection.keeper.tick
        said = message.get("text")
        if said is None:
            said = message.get("bytes") or b""
        if 0 < commands.limits.frame < len(said):
            connection.keeper.end(connection, reasons.TOO_LARGE)
        else:
            commands.receive(connection, said)


async def hear_stream(receive: Receive) -> None:
    """Wait until the client goes."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def serve(
    connection: Connection, outlet: SendOutlet, send: Send, last: Callable[[], Message], hearing: Awaitable[None]
) -> None:
    """Carry a connection until either side ends it."""
    speaking = asyncio.ensure_future(outlet.run(send, last))
    listening = asyncio.ensure_future(hearing)
    try:
        await asyncio.wait((speaking, listening), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in (speaking, listening):
            one.cancel()
        await asyncio.gather(speaking, listening, return_exceptions=True)
        connection.connection_lost(None)
