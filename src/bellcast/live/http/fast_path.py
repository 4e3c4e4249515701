"""Where every socket comes in. One whose first words are a whole request for a live connection is served from here with
no more than that takes; any other is given to the HTTP server's protocol with what it has said, as if it had come there.

An HTTP server makes some thirty objects to answer a request, and a live connection needs five of them: the short way
saves a storm of returning clients a tenth of its time.
"""

import asyncio
from collections.abc import MutableMapping
from http import HTTPStatus
from typing import Any, Protocol

import httptools
import structlog
from uvicorn.config import Config
from uvicorn.protocols.utils import is_ssl
from uvicorn.server import ServerState

from bellcast.errors import BellcastError
from bellcast.live.framing.http_head import CLOSE, head
from bellcast.live.http import asgi
from bellcast.live.http.closing import linger
from bellcast.live.http.takeover import (
    EXTENSION,
    HEAD_TIMEOUT,
    MAX_EARLY_BYTES,
    MAX_HEAD_BYTES,
    MAX_HEADER_LINES,
    READABLE,
    LogRefusal,
    TakeoverProtocol,
)
from bellcast.model import problems

log = structlog.get_logger(__name__)

METHOD = b"GET "
END_OF_HEAD = b"\r\n\r\n"
FAILED_BODY = problems.body(BellcastError())
FAILED_HEADERS = [CLOSE, READABLE, (b"content-type", problems.MEDIA_TYPE.encode())]
FAILED_HEADERS += [(b"content-length", b"%d" % len(FAILED_BODY))]
INTERNAL_SERVER_ERROR = head(b"500 Internal Server Error", FAILED_HEADERS) + FAILED_BODY


class LiveApplication(Protocol):
    """An ASGI application that knows its live connections."""

    def begins_live(self, path: str, *, upgrade: bool) -> bool:
        """Whether a GET of this path, with or without a wish for a WebSocket, begins one and is never answered else
        than by one or by a refusal."""
        ...


class FastPathFactory:
    """What all entrances of one server share. uvicorn calls it for each socket, as it would a protocol's class."""

    def __init__(self, serving: LiveApplication, log_refusal: LogRefusal | None = None) -> None:
        self.begins_live = serving.begins_live
        self.log_refusal = log_refusal
        self.idle = IdleSockets()

    def __call__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> "FastPathProtocol":
        return FastPathProtocol(self, config, server_state, app_state)


class IdleSockets:
    """Sockets that have said nothing yet; each is closed after HEAD_SECONDS. All have the same time, so whoever came first
    goes first, and one timer serves them all."""

    def __init__(self) -> None:
        self._since: dict[FastPathProtocol, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, entrance: "FastPathProtocol") -> None:
        loop = asyncio.get_running_loop()
        self._since[entrance] = loop.time()
        if self._timer is None:
            self._timer = loop.call_later(HEAD_TIMEOUT, self._expire)

    def discard(self, entrance: "FastPathProtocol") -> None:
        self._since.pop(entrance, None)

    def _expire(self) -> None:
        loop = asyncio.get_running_loop()
        late = loop.time() - HEAD_TIMEOUT
        for entrance in [entrance for entrance, since in self._since.items() if since <= late]:
            entrance.shutdown()
            self.discard(entrance)
        first = next(iter(self._since.values()), None)
        self._timer = None if first is None else loop.call_later(first - late, self._expire)


class ParsedHead:
    """A request as the HTTP server's own parser reads it."""

    __slots__ = ("headers", "messages")

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.messages = 0  # that it came to its end: more often are several requests

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_message_complete(self) -> None:
        self.messages += 1


