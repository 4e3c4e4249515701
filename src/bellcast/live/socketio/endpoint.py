"""`/socket.io/`: serves stock clients over GET, POST and WebSocket, and serves the client file."""

import asyncio
import hashlib
import math
from pathlib import Path

import structlog

from bellcast.auth import origins
from bellcast.errors import BellcastError
from bellcast.live.admission import Admission
from bellcast.live.config import LiveConfig, SocketIOConfig
from bellcast.live.framing import websocket
from bellcast.live.http import asgi, handshake_request, responses
from bellcast.live.http.asgi import AsgiTransport
from bellcast.live.http.coalescing import CoalescingTransport
from bellcast.live.http.handshake_request import HandshakeRequest, Headers
from bellcast.live.http.takeover import EXTENSION
from bellcast.live.socketio import long_polling, session_ids, socket_handoff
from bellcast.live.socketio.engine_session import EngineSession, EngineSessions
from bellcast.live.socketio.engineio_websocket import EngineWebSocket
from bellcast.live.socketio.long_polling import PollingTransport
from bellcast.live.socketio.protocol import engineio
from bellcast.live.socketio.protocol.engineio import EngineError
from bellcast.live.wiring import SiblingProcesses

log = structlog.get_logger(__name__)

# A misconfigured load balancer would cause many warnings per second.
WARNING_INTERVAL_SECONDS = 60.0
# What later namespaces may need of the handshake; the rest of its headers is let go, or it would be most of a connection.
KEPT = (b"authorization", b"cookie", b"host", b"origin", b"sec-fetch-site")
# Of those headers. Credentials are far smaller, and most proxies refuse longer header lines.
MAX_KEPT_BYTES = 8_192
# Polling sessions that have joined no namespace: they are not authenticated, hold no socket, and take up to 10 KB each until
# `connect_timeout`. A client joins within a round trip, so a storm of reconnections passes; clients beyond the bound try again.
MAX_UNJOINED_SESSIONS = 5_000
MAX_UNJOINED_SESSIONS_PER_ADDRESS = 2_000
PREFLIGHT_METHODS = (b"access-control-allow-methods", b"GET, POST")
# File names under which the reference serves its client builds.
CLIENT_FILES = ("socket.io.js", "socket.io.min.js", "socket.io.esm.min.js")

TOO_MANY_UNJOINED = EngineError(
    engineio.FORBIDDEN.code, "Too many sessions have not joined a namespace yet: try again in some seconds.", 503
)
TOO_MANY_UNJOINED_HERE = EngineError(
    engineio.FORBIDDEN.code,
    "Too many sessions of this address have not joined a namespace yet: try again in some seconds.",
    429,
)
TOO_LARGE_HEADERS = EngineError(
    engineio.BAD_REQUEST.code,
    f"The authorization, cookie and origin headers and the query may have {MAX_KEPT_BYTES} bytes together.",
    431,
)


