"""NATS as the transport between processes: one subject per stream, one subscription per followed stream.

A client of its own: nats-py starts a task per subscription and keeps 5 kB for each, and a node has 20,000."""

import asyncio
import contextlib
import random
import re
import secrets
import ssl
import sys
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any
from weakref import WeakValueDictionary

import msgspec
import structlog
from msgspec import Struct

from bellcast.kernel.brokers import KEPT_PREFIX, LogUnsupported
from bellcast.kernel.brokers import nats_wire as wire
from bellcast.kernel.brokers.history import EventId
from bellcast.kernel.brokers.nats_wire import Message, ProtocolError
from bellcast.kernel.brokers.remote import PubSubMessage
from bellcast.kernel.errors import Unavailable
from bellcast.kernel.events import Stream

log = structlog.get_logger(__name__)

# Seconds after which a server that does not respond is unreachable.
COMMAND_TIMEOUT = 5.0
READ_BYTES = 256 * 1024
LEADERLESS = "The stream of a tenant has no leader."
REPLIES = 1  # the subscription of all replies; streams have later ones
VIOLATION = re.compile(r'permissions violation for publish to "([^"]*)"', re.IGNORECASE)


class FollowedStream(Struct):
    """A followed stream, and what this process has of its stored events, also from earlier connections, as sequences in the log of an
    epoch, which is empty if this is unknown. `newest` is that of the newest one, or of a log's end. Up to `complete` none is
    missing."""

    name: Stream
    epoch: bytes = b""
    newest: int = 0
    complete: int = 0


