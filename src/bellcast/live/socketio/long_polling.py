"""Engine.IO over long-polling: packets are queued for the client's next GET and received by POST.

At most one GET and one POST are in flight; a request whose connection drops before its end ends the session, as does
a second one beside the first. An end is told to a poll that waits, or kept a moment for the next.
"""

import asyncio
import gzip
from contextlib import suppress
from typing import Any

from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.http import asgi, responses
from bellcast.live.http.handshake_request import HandshakeRequest, Headers
from bellcast.live.socketio.engine_session import UNREADABLE, EngineSession
from bellcast.live.socketio.protocol import engineio
from bellcast.live.socketio.protocol.engineio import InvalidPacket
from bellcast.model.content_coding import accepts

# Caches must not answer one poll with the events of another.
TEXT = [(b"content-type", b"text/plain; charset=UTF-8"), (b"cache-control", b"no-store")]
OK = [(b"content-type", b"text/html"), (b"cache-control", b"no-store")]

# Below this a packet of the network carries it all the same; peers draw the line there too.
COMPRESS_MIN_BYTES = 1_024
# The fastest takes off three quarters of what is mostly JSON; more effort, a tenth of the rest.
COMPRESS_LEVEL = 1
# A body may hold half a million packets: others have their turn after so many, which is a few milliseconds.
COMPRESS_CHUNK_BYTES = 250


class ClientDisconnected(Exception):
    """The request's connection dropped before its end."""


