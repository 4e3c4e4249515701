"""Initial protocol of every socket. If the first bytes are a complete request for a live connection, it is served here;
otherwise the socket and its bytes are passed to the HTTP server's protocol.

An HTTP server creates about thirty objects per request, of which a live connection needs five. Without the fast
path, a reconnect takes 1.2 times as much CPU (2,500 clients, 2026-11-25).
"""

import asyncio
import re
from collections.abc import Callable, MutableMapping
from http import HTTPStatus
from itertools import chain
from typing import Any

import structlog
from msgspec import Struct, field
from uvicorn.config import Config
from uvicorn.protocols.utils import is_ssl
from uvicorn.server import ServerState

from bellcast.kernel.errors import BellcastError
from bellcast.kernel.http import Scope, responses
from bellcast.live.framing import CLOSE, head
from bellcast.live.framing.websocket import SPACES
from bellcast.live.http.takeover import (
    EXTENSION,
    HEAD_TIMEOUT,
    MAX_EARLY_BYTES,
    MAX_HEAD_BYTES,
    MAX_HEADER_LINES,
    READABLE,
    LogRefusal,
    TakeoverProtocol,
    Turns,
    linger,
)

log = structlog.get_logger(__name__)

WARNING_SECONDS = 60
# The descriptor of every such socket is read: the transport keeps an object for it, a twentieth of an idle connection's memory.
SAMPLED = 16
REMEDY = "more open files (ulimit -Hn, LimitNOFILE=), or a proxy that limits the connections of an address"
# A head that every parser reads alike. Any other goes to the HTTP server, also with an escaped path.
REQUEST_LINE = re.compile(rb"GET (/[!$&-;=@-Z_a-z~]*+)(?:\?([!$-~]*+))? HTTP/1\.1\r\n")
FIELDS = re.compile(rb"((?:[!#$%&'*+.^_`|~0-9A-Za-z-]++:[\t -~\x80-\xff]*+\r\n)++)\r\n")
BODY_HEADERS = frozenset((b"content-length", b"transfer-encoding"))
FAILED_BODY = responses.problem_body(BellcastError())
FAILED_HEADERS = [CLOSE, READABLE, (b"content-type", responses.PROBLEM.encode())]
FAILED_HEADERS += [(b"content-length", b"%d" % len(FAILED_BODY))]
INTERNAL_SERVER_ERROR = head(b"500 Internal Server Error", FAILED_HEADERS) + FAILED_BODY