class NatsTransport:
    """A PubSubTransport on one connection to one of the servers."""

    def __init__(self, url: str, project: str) -> None:
        self.address = wire.parse_url(url)
        self.prefix = b"bellcast." + wire.token(project)
        self.info: dict[str, Any] = {}  # the server's INFO
        self._on_message: Callable[[bytes], None] = lambda _: None
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._subscriptions: dict[Stream, int] = {}
        self._followed: dict[int, FollowedStream] = {}  # by subscription
        self._earlier: dict[Stream, FollowedStream] = {}  # of the connection before, until the broker follows again
        self.on_hole: Callable[[Stream], None] = lambda _: None  # as in `TopicLog.listen`
        self.has_log = False
        self.leaderless_until = 0.0  # the log of a tenant could not be written lately
        self._sids = count(REPLIES + 1)
        self._pongs: deque[asyncio.Future[None]] = deque()
        self._inbox = b""
        self._refusal: str | None = None  # the last missing permission of this connection
        # Requests that wait for replies, by the last token of the reply subject.
        self._requests = WeakValueDictionary[bytes, Request]()
        self._numbers = count(1)

    # --- connection

    async def connect(self, on_message: Callable[[bytes], None]) -> None:
        """Connect to the first server that accepts, in random order, so that nodes spread over a cluster."""
        self._on_message = on_message
        hosts = list(self.address.hosts)
        random.shuffle(hosts)
        for number, (host, port) in enumerate(hosts, 1):
            try:
                async with asyncio.timeout(COMMAND_TIMEOUT):
                    await self._open(host, port)
            except (OSError, TimeoutError, ProtocolError, asyncio.IncompleteReadError, Unavailable) as failure:
                await self.close()
                if number == len(hosts):
                    raise Unavailable.of("NATS", failure) from failure
            else:
                return

    async def _open(self, host: str, port: int) -> None:
        reader, writer = await asyncio.open_connection(host, port, limit=READ_BYTES)
        self._writer = writer
        try:
            (operation,) = wire.NatsParser().receive(await reader.readuntil(b"\r\n"))
            if isinstance(operation, Message) or operation.name != b"INFO":
                raise ProtocolError("another server than NATS")
            self.info = msgspec.json.decode(operation.text, type=dict[str, Any])
        except (asyncio.LimitOverrunError, ValueError) as failure:
            raise ProtocolError("another server than NATS") from failure
        if self.address.is_tls or self.info.get("tls_required"):
            await writer.start_tls(ssl.create_default_context(), server_hostname=host)
        self._earlier |= {followed.name: followed for followed in self._followed.values()}
        self._subscriptions.clear()
        self._followed.clear()
        self._refusal = None
        self._inbox = b"_INBOX." + secrets.token_hex(12).encode() + b"."
        self._reading = asyncio.get_running_loop().create_task(self._read(reader))
        options: dict[str, Any] = {"verbose": False, "pedantic": False, "lang": "python", "name": "bellcast"}
        options |= {"version": "1", "protocol": 1, "headers": True, "no_responders": True}
        if self.address.creds is not None:
            try:
                options |= wire.signed(self.info.get("nonce", ""), self.address.creds.read_text("utf-8"))
            except (OSError, ValueError) as failure:  # the file may be replaced
                raise Unavailable(f"{self.address.creds} cannot be used: {failure}.") from failure
        elif self.address.password is not None:
            options |= {"user": self.address.user, "pass": self.address.password}
        elif self.address.user is not None:
            options |= {"auth_token": self.address.user}
        await self.fence(b"CONNECT %b\r\n" % wire.encode_json(options) + wire.subscribe(self._inbox + b"*", REPLIES))

    async def _read(self, reader: asyncio.StreamReader) -> None:
        """Handle what the server sends until the connection ends. Raises Unavailable, OSError or ProtocolError."""
        parser = wire.NatsParser()
        try:
            while data := await reader.read(READ_BYTES):
                for operation in parser.receive(data):
                    if isinstance(operation, Message):
                        if operation.sid == REPLIES:
                            request = self._requests.get(operation.subject[len(self._inbox) :])
                            if request is not None:
                                request.replies.put_nowait(operation)
                        elif operation.headers:
                            self._receive_stored(operation)
                        else:
                            self._on_message(operation.payload)
                    else:
                        self._receive_control(operation)
        except BaseException as failure:
            self._fail(failure)
            raise
        self._fail(Unavailable("The connection to NATS was lost."))

    def _receive_control(self, operation: wire.Control) -> None:
        if operation.name == b"PING":
            self._connected().write(wire.PONG)
        elif operation.name == b"PONG":
            pong = self._pongs.popleft() if self._pongs else None
            if pong is not None and not pong.done():
                pong.set_result(None)
        elif operation.name == b"INFO":
            info = msgspec.json.decode(operation.text, type=dict[str, Any])
            # The events that a server published last are lost with it; the log has them.
            left = set(self.info.get("connect_urls", ())) - set(info.get("connect_urls", ()))
            if info.get("ldm") or (left and self.has_log):
                raise Unavailable("a server has left the NATS cluster")
            self.info = info
        elif operation.name == b"-ERR":
            # The connection survives a missing permission; its request has no reply.
            reason = operation.text.decode(errors="replace").strip("' ")
            if not reason.lower().startswith("permissions violation"):
                raise Unavailable(f"NATS closed the connection: {reason}.")
            match = VIOLATION.match(reason)
            subject = match[1].encode() if match else b""
            if not subject.startswith(b"$JS."):
                log.warning("broker_permission_missing", reason=reason)
                self._refusal = reason
            for request in self._requests.values():
                if request.subject == subject:
                    request.replies.put_nowait(LogUnsupported(f"NATS refuses: {reason}"))

    def _receive_stored(self, message: Message) -> None:
        """Pass on an event that a log has published."""
        sequence, before = message.header(b"Nats-Sequence"), message.header(b"Nats-Last-Sequence")
        followed = self._followed.get(message.sid)
        if sequence is None or before is None or followed is None:
            return
        # bellcast.<project>.log.<tenant>.<epoch>.<kind>.<name>
        epoch, offset = (message.header(b"Nats-Subject") or b"").split(b".")[4], int(sequence)
        is_known = bool(followed.epoch)
        if epoch != followed.epoch:  # no event of this log has arrived
            followed.epoch, followed.newest, followed.complete = epoch, 0, 0
        if offset <= followed.newest:
            return
        if is_known and int(before) > followed.newest:
            self.on_hole(followed.name)
        elif not is_known or followed.complete == followed.newest:
            followed.complete = offset
        followed.newest = offset
        if message.payload:  # an empty one clears the stream
            self._on_message(b"%b%b.%x\0%b" % (KEPT_PREFIX, epoch, offset, message.payload))

    def advance(self, streams: Sequence[Stream], end: EventId) -> None:
        """As in `TopicLog.advance`."""
        for stream in streams:
            followed = self._followed.get(self._subscriptions.get(stream, 0))
            if followed is not None and followed.epoch:
                if followed.epoch != b"%x" % end.epoch:  # another log has begun
                    followed.epoch, followed.newest = b"%x" % end.epoch, 0
                followed.newest = followed.complete = max(followed.newest, end.offset)

    def begin(self, streams: Sequence[Stream], end: EventId) -> None:
        """As in `TopicLog.begin`."""
        for stream in streams:
            followed = self._followed.get(self._subscriptions.get(stream, 0))
            if followed is not None and not followed.epoch:
                followed.epoch = b"%x" % end.epoch
                followed.newest = followed.complete = end.offset

    def complete_up_to(self, stream: Stream, epoch: int) -> int:
        """Return the sequence up to which no event of a followed stream is missing; as if none was, if that is unknown."""
        followed = self._followed.get(self._subscriptions.get(stream, 0))
        if followed is None or not followed.epoch:
            return sys.maxsize
        return followed.complete if followed.epoch == b"%x" % epoch else 0  # no event of a log that has begun since

    def _fail(self, failure: BaseException) -> None:
        """Fail what waits for the server."""
        lost = failure if isinstance(failure, Unavailable) else Unavailable("The connection to NATS was lost.")
        for pong in self._pongs:
            if not pong.done():
                pong.set_exception(lost)
        self._pongs.clear()
        for request in self._requests.values():
            request.replies.put_nowait(lost)

    def _connected(self) -> asyncio.StreamWriter:
        if self._writer is None or self._reading is None or self._reading.done():
            raise Unavailable("The connection to NATS was lost.")
        return self._writer

    async def write(self, data: bytes) -> None:
        """Write operations. A server that hangs reads nothing: once the buffers are full, a write would wait forever."""
        writer = self._connected()
        writer.write(data)
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT):
                await writer.drain()
        except TimeoutError:
            raise Unavailable("NATS does not respond.") from None
        except OSError as failure:
            raise Unavailable("The connection to NATS was lost.") from failure

    async def fence(self, data: bytes = b"") -> None:
        """Write operations. Returns once the server has processed them, and every message that it had before has been received."""
        pong = asyncio.get_running_loop().create_future()
        self._connected()
        self._pongs.append(pong)
        await self.write(data + wire.PING)
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT):
                await pong
        except TimeoutError:
            raise Unavailable("NATS does not respond.") from None

    async def close(self) -> None:
        writer, self._writer = self._writer, None
        reading, self._reading = self._reading, None
        if writer is not None:  # first, because this may be cancelled
            writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()
        if reading is not None:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        if writer is not None:
            with contextlib.suppress(OSError, Unavailable):
                await writer.wait_closed()

    # --- PubSubTransport

    async def follow(self, streams: Sequence[Stream]) -> None:
        commands: list[bytes] = []
        earlier, self._earlier = self._earlier, {}
        for stream in streams:
            if stream not in self._subscriptions:
                self._subscriptions[stream] = sid = next(self._sids)
                self._followed[sid] = earlier.get(stream) or FollowedStream(stream)
                commands.append(wire.subscribe(self.subject(stream), sid))
        await self.fence(b"".join(commands))

    async def unfollow(self, streams: Sequence[Stream]) -> None:
        sids = [self._subscriptions.pop(stream) for stream in streams if stream in self._subscriptions]
        for sid in sids:
            del self._followed[sid]
        await self.write(b"".join(map(wire.unsubscribe, sids)))

    @property
    def max_payload(self) -> int:
        """Bytes of a message. The server closes the connection for a larger one."""
        return int(self.info.get("max_payload", 1_048_576))

    async def send(self, messages: Sequence[PubSubMessage]) -> None:
        """Send in one write."""
        largest = self.max_payload
        for stream, message in messages:
            if len(message) > largest:
                log.warning("event_too_large", stream=stream, bytes=len(message), max_payload=largest)
        await self.write(
            b"".join(
                [wire.publish(self.subject(stream), message) for stream, message in messages if len(message) <= largest]
            )
        )

    async def wait_lost(self) -> None:
        """Raise when the connection is lost or the server does not respond to a ping."""
        reading = self._reading
        if reading is None:
            return
        while True:
            await self.fence()
            done, _ = await asyncio.wait((reading,), timeout=COMMAND_TIMEOUT)
            if done:
                reason = "it was closed" if reading.cancelled() else reading.exception() or "the server closed it"
                raise Unavailable(f"The connection to NATS was lost: {reason}.")

    async def ping(self, *, writes: bool) -> None:
        """Raise unless the server responds and has refused nothing."""
        await self.fence()
        if self._refusal is not None:
            raise Unavailable(f"NATS refuses: {self._refusal}.")
        if writes and asyncio.get_running_loop().time() < self.leaderless_until:
            raise Unavailable(LEADERLESS)

    def subject(self, stream: Stream) -> bytes:
        return b"%b.live.%b" % (self.prefix, wire.subject_of(stream))

    def request(self, subject: bytes, payload: bytes = b"", headers: Sequence[tuple[bytes, bytes]] = ()) -> "Request":
        """Send a request without waiting. It receives replies as long as the caller keeps it. Raises Unavailable."""
        writer, number = self._connected(), b"%d" % next(self._numbers)
        self._requests[number] = request = Request(subject)
        writer.write(wire.publish(subject, payload, self._inbox + number, headers))
        return request


class Request:
    """A request that waits for replies."""

    def __init__(self, subject: bytes) -> None:
        self.subject = subject
        self.replies: asyncio.Queue[Message | Unavailable | LogUnsupported] = asyncio.Queue()

    async def reply(self, seconds: float = COMMAND_TIMEOUT) -> Message:
        """Return the next reply. Raises Unavailable, or LogUnsupported if the request is not permitted."""
        try:
            async with asyncio.timeout(seconds):
                reply = await self.replies.get()
        except TimeoutError:
            raise Unavailable("NATS does not respond.") from None
        if not isinstance(reply, Message):
            raise reply
        return reply
