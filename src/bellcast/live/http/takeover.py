"""An HTTP server protocol that lets a request take over its socket.

It extends uvicorn's protocol with a function in `scope["extensions"]`: the endpoint authenticates like any ASGI
endpoint and then takes over the transport; the HTTP protocol and its task are released. WebSocket upgrades are plain
requests too. Bytes that arrive after an upgrade request are buffered for the new owner.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from enum import Enum, auto
from functools import partial
from typing import Any
from weakref import ref

import httptools
from msgspec import Struct, field
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.utils import is_ssl

from bellcast.kernel.errors import BadRequest
from bellcast.kernel.http import ACCEPTED, responses
from bellcast.kernel.identities import Caller, Principal
from bellcast.live.framing import CLOSE, head

# A peer must read its responses at MIN_READ_RATE on average, checked at this interval; even the slowest mobile network
# is fast enough. Otherwise the unsent responses would stay in memory.
READ_TIMEOUT = 30  # seconds
MIN_READ_RATE = 500  # bytes per second

# Closing a socket with unread input sends a TCP reset, which may destroy a response in transit. So the input after a
# refused request, such as the rest of an oversized body, is read and discarded within these limits.
LINGER_TIMEOUT = 5  # seconds
MAX_DISCARDED_BYTES = 33_554_432  # twice the largest body that is accepted by default


class ReadTimeout:
    """Aborts a transport if the peer reads slower than MIN_READ_RATE, until it is cancelled. While it runs, only the
    rest of a response may be written."""

    __slots__ = ("_size", "_timer", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._start()

    def cancel(self) -> None:
        self._timer.cancel()

    def _start(self) -> None:
        self._size = self._transport.get_write_buffer_size()
        self._timer = asyncio.get_running_loop().call_later(READ_TIMEOUT, self._check)

    def _check(self) -> None:
        if self._transport.get_write_buffer_size() > max(0, self._size - READ_TIMEOUT * MIN_READ_RATE):
            self._transport.abort()
        else:
            self._start()


class Lingering(asyncio.Protocol):
    """Owner of a socket after its last write: discards input until the peer closes, LINGER_TIMEOUT has passed or
    `max_bytes` have arrived."""

    def __init__(self, transport: asyncio.Transport, max_bytes: int) -> None:
        self._transport = transport
        self._bytes_left = max_bytes
        self._read_timeout = ReadTimeout(transport)
        self._timer = asyncio.get_running_loop().call_later(LINGER_TIMEOUT, transport.close)

    def data_received(self, data: bytes) -> None:
        self._bytes_left -= len(data)
        if self._bytes_left < 0:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._read_timeout.cancel()


def linger(transport: asyncio.Transport, max_bytes: int) -> None:
    """Close a socket while the peer may still send, without losing the written response."""
    if transport.is_closing():
        return
    transport.set_protocol(Lingering(transport, max_bytes))
    if transport.can_write_eof():
        transport.write_eof()
    transport.resume_reading()


EXTENSION = "bellcast.takeover"
# Logs a request that is refused before it reaches an application: its status, and the client's address.
LogRefusal = Callable[[int, str | None], None]
# No browser sends a larger request head; proxies allow 8 to 32 KiB. It also limits the framing of a body: chunk sizes, their extensions and trailers.
MAX_HEAD_BYTES = 65_536
# Browsers and proxies send 20 to 40 headers. Each takes 100 bytes in addition to its length.
MAX_HEADER_LINES = 200
# Timeout of a request head, including its first byte after connecting.
HEAD_TIMEOUT = 10
# Maximum pause within a body: enough for a phone in a tunnel.
BODY_TIMEOUT = 30
# Minimum average rate of a body after BODY_TIMEOUT, in bytes per second: half that of the slowest mobile network.
MIN_BODY_RATE = 500
# Bytes of bodies that a caller's requests hold at a time, each without its first SMALL_BODY: eight bulk requests. One may be larger.
MAX_HELD_BYTES, SMALL_BODY = 134_217_728, 65_536
# Bytes buffered after an upgrade request during authentication.
MAX_EARLY_BYTES = 65_536
# Pipelined requests of a socket.
MAX_PIPELINED = 20
# Requests that begin in one iteration of the event loop, each with up to 2 ms of CPU: 800 sockets of a caller delayed others by seconds.
# While none waits, more of a known server begin at once: to divide those of 64 busy sockets would cost 5 % of the CPU of their sends.
MAX_BEGUN, MAX_BEGUN_AT_ONCE = 8, 100
CREDENTIALS = (b"authorization", b"cookie")
MAX_KNOWN = 10_000  # accepted credentials that are remembered, 200 bytes each
# Maximum input discarded after a refused request head.
MAX_DISCARDED_HEAD_BYTES = 1_048_576
# A header that every browser sends.
UPGRADE_WEBSOCKET = (b"upgrade", b"websocket")
# Allows pages to see the status instead of a CORS error. The response contains no private data.
READABLE = (b"access-control-allow-origin", b"*")
TOO_LARGE = head(b"431 Request Header Fields Too Large", [CLOSE, READABLE, (b"content-length", b"0")])
TOO_MANY = head(b"429 Too Many Requests", [CLOSE, READABLE, (b"retry-after", b"5"), (b"content-length", b"0")])
DISCARD: deque[tuple[bytes, bytes]] = deque(maxlen=0)
PROBLEM = (b"content-type", responses.PROBLEM.encode())


class Stage(Enum):
    """Part of a request that is expected next."""

    HEAD = auto()
    BODY = auto()
    NOTHING = auto()
    REFUSED = auto()  # nothing more is parsed


class Turns(Struct, eq=False):
    """Lets callers take turns: a few requests begin in each iteration of the event loop. One that has begun holds only its body.
    A caller is the owner of accepted credentials; the recipients and authors of a tenant share its turn and take turns in it.
    Without accepted credentials it is an address, so that many wrong tokens share one turn."""

    # By turn and by caller in it, the next one first.
    _waiting: dict[str, dict[str | None, deque[asyncio.Future[None]]]] = {}
    _begun: int = 0
    # Turn, caller and requests that begin at once, by hash of credentials, those that were used last at the end.
    _known: dict[int, tuple[str, str | None, int]] = {}
    held: Counter[str] = field(default_factory=Counter)  # bytes of bodies by turn

    async def wait(self, credentials: bytes | None, address: str) -> str:
        """Wait until a request with these credentials, unverified, may begin; return the name of its turn."""
        number = hash(credentials)
        known = self._known.pop(number, None)
        if known is not None:
            self._known[number] = known
        turn, caller, at_once = known or (f"{credentials is None} {address}", None, MAX_BEGUN)
        if not self._waiting and self._begun < at_once:
            self._begun += 1
            if self._begun == 1:
                asyncio.get_running_loop().call_soon(self._begin)
        else:
            waiting = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(turn, {}).setdefault(caller, deque()).append(waiting)
            await waiting
        return turn

    def remember(self, credentials: bytes, accepted: Principal | Caller | None) -> None:
        """Remember the owner of accepted credentials, until they are refused (None)."""
        match accepted:
            case None:
                self._known.pop(hash(credentials), None)
                return
            case Principal(tenant=tenant, recipient=name) | Caller(scopes=(), tenants=(tenant,), operator=name):
                known = f"sessions {tenant}", name, MAX_BEGUN  # a recipient, an author
            case _:
                known = f"{accepted.key} {accepted.operator}", None, MAX_BEGUN_AT_ONCE
        self._known.setdefault(hash(credentials), known)
        if len(self._known) > MAX_KNOWN:
            del self._known[next(iter(self._known))]

    def _begin(self) -> None:
        self._begun = 0
        while self._waiting and self._begun < MAX_BEGUN:
            turn = next(iter(self._waiting))
            callers = self._waiting.pop(turn)
            caller = next(iter(callers))
            waiting = callers.pop(caller)
            begins = waiting.popleft()
            if waiting:
                callers[caller] = waiting
            if callers:
                self._waiting[turn] = callers
            if not begins.done():
                begins.set_result(None)
                self._begun += 1
        if self._begun:
            asyncio.get_running_loop().call_soon(self._begin)


class TakeoverProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol with `take_over`, limits on unread responses and on input, and without its upgrades."""

    def __init__(
        self, turns: Turns, unfinished: "dict[TakeoverProtocol, None]", log_refusal: LogRefusal | None, *args: Any
    ) -> None:
        super().__init__(*args)
        self._turns = turns
        self._unfinished = unfinished  # those whose current request has not arrived completely, the oldest first
        self._log_refusal = log_refusal
        self._early: bytearray | None = None  # not None after a WebSocket upgrade request
        self._ignores_upgrade: bool | None = None  # upgrade to an unsupported protocol; None: not checked yet
        self._head_bytes = 0  # bytes of an incomplete head; in a body, bytes since the last body data
        self._chunk_size = 0  # bytes that are being parsed
        self._body_size = 0
        self._body_start = 0.0  # loop time
        self._turn: str | None = None  # that of the request in the application
        self._held = 0  # bytes of its body
        self._keeps_alive: bool | None = None  # once the client, which waits for `100 Continue`, has sent its body
        self._discarded = 0  # bytes of a body received after its response
        self._stage = Stage.HEAD
        self._timeout: asyncio.TimerHandle | None = None  # not None while input is expected
        self._current: RequestResponseCycle | None = None  # the current or the last request
        self._read_timeout: ReadTimeout | None = None  # not None while responses wait for a slow reader
        self._has_closed = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        # Like uvicorn's method, which makes eight system calls for both addresses; the server's address is not needed.
        self.connections.add(self)
        self._unfinished[self] = None
        self.transport = transport
        self.flow = FlowControl(transport)
        peer = transport.get_extra_info("peername")
        self.client = (str(peer[0]), int(peer[1])) if isinstance(peer, tuple) else None
        self.scheme = "https" if is_ssl(transport) else "http"
        self._timeout = self.loop.call_later(HEAD_TIMEOUT, self._time_out)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disconnect()
        super().connection_lost(exc)
        self.cycle = None  # type: ignore[assignment]  # it holds this protocol as its transport

    def _disconnect(self) -> None:
        """Release everything that waits for this connection. uvicorn notifies only the newest request."""
        self._cancel_timeout()
        self._unfinished.pop(self, None)
        self._unset_keepalive_if_required()
        self._stop_read_timeout()
        if self._current is not None and not self._current.response_complete:
            self._current.disconnected = True
            self._current.message_event.set()
        self._current = None
        self.pipeline.clear()

    def data_received(self, data: bytes) -> None:
        if self._early is not None:
            self._early += data
            if len(self._early) > MAX_EARLY_BYTES:
                self.flow.pause_reading()
            return
        if self._stage is Stage.REFUSED:
            self._discard(len(data))
            return
        before, self._chunk_size = self._timeout, len(data)
        self._parse(data)
        if not self.is_closing():
            # Restart the timeout for the rest of the request. The head has one timeout in total, a body one per pause.
            size = len(data)
            match self._stage:
                case Stage.HEAD:
                    if before is not None and before is self._timeout:
                        self._head_bytes += size
                    else:
                        self._cancel_timeout()
                        self._timeout = self.loop.call_later(HEAD_TIMEOUT, self._time_out)
                    if self._head_bytes > MAX_HEAD_BYTES or len(self.headers or ()) > MAX_HEADER_LINES:
                        self._refuse(TOO_LARGE)
                case Stage.BODY:
                    self._head_bytes += size
                    self._watch_body()
                    if self.cycle.response_complete:
                        self._discard(size)
                case _:
                    self._cancel_timeout()

    def _watch_body(self) -> None:
        self._cancel_timeout()
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(TOO_LARGE)
            return
        added = self._body_size - SMALL_BODY - self._held
        if self._turn is not None and added > 0:
            self._held += added
            self._turns.held[self._turn] += added
            if self._turns.held[self._turn] > max(MAX_HELD_BYTES, self._held):
                self._refuse(TOO_MANY)
                return
        due = self._body_start + BODY_TIMEOUT + self._body_size / MIN_BODY_RATE
        seconds = min(BODY_TIMEOUT, due - self.loop.time())
        self._timeout = self.loop.call_later(max(0, seconds), self._time_out_body)

    def _time_out_body(self) -> None:
        if self.flow.read_paused:  # this side paused reading
            self._body_start = self.loop.time()
            self._watch_body()
        else:
            self._time_out()

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > MAX_DISCARDED_BYTES:
            self.transport.abort()

    def _parse(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            behind = data[upgrade.args[0] :]
            if self._should_upgrade():
                # Parse the request without its upgrade; the parser would treat its body as the other protocol
                method, version = self.parser.get_method(), self.parser.get_http_version().encode()
                lines = [b"%b: %b" % (name, value) for name, value in self.headers if name != b"upgrade"]
                self.parser = httptools.HttpRequestParser(self)
                self._parse(b"\r\n".join((b"%b %b HTTP/%b" % (method, self.url, version), *lines, b"", behind)))
            else:
                self._stage, self._early = Stage.NOTHING, bytearray(behind)
        except httptools.HttpParserError:
            if not self.is_closing():
                self.send_400_response("The request is not valid HTTP/1.1.")

    def _should_upgrade(self) -> bool:
        """Override of uvicorn: True if the upgrade is ignored. Requests to upgrade to an unsupported protocol, such as
        Java's client for HTTP/2, are parsed again without it (RFC 9110, 7.8)."""
        if self._ignores_upgrade is None:  # called four times per request
            self._ignores_upgrade = UPGRADE_WEBSOCKET not in self.headers and self._get_upgrade() not in (
                None,
                b"websocket",
            )
        return self._ignores_upgrade

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._unset_keepalive_if_required()
        self._stage = Stage.HEAD
        self._unfinished[self] = None
        self._head_bytes = 0
        self._ignores_upgrade = self._keeps_alive = None

    def on_headers_complete(self) -> None:
        self._cancel_timeout()
        # Raise ValueError, which stops the parser, once a head was refused
        is_large = self._head_bytes + self._chunk_size > MAX_HEAD_BYTES and (
            len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > MAX_HEAD_BYTES
        )
        if is_large or len(self.headers) > MAX_HEADER_LINES:
            self._refuse(TOO_LARGE)
            raise ValueError("request head too large")
        hosts = [name for name, _ in self.headers].count(b"host")
        if hosts > 1 or (hosts == 0 and self.parser.get_http_version() == "1.1"):
            self.send_400_response("Send exactly one Host header.")  # RFC 9112, 3.2
            raise ValueError("expected exactly one Host header")
        self._stage = Stage.BODY
        self._head_bytes, self._body_size, self._discarded = -self._chunk_size, 0, 0
        self._body_start = self.loop.time()
        super().on_headers_complete()
        if self.parser.should_upgrade():
            if self._should_upgrade():
                return
            self.cycle.keep_alive = False  # no further request is parsed on this socket
        if self.expect_100_continue:
            # A response before the body closes the connection (RFC 9110, 10.1.1): the client may omit the body, but not every
            # client does. Proxies in Go before 1.22.5 send their next request in its place (CVE-2024-24791).
            self._keeps_alive, self.cycle.keep_alive = self.cycle.keep_alive, False
        self.headers = DISCARD  # type: ignore[assignment]  # trailers are not headers: they follow all checks
        # Weak references, because both reference the scope: the cycle would wait for the garbage collector.
        self.scope["extensions"] = {EXTENSION: partial(_take_over, ref(self), ref(self.cycle))}  # type: ignore[dict-item]  # ASGI allows any value
        if len(self.pipeline) > MAX_PIPELINED:
            self._time_out()
            raise ValueError("too many pipelined requests")  # stops the parser

    def on_body(self, body: bytes) -> None:
        self._head_bytes = -self._chunk_size  # the rest of this chunk is counted with it
        self._body_size += len(body)
        if self._keeps_alive is not None:
            if not self.cycle.response_started:
                self.cycle.keep_alive = self._keeps_alive
            self._keeps_alive = None
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._stage = Stage.NOTHING
        self._unfinished.pop(self, None)
        super().on_message_complete()

    async def run(self, scope: Any, receive: Any, send: Any) -> None:
        """Run the application when it is the caller's turn."""
        credentials = next((value for name, value in scope["headers"] if name in CREDENTIALS), None)
        turn = self._turn = await self._turns.wait(credentials, self.client[0] if self.client else "")
        if self._current is not None:  # the client is connected
            try:
                await self.app(scope, receive, send)
            finally:
                if self._held:
                    self._turns.held = self._turns.held - Counter({turn: self._held})  # without those that are 0
                self._turn, self._held = None, 0
            if credentials is not None and ACCEPTED in scope["extensions"]:
                self._turns.remember(credentials, scope["extensions"][ACCEPTED])

    # --- responses

    def _start_asgi_task(self, cycle: RequestResponseCycle, _app: ASGI3Application) -> None:
        cycle.transport = self  # type: ignore[assignment]  # so that its `close` is ours
        self._current = cycle
        super()._start_asgi_task(cycle, self.run)

    def on_response_complete(self) -> None:
        if not self.is_closing():
            super().on_response_complete()

    def write(self, data: bytes) -> None:
        if not self._has_closed:
            self.transport.write(data)

    def is_closing(self) -> bool:
        return self._has_closed or self.transport.is_closing()

    def close(self) -> None:
        """Close after the written data. If the client still sends, its input is discarded for a moment, so that the
        response is not lost."""
        if self.is_closing():
            return
        self._has_closed = True
        if self._stage is Stage.NOTHING and not self.flow.read_paused:
            self._time_out()
        else:
            is_head = self._stage in (Stage.HEAD, Stage.REFUSED)
            self._disconnect()
            self.flow.resume_writing()
            self.connections.discard(self)
            linger(self.transport, MAX_DISCARDED_HEAD_BYTES if is_head else MAX_DISCARDED_BYTES)

    timeout_keep_alive_handler = close

    def pause_writing(self) -> None:
        super().pause_writing()
        self._read_timeout = self._read_timeout or ReadTimeout(self.transport)

    def resume_writing(self) -> None:
        self._stop_read_timeout()
        super().resume_writing()

    def _stop_read_timeout(self) -> None:
        if self._read_timeout is not None:
            self._read_timeout.cancel()
            self._read_timeout = None

    def _time_out(self) -> None:
        """Close without waiting for further input."""
        self._read_timeout = self._read_timeout or ReadTimeout(self.transport)
        self.transport.close()

    def send_400_response(self, msg: str) -> None:
        body = responses.problem_body(BadRequest(msg))
        length = (b"content-length", b"%d" % len(body))
        headers = [*self.server_state.default_headers, PROBLEM, READABLE, length, CLOSE]
        self._refuse(head(b"400 Bad Request", headers) + body)

    def _refuse(self, response: bytes) -> None:
        """Respond to an unreadable request, and close. During the response to an earlier request, only close: the
        client would read the error as part of that response."""
        if self._stage is Stage.REFUSED:
            return
        status = int(response[len(b"HTTP/1.1 ") :][:3])
        if self._log_refusal is not None:
            self._log_refusal(status, self.client[0] if self.client else None)
        self._cancel_timeout()
        running, is_running = self._current, self._stage is Stage.BODY and self._current is self.cycle
        self._stage = Stage.REFUSED
        self._discarded = 0
        if running is not None and not running.response_complete and not is_running:
            running.keep_alive = False
            self.pipeline.clear()
            return
        if running is None or not (is_running and running.response_started):
            self.transport.write(response)
        self.close()

    def take_over(self, cycle: RequestResponseCycle, owner: asyncio.Protocol) -> tuple[asyncio.Transport, bytes]:
        """Transfer the socket to `owner`. Returns the transport and the bytes after the request.

        Raises ConnectionResetError if the client disconnected. Afterwards this request must not send."""
        is_disconnected = cycle.disconnected or self.transport.is_closing()
        cycle.disconnected = True  # so that uvicorn expects no response
        if is_disconnected:
            raise ConnectionResetError("the client disconnected")
        self.pipeline.clear()  # later requests on this socket have no server
        self.connections.discard(self)
        self._unfinished.pop(self, None)
        self._unset_keepalive_if_required()
        self._cancel_timeout()
        self._stop_read_timeout()
        self.flow.resume_reading()
        transport, early = self.transport, bytes(self._early or b"")
        transport.set_protocol(owner)
        # Break the request's reference cycles. Otherwise thousands of objects would wait for the garbage collector.
        self.scope["extensions"] = {}
        self._current = None
        self.cycle = self.scope = self.flow = self.transport = self.parser = None  # type: ignore[assignment]  # as uvicorn does
        return transport, early

    def _cancel_timeout(self) -> None:
        if self._timeout is not None:
            self._timeout.cancel()
            self._timeout = None


def _take_over(
    server: ref[TakeoverProtocol], cycle: ref[RequestResponseCycle], owner: asyncio.Protocol
) -> tuple[asyncio.Transport, bytes]:
    """Take over the socket; both references live until the response is complete."""
    protocol, current = server(), cycle()
    if protocol is None or current is None:
        raise ConnectionResetError("the client disconnected")
    return protocol.take_over(current, owner)