class FastPathFactory(Struct, eq=False):
    """State shared by a server's sockets. uvicorn calls it for each socket like a protocol class.

    Sockets without any input are closed after HEAD_TIMEOUT. The timeout is the same for all, so they expire in order of arrival
    and share one timer. `unfinished` are those whose request has not arrived completely.

    `begins_live(path, upgrade=…)` is true if a GET of this path, with or without an upgrade, always yields a live connection or an
    error. `max_file`: descriptor from which the rest is reserved for the store and outbound calls; 0: none."""

    begins_live: Callable[..., bool]
    log_refusal: LogRefusal | None = None
    max_file: int = 0
    turns: Turns = field(default_factory=Turns)
    since: "dict[FastPathProtocol, float]" = {}
    unfinished: dict[TakeoverProtocol, None] = {}
    _timer: asyncio.TimerHandle | None = None
    _accepted: int = 0
    _full_until: float = 0.0
    _next_warning_at: float = 0.0

    def __call__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> "FastPathProtocol":
        return FastPathProtocol(self, config, server_state, app_state)

    def add(self, accepted: "FastPathProtocol") -> None:
        """Add a new socket. With too high a descriptor, and for a second afterwards, because the next one reuses the lower
        descriptor of the closed socket, it displaces the one that has been idle for longest, or else the oldest unfinished one."""
        loop = asyncio.get_running_loop()
        self.since[accepted] = now = loop.time()
        if self._timer is None:
            self._timer = loop.call_later(HEAD_TIMEOUT, self._expire)
        if not self.max_file:
            return
        self._accepted += 1
        if self._accepted % SAMPLED == 0 and accepted.transport.get_extra_info("socket").fileno() >= self.max_file:
            self._full_until = now + 1
        if now >= self._full_until:
            return
        waiting = (one for one in chain(self.since, self.unfinished) if one is not accepted)
        oldest: Any = next(waiting, accepted)
        oldest.transport.close()
        self.since.pop(oldest, None)
        self.unfinished.pop(oldest, None)
        if now >= self._next_warning_at:
            self._next_warning_at = now + WARNING_SECONDS
            log.warning(
                "open_files_limit_reached", effect="new connections close the oldest waiting ones", remedy=REMEDY
            )

    def _expire(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() - HEAD_TIMEOUT
        for protocol in [protocol for protocol, since in self.since.items() if since <= deadline]:
            protocol.shutdown()
            del self.since[protocol]
        first = next(iter(self.since.values()), None)
        self._timer = None if first is None else loop.call_later(first - deadline, self._expire)


class FastPathProtocol(asyncio.Protocol):
    """Owner of a socket until another protocol takes it over."""

    __slots__ = ("_app_state", "_config", "_early", "_factory", "_is_taken", "_response_head", "_server", "transport")

    def __init__(
        self, factory: FastPathFactory, config: Config, server: ServerState, app_state: dict[str, Any]
    ) -> None:
        self._factory = factory
        self._config = config
        self._server = server
        self._app_state = app_state
        self._early: bytes | None = None  # bytes after the request; not None once it was read
        self._is_taken = False
        self._response_head = b""  # head of a response
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # of a stream, as uvicorn's
        self.transport = transport
        self._server.connections.add(self)  # type: ignore[arg-type]  # uvicorn only calls `shutdown`
        self._factory.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._unregister()

    def shutdown(self) -> None:
        """Close the socket, unless a request is in progress."""
        if self._early is None:
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        if self._early is not None:
            self._early += data
            if len(self._early) > MAX_EARLY_BYTES:
                self.transport.pause_reading()
            return
        self._unregister()
        scope = self._live_scope(data)
        if scope is None:
            shared = self._factory.turns, self._factory.unfinished, self._factory.log_refusal
            protocol = TakeoverProtocol(*shared, self._config, self._server, self._app_state)
            protocol.connection_made(self.transport)
            self.transport.set_protocol(protocol)
            protocol.data_received(data)
            return
        task = asyncio.get_running_loop().create_task(self._serve(scope))
        self._server.tasks.add(task)
        task.add_done_callback(self._server.tasks.discard)

    def _unregister(self) -> None:
        self._server.connections.discard(self)
        self._factory.since.pop(self, None)

    def _live_scope(self, data: bytes) -> Scope | None:
        """Return the scope if these bytes are a complete, valid request for a live connection. Otherwise return None: the
        HTTP server handles them."""
        line = None if len(data) > MAX_HEAD_BYTES else REQUEST_LINE.match(data)
        if line is None or not self._factory.begins_live(path := line[1].decode(), upgrade=True):
            return None
        fields = FIELDS.match(data, line.end())
        if fields is None:
            return None
        lines = [field.partition(b":") for field in fields[1][:-2].split(b"\r\n")]
        headers = [(name.lower(), value.strip(SPACES)) for name, _, value in lines]
        values = dict(headers)
        if len(headers) > MAX_HEADER_LINES or not BODY_HEADERS.isdisjoint(values) or b"host" not in values:
            return None
        if len(values) < len(headers) and [name for name, _ in headers].count(b"host") != 1:
            return None
        early, upgrades = data[fields.end() :], b"upgrade" in values
        if upgrades:
            connection = values.get(b"connection", b"").lower().split(b",")
            upgrades = b"upgrade" in [token.strip(SPACES) for token in connection]
        if not upgrades and (early or not self._factory.begins_live(path, upgrade=False)):
            return None
        self._early = early
        peer = self.transport.get_extra_info("peername")
        return {
            "type": "http",
            "method": "GET",
            "http_version": "1.1",
            "scheme": "https" if is_ssl(self.transport) else "http",
            "path": path,
            "raw_path": line[1],
            "root_path": "",
            "query_string": line[2] or b"",
            "headers": headers,
            "client": peer[:2] if isinstance(peer, tuple) else None,
            "extensions": {EXTENSION: self._take_over},
        }

    async def _serve(self, scope: Scope) -> None:
        try:
            await self._config.loaded_app(scope, _receive, self._send)
        except Exception:
            log.exception("live_request_failed")
            if not self._is_taken:
                self.transport.write(INTERNAL_SERVER_ERROR)
                self.transport.close()

    def _take_over(self, owner: asyncio.Protocol) -> tuple[asyncio.Transport, bytes]:
        transport, early = self.transport, self._early or b""
        if transport.is_closing():
            raise ConnectionResetError("the client disconnected")
        self._is_taken = True
        transport.set_protocol(owner)
        if len(early) > MAX_EARLY_BYTES:
            transport.resume_reading()
        return transport, early

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        """Send an error response, with its body in one message, and close."""
        if message["type"] == "http.response.start":
            status = HTTPStatus(message["status"])
            headers = [*self._server.default_headers, *message["headers"], CLOSE]
            self._response_head = head(b"%d %b" % (status, status.phrase.encode()), headers)
        else:
            self.transport.write(self._response_head + message["body"])
            if self._early:
                linger(self.transport, MAX_EARLY_BYTES)
            else:
                self.transport.close()


async def _receive() -> MutableMapping[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}