class PollingTransport:
    """A session transport that queues packets until the next poll."""

    clear = False  # nothing is ever sent directly

    encoding = engineio.POLLING_BODY
    sock = None

    def __init__(self, pipe: EngineSession) -> None:
        self._session = pipe
        self._waiting: list[bytes] = []
        self._size = 0
        self._high = 2**31
        self._full = False
        self._closing = False
        self._wakeup = False
        self._packets: asyncio.Future[bytes] | None = None
        self.posting = False
        self.candidate: object | None = None  # the one WebSocket that may try to take over
        self.upgrading = False  # a WebSocket is being tried: polls are answered at once
        self.reading = asyncio.Event()
        self.reading.set()

    @property
    def transport(self) -> "PollingTransport":
        return self

    # --- as a link

    @property
    def on_poll(self) -> bool:
        """True if a poll is pending."""
        return self._packets is not None

    async def poll(self, receive: asgi.Receive) -> bytes:
        """Return the pending packets, or wait for the first. Raises Gone if the client disconnects."""
        if self._waiting or self._closing:
            return self.take_pending()
        if self.upgrading:
            return engineio.NOOP
        held: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._packets = held
        hung_up = asyncio.ensure_future(asgi.receive_stream(receive))
        try:
            await asyncio.wait((held, hung_up), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._packets = None
            hung_up.cancel()
        if not held.done():
            raise ClientDisconnected
        return held.result()

    def probe(self, *, begun: bool) -> None:
        """Release the poll when a WebSocket probe starts or is abandoned."""
        self.upgrading = begun
        if begun:
            self._respond(engineio.NOOP)

    def hand_over_pending(self) -> list[bytes]:
        """Hand the pending packets over to another transport."""
        waiting = self._empty()
        self._respond(engineio.NOOP)
        self._closing = True
        self.reading.set()
        return waiting

    def close_with(self, end: CloseReason, last: bytes) -> None:
        self._waiting.append(last)
        self._size += len(last)
        self._closing = True
        self.reading.set()
        self._flush()

    def take_pending(self) -> bytes:
        """Return all pending packets as one body."""
        return engineio.SEPARATOR.join(self._empty())

    def _empty(self) -> list[bytes]:
        """Remove all that waits. Writers that were paused resume here and nowhere else, whoever takes the packets."""
        waiting, self._waiting, self._size = self._waiting, [], 0
        if self._full:
            self._full = False
            self._session.on_buffer_drained()
        return waiting

    def _flush(self) -> None:
        """Answer the pending poll with the pending packets."""
        self._wakeup = False
        if self._waiting:
            self._respond(None)

    def _respond(self, body: bytes | None) -> None:
        held = self._packets
        if held is not None and not held.done():
            held.set_result(self.take_pending() if body is None else body)

    # --- as an outlet

    def write(self, data: bytes, /) -> None:
        if self._closing or not data:
            return
        self._waiting.append(data)
        self._size += len(data)
        if self._packets is not None:
            self._flush_soon()
        elif self._size > self._high and not self._full:
            self._full = True
            self._session.on_buffer_full()

    def _flush_soon(self) -> None:
        """Send the packets of one event loop iteration together."""
        if not self._wakeup:
            self._wakeup = True
            asyncio.get_running_loop().call_soon(self._flush)

    def write_eof(self) -> None:
        self.close()

    def close(self) -> None:
        self._closing = True

    def abort(self) -> None:
        self.close()

    def is_closing(self) -> bool:
        return self._closing

    def get_write_buffer_size(self) -> int:
        return self._size

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = high or 2**31

    def pause_reading(self) -> None:
        self.reading.clear()

    def resume_reading(self) -> None:
        self.reading.set()


async def respond_poll(
    pipe: EngineSession,
    link: PollingTransport,
    request: HandshakeRequest,
    receive: asgi.Receive,
    send: asgi.Send,
    cors: Headers,
) -> None:
    """Handle a GET of a session."""
    if link.on_poll:
        pipe.close(UNREADABLE)
        await respond_engine_error(send, engineio.BAD_REQUEST, cors)
        return
    try:
        body = await link.poll(receive)
    except ClientDisconnected:
        pipe.discard()
        return
    await respond_body(send, request, cors, body)


async def respond_body(send: asgi.Send, request: HandshakeRequest, cors: Headers, body: bytes) -> None:
    """Respond to a poll, compressed if worthwhile and accepted by the client."""
    headers = [*TEXT, *cors]
    if len(body) >= COMPRESS_MIN_BYTES:
        headers.append((b"vary", b"accept-encoding"))
        if accepts(request.header(b"accept-encoding"), "gzip"):
            headers.append((b"content-encoding", b"gzip"))
            body = gzip.compress(body, COMPRESS_LEVEL, mtime=0)
    await responses.respond(send, 200, headers, body)


async def respond_post(
    pipe: EngineSession,
    link: PollingTransport,
    receive: asgi.Receive,
    send: asgi.Send,
    cors: Headers,
    limits: tuple[int, float],
) -> None:
    """One POST of a session; `limits` are its bytes and its seconds."""
    if link.posting:
        pipe.close(UNREADABLE)
        await respond_engine_error(send, engineio.BAD_REQUEST, cors)
        return
    link.posting = True
    try:
        async with asyncio.timeout(limits[1]):
            body = await read_body(receive, limits[0])
        is_heard = body is not None and await _receive_body(pipe, link, body)
    except (ClientDisconnected, TimeoutError):
        pipe.close(UNREADABLE)
        with suppress(OSError):
            await respond_engine_error(send, engineio.BAD_REQUEST, cors)
        return
    finally:
        link.posting = False
    if body is None:
        await reject_body(send, cors)
    elif is_heard:
        await responses.respond(send, 200, [*OK, *cors], b"ok")
    else:
        await respond_engine_error(send, engineio.BAD_REQUEST, cors)


async def _receive_body(pipe: EngineSession, link: PollingTransport, body: bytes) -> bool:
    """Whether the session could read all of a body. It is read no faster than what it asks for is done, and the next POST
    waits that long."""
    try:
        for number, packet in enumerate(engineio.read_body(body), 1):
            pipe.receive(packet)
            if number % COMPRESS_CHUNK_BYTES == 0:
                await asyncio.sleep(0)
                await link.reading.wait()
    except InvalidPacket:
        pipe.close(UNREADABLE)
        return False
    await link.reading.wait()
    return True


async def read_body(receive: asgi.Receive, limit: int) -> bytes | None:
    """The whole body; None if it is too large."""
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        body += message.get("body", b"")
        if 0 < limit < len(body):
            return None
        more = message.get("more_body", False)
    return bytes(body)


async def reject_body(send: asgi.Send, cors: Headers) -> None:
    """Too large a body; the session goes on."""
    await responses.respond(send, 413, [*TEXT, *cors], b"The body is larger than maxPayload.")


async def respond_engine_error(send: asgi.Send, refusal: engineio.EngineError, cors: Headers) -> None:
    """Respond with a refusal."""
    kind = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    await responses.respond(send, refusal.status, [*kind, *cors], refusal.body)