class SocketIOEndpoint:
    """The ASGI application of this path."""

    def __init__(
        self, pipes: EngineSessions, arrivals: Admission, rules: LiveConfig, siblings: SiblingProcesses | None
    ) -> None:
        self._sessions = pipes
        self._admission = arrivals
        self._rules = rules
        self._siblings = siblings
        self._warned_at = -math.inf

    @property
    def _settings(self) -> SocketIOConfig:
        return self._sessions.config

    @property
    def _upgrade_timeout(self) -> float:
        """Timeout for reading a body, in seconds."""
        return self._settings.ping_interval + self._settings.ping_timeout

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        request = handshake_request.read(scope)
        asked = dict(request.parameters)
        if self._siblings is not None and await self._hand_off(self._siblings, scope, asked, receive, send):
            return
        if scope["type"] == "websocket":
            await self._carry(request, asked, receive, send)
        elif (request.header(b"upgrade") or "").lower() == "websocket":
            await self._upgrade(scope, request, asked, send)
        else:
            await self._respond(request, asked, receive, send)

    # --- sessions of other processes

    async def _hand_off(
        self,
        siblings: SiblingProcesses,
        scope: asgi.Scope,
        asked: dict[str, str],
        receive: asgi.Receive,
        send: asgi.Send,
    ) -> bool:
        """Whether the request is its session's owner's to answer, or was over before it could be."""
        door = siblings.peer_path(asked.get("sid", ""))
        if door is None or scope["method"] not in ("GET", "POST") or not responses.can_take_over(scope):
            return False
        body: bytes | None = b""
        if scope["method"] == "POST":
            try:
                async with asyncio.timeout(self._upgrade_timeout):
                    body = await long_polling.read_body(receive, self._settings.max_payload)
            except (long_polling.ClientDisconnected, TimeoutError):
                return False
        if body is None:
            await long_polling.reject_body(send, [])
            return True
        return await socket_handoff.hand_off(door, scope, body)

    # --- polling

    async def _respond(
        self, request: HandshakeRequest, asked: dict[str, str], receive: asgi.Receive, send: asgi.Send
    ) -> None:
        if request.method == "OPTIONS":
            allowed = origins.preflight_origin(request.header(b"origin"), self._rules.access.origins)
            await responses.respond(send, 204, [*allowed, PREFLIGHT_METHODS, *_asked_headers(request)])
            return
        cors = self._cors(request, 200)
        sid = asked.get("sid")
        refusal = self._refusal(request, asked, upgrading=False)
        if refusal is not None:
            if refusal is engineio.UNKNOWN_SESSION and sid and await self._send_final_packets(sid, request, send, cors):
                return
            await long_polling.respond_engine_error(send, refusal, self._cors(request, refusal.status))
        elif sid is None:
            await self._open(request, send, cors)
        else:
            await self._exchange(request, sid, receive, send, cors)

    def _cors(self, request: HandshakeRequest, status: int) -> Headers:
        return origins.cors_headers(request.header(b"origin"), self._rules.access.origins, status)

    async def _open(self, request: HandshakeRequest, send: asgi.Send, cors: Headers) -> None:
        pipe = EngineSession(self._sessions, _retained_request(request))
        link = PollingTransport(pipe)
        pipe.begin(link)
        await responses.respond(send, 200, [*long_polling.TEXT, *cors], link.take_pending())

    async def _exchange(
        self, request: HandshakeRequest, sid: str, receive: asgi.Receive, send: asgi.Send, cors: Headers
    ) -> None:
        pipe = self._sessions.find(sid)
        if pipe is None or not isinstance(pipe.transport, PollingTransport):
            await long_polling.respond_engine_error(send, engineio.BAD_REQUEST, cors)
        elif request.method == "GET":
            await long_polling.respond_poll(pipe, pipe.transport, request, receive, send, cors)
        elif request.method != "POST" or _is_octets(request):
            await long_polling.respond_engine_error(send, engineio.BAD_REQUEST, cors)
        else:
            limits = (self._settings.max_payload, self._upgrade_timeout)
            await long_polling.respond_post(pipe, pipe.transport, receive, send, cors, limits)

    async def _send_final_packets(self, sid: str, request: HandshakeRequest, send: asgi.Send, cors: Headers) -> bool:
        link = self._sessions.final_packets(sid)
        if not isinstance(link, PollingTransport):
            return False
        await long_polling.respond_body(send, request, cors, link.take_pending())
        return True

    # --- WebSocket

    async def _upgrade(
        self, scope: asgi.Scope, request: HandshakeRequest, asked: dict[str, str], send: asgi.Send
    ) -> None:
        refusal = self._refusal(request, asked, upgrading=True)
        upgrade = websocket.check_upgrade(request.method, request.http_version, request.headers)
        if refusal is not None:
            await long_polling.respond_engine_error(send, refusal, [])
        elif isinstance(upgrade, websocket.HandshakeRejected) or not responses.can_take_over(scope):
            await long_polling.respond_engine_error(send, engineio.BAD_REQUEST, [])
        else:
            self._take_over(scope, request, asked, upgrade)

    def _take_over(
        self, scope: asgi.Scope, request: HandshakeRequest, asked: dict[str, str], upgrade: websocket.Upgrade
    ) -> None:
        """Serve a WebSocket on a raw socket."""
        pipe = self._session(request, asked)
        socket = self._socket(pipe, engineio.FRAMES)
        try:
            transport, early = scope["extensions"][EXTENSION](socket)
        except ConnectionResetError:
            return
        outlet = CoalescingTransport(transport)
        outlet.set_write_buffer_limits(high=self._rules.limits.unsent or 2**31 - 1)
        outlet.write(websocket.response(upgrade))
        socket.attach(outlet)
        self._begin(pipe, socket, asked)
        if early:
            socket.data_received(early)

    async def _carry(
        self, request: HandshakeRequest, asked: dict[str, str], receive: asgi.Receive, send: asgi.Send
    ) -> None:
        """Serve a WebSocket through ASGI `send`."""
        await receive()  # websocket.connect
        if self._refusal(request, asked, upgrading=True) is not None:
            await send({"type": "websocket.close", "code": 1008})  # before accepting: an HTTP 403
            return
        pipe = self._session(request, asked)
        socket = self._socket(pipe, engineio.ASGI_MESSAGES)
        outlet = AsgiTransport(socket, _compressed)
        outlet.set_write_buffer_limits(high=self._rules.limits.unsent)
        outlet.resume_reading()
        socket.attach(outlet)
        self._begin(pipe, socket, asked)
        speaking = outlet.run(send, {"type": "websocket.accept"}, socket.closing)
        await asgi.serve(
            socket, outlet, speaking, _receive_websocket(socket, outlet, receive, self._settings.max_payload)
        )

    def _session(self, request: HandshakeRequest, asked: dict[str, str]) -> EngineSession:
        sid = asked.get("sid")
        found = None if sid is None else self._sessions.find(sid)
        return found or EngineSession(self._sessions, _retained_request(request))

    def _socket(self, pipe: EngineSession, form: engineio.Encoding) -> EngineWebSocket:
        return EngineWebSocket(pipe, form, self._settings.max_payload, self._rules.limits.frames_per_second)

    def _begin(self, pipe: EngineSession, socket: EngineWebSocket, asked: dict[str, str]) -> None:
        """Open a session or probe an upgrade of one; a second socket for the same session is closed."""
        if "sid" not in asked:
            socket.begin()
        else:
            socket.probe(self._settings.upgrade_timeout)

    # --- request validation

    def _refusal(self, request: HandshakeRequest, asked: dict[str, str], *, upgrading: bool) -> EngineError | None:
        """Return the refusal of this request, checked in the reference's order."""
        transport, sid = asked.get("transport"), asked.get("sid")
        if transport not in ("polling", "websocket") or (upgrading and transport != "websocket"):
            return engineio.UNKNOWN_TRANSPORT
        if not self._may_ask(request):
            return engineio.FORBIDDEN
        if sid is not None:
            if self._sessions.find(sid) is None:
                return self._unknown(sid)
            return None if upgrading or transport == "polling" else engineio.BAD_REQUEST
        if request.method != "GET":
            return engineio.BAD_METHOD
        if transport == "websocket" and not upgrading:
            return engineio.BAD_REQUEST
        if asked.get("EIO") != engineio.VERSION:
            return engineio.BAD_VERSION
        return self._full(request)

    def _unknown(self, sid: str) -> EngineError:
        """Return the refusal for an unknown session. Log a warning if it belongs to another machine."""
        refusal, now = session_ids.unknown_session(sid), asyncio.get_running_loop().time()
        if refusal is session_ids.ELSEWHERE and now - self._warned_at > WARNING_INTERVAL_SECONDS:
            self._warned_at = now
            log.warning("a Socket.IO client was sent here with another machine's session", why=refusal.message)
        return refusal

    def _may_ask(self, request: HandshakeRequest) -> bool:
        host = request.header(b"host") or ""
        declared = self._rules.access.origins
        return origins.token_allowed(request.header(b"origin"), scheme=request.scheme, host=host, origins=declared)

    def _full(self, request: HandshakeRequest) -> EngineError | None:
        """Check the connection limit; refused clients retry the handshake."""
        limit = self._rules.limits.connections
        try:
            self._admission.check_address(request.address)
        except BellcastError as refusal:
            return EngineError(engineio.FORBIDDEN.code, refusal.detail, refusal.status)
        if limit and len(self._sessions) >= limit:
            return EngineError(engineio.FORBIDDEN.code, "This server is at its bound of connections.", 503)
        if self._sessions.unjoined >= MAX_UNJOINED_SESSIONS:
            return TOO_MANY_UNJOINED
        if self._sessions.unjoined_from(request.address) >= MAX_UNJOINED_SESSIONS_PER_ADDRESS:
            return TOO_MANY_UNJOINED_HERE
        kept = sum(len(name) + len(value) for name, value in request.headers if name in KEPT)
        if kept + len(_token_query(request)) > MAX_KEPT_BYTES:
            return TOO_LARGE_HEADERS
        return None