class FastPathProtocol(asyncio.Protocol):
    """One socket, until it is known what it is for and somebody else owns it."""

    __slots__ = ("_app_state", "_config", "_early", "_factory", "_is_taken", "_response_head", "_server", "_transport")

    def __init__(self, lobby: FastPathFactory, config: Config, server: ServerState, app_state: dict[str, Any]) -> None:
        self._factory = lobby
        self._config = config
        self._server = server
        self._app_state = app_state
        self._early: bytes | None = None  # what came behind its request; not None from then on
        self._is_taken = False
        self._response_head = b""  # the head of an answer
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # of a stream, as uvicorn's
        self._transport = transport
        self._server.connections.add(self)  # type: ignore[arg-type]  # it has all that is asked of them: `shutdown`
        self._factory.idle.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._unregister()

    def shutdown(self) -> None:
        """Close it, unless something is under way."""
        if self._early is None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        if self._early is not None:
            self._early += data
            if len(self._early) > MAX_EARLY_BYTES:
                self._transport.pause_reading()
            return
        self._unregister()
        scope = self._live_scope(data)
        if scope is None:
            self._fall_back(data)
            return
        task = asyncio.get_running_loop().create_task(self._serve(scope))
        self._server.tasks.add(task)
        task.add_done_callback(self._server.tasks.discard)

    def _unregister(self) -> None:
        self._server.connections.discard(self)
        self._factory.idle.discard(self)

    def _fall_back(self, data: bytes) -> None:
        protocol = TakeoverProtocol(self._config, self._server, self._app_state, log_refusal=self._factory.log_refusal)
        protocol.connection_made(self._transport)
        self._transport.set_protocol(protocol)
        protocol.data_received(data)

    def _live_scope(self, data: bytes) -> asgi.Scope | None:
        """The scope of a request for a live connection, if that is what these bytes are, whole and in order. None judges
        nothing: the HTTP server says what they are then."""
        if not data.startswith(METHOD) or len(data) > MAX_HEAD_BYTES:
            return None
        target = data[len(METHOD) : data.find(b" ", len(METHOD))]
        raw_path, _, query = target.partition(b"?")
        path = raw_path.decode("latin-1")
        if "%" in path or not self._factory.begins_live(path, upgrade=True):
            return None
        request = ParsedHead()
        parser = httptools.HttpRequestParser(request)
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            early = data[upgrade.args[0] :]
        except httptools.HttpParserError:
            return None
        else:
            early = b""
            if data.find(END_OF_HEAD) + len(END_OF_HEAD) < len(data) or not self._factory.begins_live(
                path, upgrade=False
            ):
                return None
        hosts = [name for name, _ in request.headers].count(b"host")
        if request.messages != 1 or parser.get_http_version() != "1.1" or hosts != 1:
            return None
        if len(request.headers) > MAX_HEADER_LINES:
            return None
        self._early = early
        return self._scope(path, raw_path, query, request.headers)

    def _scope(self, path: str, raw_path: bytes, query: bytes, headers: list[tuple[bytes, bytes]]) -> asgi.Scope:
        peer = self._transport.get_extra_info("peername")
        return {
            "type": "http",
            "method": "GET",
            "http_version": "1.1",
            "scheme": "https" if is_ssl(self._transport) else "http",
            "path": path,
            "raw_path": raw_path,
            "root_path": "",
            "query_string": query,
            "headers": headers,
            "client": peer[:2] if isinstance(peer, tuple) else None,
            "extensions": {EXTENSION: self._take_over},
        }

    async def _serve(self, scope: asgi.Scope) -> None:
        try:
            await self._config.loaded_app(scope, _receive, self._send)
        except Exception:
            log.exception("a live connection could not begin")
            if not self._is_taken:
                self._transport.write(INTERNAL_SERVER_ERROR)
                self._transport.close()

    def _take_over(self, owner: asyncio.Protocol) -> tuple[asyncio.Transport, bytes]:
        """As TakeoverProtocol's."""
        transport, early = self._transport, self._early or b""
        if transport.is_closing():
            raise ConnectionResetError("the client has gone")
        self._is_taken = True
        transport.set_protocol(owner)
        if len(early) > MAX_EARLY_BYTES:
            transport.resume_reading()
        return transport, early

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        """A refusal, which comes in one piece, and the end."""
        if message["type"] == "http.response.start":
            status = HTTPStatus(message["status"])
            headers = [*self._server.default_headers, *message["headers"], CLOSE]
            self._response_head = head(b"%d %b" % (status, status.phrase.encode()), headers)
        else:
            self._transport.write(self._response_head + message["body"])
            if self._early:
                linger(self._transport, MAX_EARLY_BYTES)
            else:
                self._transport.close()


async def _receive() -> MutableMapping[str, Any]:
    """There is no body."""
    return {"type": "http.request", "body": b"", "more_body": False}