class ClientFile:
    """The stock client, for pages that load it from here as they did from their old server."""

    def __init__(self, file: Path | None) -> None:
        self._file = file

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        name = scope["path"].rpartition("/")[2]
        found = None if self._file is None else await asyncio.to_thread(_read, self._file, name)
        if found is None:
            text = b"There is no Socket.IO client here: name a copy of it with BELLCAST_SOCKETIO_CLIENT_FILE.\n"
            await responses.respond(send, 404, [(b"content-type", b"text/plain; charset=utf-8")], text)
            return
        tag = b'"' + hashlib.sha256(found).hexdigest()[:32].encode() + b'"'
        headers = [(b"etag", tag), (b"cache-control", b"public, max-age=0"), *origins.cors_headers("*", ())]
        if handshake_request.read(scope).header(b"if-none-match") == tag.decode():
            await responses.respond(send, 304, headers)
        else:
            await responses.respond(
                send, 200, [(b"content-type", b"application/javascript; charset=utf-8"), *headers], found
            )


def _read(file: Path, name: str) -> bytes | None:
    """The build of that name beside the given file, or the file itself for the two that are the same script."""
    beside = file.with_name(name)
    if beside.is_file():
        return beside.read_bytes()
    return file.read_bytes() if ".esm." not in name and file.is_file() else None


def _retained_request(request: HandshakeRequest) -> HandshakeRequest:
    headers = [(name, value) for name, value in request.headers if name in KEPT]
    return HandshakeRequest(
        method=request.method,
        path=request.path,
        http_version=request.http_version,
        scheme=request.scheme,
        headers=headers,
        query=_token_query(request),
        address=request.address,
        parameters=[],
    )


def _token_query(request: HandshakeRequest) -> bytes:
    """Return the query if it contains a token."""
    return request.query if b"token=" in request.query else b""


def _is_octets(request: HandshakeRequest) -> bool:
    return (request.header(b"content-type") or "").startswith("application/octet-stream")


def _asked_headers(request: HandshakeRequest) -> Headers:
    asked = request.header(b"access-control-request-headers")
    return [] if asked is None else [(b"access-control-allow-headers", asked.encode("latin-1"))]


def _compressed(data: bytes) -> asgi.Message:
    """Return the ASGI message of one frame."""
    if data[:1] == engineio.BASE64_PREFIX:
        return {"type": "websocket.send", "bytes": data[1:]}
    return {"type": "websocket.send", "text": data.decode()}


async def _receive_websocket(socket: EngineWebSocket, outlet: AsgiTransport, receive: asgi.Receive, limit: int) -> None:
    """Pass on received messages until the client disconnects."""
    await outlet.reading.wait()
    while (message := await receive())["type"] != "websocket.disconnect":
        said = message.get("text")
        socket.receive_limited(message.get("bytes") or b"" if said is None else said, limit)
        await outlet.reading.wait()
    socket.closed_by_client(message.get("code") or asgi.NO_CODE)
